#!/usr/bin/env python3
"""Where to look, learnt from success alone: REINFORCE against the gradient through the sampler.

A digit lies anywhere in 60 x 60 pixels, between fragments of others. A window of 28 x 28 pixels is
to be placed on it, for a reader of centred digits that is trained before and never changed. One
localizer, trained in three ways:

  gradient    a Spatial Transformer: the reader's loss, through the reader and the sampler
  linearized  the same, with gradients from further around (Jiang et al. 2019)
  reinforce   an agent that is told only whether the reader was right, as a robot is by a grasp: it
              tries places around its guess (a normal distribution that narrows) and makes those
              likelier that did better than its own expectation (Williams 1992, with a baseline)

and, to compare with, windows at `random`, in the `centre`, and on the digit itself (`true`).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import command
import torch
from digits import SIDE, Digits, Split, load
from distortions import FRAGMENT, FRAGMENTS, cluttered
from fitting import fit
from runs import Runs
from torch import Tensor, nn
from torch.nn import functional

from stn_ros.transformer.families import Attention
from stn_ros.transformer.module import ConvolutionalLocalizer, Sampler
from stn_ros.transformer.sampler import sample, sample_linearized

EPILOG = """\
examples:
  python experiments/reinforcement.py --seeds 1 --steps 300
      the shortest look; the agents have hardly learnt then
  python experiments/reinforcement.py
      the table; interrupt it as you like, the same command goes on where it stopped

The folder of --out then holds runs.json (one entry a run), table.md and learning.png (success over
the pictures seen).
"""

SCENE = 60
"""Side of the scenes, pixels."""
REACH = 1 - SIDE / SCENE
"""How far a window's centre goes from the scene's, normalised: the window stays within it."""
FIXED = ("random", "centre", "true")
METHODS = ("gradient", "linearized", "reinforce", *FIXED)
TEST_SEED = 4711


@dataclass(frozen=True)
class Settings:
    """How agents are trained; the same for all.

    What made them run away to a corner of the scene, and success without and with it in percent
    (1,000 training digits held back, 500 steps, one seed). A reader that had seen digits only near
    the centre was sure of everything, and lost less in an empty corner than beside a digit:
    linearized 14, whether with batch norm in the localizer or without, and 88 since it has also
    seen windows anywhere. Likelihoods of places after `clamp`, see `reinforce`: 14 before, 84
    since, with batch norm.

    Attributes:
        steps, batch, learning_rate: as usual. wide, narrow: deviation of the places that
            `reinforce` tries at first, and at last, normalised. spread: of the places that
            `linearized` looks at, pixels: a stroke is about 3 wide. reader_steps: of its training.
        checks: how often success is measured in a training. test_scenes: number.
    """

    steps: int = 1000
    batch: int = 128
    learning_rate: float = 2e-3
    wide: float = 0.3
    narrow: float = 0.05
    spread: float = 1.0
    reader_steps: int = 600
    checks: int = 8
    test_scenes: int = 2000


class Scenes(NamedTuple):
    """Pictures (N, 1, SCENE, SCENE), labels (N,), and (N, 2) where the digits' centres are."""

    pictures: Tensor
    labels: Tensor
    places: Tensor


def draw(digits: Digits, n: int, generator: torch.Generator) -> Scenes:
    """New scenes of random digits."""
    chosen = digits.take(torch.randint(len(digits), (n,), generator=generator))
    # At whole pixels, as the reader has seen its digits.
    corners = torch.randint(0, SCENE - SIDE + 1, (n, 2), generator=generator)
    alone = torch.zeros(n, 1, SCENE, SCENE)
    along = torch.arange(SIDE)
    rows, columns = (corners[:, axis, None] + along for axis in (1, 0))
    alone[torch.arange(n)[:, None, None], 0, rows[:, :, None], columns[:, None]] = chosen.pictures[
        :, 0
    ]
    shape = (n, FRAGMENTS)
    pictures = cluttered(
        alone,
        digits.pictures,
        torch.randint(len(digits), shape, generator=generator),
        torch.randint(4, 24 - FRAGMENT + 1, (*shape, 2), generator=generator),
        torch.randint(0, SCENE - FRAGMENT + 1, (*shape, 2), generator=generator),
    )
    return Scenes(pictures, chosen.labels, 2 * (corners + SIDE / 2) / SCENE - 1)


