#!/usr/bin/env python3
"""Two Spatial Transformers side by side: adding digits, Jaderberg et al. 2015, appendix A.1.

The input has two channels with a digit in each, turned, scaled and put anywhere independently of
each other; the network is to say their sum, one of 19 classes. A single transformer moves both
channels alike and cannot bring both digits into place. Two transformers, each of which sees and
moves both channels, can take one digit each. All networks have as many parameters:

  fcn      two fully connected hidden layers
  cnn      two convolutions with pooling, one fully connected hidden layer
  st-fcn   one affine transformer before an fcn
  2st-fcn  two affine transformers in parallel before an fcn

The paper took MNIST's 60,000 digits and about 400,000 parameters. This takes 10,000 digits, 8,000
to train on, and as many epochs as you have time for on a CPU core, with batch norm in all networks
and digits that are moved further and further: errors are higher, all networks are treated alike.
"""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import command
import torch
from digits import Digits, Split, load
from distortions import placed
from fitting import fit, weights
from runs import Runs
from torch import Tensor, nn

from stn_ros.transformer.families import Affine
from stn_ros.transformer.module import ConvolutionalLocalizer, SpatialTransformer, transformers

EPILOG = """\
examples:
  python experiments/addition.py --models cnn 2st-fcn --seeds 1 --epochs 2
      the shortest look
  python experiments/addition.py
      the table; interrupt it as you like, the same command goes on where it stopped
  python experiments/addition.py --idx-folder ~/mnist --full --epochs 300 --device cuda
      as many digits as in the paper, with MNIST's own files

The folder of --out then holds
  runs.json         one entry for each finished run
  table.md          errors, beside the paper's
  errors.png        the same as bars
  st-fcn.png, ...   test pairs, and what the transformers make of them
"""

TRANSFORMS = {"fcn": 0, "cnn": 0, "st-fcn": 1, "2st-fcn": 2}
MODELS = tuple(TRANSFORMS)
PAPER = {"fcn": 47.7, "cnn": 14.7, "st-fcn": 22.6, "2st-fcn": 9.0}
"""Test errors, percent (table 4), of affine transformers."""

PARAMETERS = 400_000
CHANNELS, FEATURES = 16, 64
"""Of the CNN's convolutions, and of a localizer's hidden layer."""
SIDE, SCENE = 28, 42
"""Of a digit's picture and a transformer's output, and of the input, pixels."""
SUMS = 19
TEST_DRAWS, TEST_SEED = 5, 20151


@dataclass(frozen=True)
class Settings:
    """How all networks are trained, see `fitting.fit`.

    Chosen on 1,000 training digits held back (20 epochs, one seed), by the errors of 2st-fcn in
    percent; to guess is 90. As in the paper, 89: the transformers leave the picture before the rest
    knows a digit. With batch norm alone still 89, with `easing` as well 68. With 64 features in the
    localizer instead of 20, 66, and each transformer begins to take a digit of its own: 20 are too
    few for two places and turns. With windows that begin at the scale of the digits, 57, and in 40
    epochs 40. The weights that these two begin with matter: a tenth as large, they stay alike (51
    on the test digits); three times as large, one leaves the picture.

    Attributes:
        epochs, batch: as usual. learning_rate: its peak. localizer_share: of it, for the
            transformers. easing: share of the epochs in which digits are moved further and further,
            from not at all to as far as tested. draws: of each test digit.
    """

    epochs: int
    batch: int = 64
    learning_rate: float = 1e-2
    localizer_share: float = 1.0
    easing: float = 0.4
    draws: int = TEST_DRAWS


