#!/usr/bin/env python3
"""Spatial Transformers that find things: no boxes, one label each, or no label at all.

Co-localisation (Jaderberg et al. 2015, appendix A.2). Given 100 pictures with a digit of one class
somewhere in each, find the digits; neither class nor place is told. A localizer proposes a window
in each picture, and is trained until the windows of different pictures look alike, and unlike
random patches, to a network that has learnt to read other digits (triplet hinge loss):

  T    a digit somewhere in 84 x 84 empty pixels
  TC   the same with 16 fragments of other digits

Localization as a by-product. In cluttered digits of all classes, 60 x 60 pixels, the windows of

  stn     a transformer before a classifier, trained by the classes alone
  boxes   the same localizer trained by the digits' boxes: what labels of places would give
  centre  no training: the best guess without looking

A window counts as right where it and the digit's 28 x 28 frame overlap by more than half of what
they cover together (IoU > 0.5).
"""

from __future__ import annotations

import math
import statistics
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import command
import torch
from digits import SIDE, Digits, Split, load
from distortions import FRAGMENT, FRAGMENTS, cluttered, placed
from fitting import fit
from runs import Runs
from torch import Tensor, nn

from stn_ros.transformer.families import Attention
from stn_ros.transformer.grid import target_grid
from stn_ros.transformer.module import SpatialTransformer
from stn_ros.transformer.sampler import sample

EPILOG = """\
examples:
  python experiments/localization.py --tasks T --digits 8 --seeds 1
      the shortest look
  python experiments/localization.py
      the table; interrupt it as you like, the same command goes on where it stopped
  python experiments/localization.py --idx-folder ~/mnist --full --device cuda
      networks that read and classify learn from all of MNIST

The folder of --out then holds
  runs.json     one entry for each finished run
  table.md      shares of right windows by class, beside the paper's
  shares.png    the same as bars
  T.png, ...    pictures with the true frame and the window found
"""

SET_SIDE, CLUTTER_SIDE = 84, 60
"""Of pictures in co-localisation (the paper's) and of those with classes, pixels."""
TASKS = {
    "T": "co-localisation, empty background",
    "TC": "co-localisation, clutter",
    "stn": "STN, trained by classes",
    "boxes": "localizer, trained by boxes",
    "centre": "window in the centre",
}
COLOCALIZED = ("T", "TC")
PAPER = {"T": "100", "TC": "75 to 93"}
"""Shares of right windows, percent (appendix A.2)."""
RIGHT = 0.5
SHOWN = 10
"""Pictures of each kind in the plots."""
TEST_SEED = 20152


@dataclass(frozen=True)
class Settings:
    """How networks are trained, see `fitting.fit`.

    Attributes:
        steps: of co-localisation. epochs: of `stn` and `boxes`.
        pictures: in a set. batch: of them in a step. patches: random ones in each picture.
        margin, push: see `triplet_hinge`.
        smallest, largest, first: side of a window in co-localisation, as a share of the picture's.
        reading_epochs: of the network whose features are compared.
        learning_rate, reading_rate, class_rate: peaks: co-localisation, reading, `stn` and `boxes`.
    """

    steps: int
    epochs: int
    pictures: int = 100
    batch: int = 50
    patches: int = 16
    margin: float = 2.0
    push: float = 2.0
    smallest: float = 0.3
    largest: float = 0.5
    first: float = 0.37
    reading_epochs: int = 4
    learning_rate: float = 1e-2
    reading_rate: float = 2e-3
    class_rate: float = 5e-3


class Scenes(NamedTuple):
    """Pictures (N, 1, side, side) and the windows (N, 3) of the digits' frames, see `overlap`."""

    pictures: Tensor
    windows: Tensor


class Window(Attention):
    """Crops that lie within the picture: `Attention` bounded in size and place.

    Zeros are a window of the side `first` in the picture's centre.

    Args:
        smallest, largest, first: side, as a share of the picture's.

    Raises:
        ValueError: not 0 < smallest < first < largest <= 1.
    """

    def __init__(self, smallest: float, largest: float, first: float) -> None:
        super().__init__(math.inf)
        if not 0 < smallest < first < largest <= 1:
            raise ValueError(
                f"smallest, first, largest are {smallest}, {first}, {largest}: must rise, "
                "from above 0 to 1 at most"
            )
        self._middle = math.log(smallest * largest) / 2
        self._half = math.log(largest / smallest) / 2
        self._first = math.atanh((math.log(first) - self._middle) / self._half)

    def bounded(self, raw: Tensor) -> Tensor:
        """See `Family`; a window of the side s has room for shifts by up to 1 - s."""
        size = self._middle + self._half * torch.tanh(raw[..., :1] / self._half + self._first)
        return torch.cat([size, (1 - size.exp()) * torch.tanh(1.5 * raw[..., 1:])], dim=-1)


