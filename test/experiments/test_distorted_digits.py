"""The experiment runs from end to end, goes on where it stopped, and compares like with like."""

import json
import math

import distorted_digits
import pytest
import torch
from digits import Digits, Split
from distorted_digits import (
    CNN,
    FAMILIES,
    MODELS,
    PAPER,
    Settings,
    build,
    held_back,
    origins,
    spread,
)
from distortions import DISTORTIONS, Distortion
from fitting import weights

from stn_ros.transformer.grid import target_grid


@pytest.fixture
def bars(monkeypatch):
    """Two classes: an upright and a lying bar."""
    pictures = torch.zeros(48, 1, 28, 28)
    pictures[::2, :, 5:23, 12:16], pictures[1::2, :, 12:16, 5:23] = 1.0, 1.0
    made = Digits(pictures, torch.arange(48) % 2)
    split = Split(made, made.take(torch.arange(8)), "48 bars")
    monkeypatch.setattr(distorted_digits, "load", lambda *_: split)
    return made


@pytest.mark.parametrize("side", sorted({d.side for d in DISTORTIONS.values()}))
def test_models_have_as_many_parameters(side):
    counts = {name: weights(build(name, side)) for name in MODELS}
    assert max(counts.values()) / min(counts.values()) < 1.05
    for name in MODELS:
        assert build(name, side)(torch.zeros(2, 1, side, side)).shape == (2, 10)


