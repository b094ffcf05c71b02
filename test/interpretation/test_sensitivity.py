"""Sensitivity against closed forms: a linear localizer's is its weights."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from stn_ros.interpretation.sensitivity import (  # noqa: E402
    MAPS,
    maps,
    share_inside,
    smooth_gradients,
    smoothed,
)
from stn_ros.transformer.families import Affine  # noqa: E402
from stn_ros.transformer.module import SpatialTransformer  # noqa: E402


@pytest.mark.parametrize("noise", [0.0, 0.1, 1.0])
def test_of_a_linear_function_it_is_the_matrix(noise):
    matrix = torch.randn(5, 2 * 4 * 3, generator=torch.Generator().manual_seed(0))
    pictures = torch.rand(3, 2, 4, 3)
    found = smooth_gradients(lambda x: x.flatten(1) @ matrix.T, pictures, 3, noise)
    assert found.shape == (3, 5, 2, 4, 3)
    torch.testing.assert_close(found, matrix.reshape(1, 5, 2, 4, 3).expand(3, -1, -1, -1, -1))


def test_of_a_linear_localizer_it_is_the_localizers_weights():
    """Corners of an affine transform are linear in theta, and theta here in the picture."""
    layer = SpatialTransformer(torch.nn.Flatten(), 36, Affine(limit=1e6)).eval()
    torch.nn.init.normal_(layer.head.weight)
    square = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])

    def corners(pictures):
        layer(pictures)
        return layer.family.map(layer.last.parameters[:, 0], square)

    found = smooth_gradients(corners, torch.rand(2, 1, 6, 6))
    # theta = (a b tx; c d ty): corner x moves by a x + b y + tx, corner y by c x + d y + ty.
    weight = layer.head.weight.detach().reshape(2, 3, 6, 6)
    homogeneous = torch.cat([square, torch.ones(4, 1)], dim=1)
    wanted = torch.einsum("cj,kjhw->ckhw", homogeneous, weight).reshape(8, 1, 6, 6)
    torch.testing.assert_close(found, wanted.expand(2, -1, -1, -1, -1), atol=1e-4, rtol=1e-3)
    found_map = maps(found, square.expand(2, -1, -1))["corners"]
    torch.testing.assert_close(
        found_map[0], wanted.square().sum(dim=(0, 1)).sqrt(), atol=1e-4, rtol=1e-3
    )


def test_noise_averages_a_kink_away():
    """|x| at 0 has no gradient; averaged over both sides it is 0, and far off it is 1."""
    pictures = torch.zeros(1, 1, 1, 2)
    pictures[..., 1] = 1.0
    found = smooth_gradients(torch.abs, pictures, draws=400, noise=0.1)
    assert abs(found[0, 0, 0, 0, 0]) < 0.15
    assert found[0, 1, 0, 0, 1] == 1.0


def test_what_does_not_depend_on_the_input_has_none():
    pictures = torch.rand(2, 1, 3, 3)
    constant = smooth_gradients(lambda x: torch.ones(len(x), 2), pictures)
    assert constant.shape == (2, 2, 1, 3, 3)
    assert not constant.any()
    with pytest.raises(ValueError, match="draws is 0"):
        smooth_gradients(torch.abs, pictures, draws=0)


def test_the_same_seed_gives_the_same_map():
    pictures = torch.rand(1, 1, 4, 4)
    first, same, other = (
        smooth_gradients(torch.sin, pictures, 2, 0.5, seed=seed) for seed in (1, 1, 2)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


CORNERS = torch.tensor([[[-3.0, -1.0], [3, -1], [3, 1], [-3, 1]]]) + 20


@pytest.mark.parametrize(
    ("move", "part"),
    [
        (torch.tensor([[0.6, 0.8]]).expand(4, 2), "position"),
        (torch.tensor([[1.0, -3], [1, 3], [-1, 3], [-1, -3]]) / math.sqrt(10), "rotation"),
        (torch.tensor([[-3.0, -1], [3, -1], [3, 1], [-3, 1]]) / math.sqrt(10), "size"),
    ],
)
def test_each_rigid_move_of_the_corners_shows_in_its_own_map(move, part):
    """One pixel moves every corner by 1 px; the others do nothing."""
    gradients = torch.zeros(1, 8, 1, 2, 2)
    gradients[0, :, 0, 1, 0] = move.flatten()
    found = maps(gradients, CORNERS)
    assert set(found) == set(MAPS)
    lit = {name: float(each[0, 1, 0]) for name, each in found.items()}
    assert lit.pop("corners") == pytest.approx(2.0, abs=1e-5)  # four corners of 1 px
    assert lit.pop(part) == pytest.approx(1.0, abs=1e-5)
    assert max(lit.values()) < 1e-5
    assert all(float(each.sum()) == float(each[0, 1, 0]) for each in found.values())


def test_share_inside_counts_power():
    sensitivity = np.ones((10, 20))
    left = np.array([[-0.5, -0.5], [9.5, -0.5], [9.5, 9.5], [-0.5, 9.5]])
    assert share_inside(sensitivity, left) == pytest.approx(0.5, abs=0.06)
    sensitivity[:, 12:] = 3.0  # eight columns of 9, two of 1, and ten within the outline
    inside = share_inside(sensitivity, left)
    assert inside == pytest.approx(10 / (10 + 2 + 72), abs=0.02)
    assert share_inside(sensitivity, 1e9 * (left - 5)) == 1.0
    assert math.isnan(share_inside(np.zeros((4, 4)), left))


def test_smoothing_keeps_the_sum():
    spot = np.zeros((64, 64), np.float32)
    spot[32, 32] = 1.0
    level = smoothed(spot)
    assert level.sum() == pytest.approx(1.0, abs=1e-3)
    assert level[32, 32] < 0.2