class KeypointLocalizer(nn.Module):
    """Where a few learnt features are: expected positions under a softmax over the picture.

    Pictures (N, 1, H, W) -> (N, 2 * keypoints), x and y in [-1, 1] (Finn et al., "Deep spatial
    autoencoders for visuomotor learning", ICRA 2016, section IV). Unlike a fully connected layer it
    needs not learn anew for each place.
    """

    def __init__(self, keypoints: int = 4, channels: int = 8) -> None:
        super().__init__()
        self.features = 2 * keypoints
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, channels, 9, stride=4, padding=4),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(channels, keypoints, 5, padding=2),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class. The factor makes a softmax that is flat at first peak soon."""
        maps = 10 * self.convolutions(pictures)
        places = target_grid(maps.shape[2:], maps).reshape(-1, 2)
        return (maps.flatten(2).softmax(dim=2) @ places).flatten(1)


class Reader(nn.Module):
    """A small network that reads digits (N, 1, 28, 28) -> (N, 10), and whose features are compared.

    Features are those of the last convolution and of the hidden layer, each as its difference d to
    the response to an empty crop, shortened to d / sqrt(|d|^2 + t^2): digits lie near the unit
    sphere, and crops with little in them near the origin. t is half of what digits have.
    """

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.hidden = nn.Sequential(nn.Linear(512, 64), nn.ReLU())
        self.classes = nn.Linear(64, 10)
        self.register_buffer("typical", torch.ones(2))

    def forward(self, crops: Tensor) -> Tensor:
        """Logits of the classes."""
        return self.classes(self.hidden(self.convolutions(crops)))

    @torch.no_grad()
    def calibrate(self, digits: Tensor) -> None:
        """Set t of the features by (N, 1, 28, 28) digits."""
        norms = [d.norm(dim=1).median() for d in self._differences(digits)]
        self.typical = torch.stack(norms) / 2

    def features(self, crops: Tensor) -> Tensor:
        """(N, 1, 28, 28) -> (N, 576), of norm below 1."""
        parts = zip(self._differences(crops), self.typical, strict=True)
        short = [d / (d.square().sum(dim=1, keepdim=True) + t * t).sqrt() for d, t in parts]
        return torch.cat(short, dim=1) / math.sqrt(2)

    def _differences(self, crops: Tensor) -> list[Tensor]:
        with_empty = torch.cat([crops, torch.zeros_like(crops[:1])])
        low = self.convolutions(with_empty)
        return [layer[:-1] - layer[-1:] for layer in (low, self.hidden(low))]


def scenes(
    digits: Tensor, others: Tensor, side: int, fragments: int, generator: torch.Generator
) -> Scenes:
    """Each of the digits (N, 1, 28, 28) anywhere in a picture, among fragments of `others`."""
    n = len(digits)
    room = 1 - SIDE / side
    places = room * (2 * torch.rand((n, 2), generator=generator) - 1)
    pictures = placed(digits, torch.zeros(n), torch.ones(n), places, side)
    if fragments:
        shape = (n, fragments)
        sources = torch.randint(len(others), shape, generator=generator)
        # The digits proper are the middle 20 x 20 pixels; fragments come from there.
        corners = torch.randint(4, 24 - FRAGMENT + 1, (*shape, 2), generator=generator)
        spots = torch.randint(side - FRAGMENT + 1, (*shape, 2), generator=generator)
        pictures = cluttered(pictures, others, sources, corners, spots)
    return Scenes(pictures, torch.cat([torch.full((n, 1), SIDE / side), places], dim=1))


def overlap(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union (N,) of square windows.

    Args:
        first, second: (N, 3) half the side, and the centre x, y; normalised, so that the first
            number is also the side as a share of the picture's.
    """
    low = torch.maximum(first[:, 1:] - first[:, :1], second[:, 1:] - second[:, :1])
    high = torch.minimum(first[:, 1:] + first[:, :1], second[:, 1:] + second[:, :1])
    both = (high - low).clamp_min(0).prod(dim=1)
    return both / (4 * first[:, 0].square() + 4 * second[:, 0].square() - both)