def window(pictures: Tensor, places: Tensor, sampler: Sampler = sample) -> Tensor:
    """(N, 1, SIDE, SIDE) of scenes around places (N, 2)."""
    scale = places.new_full((len(places), 1), math.log(SIDE / SCENE))
    grid = Attention().grid(torch.cat([scale, places], dim=1), (SIDE, SIDE))
    return sampler(pictures, grid)


def reader(digits: Digits, settings: Settings, seed: int) -> nn.Module:
    """A network for digits in clutter, frozen.

    Of the windows that it learns from, half are within 3 pixels of the digit, where it is to read.
    The others are anywhere: there it learns not to be sure. One that is sure of whatever it sees
    loses least where it sees nothing, and sends a transformer to the corner.
    """
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 16, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )
    generator = torch.Generator().manual_seed(seed)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(settings.reader_steps):
            scenes = draw(digits, settings.batch, generator)
            jitter = torch.randint(-3, 4, scenes.places.shape, generator=generator)
            near = scenes.places + jitter * (2 / SCENE)
            far = _anywhere(scenes, generator)
            places = torch.where(torch.arange(len(near))[:, None] % 2 == 0, near, far)
            yield window(scenes.pictures, places), scenes.labels

    def loss(batch: tuple[Tensor, Tensor]) -> Tensor:
        return functional.cross_entropy(model(batch[0]), batch[1])

    fit(model, batches(), loss, settings.reader_steps, 3e-3)
    return model.eval().requires_grad_(False)


def _anywhere(scenes: Scenes, generator: torch.Generator) -> Tensor:
    """Places (N, 2), evenly within reach."""
    return REACH * (2 * torch.rand(scenes.places.shape, generator=generator) - 1)


