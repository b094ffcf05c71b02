"""Sums are those of the digits, networks are of one size, and the experiment runs to the end."""

import json

import addition
import pytest
import torch
from addition import MODELS, PAPER, SCENE, SIDE, TRANSFORMS, Settings, build, pairs, scattered
from digits import Digits, Split
from distortions import DISTORTIONS
from fitting import weights
from runs import Runs

from stn_ros.transformer.grid import target_grid


@pytest.fixture
def bars(monkeypatch):
    """Two classes, 2 and 7: an upright and a lying bar."""
    pictures = torch.zeros(48, 1, 28, 28)
    pictures[::2, :, 5:23, 12:16], pictures[1::2, :, 12:16, 5:23] = 1.0, 1.0
    made = Digits(pictures, 2 + 5 * (torch.arange(48) % 2))
    split = Split(made, made.take(torch.arange(8)), "48 bars")
    monkeypatch.setattr(addition, "load", lambda *_: split)
    return made


@pytest.mark.parametrize("name", MODELS)
def test_networks_are_of_one_size(name):
    network = build(name)
    assert 0.985 * addition.PARAMETERS < weights(network) <= addition.PARAMETERS
    assert network(torch.zeros(2, 2, SCENE, SCENE)).shape == (2, 19)


def test_too_few_parameters():
    with pytest.raises(ValueError, match="too few"):
        build("fcn", 1000)


@pytest.mark.parametrize("name", [name for name in MODELS if TRANSFORMS[name]])
def test_transformers_begin_in_the_middle_but_not_alike(name):
    torch.manual_seed(0)
    network = build(name)
    pictures = torch.rand(3, 2, SCENE, SCENE)
    output = network.transformer(pictures)
    assert output.shape == (3, 2 * TRANSFORMS[name], SIDE, SIDE)
    grids = network.transformer.last.grid
    middle = target_grid((SIDE, SIDE), pictures) * SIDE / SCENE
    assert (grids - middle).abs().mean() < 0.1
    assert (TRANSFORMS[name] == 1) == torch.equal(grids[:, 0], grids[:, -1])


@pytest.mark.parametrize("strength", [0, 0.5, 1])
def test_digits_are_scattered_as_far_as_asked(bars, strength):
    """All the way it is the distortion RTS of the other experiment."""
    drawn = scattered(bars.pictures, torch.Generator().manual_seed(0), strength)
    assert drawn.shape == (48, 1, SCENE, SCENE)
    whole = DISTORTIONS["RTS"].draw(bars.pictures, torch.Generator().manual_seed(0))
    assert torch.allclose(drawn, whole, atol=1e-4) == (strength == 1)
    still = torch.nn.functional.pad(bars.pictures, [7] * 4)
    assert torch.allclose(drawn, still, atol=1e-4) == (strength == 0)


def test_sums_and_channels(bars):
    first, second = torch.tensor([0, 1, 3]), torch.tensor([2, 4, 5])
    pictures, sums = pairs(bars, first, second, torch.Generator().manual_seed(0), 0.2)
    assert sums.tolist() == [4, 9, 14]
    assert pictures.shape == (3, 2, SCENE, SCENE)
    upright = pictures.amax(dim=3).sum(dim=2) > pictures.amax(dim=2).sum(dim=2)
    assert upright.tolist() == [[True, True], [False, True], [False, False]]


def test_digits_are_moved_further_and_further(bars, monkeypatch):
    strengths = []
    monkeypatch.setattr(addition, "pairs", lambda *given: strengths.append(given[-1]))
    drawn = addition.batches(bars, Settings(10, batch=48, easing=0.4), seed=0)
    for _ in range(10):
        next(drawn)
    assert strengths == [0, 0.25, 0.5, 0.75, *[1] * 6]


def test_each_digit_comes_once_in_each_channel_of_an_epoch(bars, monkeypatch):
    taken = []
    monkeypatch.setattr(addition, "pairs", lambda _, a, b, *__: taken.append((a, b)))
    drawn = addition.batches(bars, Settings(1, batch=10), seed=0)
    for _ in range(10):
        next(drawn)
    for channel in zip(*taken, strict=True):
        for epoch in torch.cat(channel).split(48):
            assert epoch.sort().values.tolist() == list(range(48))
    assert not torch.equal(torch.cat([a for a, _ in taken]), torch.cat([b for _, b in taken]))