def triplet_hinge(found: Tensor, patches: Tensor, margin: float, push: float = 1.0) -> Tensor:
    """Windows of different pictures shall be more alike than a window and its picture's patches.

    The mean over pictures n, m != n and patches k of
    max(0, |f_n - f_m|^2 - push |f_n - p_nk|^2 + margin), Jaderberg et al. 2015, appendix A.2, with
    two changes: f_m counts as a constant, and `push` may be more than 1. With neither, windows that
    show nothing are alike, too, and attract those that show a part of a digit: training ends in the
    emptiest places of the pictures.

    Args:
        found: (N, D) features of the windows. patches: (N, K, D) of the random patches.
    """
    n = len(found)
    alike = (found[:, None] - found.detach()[None]).square().sum(dim=2)
    unlike = (found[:, None] - patches).square().sum(dim=2)
    hinges = (alike[:, :, None] - push * unlike[:, None] + margin).clamp_min(0)
    return hinges[~torch.eye(n, dtype=torch.bool, device=found.device)].mean()


def crops(pictures: Tensor, windows: Tensor) -> Tensor:
    """What the windows (N, 3) show, 28 x 28 pixels."""
    parameters = torch.cat([windows[:, :1].log(), windows[:, 1:]], dim=1)
    return sample(pictures, Attention().grid(parameters, (SIDE, SIDE)))


def localizing(family: Window) -> SpatialTransformer:
    """An untrained transformer with the localizer that all tasks share."""
    localizer = KeypointLocalizer()
    return SpatialTransformer(localizer, localizer.features, family, (SIDE, SIDE))


def windows_of(transformer: SpatialTransformer, pictures: Tensor) -> Tensor:
    """The windows (N, 3) it finds in pictures, see `overlap`."""
    parameters = transformer.localize(pictures)[:, 0]
    return torch.cat([parameters[:, :1].exp(), parameters[:, 1:]], dim=1)


def trained_reader(digits: Digits, settings: Settings, seed: int, device: str) -> Reader:
    """A network that has learnt to read cluttered digits, 0.67 to 1.6 times as large, off centre.

    By up to 9 pixels off, so that a digit is still recognized where a window shows a part of it.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    reader = Reader().to(device)

    def draw() -> Iterator[tuple[Tensor, Tensor]]:
        for index in _epochs(len(digits), 64, generator):
            some = digits.take(index)
            scene = scenes(some.pictures, digits.pictures, SET_SIDE, FRAGMENTS, generator)
            zoom = torch.exp(0.9 * torch.rand((len(index), 1), generator=generator) - 0.4)
            off = torch.randn((len(index), 2), generator=generator).clamp(-2.5, 2.5)
            side, room = scene.windows[:, :1] * zoom, 1 - scene.windows[:, :1] * zoom
            centre = (scene.windows[:, 1:] + 3.5 * 2 / SET_SIDE * off).clamp(-room, room)
            yield crops(scene.pictures, torch.cat([side, centre], dim=1)), some.labels

    def loss(batch: tuple[Tensor, Tensor]) -> Tensor:
        return nn.functional.cross_entropy(reader(batch[0].to(device)), batch[1].to(device))

    steps = settings.reading_epochs * math.ceil(len(digits) / 64)
    fit(reader, draw(), loss, steps, settings.reading_rate)
    reader.calibrate(digits.pictures[:500].to(device))
    return reader.requires_grad_(False)


def picture_set(split: Split, task: str, digit: int, settings: Settings, seed: int) -> Scenes:
    """The pictures of one co-localisation, of digits that the reader has not seen.

    Raises:
        ValueError: the data lack this digit.
    """
    index = (split.test.labels == digit).nonzero()[: settings.pictures, 0]
    if len(index) < 2:
        raise ValueError(f"{len(index)} test digits of class {digit}: at least 2 are needed")
    generator = torch.Generator().manual_seed(10 * seed + digit)
    fragments = FRAGMENTS if task == "TC" else 0
    pictures = split.test.pictures[index]
    return scenes(pictures, split.train.pictures, SET_SIDE, fragments, generator)


def colocalize(
    given: Tensor, reader: Reader, settings: Settings, seed: int
) -> tuple[Tensor, list[str]]:
    """Windows (N, 3) of what is common to the pictures, and what the collapse monitor said."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    family = Window(settings.smallest, settings.largest, settings.first)
    transformer = localizing(family).to(given.device)
    # Random patches stay as they are: their features are found once.
    patches = []
    for _ in range(settings.patches):
        zoom = torch.rand((len(given), 1), generator=generator)
        side = settings.smallest * (settings.largest / settings.smallest) ** zoom
        places = (1 - side) * (2 * torch.rand((len(given), 2), generator=generator) - 1)
        windows = torch.cat([side, places], dim=1).to(given.device)
        patches.append(reader.features(crops(given, windows)))
    unlike = torch.stack(patches, dim=1)

    def draw() -> Iterator[Tensor]:
        while True:
            yield torch.randperm(len(given), generator=generator)[: settings.batch]

    def loss(index: Tensor) -> Tensor:
        found = reader.features(transformer(given[index]))
        return triplet_hinge(found, unlike[index], settings.margin, settings.push)

    said = fit(transformer, draw(), loss, settings.steps, settings.learning_rate)
    with torch.no_grad():
        return windows_of(transformer, given), said