def scattered(pictures: Tensor, generator: torch.Generator, strength: float = 1.0) -> Tensor:
    """(N, 1, SCENE, SCENE) of digits (N, 1, SIDE, SIDE): the paper's distortion RTS.

    Args:
        strength: 1 turns by up to 45 degrees, scales by 0.7 to 1.2 and puts anywhere; less brings
            all of these nearer to nothing, and 0 leaves the digits as they are, in the middle.
    """
    n = len(pictures)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand((n, *shape), generator=generator)

    turn = strength * uniform(-math.pi / 4, math.pi / 4)
    scale = 1 + strength * (uniform(0.7, 1.2) - 1)
    room = 1 - scale[:, None] * SIDE / SCENE
    return placed(pictures, turn, scale, strength * room * uniform(-1, 1, 2), SCENE)


def pairs(
    digits: Digits,
    first: Tensor,
    second: Tensor,
    generator: torch.Generator,
    strength: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Pictures (N, 2, SCENE, SCENE) of two digits, scattered one by one, and their sums (N,).

    Args:
        first, second: (N,) which digits. strength: see `scattered`.
    """
    both = [scattered(digits.pictures[index], generator, strength) for index in (first, second)]
    return torch.cat(both, dim=1), digits.labels[first] + digits.labels[second]


def build(name: str, parameters: int = PARAMETERS) -> nn.Sequential:
    """A network for pairs (N, 2, SCENE, SCENE) -> (N, 19) logits, of about `parameters` in all.

    Raises:
        ValueError: `parameters` do not suffice for the smallest one of its kind.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    count = TRANSFORMS[name]
    if count:
        localizer = ConvolutionalLocalizer(2, (SCENE, SCENE), FEATURES, batch_norm=True)
        # Both begin in the middle: which one takes which digit is theirs to find out.
        family = Affine(limit=2.0)
        middle = family.parameters_of(
            torch.diag(torch.tensor([SIDE / SCENE, SIDE / SCENE, 1]))[None]
        )
        parts["transformer"] = SpatialTransformer(
            localizer, FEATURES, family, (SIDE, SIDE), count, middle.repeat(count, 1)
        )
        with torch.no_grad():  # two that are exactly alike would stay alike
            parts["transformer"].head.weight.normal_(std=1e-2)
    if name == "cnn":
        left = ((SCENE - 8) // 2 - 6) // 2
        parts["convolutions"] = nn.Sequential(
            nn.Conv2d(2, CHANNELS, 9),
            nn.BatchNorm2d(CHANNELS),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(CHANNELS, CHANNELS, 7),
            nn.BatchNorm2d(CHANNELS),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ).to(memory_format=torch.channels_last)
        inputs, layers = CHANNELS * left * left, 1
    else:
        inputs, layers = (2 * count * SIDE**2 if count else 2 * SCENE**2), 2
    rest = parameters - sum(weights(part) for part in parts.values())
    parts["connected"] = _connected(inputs, _hidden(inputs, layers, rest), layers)
    return nn.Sequential(parts)


def batches(digits: Digits, settings: Settings, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs without end; in each epoch each digit comes once as the first, once as the second."""
    generator = torch.Generator().manual_seed(seed)
    for epoch in itertools.count():
        strength = min(1.0, epoch / max(1.0, settings.easing * settings.epochs))
        orders = [torch.randperm(len(digits), generator=generator) for _ in range(2)]
        for first, second in zip(*(order.split(settings.batch) for order in orders), strict=True):
            yield pairs(digits, first, second, generator, strength)


def test_pairs(digits: Digits, draws: int) -> tuple[Tensor, Tensor]:
    """The same pairs of test digits each time, `draws` times as many as there are digits."""
    generator = torch.Generator().manual_seed(TEST_SEED)
    index = torch.arange(len(digits)).repeat(draws)
    partner = torch.randint(len(digits), index.shape, generator=generator)
    return pairs(digits, index, partner, generator)


@torch.no_grad()
def error(model: nn.Module, pictures: Tensor, sums: Tensor) -> float:
    """Share of pairs whose sum is wrong, percent."""
    device = next(model.parameters()).device
    model.eval()
    read = torch.cat([model(part.to(device)).argmax(dim=1).cpu() for part in pictures.split(500)])
    return 100 * (read != sums).float().mean().item()


@torch.no_grad()
def independence(model: nn.Module, pictures: Tensor) -> float | None:
    """How far the grids of two transformers differ from each other, r.m.s., input pixels.

    Near zero they do the same, and the second is wasted. None unless there are two.
    """
    for _, part in transformers(model):
        model.eval()
        model(pictures.to(next(model.parameters()).device))
        grids = part.last.grid
        if grids.shape[1] == 2:
            apart = (grids[:, 0] - grids[:, 1]).square().sum(dim=-1).mean().sqrt().item()
            return apart * pictures.shape[-1] / 2
    return None


def run(
    split: Split, settings: Settings, device: str, folder: Path, model: str, seed: int
) -> dict[str, Any]:
    """Train and test one network; the weights of the first seed are kept for the pictures."""
    torch.manual_seed(seed)
    network = build(model).to(device)

    def loss(batch: tuple[Tensor, Tensor]) -> Tensor:
        pictures, sums = batch
        return nn.functional.cross_entropy(network(pictures.to(device)), sums.to(device))

    steps = settings.epochs * math.ceil(len(split.train) / settings.batch)
    drawn = batches(split.train, settings, seed)
    said = fit(network, drawn, loss, steps, settings.learning_rate, settings.localizer_share)
    pictures, sums = test_pairs(split.test, settings.draws)
    if seed == 0:
        file = _weights_file(folder, model)
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(network.state_dict(), file)
    return {
        "error": round(error(network, pictures, sums), 3),
        "independence": independence(network, pictures[:1000]),
        "parameters": weights(network),
        "said": said,
    }


def table(runs: Runs) -> str:
    """The errors in Markdown, beside the paper's."""
    done, settings = runs.runs(), Settings(**runs.same["settings"])
    rows = []
    for model in MODELS:
        found = partial(command.taken, done, model=model)
        if errors := found("error"):
            rows.append(
                [
                    model,
                    command.spread(errors),
                    str(len(errors)),
                    str(PAPER[model]),
                    f"{found('parameters')[0]:,}",
                    command.spread(found("independence"), 1),
                ]
            )
    header = ["network", "error, %", "seeds", "paper, %", "parameters"]
    header.append("grids of the two apart, pixels")
    said = [
        f"- {entry['model']} seed {entry['seed']}, {text}"
        for entry in done
        for text in entry["said"]
    ]
    return f"""# Adding two digits

Share of wrong sums, mean ± standard deviation over seeds of training. Each of the two digits has a
channel of its own and is turned by up to 45 degrees, scaled by 0.7 to 1.2 and put anywhere in
{SCENE} x {SCENE} pixels for itself. {runs.same["source"]}; {settings.epochs} epochs, batches of
{settings.batch}, Adam at {settings.learning_rate:g}; digits are moved further and further over the
first {settings.easing:.0%} of the epochs. Each test digit is scattered {settings.draws} times, with
another partner each time.

The paper (Jaderberg et al. 2015, table 4, affine transformers) took MNIST's 60,000 training digits
and trained far longer, on a GPU; its figures are not for the same data and effort.

{command.markdown(header, rows)}

{chr(10).join(said)}

{command.effort(done)}
"""


def plot_errors(runs: Runs) -> None:
    """Bars of the mean errors, with each seed as a dot."""
    from matplotlib.figure import Figure

    done = runs.runs()
    figure = Figure(figsize=(4.5, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for place, model in enumerate(MODELS):
        if errors := command.taken(done, "error", model=model):
            axes.bar(place, sum(errors) / len(errors), 0.8, color=f"C{place}")
            axes.plot([place] * len(errors), errors, "k.", markersize=4)
            axes.plot(place, PAPER[model], "kx", markersize=6)
    axes.plot([], [], "k.", label="one seed")
    axes.plot([], [], "kx", label="paper")
    axes.set_xticks(range(len(MODELS)), MODELS)
    axes.set_ylabel("wrong sums, %")
    figure.legend(loc="outside right upper")
    figure.savefig(runs.folder / "errors.png", dpi=150)


@torch.no_grad()
def plot_pairs(runs: Runs, model: str, digits: Digits, columns: int = 10) -> None:
    """Pairs of test digits, and the channels that the trained transformers make of them."""
    from matplotlib.figure import Figure

    file = _weights_file(runs.folder, model)
    if not (file.is_file() and runs.done(model=model, seed=0)):
        return
    network = build(model)
    network.load_state_dict(torch.load(file, map_location="cpu"))
    network.eval()
    pictures, sums = test_pairs(digits.take(torch.arange(min(columns, len(digits)))), 1)
    read, outputs = network(pictures).argmax(dim=1), network.transformer(pictures)
    rows = {f"channel {i + 1}": channel for i, channel in enumerate(pictures.unbind(1))}
    for i, channel in enumerate(outputs.unbind(1)):
        transform, channel_number = divmod(i, 2)
        rows[f"transformer {transform + 1},\nchannel {channel_number + 1}"] = channel
    figure = Figure(figsize=(1.8 + 0.75 * len(sums), 0.8 * len(rows) + 0.3), layout="constrained")
    grid = figure.subplots(len(rows), len(sums), squeeze=False)
    for line, (title, channel) in zip(grid, rows.items(), strict=True):
        for axes, picture in zip(line, channel, strict=True):
            axes.set_xticks([]), axes.set_yticks([])
            axes.imshow(picture.numpy(), cmap="gray", vmin=0, vmax=1)
        line[0].set_ylabel(title, rotation=0, ha="right", va="center", fontsize=8)
    for axes, truth, answer in zip(grid[0], sums.tolist(), read.tolist(), strict=True):
        axes.set_title(f"{truth}: {answer}", color="k" if truth == answer else "r", fontsize=9)
    figure.savefig(runs.folder / f"{model}.png", dpi=120)


def main(arguments: list[str] | None = None) -> None:
    """Run what is not yet there, then write table and pictures."""
    parser = command.parser(__doc__ or "", EPILOG, "addition")
    command.add_some(parser, "models", list(MODELS))
    parser.add_argument(
        "--epochs", type=int, default=40, help="passes over the training digits (default: 40)"
    )
    command.add_digits(parser)
    options = command.options(parser, arguments)
    split = load("mnist", options.idx_folder, options.full)
    print(f"digits: {split.source}")
    settings = Settings(options.epochs)
    runs = Runs(options.out, {"source": split.source, "settings": asdict(settings)})
    jobs = [{"model": m, "seed": seed} for seed in range(options.seeds) for m in options.models]
    command.complete(runs, jobs, partial(run, split, settings, options.device, options.out))
    if not runs.runs():
        return
    page = table(runs)
    plot_errors(runs)
    for model in (name for name in options.models if TRANSFORMS[name]):
        plot_pairs(runs, model, split.test)
    command.write(page, options.out)


def _connected(inputs: int, hidden: int, layers: int) -> nn.Sequential:
    widths = [inputs, *[hidden] * layers]
    parts: list[nn.Module] = [nn.Flatten()]
    for before, after in itertools.pairwise(widths):
        parts += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU()]
    return nn.Sequential(*parts, nn.Linear(hidden, SUMS))


def _hidden(inputs: int, layers: int, parameters: int) -> int:
    """Units with which `_connected` has at most so many parameters, and not fewer than could be.

    Its parameters are a h^2 + b h + c with a = layers - 1.
    """
    a, b, c = layers - 1, inputs + 3 * layers + SUMS, SUMS - parameters
    root = -c / b if a == 0 else (math.sqrt(b * b - 4 * a * c) - b) / (2 * a)
    if root < 1:
        raise ValueError(f"{parameters} parameters are too few for {inputs} inputs")
    return math.floor(root)


def _weights_file(folder: Path, model: str) -> Path:
    return folder / "weights" / f"{model}.pt"


if __name__ == "__main__":
    main()
