#!/usr/bin/env python3
"""Reading strips of digits glimpse by glimpse, through an attention transform, or all at once.

A strip of 32 x 112 pixels holds one to four digits of MNIST of different size and place, between
fragments of others. What is wanted is all of them, from left to right, and then "end".

  cnn      a convolutional network with one output for each place in the sequence (Goodfellow et al.
           2014)
  reader   a recurrent network that looks at a small copy of the strip, and then in each step
           chooses where and how large its next glimpse is (20 x 20 pixels, sampled through the
           attention transform of Jaderberg et al. 2015, eq. 2), and says the digit in it (compare
           Sonderby et al. 2015). It begins with a sweep from left to right; only digits train it:
           nobody tells it where they are.

Both have as many parameters and see as many strips.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import command
import torch
from digits import Digits, Split, load
from fitting import fit, weights
from runs import Runs
from torch import Tensor, nn
from torch.nn import functional

from stn_ros.transformer.families import Attention
from stn_ros.transformer.grid import target_grid
from stn_ros.transformer.sampler import sample

EPILOG = """\
examples:
  python experiments/glimpses.py --seeds 1 --steps 200
      the shortest look; the networks have hardly learnt then
  python experiments/glimpses.py
      the table; interrupt it as you like, the same command goes on where it stopped

