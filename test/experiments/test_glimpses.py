"""Strips hold what their labels say, glimpses look where they should, and both networks learn."""

import json
import math

import glimpses
import pytest
import torch
from digits import Digits, Split
from glimpses import END, GLIMPSE, HEIGHT, MODELS, MOST, UNKNOWN, WIDTH, Settings


@pytest.fixture
def bars():
    """Two classes: an upright and a lying bar."""
    pictures = torch.zeros(16, 1, 28, 28)
    pictures[::2, :, 4:24, 12:16], pictures[1::2, :, 12:16, 4:24] = 1.0, 1.0
    return Digits(pictures, torch.arange(16) % 2)


def _draw(digits, n=64, seed=0):
    return glimpses.draw(digits, n, torch.Generator().manual_seed(seed))


def test_labels_are_digits_then_end_then_nothing(bars):
    strips = _draw(bars)
    assert strips.pictures.shape == (64, 1, HEIGHT, WIDTH)
    for labels in strips.labels.tolist():
        count = labels.index(END)
        assert 1 <= count <= MOST
        assert set(labels[:count]) <= {0, 1}
        assert labels[count + 1 :] == [UNKNOWN] * (MOST - count)
    assert len({row.index(END) for row in strips.labels.tolist()}) == MOST


def test_digits_are_at_their_centres_from_left_to_right(bars, monkeypatch):
    monkeypatch.setattr(glimpses, "FRAGMENTS", 0)
    strips = _draw(bars)
    for picture, labels, centres in zip(*strips, strict=True):
        count = labels.tolist().index(END)
        assert (centres[:count, 0].diff() > 0).all()
        for label, (x, y) in zip(labels[:count].tolist(), centres.tolist(), strict=False):
            row, column = int(y), int(x)
            assert picture[0, row, column] > 0.9
            beside, below = (picture[0, row, column + 6], picture[0, row + 6, column])
            assert (beside > below) == bool(label)


def test_fragments_are_laid_over(bars):
    strips = _draw(bars)
    assert strips.pictures.max() <= 1
    blank = bars.pictures.new_zeros(64, 1, HEIGHT, WIDTH)
    laid = glimpses._cluttered(blank, bars, torch.Generator().manual_seed(0))
    assert (laid > 0).any()
    assert (laid > 0).sum(dim=(1, 2, 3)).max() <= glimpses.FRAGMENTS * glimpses.FRAGMENT**2


def test_a_glimpse_shows_the_square_around_its_place():
    strips = torch.arange(float(WIDTH)).expand(1, 1, HEIGHT, WIDTH)
    seen = glimpses.Reader().glimpse(strips, torch.tensor([[math.log(0.625), 0.25, 0.0]]))
    assert seen.shape == (1, 1, GLIMPSE, GLIMPSE)  # 20 pixels of 32: one to one
    first = 1.25 * WIDTH / 2 - 10
    assert seen[0, 0, 7] == pytest.approx(first + torch.arange(20).numpy(), abs=1e-3)


def test_models_have_as_many_parameters():
    counts = {model: glimpses.weights(glimpses.build(model)) for model in MODELS}
    assert 1 <= counts["cnn"] / counts["reader"] < 1.02
    for model in MODELS:
        network = glimpses.build(model)
        assert network(torch.zeros(2, 1, HEIGHT, WIDTH)).shape == (2, MOST + 1, glimpses.CLASSES)


def test_measures_count_what_is_asked_for(bars):
    strips = _draw(bars)

    class Always(torch.nn.Module):
        """Says what the strips hold, but for the first label of the first strip."""

        def forward(self, pictures):
            said = strips.labels.clamp_min(0)
            said[0, 0] = 9
            return torch.nn.functional.one_hot(said, glimpses.CLASSES).float()

    result = glimpses.measured(Always(), strips)
    assert result["sequences"] == pytest.approx(100 / 64)
    assert result["labels"] == pytest.approx(100 / (strips.labels != UNKNOWN).sum().item())


def test_an_untrained_reader_sweeps_over_the_strip(bars):
    strips, reader = _draw(bars), glimpses.Reader()
    result = glimpses.measured(reader, strips)
    assert result["size"] == pytest.approx(HEIGHT)
    x = torch.tensor([14.0, 42, 70, 98])  # as digits stand in a full strip
    there = (strips.labels[:, :MOST] >= 0) & (strips.labels[:, :MOST] < END)
    swept = torch.stack([x, torch.full((MOST,), HEIGHT / 2)], dim=1)
    off = (strips.centres - swept).norm(dim=2)[there].median().item()
    assert result["off"] == pytest.approx(off, rel=1e-4)
    full = strips.labels[:, MOST] == END
    assert ((strips.centres - swept)[full, :, 0].abs() <= 3).all()


@pytest.mark.parametrize("model", MODELS)
def test_one_batch_is_fitted(bars, one_batch, model):
    losses = one_batch(glimpses, 10)
    glimpses.train(glimpses.build(model), bars, Settings(steps=1, batch=8), seed=0)
    ((before, after),) = losses
    assert after < 0.6 * before


def test_the_command_goes_from_end_to_end(tmp_path, bars, monkeypatch):
    monkeypatch.setattr(glimpses, "load", lambda: Split(bars, bars, "16 bars"))
    monkeypatch.setattr(Settings, "__init__", _small(Settings.__init__))
    command = ["--steps", "2", "--seeds", "2", "--out", str(tmp_path)]
    glimpses.main(command)
    made = json.loads((tmp_path / "runs.json").read_text())
    assert [(run["model"], run["seed"]) for run in made] == [(m, s) for s in (0, 1) for m in MODELS]
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"runs.json", "table.md", "errors.png", "strips.png", "weights"}
    assert "16 bars" in (tmp_path / "table.md").read_text()


def _small(make):
    def made(settings, **given):
        make(settings, **({"batch": 8, "test_strips": 20} | given))

    return made
