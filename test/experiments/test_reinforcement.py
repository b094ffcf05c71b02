"""Scenes and windows agree, REINFORCE's gradient is that of success, and agents learn from it."""

import json
import math

import pytest
import reinforcement
import torch
from digits import SIDE, Digits, Split
from reinforcement import METHODS, REACH, SCENE, Agent, Scenes, Settings
from torch import nn


@pytest.fixture
def bars():
    """Two classes: an upright and a lying bar."""
    pictures = torch.zeros(16, 1, SIDE, SIDE)
    pictures[::2, :, 4:24, 12:16], pictures[1::2, :, 12:16, 4:24] = 1.0, 1.0
    return Digits(pictures, torch.arange(16) % 2)


def _draw(digits, n=32):
    return reinforcement.draw(digits, n, torch.Generator().manual_seed(0))


def test_the_window_at_the_true_place_shows_the_digit(bars, monkeypatch):
    monkeypatch.setattr(reinforcement, "FRAGMENTS", 0)
    scenes = _draw(bars)
    shown = reinforcement.window(scenes.pictures, scenes.places)
    assert torch.allclose(shown, bars.pictures[scenes.labels], atol=1e-3)
    assert scenes.places.abs().max() <= REACH + 1e-6


def test_fragments_are_laid_over(bars, monkeypatch):
    with_clutter = _draw(bars).pictures
    monkeypatch.setattr(reinforcement, "FRAGMENTS", 0)
    assert (with_clutter >= _draw(bars).pictures).all()
    assert (with_clutter > _draw(bars).pictures).any()


def test_agents_begin_in_the_centre_and_stay_within_reach(bars):
    agent, scenes = Agent(), _draw(bars)
    assert torch.equal(agent(scenes.pictures)[0], torch.zeros(32, 2))
    with torch.no_grad():
        agent.head.bias.fill_(50.0)
    assert torch.allclose(agent(scenes.pictures)[0], torch.full((32, 2), REACH))


class _RightOfCentre(nn.Module):
    """Says 1 where the window's left half is the brighter, else 0."""

    def forward(self, windows):
        half = SIDE // 2
        left, right = windows[..., :half].sum((1, 2, 3)), windows[..., half:].sum((1, 2, 3))
        return torch.stack([right, left], dim=1)


class _Fixed(nn.Module):
    """An agent that always looks at one place, whose both coordinates are equal."""

    def __init__(self, coordinate):
        super().__init__()
        self.place = nn.Parameter(torch.full((2,), coordinate))

    def forward(self, pictures):
        return self.place.expand(len(pictures), 2), torch.full((len(pictures),), 0.3)


def test_success_is_being_right(bars):
    scenes = _draw(bars, 4)
    scenes = Scenes(scenes.pictures, torch.tensor([0, 1, 0, 1]), scenes.places)

    class Always(nn.Module):
        def forward(self, windows):
            return torch.eye(10)[1].expand(len(windows), 10)

    assert reinforcement.success(Always(), scenes, scenes.places).tolist() == [0, 1, 0, 1]