class Agent(nn.Module):
    """Scenes -> places (N, 2) within reach, and the success (N,) it expects, a logit."""

    def __init__(self) -> None:
        super().__init__()
        features = 64
        self.localizer = ConvolutionalLocalizer(1, (SCENE, SCENE), features, batch_norm=True)
        self.head, self.critic = nn.Linear(features, 2), nn.Linear(features, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        found = self.localizer(pictures)
        return REACH * torch.tanh(self.head(found)), self.critic(found.detach())[:, 0]


def success(read: nn.Module, scenes: Scenes, places: Tensor) -> Tensor:
    """(N,) 1.0 where the reader is right at these places, else 0.0: all `reinforce` is told."""
    with torch.no_grad():
        said = read(window(scenes.pictures, places)).argmax(dim=1)
    return (said == scenes.labels).float()


def reinforce(
    agent: Agent, read: nn.Module, scenes: Scenes, deviation: float, generator: torch.Generator
) -> Tensor:
    """Loss whose gradient, in the mean, is that of success around the agent's places.

    Williams 1992, eq. 11: (reward - baseline) times the gradient of the log-likelihood of what was
    tried. The baseline is the agent's own expectation, which learns from the same rewards.
    Places beyond reach count as tried there, though the window stops at the edge: the likelihood of
    the places where it stopped is highest further out, and with a baseline that is too high, as at
    first, the agent would flee to the edge.
    """
    places, expected = agent(scenes.pictures)
    noise = deviation * torch.randn(places.shape, generator=generator)
    tried = places.detach() + noise
    reward = success(read, scenes, tried.clamp(-REACH, REACH))
    advantage = reward - torch.sigmoid(expected).detach()
    likelihood = -(tried - places).square().sum(dim=1) / (2 * deviation**2)
    critic = functional.binary_cross_entropy_with_logits(expected, reward)
    return critic - (advantage * likelihood).mean()


def train(
    method: str, read: nn.Module, split: Split, settings: Settings, seed: int
) -> tuple[Agent, list[tuple[int, float]]]:
    """An agent, and now and then how many pictures it has seen and its success, percent."""
    torch.manual_seed(seed)
    agent, generator = Agent(), torch.Generator().manual_seed(seed)
    around = partial(sample_linearized, spread=settings.spread, generator=generator)
    sampler = around if method == "linearized" else sample
    test, history = test_scenes(split, settings), []

    def batches() -> Iterator[tuple[int, Scenes]]:
        for step in range(settings.steps):
            if step % max(1, settings.steps // settings.checks) == 0:
                history.append((step * settings.batch, measured(agent, read, test)["success"]))
            yield step, draw(split.train, settings.batch, generator)

    def loss(batch: tuple[int, Scenes]) -> Tensor:
        step, scenes = batch
        if method == "reinforce":
            ratio = settings.narrow / settings.wide
            deviation = settings.wide * ratio ** (step / settings.steps)
            return reinforce(agent, read, scenes, deviation, generator)
        places, _ = agent(scenes.pictures)
        return functional.cross_entropy(
            read(window(scenes.pictures, places, sampler)), scenes.labels
        )

    fit(agent, batches(), loss, settings.steps, settings.learning_rate)
    seen = settings.steps * settings.batch
    history.append((seen, measured(agent, read, test)["success"]))
    return agent, history


def test_scenes(split: Split, settings: Settings) -> Scenes:
    """The same scenes of test digits each time."""
    return draw(split.test, settings.test_scenes, torch.Generator().manual_seed(TEST_SEED))


@torch.no_grad()
def measured(agent: Agent | Tensor, read: nn.Module, scenes: Scenes) -> dict[str, float]:
    """Success in percent, and the median distance of windows from digits, pixels.

    Args:
        agent: or places (N, 2).
    """
    places = agent if isinstance(agent, Tensor) else agent(scenes.pictures)[0]
    off = (places - scenes.places).norm(dim=1).median().item() * SCENE / 2
    return {"success": 100 * success(read, scenes, places).mean().item(), "off": off}


def run(split: Split, settings: Settings, method: str, seed: int) -> dict[str, Any]:
    """Train one agent for one reader, which is the same for every method of a seed."""
    read = reader(split.train, settings, seed)
    scenes = test_scenes(split, settings)
    if method in FIXED:
        generator = torch.Generator().manual_seed(seed)
        places = {
            "random": _anywhere(scenes, generator),
            "centre": torch.zeros_like(scenes.places),
            "true": scenes.places,
        }
        return measured(places[method], read, scenes)
    agent, history = train(method, read, split, settings, seed)
    return measured(agent, read, scenes) | {"history": history}


def table(runs: list[dict[str, Any]], settings: Settings, source: str) -> str:
    """The page in Markdown."""
    rows = []
    for method in (m for m in METHODS if command.taken(runs, "seed", method=m)):
        cells = [
            command.spread(command.taken(runs, name, method=method), 1)
            for name in ("success", "off")
        ]
        rows.append([method, *cells, str(len(command.taken(runs, "seed", method=method)))])
    return f"""# Reinforcement: a window placed by success alone

How often a fixed reader is right on {settings.test_scenes:,} test scenes, and how far its window is
off the digit; mean ± standard deviation over seeds. {source}. {settings}.

{command.markdown(["window placed by", "success, %", "off (median), pixels", "seeds"], rows)}

{command.effort(runs)}
"""


def plot(runs: list[dict[str, Any]], folder: Path) -> None:
    """Success over the pictures seen, a line a seed; without training, as level lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.add_subplot()
    for i, method in enumerate(METHODS):
        for number, history in enumerate(command.taken(runs, "history", method=method)):
            label = None if number else method
            axes.plot(*zip(*history, strict=True), color=f"C{i}", label=label)
        if method in FIXED and (values := command.taken(runs, "success", method=method)):
            axes.axhline(statistics.mean(values), color=f"C{i}", linestyle=":", label=method)
    axes.set_xlabel("pictures seen")
    axes.set_ylabel("success, %")
    figure.legend(loc="outside right upper")
    figure.savefig(folder / "learning.png", dpi=150)


def main(arguments: list[str] | None = None) -> None:
    """Run what is not yet there, then write table and picture."""
    parser = command.parser(__doc__ or "", EPILOG, "reinforcement")
    parser.add_argument("--steps", type=int, default=Settings.steps, help="default: %(default)s")
    options = command.options(parser, arguments)
    split, settings = load(), Settings(steps=options.steps)
    runs = Runs(options.out, {"source": split.source, "settings": asdict(settings)})
    jobs = [{"method": m, "seed": s} for s in range(options.seeds) for m in METHODS]
    command.complete(runs, jobs, partial(run, split, settings))
    if finished := runs.runs():
        page = table(finished, settings, split.source)
        plot(finished, options.out)
        command.write(page, options.out)


if __name__ == "__main__":
    main()