The folder of --out then holds runs.json (one entry a run), table.md, errors.png, weights/ and
strips.png (test strips, and the glimpses of the reader of the first seed).
"""

HEIGHT, WIDTH, MOST = 32, 112, 4
"""Of the strips, pixels; most digits in one."""
GLIMPSE = 20
"""Side of a glimpse, pixels."""
END, CLASSES, UNKNOWN = 10, 11, -100
"""Label after the last digit; labels; what comes after the end and does not count."""
FRAGMENTS, FRAGMENT = 8, 6
"""Pieces of other digits in a strip, and their side, pixels."""
MODELS = ("cnn", "reader")
TEST_SEED = 4711


@dataclass(frozen=True)
class Settings:
    """How networks are trained; the same for both.

    Strips with an error by the reader, in percent, one seed: glimpses that all began in the strip's
    middle never found the digits, 88 after 1,200 steps at a rate of 0.003 (test digits). With
    glimpses that begin as a sweep, batch norm in both networks and 0.005, 41 after 400 steps (1,000
    training digits held back).
    """

    steps: int = 1200
    batch: int = 64
    learning_rate: float = 5e-3
    test_strips: int = 2000


class Strips(NamedTuple):
    """Strips and what is in them.

    Attributes:
        pictures: (N, 1, HEIGHT, WIDTH) in [0, 1]. labels: (N, MOST + 1), digits from left to right,
            then `END`, then `UNKNOWN`. centres: (N, MOST, 2) x, y of the digits, pixels.
    """

    pictures: Tensor
    labels: Tensor
    centres: Tensor


def draw(digits: Digits, n: int, generator: torch.Generator) -> Strips:
    """New strips of random digits."""

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand((n, *shape), generator=generator)

    count = torch.randint(1, MOST + 1, (n,), generator=generator)
    number = torch.arange(MOST + 1)
    chosen = torch.randint(len(digits), (n, MOST), generator=generator)
    size = uniform(20, 30, MOST)  # of the digit's 28 pixels, of which the middle 20 are used
    # Digits stand in equal parts of what is left of the strip, each where there is room.
    start, part = uniform(0, 1), WIDTH / MOST
    left = start * (MOST - count) * part
    centres = torch.stack(
        [
            left[:, None] + part * (number[:MOST] + 0.5) + uniform(-3, 3, MOST),
            HEIGHT / 2 + uniform(-1, 1, MOST) * (HEIGHT / 2 - size * 10 / 28 - 1),
        ],
        dim=2,
    )
    pictures = torch.zeros(n, 1, HEIGHT, WIDTH)
    pixels = target_grid((HEIGHT, WIDTH), pictures) * torch.tensor([WIDTH / 2, HEIGHT / 2])
    pixels = pixels + torch.tensor([WIDTH / 2, HEIGHT / 2])
    for i in range(MOST):
        there = (i < count).nonzero()[:, 0]
        offset = pixels - centres[there, i, None, None]
        grid = offset / (size[there, i, None, None, None] / 2)
        ink = sample(digits.pictures[chosen[there, i]], grid)
        pictures[there] = pictures[there].maximum(ink)
    pictures = _cluttered(pictures, digits, generator)
    labels = torch.where(number[:MOST] < count[:, None], digits.labels[chosen], UNKNOWN)
    labels = torch.cat([labels, torch.full((n, 1), UNKNOWN)], dim=1)
    labels[number == count[:, None]] = END
    return Strips(pictures, labels, centres)


def _cluttered(pictures: Tensor, digits: Digits, generator: torch.Generator) -> Tensor:
    n, along = len(pictures), torch.arange(FRAGMENT)

    def integers(low: int, high: int) -> Tensor:
        return torch.randint(low, high, (n, 1), generator=generator)

    for _ in range(FRAGMENTS):
        source = torch.randint(len(digits), (n, 1, 1), generator=generator)
        rows, columns = ((integers(4, 24 - FRAGMENT) + along) for _ in range(2))
        piece = digits.pictures[source, 0, rows[:, :, None], columns[:, None]]
        rows, columns = (integers(0, side - FRAGMENT + 1) + along for side in (HEIGHT, WIDTH))
        index = (torch.arange(n)[:, None, None], 0, rows[:, :, None], columns[:, None])
        pictures[index] = pictures[index].maximum(piece)
    return pictures


class PlainNetwork(nn.Module):
    """Strips (N, 1, HEIGHT, WIDTH) -> logits (N, MOST + 1, CLASSES), all at once."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_convolution(1, 16, 5),
            *_convolution(16, 32, 5),
            *_convolution(32, 32, 3),
            *_connection(32 * (HEIGHT // 8) * (WIDTH // 8), hidden),
        )
        self.heads = nn.Linear(hidden, (MOST + 1) * CLASSES)

    def forward(self, strips: Tensor) -> Tensor:
        """See the class."""
        return self.heads(self.features(strips)).reshape(-1, MOST + 1, CLASSES)


class Reader(nn.Module):
    """The same, glimpse by glimpse.

    Before anything is learnt, the glimpses are as high as the strip and sweep over it from left to
    right, as far apart as digits are; the last one stays where the fourth was.

    Attributes:
        last: (N, MOST + 1, 3) of the last forward pass, log of the scale, x and y of each glimpse:
            scale 1 is the strip's height, x and y are normalised.
    """

    def __init__(self, hidden: int = 128) -> None:
        super().__init__()
        self.family = Attention(limit=1.0)
        self.overview = nn.Sequential(
            nn.AvgPool2d(2),
            *_convolution(1, 16, 5),
            *_convolution(16, 16, 3),
            *_connection(16 * (HEIGHT // 8) * (WIDTH // 8), hidden),
        )
        self.look = nn.Sequential(
            *_convolution(1, 16, 5),
            *_convolution(16, 32, 5),
            *_connection(32 * (GLIMPSE // 4) ** 2, hidden),
        )
        self.where = nn.GRUCell(hidden, hidden)
        self.place = nn.Linear(hidden, self.family.count)
        self.say = nn.Linear(2 * hidden, CLASSES)
        nn.init.zeros_(self.place.weight)
        nn.init.zeros_(self.place.bias)
        sweep = torch.zeros(MOST + 1, self.family.count)
        sweep[:, 1] = (2 * torch.arange(MOST + 1) + 1).clamp_max(2 * MOST - 1) / MOST - 1
        self.sweep: Tensor
        self.register_buffer("sweep", sweep)
        self.last: Tensor | None = None

    def forward(self, strips: Tensor) -> Tensor:
        """See `PlainNetwork`."""
        overview = self.overview(strips)
        state, states = torch.zeros_like(overview), []
        for _ in range(MOST + 1):
            # The overview alone moves the eye: it need not have understood what it saw.
            state = self.where(overview, state)
            states.append(state)
        known = torch.stack(states, dim=1)
        self.last = self.sweep + self.family.bounded(self.place(known))
        again = strips.repeat_interleave(MOST + 1, dim=0)
        seen = self.look(self.glimpse(again, self.last.flatten(0, 1))).unflatten(0, known.shape[:2])
        return self.say(torch.cat([seen, known], dim=2))

    def glimpse(self, strips: Tensor, place: Tensor) -> Tensor:
        """(N, 1, GLIMPSE, GLIMPSE) of strips at places (N, 3), see `last`."""
        narrow = HEIGHT / WIDTH  # a glimpse is square, the strip is not
        parameters = place / place.new_tensor([1, narrow, 1])
        grid = self.family.grid(parameters, (GLIMPSE, GLIMPSE))
        return sample(strips, grid * grid.new_tensor([narrow, 1]))


def _convolution(before: int, after: int, side: int) -> list[nn.Module]:
    """Layers that halve the size."""
    convolution = nn.Conv2d(before, after, side, padding=side // 2)
    return [convolution, nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]


def _connection(inputs: int, hidden: int) -> list[nn.Module]:
    return [nn.Flatten(), nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU()]


def build(model: str) -> nn.Module:
    """A network of `MODELS`; the plain one as wide as makes it no smaller than the reader."""
    if model == "reader":
        return Reader()
    most, hidden = weights(Reader()), 1
    while weights(made := PlainNetwork(hidden)) < most:
        hidden += 1
    return made


def train(model: nn.Module, digits: Digits, settings: Settings, seed: int) -> list[str]:
    """Train in place on new strips in every step."""
    generator = torch.Generator().manual_seed(seed)
    batches = (draw(digits, settings.batch, generator) for _ in range(settings.steps))

    def loss(strips: Strips) -> Tensor:
        logits = model(strips.pictures)
        return functional.cross_entropy(logits.flatten(0, 1), strips.labels.flatten())

    return fit(model, batches, loss, settings.steps, settings.learning_rate)


def measured(model: nn.Module, strips: Strips) -> dict[str, float]:
    """Errors in percent: of sequences with anything wrong, and of single labels.

    Of a reader also `off`, the median distance of its glimpses from the digits they are to read,
    and `size`, the median side of these glimpses, pixels.
    """
    model.eval()
    parts = []
    with torch.no_grad():
        for pictures in strips.pictures.split(250):
            logits = model(pictures)
            parts.append((logits.argmax(dim=2), model.last if isinstance(model, Reader) else None))
    said = torch.cat([part[0] for part in parts])
    counts = strips.labels != UNKNOWN
    wrong = (said != strips.labels) & counts
    result = {
        "sequences": 100 * wrong.any(dim=1).float().mean().item(),
        "labels": 100 * (wrong.sum() / counts.sum()).item(),
    }
    if isinstance(model, Reader):
        places = torch.cat([part[1] for part in parts])[:, :MOST]
        digit = counts[:, :MOST] & (strips.labels[:, :MOST] != END)
        centres = (places[..., 1:] + 1) * torch.tensor([WIDTH / 2, HEIGHT / 2])
        result["off"] = (centres - strips.centres).norm(dim=2)[digit].median().item()
        result["size"] = HEIGHT * places[..., 0][digit].exp().median().item()
    return result


def weights_file(folder: Path) -> Path:
    """Where the reader of the first seed is kept, for the picture."""
    return folder / "weights" / "reader.pt"


def test_strips(split: Split, settings: Settings) -> Strips:
    """The same strips of test digits each time."""
    generator = torch.Generator().manual_seed(TEST_SEED)
    return draw(split.test, settings.test_strips, generator)


def run(split: Split, settings: Settings, folder: Path, model: str, seed: int) -> dict[str, Any]:
    """Train one network and judge it."""
    torch.manual_seed(seed)
    network = build(model)
    said = train(network, split.train, settings, seed)
    result = measured(network, test_strips(split, settings))
    if model == "reader" and seed == 0:
        weights_file(folder).parent.mkdir(parents=True, exist_ok=True)
        torch.save(network.state_dict(), weights_file(folder))
    return result | {"parameters": weights(network), "said": said}


def table(runs: list[dict[str, Any]], settings: Settings, source: str) -> str:
    """The page in Markdown."""
    rows = []
    for model in (m for m in MODELS if command.taken(runs, "seed", model=m)):
        cells = [
            command.spread(command.taken(runs, name, model=model), digits)
            for name, digits in (("sequences", 1), ("labels", 2), ("off", 1), ("size", 1))
        ]
        counts = command.taken(runs, "parameters", model=model)
        rows.append([model, *cells, f"{counts[0]:,}", str(len(counts))])
    header = ["network", "strips with an error, %", "labels wrong, %", "off, pixels"]
    header += ["size, pixels", "parameters", "seeds"]
    return f"""# Glimpses: reading strips of one to four digits

Test errors, mean ± standard deviation over seeds. Digits: {source}. Off: median distance between
the centres of a glimpse and of the digit that it is to read; size: median side of a glimpse.
{settings}.

{command.markdown(header, rows)}

{command.effort(runs)}
"""


def plot(runs: list[dict[str, Any]], folder: Path) -> None:
    """Errors, a dot a seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.5, 3.5), layout="constrained")
    axes = figure.add_subplot()
    for place, model in enumerate(MODELS):
        if values := command.taken(runs, "sequences", model=model):
            axes.bar(place, statistics.mean(values), color="C0", alpha=0.6)
            axes.plot([place] * len(values), values, ".", color="black")
    axes.set_xticks(range(len(MODELS)), MODELS)
    axes.set_ylabel("strips with an error, %")
    figure.savefig(folder / "errors.png", dpi=150)


@torch.no_grad()
def plot_strips(strips: Strips, folder: Path, rows: int = 8) -> None:
    """Test strips with the reader's glimpses as frames, in the order of their colours."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    if not weights_file(folder).is_file():
        return
    reader = Reader()
    reader.load_state_dict(torch.load(weights_file(folder)))
    reader.eval()
    said = reader(strips.pictures[:rows]).argmax(dim=2)
    figure = Figure(figsize=(4, 1.4 * rows), layout="constrained")
    for i, axes in enumerate(figure.subplots(rows, 1)):
        axes.imshow(strips.pictures[i, 0].numpy(), cmap="gray", extent=(0, WIDTH, HEIGHT, 0))
        read = [int(digit) for digit in said[i]]
        read = read[: read.index(END)] if END in read else read
        for step, (scale, x, y) in enumerate(reader.last[i, : len(read)].tolist()):
            side = HEIGHT * math.exp(scale)
            corner = ((x + 1) * WIDTH / 2 - side / 2, (y + 1) * HEIGHT / 2 - side / 2)
            axes.add_patch(Rectangle(corner, side, side, fill=False, color=f"C{step}"))
        axes.set_title(" ".join(map(str, read)))
        axes.set_axis_off()
    figure.savefig(folder / "strips.png", dpi=100)


def main(arguments: list[str] | None = None) -> None:
    """Run what is not yet there, then write table and pictures."""
    parser = command.parser(__doc__ or "", EPILOG, "glimpses")
    parser.add_argument("--steps", type=int, default=Settings.steps, help="default: %(default)s")
    options = command.options(parser, arguments)
    split, settings = load(), Settings(steps=options.steps)
    runs = Runs(options.out, {"source": split.source, "settings": asdict(settings)})
    jobs = [{"model": m, "seed": s} for s in range(options.seeds) for m in MODELS]
    command.complete(runs, jobs, partial(run, split, settings, options.out))
    if finished := runs.runs():
        page = table(finished, settings, split.source)
        plot(finished, options.out)
        plot_strips(test_strips(split, settings), options.out)
        command.write(page, options.out)


if __name__ == "__main__":
    main()
