"""Scenes and windows agree, REINFORCE's gradient is that of success, and agents learn from it."""

import json

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


def test_the_reader_fits_one_batch_and_is_frozen(bars, one_batch):
    losses = one_batch(reinforcement, 20)
    read = reinforcement.reader(bars, Settings(reader_steps=1, batch=16), seed=0)
    ((before, after),) = losses
    assert after < 0.7 * before
    assert not any(p.requires_grad for p in read.parameters())


def test_the_reader_learns_near_the_digits_and_anywhere(bars, monkeypatch):
    """Within 3 pixels a window shows all of a bar, which has 80 pixels; anywhere, seldom."""
    drawn = []
    monkeypatch.setattr(reinforcement, "FRAGMENTS", 0)
    monkeypatch.setattr(reinforcement, "fit", lambda _, batches, *__: drawn.append(next(batches)))
    reinforcement.reader(bars, Settings(reader_steps=1, batch=64), seed=0)
    (((windows, labels),),) = [drawn]
    assert len(windows) == len(labels) == 64
    ink = windows.sum(dim=(1, 2, 3))
    assert ink[::2].numpy() == pytest.approx(80, abs=1)
    assert (ink[1::2] < 60).float().mean() > 0.3


@pytest.mark.parametrize("method", ["gradient", "linearized"])
def test_descent_leads_an_agent_to_the_digit(bars, method, monkeypatch):
    """A digit that is always at one place, off the centre."""
    place = torch.tensor([2.0, -2.0]) * 2 / SCENE  # by two pixels

    def draw(digits, n, generator):
        pictures = torch.zeros(n, 1, SCENE, SCENE)
        labels = torch.randint(2, (n,), generator=generator)
        top, left = ((place[[1, 0]] + 1) * SCENE / 2 - SIDE / 2).round().int().tolist()
        pictures[..., top : top + SIDE, left : left + SIDE] = digits.pictures[labels]
        return Scenes(pictures, labels, place.expand(n, 2))

    class Centred(nn.Module):
        """Sure where the bar's middle is the window's, and unsure elsewhere."""

        def forward(self, windows):
            upright = windows[..., 5:23, 12:16].mean((1, 2, 3))
            lying = windows[..., 12:16, 5:23].mean((1, 2, 3))
            return 4 * torch.stack([upright - 0.7, lying - 0.7], dim=1)

    def one_step(agent, batches, loss, *_):
        """What a step of descent would add to the place in the middle of the reach."""
        loss(next(batches)).backward()
        ahead.append(-agent.head.bias.grad)

    ahead = []
    monkeypatch.setattr(reinforcement, "draw", draw)
    monkeypatch.setattr(reinforcement, "fit", one_step)
    settings = Settings(steps=1, batch=200, checks=1, test_scenes=50)
    _, history = reinforcement.train(method, Centred(), Split(bars, bars, ""), settings, seed=0)
    assert torch.cosine_similarity(ahead[0], place, dim=0) > 0.7
    assert [seen for seen, _ in history] == [0, 200]


def test_what_reinforce_tries_gets_narrower(bars, monkeypatch):
    deviations = []

    def reinforce(agent, read, scenes, deviation, generator):
        deviations.append(deviation)
        return agent(scenes.pictures)[0].sum()

    monkeypatch.setattr(reinforcement, "reinforce", reinforce)
    settings = Settings(steps=2, batch=2, wide=0.4, narrow=0.1, test_scenes=4)
    read = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 10))
    reinforcement.train("reinforce", read, Split(bars, bars, ""), settings, seed=0)
    assert deviations == pytest.approx([0.4, 0.2])


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
