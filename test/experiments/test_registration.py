"""Pairs fit their field, measures are those of hand and OpenCV, all ways of registering work."""

import json

import cv2
import numpy as np
import pytest
import registration
import torch
from registration import FAMILIES, FLOWS, METHODS, SIDE, Displacements, Pairs, Settings

from stn_ros.transformer.grid import target_grid
from stn_ros.transformer.sampler import sample


@pytest.fixture(scope="module")
def pairs():
    return registration.draw(registration.retina()[1], 3, torch.Generator().manual_seed(0))


def _identity(n):
    return target_grid((SIDE, SIDE), torch.zeros(1)).expand(n, -1, -1, -1)


def test_the_halves_of_the_retina_do_not_meet():
    left, right = registration.retina()
    assert left.shape[1] + right.shape[1] == 380
    assert left.shape[0] == right.shape[0]
    assert left.min() >= 0
    assert left.max() <= 1


def test_the_true_field_aligns_a_pair(pairs):
    at_truth = registration.dissimilarity(pairs.fixed, pairs.moving, pairs.truth)
    at_rest = registration.dissimilarity(pairs.fixed, pairs.moving, _identity(3))
    assert (at_truth < 0.75 * at_rest).all()


def test_without_a_bend_both_pictures_are_one(monkeypatch):
    monkeypatch.setattr(registration, "AMPLITUDE", 0.0)
    pair = registration.draw(registration.retina()[0], 1, torch.Generator().manual_seed(0))
    first, second = (v.flatten().numpy() for v in (pair.fixed, pair.moving))
    assert np.corrcoef(first, second)[0, 1] > 0.97  # but for contrast and noise


def test_a_dense_field_is_opencvs_resized_lattice():
    family = Displacements(side=4)
    shifts = torch.randn(1, 4, 4, 2, generator=torch.Generator().manual_seed(0))
    grid = family.grid(shifts.flatten(1), (16, 16))[0]
    wide = cv2.resize(shifts[0].numpy(), (16, 16), interpolation=cv2.INTER_LINEAR)
    expected = target_grid((16, 16), shifts) + torch.from_numpy(wide)
    assert torch.allclose(grid, expected, atol=1e-5)


def test_dissimilarity_is_that_of_correlation_in_windows():
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.rand((1, 1, 12, 12), generator=generator) for _ in range(2))
    second = 0.5 * first + 0.5 * second
    grid = target_grid((12, 12), first)[None]
    windows = [v[0, 0].unfold(0, 9, 1).unfold(1, 9, 1).reshape(16, 81) for v in (first, second)]
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(*windows, strict=True)]
    found = registration.dissimilarity(first, second, grid)
    assert found.item() == pytest.approx(1 - np.mean(expected), abs=0.02)


def test_errors_and_folds_by_hand():
    truth = _identity(1)
    assert registration.folded(truth) == 0
    shifted = truth + torch.tensor([6.0, 8.0]) * (2 / SIDE)
    assert registration.errors(shifted, truth).item() == pytest.approx(10, rel=1e-4)
    mirrored = truth * torch.tensor([-1.0, 1.0])
    assert registration.folded(mirrored) == 100


def test_roughness_of_a_stretch():
    side = 8
    lattice = target_grid((side, side), torch.zeros(1))
    # Shifts of half a tile from tile to tile along x, and as much along y.
    assert registration.roughness(0.5 * lattice.reshape(1, -1)).item() == pytest.approx(0.25)
    assert registration.roughness(torch.full((1, 2 * side * side), 0.3)).item() == 0


@pytest.mark.parametrize("name", FLOWS)
def test_flows_find_a_shift(name):
    """The first shows at x what the second shows at x + 2."""
    texture = registration.retina()[1][100:180, 40:120]
    fixed, moving = texture[2:66, 2:66], texture[2:66, :64]
    grid = registration.flow(name, fixed[None], moving[None])
    shift = (grid - target_grid((SIDE, SIDE), grid)) * SIDE / 2
    assert shift[16:-16, 16:-16].median(dim=0).values.median(dim=0).values == pytest.approx(
        np.array([2.0, 0.0]), abs=0.3
    )
    assert sample(moving[None, None], grid[None])[0, 0, 20:40, 20:40] == pytest.approx(
        fixed[20:40, 20:40].numpy(), abs=0.15
    )


def test_optimisation_gets_nearer(pairs):
    family, one = FAMILIES["tps"], Pairs(*(part[:1] for part in pairs))
    found = registration.optimised(family, one, family.identity(), (4, 2, 0), 0.3)
    grid = family.grid(found, (SIDE, SIDE))
    after, before = (registration.errors(g, one.truth).item() for g in (grid, _identity(1)))
    assert after < before / 2


@pytest.mark.parametrize("name", FAMILIES)
def test_networks_begin_as_the_identity_and_fit_one_batch(name, pairs, one_batch):
    model = registration.PairAligner(FAMILIES[name], 2)
    assert torch.equal(model(pairs.fixed, pairs.moving), FAMILIES[name].identity(3))
    losses = one_batch(registration, 16)
    registration.train(name, registration.retina()[0], Settings(steps=1, batch=2), seed=0)
    ((before, after),) = losses
    assert after < 0.99 * before


def test_the_command_goes_from_end_to_end(tmp_path):
    registration.main(["--steps", "2", "--pairs", "2", "--seeds", "1", "--out", str(tmp_path)])
    made = json.loads((tmp_path / "runs.json").read_text())
    assert [run["method"] for run in made] == list(METHODS)
    page = (tmp_path / "table.md").read_text()
    assert "dense + optimised" in page
    assert (tmp_path / "errors.png").is_file()
