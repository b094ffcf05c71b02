"""Scans fit their map, measures are those of scipy and hand, and both ways of aligning work."""

import json

import numpy as np
import pytest
import scipy.ndimage
import scipy.spatial.transform
import torch
import volumes
from volumes import FAMILY, SIDE, Pairs, Settings

from stn_ros.transformer.sampler import sample


def _draw(n, seed=0):
    return volumes.draw(n, torch.Generator().manual_seed(seed))


def test_turns_are_rotation_vectors():
    vectors = torch.tensor([[0.3, -0.2, 0.5], [0.0, 0.0, 0.0]])
    expected = scipy.spatial.transform.Rotation.from_rotvec(vectors.numpy()).as_matrix()
    assert torch.allclose(volumes.turns(vectors), torch.from_numpy(expected).float(), atol=1e-6)


def test_a_scan_is_bright_within_its_ellipsoid():
    ball = torch.eye(4).reshape(1, 1, 4, 4).clone()
    ball[..., :3, :3] *= 2  # of radius 0.5
    ball[..., :3, 3] = -2 * torch.tensor([0.25, 0.0, 0.0])  # around x = 0.25
    scan = volumes.scan(ball, torch.tensor([[0.8]]))[0, 0]
    assert scan[SIDE // 2, SIDE // 2, round(0.625 * SIDE)] == pytest.approx(0.8)
    assert scan[SIDE // 2, SIDE // 2, 2] == 0
    total = 4 / 3 * np.pi * 0.5**3 / 8 * SIDE**3 * 0.8
    assert scan.sum().item() == pytest.approx(total, rel=0.1)  # edges are soft


def test_the_true_map_aligns_a_pair():
    pairs = _draw(4)
    true = FAMILY.parameters_of(pairs.truth)
    at_truth = volumes.dissimilarity(pairs.fixed, pairs.moving, true)
    at_rest = volumes.dissimilarity(pairs.fixed, pairs.moving, FAMILY.identity(4))
    assert (at_truth < 0.1).all()
    assert (at_truth < at_rest / 3).all()
    assert volumes.distances(true, pairs.truth) == pytest.approx(np.zeros(4), abs=1e-4)


def test_the_map_is_read_as_scipy_reads_it():
    """fixed -> moving, x last: scipy.ndimage.affine_transform with the axes in its own order."""
    pairs = _draw(1)
    theta = pairs.truth[0].double().numpy()
    linear, shift = theta[:3, :3][::-1, ::-1], theta[:3, 3][::-1]
    # voxel = (normalised + 1) * SIDE / 2 - 1 / 2
    centre = (SIDE - 1) / 2
    offset = centre - linear @ np.full(3, centre) + shift * SIDE / 2
    moved = scipy.ndimage.affine_transform(
        pairs.moving[0, 0].numpy(), linear, offset, order=1, mode="grid-constant"
    )
    grid = FAMILY.grid(FAMILY.parameters_of(pairs.truth), (SIDE,) * 3)
    assert sample(pairs.moving, grid)[0, 0].numpy() == pytest.approx(moved, abs=1e-4)


def test_dissimilarity_is_that_of_correlation():
    pairs = _draw(1)
    expected = 1 - np.corrcoef(pairs.fixed.flatten(), pairs.moving.flatten())[0, 1]
    found = volumes.dissimilarity(pairs.fixed, pairs.moving, FAMILY.identity())
    assert found.item() == pytest.approx(expected, abs=1e-4)
    brighter = volumes.dissimilarity(pairs.fixed, 3 * pairs.moving + 1, FAMILY.identity())
    assert brighter.item() == pytest.approx(expected, abs=1e-4)


def test_distance_of_a_shift():
    shift = torch.zeros(1, 12)
    shift[0, 3] = 0.5  # x
    assert volumes.distances(shift, torch.eye(4)[None]).item() == pytest.approx(0.5 * SIDE / 2)


def test_optimisation_finds_the_map():
    pair = _draw(1)
    found, looks = volumes.optimised(pair, FAMILY.identity(), (4, 2, 1))
    assert volumes.distances(found, pair.truth).item() < 0.7
    assert looks > 10


def test_an_untrained_network_answers_the_identity_and_fits_one_batch(one_batch):
    pairs = _draw(2)
    model = volumes.PairAligner(2)
    assert torch.equal(model(pairs.fixed, pairs.moving), FAMILY.identity(2))
    losses = one_batch(volumes, 12)
    volumes.train(Settings(steps=1, batch=2), seed=0)
    ((before, after),) = losses
    assert after < 0.9 * before


def test_the_command_goes_from_end_to_end(tmp_path):
    volumes.main(["--steps", "2", "--pairs", "2", "--seeds", "1", "--out", str(tmp_path)])
    made = json.loads((tmp_path / "runs.json").read_text())
    assert [run["method"] for run in made] == list(volumes.METHODS)
    page = (tmp_path / "table.md").read_text()
    assert "network + optimised" in page
    assert (tmp_path / "errors.png").is_file()


def test_pairs_are_those_of_their_seed():
    assert all(torch.equal(a, b) for a, b in zip(_draw(1, 3), _draw(1, 3), strict=True))
    assert not torch.equal(_draw(1, 3).fixed, _draw(1, 4).fixed)
    assert isinstance(_draw(1), Pairs)