def test_transformers_begin_as_the_identity():
    pictures = torch.rand(2, 1, 28, 28)
    for name in FAMILIES:
        assert torch.allclose(build(name, 28).transformer(pictures), pictures, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_one_batch_is_fitted(bars, one_batch, name):
    losses = one_batch(distorted_digits, 10)
    settings = Settings(1, batch=16, fixed=True)
    distorted_digits.train(build(name, 28), bars, DISTORTIONS["E"], settings, seed=0)
    ((before, after),) = losses
    assert after < 0.5 * before


def test_every_digit_is_tested_as_often(bars):
    pictures = distorted_digits.test_pictures(bars, DISTORTIONS["E"])
    assert len(pictures) == distorted_digits.TEST_DRAWS * len(bars)


@pytest.mark.parametrize(("fixed", "drawn"), [(False, [8, 2, 8, 2, 8, 2]), (True, [10])])
def test_digits_are_distorted_in_each_epoch_or_once(fixed, drawn):
    sizes = []

    def draw(pictures, _):
        sizes.append(len(pictures))
        return pictures

    digits = Digits(torch.rand(10, 1, 28, 28), torch.arange(10))
    settings = Settings(3, batch=8, fixed=fixed)
    distorted_digits.train(build(CNN, 28), digits, Distortion("", 28, draw), settings, seed=0)
    assert sizes == drawn


def test_error_counts():
    class Always(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = torch.nn.Parameter(torch.eye(10)[3])

        def forward(self, pictures):
            return self.bias.expand(len(pictures), 10)

    labels = torch.tensor([3, 3, 3, 4])
    assert distorted_digits.error(Always(), torch.zeros(8, 1, 28, 28), labels) == 25


def test_origins_are_where_points_lie_in_the_undistorted_digit(bars):
    two = bars.take(torch.arange(2))

    def by_two_pixels(pictures, _):
        return pictures.roll((0, 2), dims=(2, 3)) * (torch.arange(28) >= 2)

    shift = Distortion("two pixels to the right", 28, by_two_pixels)
    places, known = origins(two, shift)
    expected = target_grid((28, 28), places) - torch.tensor([4 / 28, 0.0])
    assert not known[..., :2].any()
    assert known[..., 2:].all()
    torch.testing.assert_close(places[:, :, 2:], expected[:, 2:].expand(2, -1, -1, -1))

    model = build("st-affine", 28)  # and a transformer that shifts it back
    back = torch.zeros(2, 1, 6)
    back[..., 2] = 4 / 28
    model.transformer.localize = lambda _: back
    places, known = origins(two, shift, model.transformer)
    assert known[..., :26].all()
    same = target_grid((28, 28), places).expand(2, -1, -1, -1)
    torch.testing.assert_close(places[:, :, :26], same[:, :, :26], atol=1e-5, rtol=0)


def test_spread_of_turns_is_about_the_mean_of_the_class():
    # By -a and a in one class, by b - a and b + a in the other: resultants of length cos a.
    a, b = 0.3, 1.0
    turns = torch.tensor([-a, a, b - a, b + a])
    c, s = turns.cos(), turns.sin()
    matrices = torch.stack([c, -s, s, c], dim=1).reshape(4, 2, 2)
    points = target_grid((8, 8), turns)
    places = 0.7 * torch.einsum("nij,hwj->nhwi", matrices, points) + 0.1
    known = torch.ones(4, 8, 8, dtype=torch.bool)
    found = spread(places, known, torch.tensor([0, 0, 1, 1]))
    assert found.turn == pytest.approx(math.degrees((-2 * math.log(math.cos(a))) ** 0.5), rel=1e-4)
    # The mean place is cos a as far out; a point is off it by sin a, whatever the zoom.
    assert found.misfit == pytest.approx(math.tan(a), rel=1e-4)
    alone = spread(places[::2], known[::2], torch.tensor([0, 1]))
    assert alone.turn == pytest.approx(0, abs=0.1)
    assert alone.misfit == pytest.approx(0, abs=1e-5)


def test_unknown_points_do_not_count():
    places = target_grid((8, 8), torch.zeros(())).repeat(2, 1, 1, 1)
    known = torch.ones(2, 8, 8, dtype=torch.bool)
    places[0, :4], known[0, :4] = 77.0, False
    assert spread(places, known, torch.zeros(2)).misfit == pytest.approx(0, abs=1e-6)


def test_turns_of_rotated_digits_are_those_drawn():
    # Uniform within a quarter turn to either side: the resultant is 2 / pi long.
    many = Digits(torch.zeros(3000, 1, 28, 28), torch.zeros(3000))
    found = spread(*origins(many, DISTORTIONS["R"]), many.labels)
    expected = math.degrees((-2 * math.log(2 / math.pi)) ** 0.5)
    assert found.turn == pytest.approx(expected, rel=0.03)


def test_held_back_digits_are_not_trained_on(bars):
    numbered = Digits(bars.pictures, torch.arange(48))
    split = held_back(Split(numbered, numbered, "48 bars"))
    assert split.train.labels.tolist() == list(range(42))
    assert split.test.labels.tolist() == list(range(42, 48))
    assert split.source.endswith("48 bars")


def test_fewer_digits_are_the_first_ones(bars):
    split = Split(bars, bars.take(torch.arange(3)), "bars")
    some = distorted_digits.fewer(split, 5)
    assert torch.equal(some.train.pictures, bars.pictures[:5])
    assert some.test is split.test
    assert some.source == "5 of the training digits of: bars"
    with pytest.raises(ValueError, match="there are 48"):
        distorted_digits.fewer(split, 49)


def test_an_interrupted_experiment_goes_on(tmp_path, bars, monkeypatch, capsys):
    order = ["--distortions", "R", "--models", "cnn", "st-affine", "--seeds", "2"]
    order += ["--epochs", "1", "--out"]
    trained, train = [], distorted_digits.train

    def interrupted(*arguments, **options):
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(arguments)
        return train(*arguments, **options)

    monkeypatch.setattr(distorted_digits, "train", interrupted)
    distorted_digits.main([*order, str(tmp_path)])
    assert "interrupted" in capsys.readouterr().out
    before = json.loads((tmp_path / "runs.json").read_text())
    assert [(run["model"], run["seed"]) for run in before] == [(CNN, 0), ("st-affine", 0)]

    trained.append("the one that was interrupted")
    distorted_digits.main([*order, str(tmp_path)])
    after = json.loads((tmp_path / "runs.json").read_text())
    assert after[:2] == before
    assert [(run["model"], run["seed"]) for run in after[2:]] == [(CNN, 1), ("st-affine", 1)]
    assert len(trained) == 5

    distorted_digits.main([*order, str(tmp_path)])
    assert len(trained) == 5
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"runs.json", "table.md", "errors.png", "R.png", "weights"}
    page = (tmp_path / "table.md").read_text()
    assert "n=2" in page
    assert "48 bars" in page


def _finished(kind, seed, error, turn=1.0, misfit=1.0, said=()):
    return {
        "distortion": "R", "model": kind, "seed": seed, "error": error, "turn": turn,
        "misfit": misfit, "parameters": 1000, "said": said, "seconds": 60, "machine": "a machine",
    }  # fmt: skip


def test_the_table_says_mean_spread_and_reduction():
    runs = [_finished(CNN, seed, error, 53.8, 1.19) for seed, error in enumerate((4.0, 6.0))]
    for seed, error in enumerate((2.0, 3.0)):
        runs.append(_finished("st-affine", seed, error, 20.0 + seed, 0.5 + seed))
    runs.append(_finished("st-tps", 0, 5.0, 20.0, 0.5, ["step 1: it left the picture"]))
    page = distorted_digits.table(runs, Settings(1), "digits")
    assert "5.00 ± 1.41, n=2 (1.2)" in page
    assert "2.50 ± 0.71, -50%, n=2 (0.7, -42%)" in page
    assert "5.00, +0%, n=1 (0.7, -42%)" in page
    assert "| 53.8 | 20.5 |  | 20.0 |" in page
    assert "| 1.19 | 1.00 |  | 0.50 |" in page
    assert "- R st-tps seed 0, step 1: it left the picture" in page
    assert "5 runs, 5.0 minutes: a machine." in page


def test_the_papers_numbers_are_not_put_beside_clothes():
    source = "8,000 of Debian dataset-fashion-mnist"
    page = distorted_digits.table([_finished(CNN, 0, 20.0)], Settings(1), source)
    assert "| 20.00, n=1 |" in page
    assert "paper" not in page


def test_the_papers_table_is_whole():
    assert set(PAPER) < set(DISTORTIONS)
    assert all(set(row) == set(MODELS) for row in PAPER.values())