def cluttered_test(split: Split) -> Scenes:
    """Pictures of all test digits, the same each time."""
    generator = torch.Generator().manual_seed(TEST_SEED)
    return scenes(split.test.pictures, split.train.pictures, CLUTTER_SIDE, FRAGMENTS, generator)


def learn_windows(
    task: str, digits: Digits, settings: Settings, seed: int, device: str
) -> tuple[nn.Sequential, list[str]]:
    """A transformer before a classifier, one of them trained ("boxes") or both ("stn")."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    transformer = localizing(Window(0.3, 0.95, 0.7))
    model = nn.Sequential(OrderedDict(transformer=transformer, classifier=Reader())).to(device)

    def draw() -> Iterator[tuple[Scenes, Tensor]]:
        for index in _epochs(len(digits), 64, generator):
            some = digits.take(index)
            scene = scenes(some.pictures, digits.pictures, CLUTTER_SIDE, FRAGMENTS, generator)
            yield scene, some.labels

    def loss(batch: tuple[Scenes, Tensor]) -> Tensor:
        scene, labels = batch
        pictures = scene.pictures.to(device)
        if task == "stn":
            return nn.functional.cross_entropy(model(pictures), labels.to(device))
        found = windows_of(transformer, pictures)
        return nn.functional.smooth_l1_loss(found, scene.windows.to(device), beta=0.1)

    steps = settings.epochs * math.ceil(len(digits) / 64)
    return model, fit(model, draw(), loss, steps, settings.class_rate)


def measured(found: Tensor, true: Tensor, side: int) -> dict[str, Any]:
    """Share of right windows in percent, mean IoU, median distance of the centres in pixels."""
    shared = overlap(found, true)
    away = (found[:, 1:] - true[:, 1:]).norm(dim=1) * side / 2
    return {
        "right": 100 * (shared > RIGHT).float().mean().item(),
        "iou": shared.mean().item(),
        "centre_error": away.median().item(),
    }


class Bench:
    """Runs the tasks of one experiment; a reader is trained once for each seed."""

    def __init__(self, split: Split, settings: Settings, device: str) -> None:
        self._split, self._settings, self._device = split, settings, device
        self._readers: dict[int, Reader] = {}

    def run(self, task: str, seed: int, digit: int | None = None) -> dict[str, Any]:
        """What is kept of one run; the first windows are there for the plots."""
        if task in COLOCALIZED:
            assert digit is not None
            return self._colocalize(task, digit, seed)
        return self._with_classes(task, seed)

    def _colocalize(self, task: str, digit: int, seed: int) -> dict[str, Any]:
        if seed not in self._readers:
            print(f"training a reader (seed {seed}) ...", flush=True)
            self._readers = {
                seed: trained_reader(self._split.train, self._settings, seed, self._device)
            }
        given = picture_set(self._split, task, digit, self._settings, seed)
        found, said = colocalize(
            given.pictures.to(self._device), self._readers[seed], self._settings, seed
        )
        found = found.cpu()
        result = measured(found, given.windows, SET_SIDE)
        return {**result, "said": said, "windows": found[:SHOWN].tolist()}

    def _with_classes(self, task: str, seed: int) -> dict[str, Any]:
        test, labels = cluttered_test(self._split), self._split.test.labels
        result: dict[str, Any] = {"said": []}
        if task == "centre":
            found = torch.tensor([SIDE / CLUTTER_SIDE, 0.0, 0.0]).expand(len(labels), 3)
        else:
            model, result["said"] = learn_windows(
                task, self._split.train, self._settings, seed, self._device
            )
            model.eval()
            with torch.no_grad():
                parts = test.pictures.to(self._device).split(500)
                found = torch.cat([windows_of(model.transformer, part).cpu() for part in parts])
                if task == "stn":
                    read = torch.cat([model(part).argmax(dim=1).cpu() for part in parts])
                    result["class_error"] = 100 * (read != labels).float().mean().item()
        by_class = [
            measured(found[labels == c], test.windows[labels == c], CLUTTER_SIDE)["right"]
            for c in labels.unique().tolist()
        ]
        result |= measured(found, test.windows, CLUTTER_SIDE)
        return {**result, "by_class": by_class, "windows": found[:SHOWN].tolist()}


def by_class(done: list[dict[str, Any]], task: str) -> dict[int, list[float]]:
    """Shares of right windows over the seeds, for each class there is."""
    if task in COLOCALIZED:
        shares = {c: command.taken(done, "right", task=task, digit=c) for c in range(10)}
    else:
        lists = command.taken(done, "by_class", task=task)
        shares = {c: [each[c] for each in lists] for c in range(len(lists[0]) if lists else 0)}
    return {c: values for c, values in shares.items() if values}


def by_seed(done: list[dict[str, Any]], task: str, value: str) -> list[float]:
    """A value for each seed: of co-localisation the mean over the classes."""
    seeds = dict.fromkeys(command.taken(done, "seed", task=task))
    found = [command.taken(done, value, task=task, seed=seed) for seed in seeds]
    return [statistics.mean(values) for values in found if values]


def table(runs: Runs) -> str:
    """Shares of right windows in Markdown, by class and in all, beside the paper's."""
    done, settings = runs.runs(), Settings(**runs.same["settings"])
    tasks = [task for task in TASKS if command.taken(done, "seed", task=task)]
    shares = {task: by_class(done, task) for task in tasks}
    classes = sorted({c for values in shares.values() for c in values})
    rows = [
        [str(c), *(command.spread(shares[task].get(c, []), 1) for task in tasks)] for c in classes
    ]
    rows += [
        ["mean", *(command.spread(by_seed(done, task, "right"), 1) for task in tasks)],
        ["paper", *(PAPER.get(task, "") for task in tasks)],
        ["seeds", *(str(len(by_seed(done, task, "right"))) for task in tasks)],
    ]
    more = [
        [
            TASKS[task],
            command.spread(by_seed(done, task, "iou")),
            command.spread(by_seed(done, task, "centre_error")),
            command.spread(by_seed(done, task, "class_error")),
        ]
        for task in tasks
    ]
    said = [
        f"- {run['task']} {run.get('digit', '')} seed {run['seed']}, {text}"
        for run in done
        for text in run["said"]
    ]
    return f"""# Localization

Share of windows with IoU > {RIGHT:g} in percent, mean ± standard deviation over seeds.

{command.markdown(["digit", *(TASKS[task] for task in tasks)], rows)}

{command.markdown(["", "mean IoU", "median centre error, pixels", "wrong classes, %"], more)}

{runs.same["source"]}.

Co-localisation: {settings.pictures} test digits of one class, each in {SET_SIDE} x {SET_SIDE}
pixels; the windows are measured on the pictures that they were trained on, without knowledge of
class or place, as in the paper. {settings.steps} steps of {settings.batch} pictures. Windows are
between {settings.smallest:g} and {settings.largest:g} of the picture's side; the frame is
{SIDE / SET_SIDE:.2f}. Where it differs from the paper: the localizer is convolutional with a
spatial softmax; the network whose features are compared learnt to read cluttered and shifted
training digits, not clean ones; the hinge pushes with a weight of {settings.push:g} and does not
draw windows towards empty ones.

The others: all test digits in {CLUTTER_SIDE} x {CLUTTER_SIDE} pixels with {FRAGMENTS} fragments,
trained on other digits, {settings.epochs} epochs. The classifier is free to look through whatever
window serves it; it is not told what a frame is.

{chr(10).join(said)}

{command.effort(done)}
"""