def test_the_gradient_is_that_of_expected_success():
    """One stroke in the middle of all scenes, right where the window is to its right.

    Success at place x plus noise of deviation s is Phi(x / s); at x = 0 its slope is
    1 / (s sqrt(2 pi)), whatever the baseline.
    """
    n, deviation = 40000, 0.1
    stroke = torch.zeros(1, 1, SCENE, SCENE)
    stroke[..., SCENE // 2 - 1 : SCENE // 2 + 1] = 1.0
    scenes = Scenes(
        stroke.expand(n, -1, -1, -1), torch.ones(n, dtype=torch.long), torch.zeros(n, 2)
    )

    agent = _Fixed(0.0)
    generator = torch.Generator().manual_seed(0)
    parts = [Scenes(*(part[:4000] for part in scenes))] * (n // 4000)
    for part in parts:
        reinforcement.reinforce(agent, _RightOfCentre(), part, deviation, generator).backward()
    found = -agent.place.grad / len(parts)
    assert found[0].item() == pytest.approx(1 / (deviation * (2 * torch.pi) ** 0.5), rel=0.05)
    assert found[1].item() == pytest.approx(0, abs=0.15)


def test_an_agent_that_expects_too_much_does_not_flee_to_the_edge(bars):
    """Where success is the same everywhere, nothing pulls, near the edge neither."""
    agent, generator = _Fixed(0.95 * REACH), torch.Generator().manual_seed(0)
    scenes = Scenes(torch.zeros(4000, 1, SCENE, SCENE), torch.ones(4000).long(), None)

    class Always(nn.Module):
        def forward(self, windows):
            return torch.eye(2)[0].expand(len(windows), 2)

    reinforcement.reinforce(agent, Always(), scenes, 0.1, generator).backward()
    assert agent.place.grad.abs().max() < 0.3


def test_the_reader_reads_and_stays_as_it_is(bars):
    read = reinforcement.reader(bars, Settings(reader_steps=60, batch=32), seed=0)
    scenes = _draw(bars)
    assert reinforcement.success(read, scenes, scenes.places).mean() > 0.8
    assert not any(p.requires_grad for p in read.parameters())


def test_the_reader_loses_little_more_than_a_guess_where_it_sees_nothing(bars):
    read = reinforcement.reader(bars, Settings(reader_steps=60, batch=32), seed=0)
    scenes = _draw(bars)
    opposite = REACH * torch.where(scenes.places > 0, -1.0, 1.0)
    said = read(reinforcement.window(scenes.pictures, opposite))
    assert nn.functional.cross_entropy(said, scenes.labels) < math.log(2) + 0.3


@pytest.mark.parametrize("method", ["gradient", "linearized", "reinforce"])
def test_agents_learn(bars, method, monkeypatch):
    """A digit that is always at one place, off the centre."""
    place = torch.tensor([2.0, -2.0]) * 2 / SCENE  # by two pixels

    def draw(digits, n, generator):
        pictures = torch.zeros(n, 1, SCENE, SCENE)
        labels = torch.randint(2, (n,), generator=generator)
        top, left = ((place[[1, 0]] + 1) * SCENE / 2 - SIDE / 2).round().int().tolist()
        pictures[..., top : top + SIDE, left : left + SIDE] = digits.pictures[labels]
        return Scenes(pictures, labels, place.expand(n, 2))

    monkeypatch.setattr(reinforcement, "draw", draw)
    split = Split(bars, bars, "bars")

    class Centred(nn.Module):
        """Sure where the bar's middle is the window's, and unsure elsewhere."""

        def forward(self, windows):
            upright = windows[..., 5:23, 12:16].mean((1, 2, 3))
            lying = windows[..., 12:16, 5:23].mean((1, 2, 3))
            return 4 * torch.stack([upright - 0.7, lying - 0.7], dim=1)

    settings = Settings(steps=80, batch=64, checks=2, test_scenes=50)
    agent, history = reinforcement.train(method, Centred(), split, settings, seed=0)
    scenes = draw(bars, 50, torch.Generator().manual_seed(1))
    centre = reinforcement.measured(torch.zeros(50, 2), Centred(), scenes)
    trained = reinforcement.measured(agent, Centred(), scenes)
    assert trained["off"] < 0.7 * centre["off"]
    assert [seen for seen, _ in history] == [0, 40 * 64, 80 * 64]


def test_measured_by_hand(bars):
    scenes = _draw(bars, 10)
    off = torch.tensor([3.0, 4.0]) * 2 / SCENE
    read = reinforcement.reader(bars, Settings(reader_steps=1, batch=4), seed=0)
    assert reinforcement.measured(scenes.places + off, read, scenes)["off"] == pytest.approx(5)


def test_the_command_goes_from_end_to_end(tmp_path, bars, monkeypatch):
    monkeypatch.setattr(reinforcement, "load", lambda: Split(bars, bars, "16 bars"))
    monkeypatch.setattr(Settings, "__init__", _small(Settings.__init__))
    reinforcement.main(["--steps", "2", "--seeds", "1", "--out", str(tmp_path)])
    made = json.loads((tmp_path / "runs.json").read_text())
    assert [run["method"] for run in made] == list(METHODS)
    assert "16 bars" in (tmp_path / "table.md").read_text()
    assert (tmp_path / "learning.png").is_file()


def _small(make):
    def made(settings, **given):
        make(settings, **({"batch": 8, "reader_steps": 2, "test_scenes": 20} | given))

    return made