def test_test_pairs_are_the_same_again_and_hold_each_digit_as_often(bars):
    pictures, sums = addition.test_pairs(bars, 3)
    again, _ = addition.test_pairs(bars, 3)
    assert torch.equal(pictures, again)
    assert len(sums) == 3 * 48
    assert set(sums.tolist()) == {4, 9, 14}


def test_error_counts():
    class Always(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = torch.nn.Parameter(torch.eye(19)[9])

        def forward(self, pictures):
            return self.bias.expand(len(pictures), 19)

    sums = torch.tensor([9, 9, 9, 4])
    assert addition.error(Always(), torch.zeros(4, 2, 28, 28), sums) == 25


def test_independence_is_the_distance_of_two_grids():
    pictures = torch.rand(2, 2, SCENE, SCENE)
    assert addition.independence(build("cnn"), pictures) is None
    assert addition.independence(build("st-fcn"), pictures) is None
    network = build("2st-fcn")
    parameters = torch.zeros(2, 2, 6)
    parameters[:, 0, 2] = 3 * 2 / SCENE  # three pixels to the right
    network.transformer.localize = lambda _: parameters
    assert addition.independence(network, pictures) == pytest.approx(3, rel=1e-4)


def test_an_interrupted_experiment_goes_on(tmp_path, bars, monkeypatch, capsys):
    arguments = ["--seeds", "2", "--epochs", "1", "--out", str(tmp_path)]
    made, fit = [], addition.fit

    def interrupted(*given):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(given)
        return fit(*given)

    monkeypatch.setattr(addition, "fit", interrupted)
    addition.main(arguments)
    assert "interrupted" in capsys.readouterr().out
    before = json.loads((tmp_path / "runs.json").read_text())
    assert [run["model"] for run in before] == list(MODELS[:3])

    monkeypatch.setattr(addition, "fit", fit)
    addition.main(arguments)
    after = json.loads((tmp_path / "runs.json").read_text())
    assert after[:3] == before
    assert [(run["model"], run["seed"]) for run in after[4:]] == [(name, 1) for name in MODELS]
    names = {path.name for path in tmp_path.iterdir()}
    pictures = {"errors.png", "st-fcn.png", "2st-fcn.png"}
    assert names == {"runs.json", "table.md", "weights", *pictures}
    assert "48 bars" in (tmp_path / "table.md").read_text()


@pytest.mark.parametrize("model", MODELS)
def test_one_batch_is_fitted(bars, one_batch, model):
    losses = one_batch(addition, 10)
    folder = addition.Path("/nonexistent")  # of the first seed's weights only
    addition.run(Split(bars, bars, ""), Settings(1, batch=8, draws=1), "cpu", folder, model, 1)
    ((before, after),) = losses
    assert after < 0.8 * before


def test_the_table_says_mean_spread_and_the_papers(tmp_path):
    runs = Runs(tmp_path, {"source": "digits", "settings": vars(Settings(4))})
    for model, errors in (("cnn", [4.0, 6.0]), ("2st-fcn", [3.0])):
        for seed, error in enumerate(errors):
            runs.add(
                model=model,
                seed=seed,
                error=error,
                independence=2.5 if model == "2st-fcn" else None,
                parameters=1234,
                said=["step 3: it left the picture"] * (model == "2st-fcn"),
                seconds=60,
                machine="a machine",
            )
    page = addition.table(runs)
    assert "| cnn | 5.00 ± 1.41 | 2 | 14.7 | 1,234 |  |" in page
    assert "| 2st-fcn | 3.00 | 1 | 9.0 | 1,234 | 2.5 |" in page
    assert "- 2st-fcn seed 0, step 3: it left the picture" in page
    assert "3 runs, 3.0 minutes: a machine." in page


def test_the_papers_table_is_whole():
    assert set(PAPER) == set(MODELS)