def plot_shares(runs: Runs) -> None:
    """Bars of the shares of right windows by class, the range over the seeds as whiskers."""
    from matplotlib.figure import Figure

    done = runs.runs()
    tasks = [task for task in TASKS if command.taken(done, "seed", task=task)]
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for i, task in enumerate(tasks):
        shares = by_class(done, task)
        means = [statistics.mean(values) for values in shares.values()]
        reach = [
            [mean - min(values) for mean, values in zip(means, shares.values(), strict=True)],
            [max(values) - mean for mean, values in zip(means, shares.values(), strict=True)],
        ]
        width = 0.8 / len(tasks)
        places = [c + width * (i - (len(tasks) - 1) / 2) for c in shares]
        axes.bar(places, means, 0.9 * width, yerr=reach, color=f"C{i}", label=TASKS[task])
    axes.axhline(90, color="k", linewidth=0.5, linestyle=":")
    axes.set_xticks(range(10))
    axes.set_xlabel("class")
    axes.set_ylabel("right windows, %")
    figure.legend(loc="outside upper center", ncols=len(tasks), fontsize=8)
    figure.savefig(runs.folder / "shares.png", dpi=150)


def plot_windows(runs: Runs, task: str, split: Split) -> None:
    """Pictures of the first seed with the true frame (green) and the window found (red)."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    settings = Settings(**runs.same["settings"])
    rows = []
    for run in (run for run in runs.runs() if (run["task"], run["seed"]) == (task, 0)):
        if task in COLOCALIZED:
            given = picture_set(split, task, run["digit"], settings, 0)
        else:
            given = cluttered_test(split)
        rows.append((run, given))
    if not rows:
        return
    figure = Figure(figsize=(SHOWN, 1.05 * len(rows)), layout="constrained")
    for line, (run, given) in zip(
        figure.subplots(len(rows), SHOWN, squeeze=False), rows, strict=True
    ):
        side = given.pictures.shape[-1]
        shown = zip(line, given.pictures, given.windows.tolist(), run["windows"], strict=False)
        for axes, picture, true, found in shown:
            axes.imshow(picture[0].numpy(), cmap="gray", vmin=0, vmax=1)
            for (half, x, y), colour in ((true, "lime"), (found, "red")):
                corner = [(centre - half + 1) * side / 2 - 0.5 for centre in (x, y)]
                box = Rectangle(corner, half * side, half * side, fill=False, edgecolor=colour)
                axes.add_patch(box)
        for axes in line:
            axes.set_xticks([]), axes.set_yticks([])
        line[0].set_ylabel(f"{run['right']:.0f} %")
    figure.savefig(runs.folder / f"{task}.png", dpi=100)


def main(arguments: list[str] | None = None) -> None:
    """Run what is not yet there, then write table and pictures."""
    parser = command.parser(__doc__ or "", EPILOG, "localization")
    command.add_some(parser, "tasks", TASKS)
    parser.add_argument(
        "--digits",
        nargs="+",
        type=int,
        choices=range(10),
        default=list(range(10)),
        metavar="D",
        help="classes to co-localise (default: all ten)",
    )
    parser.add_argument(
        "--steps", type=int, default=400, help="of a co-localisation (default: 400)"
    )
    parser.add_argument("--epochs", type=int, default=8, help="of stn and boxes (default: 8)")
    command.add_digits(parser)
    options = command.options(parser, arguments)
    split = load("mnist", options.idx_folder, options.full)
    print(f"digits: {split.source}")
    settings = Settings(options.steps, options.epochs)
    runs = Runs(options.out, {"source": split.source, "settings": asdict(settings)})
    jobs: list[dict[str, str | int]] = []
    for seed in range(options.seeds):
        for task in options.tasks:
            if task in COLOCALIZED:
                jobs += [{"task": task, "digit": digit, "seed": seed} for digit in options.digits]
            elif task != "centre" or seed == 0:
                jobs.append({"task": task, "seed": seed})
    command.complete(runs, jobs, Bench(split, settings, options.device).run)
    if not runs.runs():
        return
    page = table(runs)
    plot_shares(runs)
    for task in options.tasks:
        plot_windows(runs, task, split)
    command.write(page, options.out)


def _epochs(n: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices of batches without end, each epoch in another order."""
    while True:
        yield from torch.randperm(n, generator=generator).split(batch)


if __name__ == "__main__":
    main()
