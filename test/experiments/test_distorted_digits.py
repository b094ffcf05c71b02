"""The experiment runs from end to end, goes on where it stopped, and compares like with like."""

import json

import distorted_digits
import pytest
import torch
from digits import Digits, Split
from distorted_digits import CNN, FAMILIES, MODELS, PAPER, Experiment, Settings, build, weights
from distortions import DISTORTIONS


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


def test_training_learns(bars):
    torch.manual_seed(0)
    model = build(CNN, 28)
    distorted_digits.train(model, bars, DISTORTIONS["E"], Settings(6, batch=8), seed=0)
    pictures = distorted_digits.test_pictures(bars, DISTORTIONS["E"])
    assert len(pictures) == distorted_digits.TEST_DRAWS * len(bars)
    assert distorted_digits.error(model, pictures, bars.labels) < 10


def test_error_counts():
    class Always(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = torch.nn.Parameter(torch.eye(10)[3])

        def forward(self, pictures):
            return self.bias.expand(len(pictures), 10)

    labels = torch.tensor([3, 3, 3, 4])
    assert distorted_digits.error(Always(), torch.zeros(8, 1, 28, 28), labels) == 25


def test_motion_is_that_of_the_grid_between_pictures():
    assert distorted_digits.motion(build(CNN, 28), torch.zeros(2, 1, 28, 28)) is None
    model = build("st-affine", 28)
    pictures = torch.rand(2, 1, 28, 28)
    assert distorted_digits.motion(model, pictures) == pytest.approx(0, abs=1e-4)
    shifts = torch.zeros(2, 1, 6)
    shifts[0, 0, 2], shifts[1, 0, 2] = -2 / 14, 2 / 14  # by two pixels left and right
    model.transformer.localize = lambda _: shifts
    assert distorted_digits.motion(model, pictures) == pytest.approx(8**0.5, rel=1e-4)


def test_an_interrupted_experiment_goes_on(tmp_path, bars, monkeypatch, capsys):
    command = ["--distortions", "R", "--models", "cnn", "st-affine", "--seeds", "2"]
    command += ["--epochs", "1", "--out"]
    trained, train = [], distorted_digits.train

    def interrupted(*arguments, **options):
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(arguments)
        return train(*arguments, **options)

    monkeypatch.setattr(distorted_digits, "train", interrupted)
    distorted_digits.main([*command, str(tmp_path)])
    assert "interrupted" in capsys.readouterr().out
    before = json.loads((tmp_path / "runs.json").read_text())
    assert [(run["model"], run["seed"]) for run in before] == [(CNN, 0), ("st-affine", 0)]

    trained.append("the one that was interrupted")
    distorted_digits.main([*command, str(tmp_path)])
    after = json.loads((tmp_path / "runs.json").read_text())
    assert after[:2] == before
    assert [(run["model"], run["seed"]) for run in after[2:]] == [(CNN, 1), ("st-affine", 1)]
    assert len(trained) == 5

    distorted_digits.main([*command, str(tmp_path)])
    assert len(trained) == 5
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"runs.json", "table.md", "errors.png", "R.png", "weights"}
    page = (tmp_path / "table.md").read_text()
    assert "n=2" in page
    assert "48 bars" in page


def test_runs_with_other_settings_are_kept_apart(tmp_path):
    first = Experiment("digits", Settings(1), tmp_path)
    other = Experiment("digits", Settings(2), tmp_path)
    first.add(distortion="R", model=CNN, seed=0)
    assert first.done(distortion="R", model=CNN, seed=0)
    assert not first.done(distortion="R", model=CNN, seed=1)
    assert not other.done(distortion="R", model=CNN, seed=0)
    other.add(distortion="R", model=CNN, seed=0)
    assert len(first.runs()) == len(other.runs()) == 1


def test_the_table_says_mean_spread_and_reduction(tmp_path):
    experiment = Experiment("digits", Settings(1), tmp_path)
    for kind, errors in {CNN: [4.0, 6.0], "st-affine": [2.0, 3.0], "st-tps": [5.0]}.items():
        for seed, error in enumerate(errors):
            experiment.add(
                distortion="R",
                model=kind,
                seed=seed,
                error=error,
                motion=None if kind == CNN else 0.5 + seed,
                parameters=1000,
                seconds=60,
                said=["epoch 1: it left the picture"] * (kind == "st-tps"),
                machine="a machine",
            )
    page = distorted_digits.table(experiment)
    assert "5.00 ± 1.41, n=2 (1.2)" in page
    assert "2.50 ± 0.71, -50%, n=2 (0.7, -42%)" in page
    assert "5.00, +0%, n=1 (0.7, -42%)" in page
    assert "|  | 1.00 |  | 0.50 |" in page
    assert "- R st-tps seed 0, epoch 1: it left the picture" in page
    assert "5 runs, 5 minutes of training: a machine." in page


def test_the_papers_table_is_whole():
    assert set(PAPER) < set(DISTORTIONS)
    assert all(set(row) == set(MODELS) for row in PAPER.values())
