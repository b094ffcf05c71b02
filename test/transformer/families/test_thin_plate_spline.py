"""The thin-plate spline against scipy's, and its defining properties."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
interpolate = pytest.importorskip("scipy.interpolate")

from stn_ros.transformer.families import ThinPlateSpline  # noqa: E402


def _shifts(family, reach=0.2):
    generator = torch.Generator().manual_seed(0)
    return torch.empty(1, family.count, dtype=torch.float64).uniform_(
        -reach, reach, generator=generator
    )


@pytest.mark.parametrize("side", [2, 3, 4, 6])
def test_control_points_go_where_they_are_told(side):
    family = ThinPlateSpline(side)
    shifts = _shifts(family)
    moved = family.map(shifts, family.control)[0]
    torch.testing.assert_close(moved, family.control + shifts.reshape(-1, 2))


@pytest.mark.parametrize("side", [3, 4])
def test_equals_scipy(side):
    family = ThinPlateSpline(side)
    shifts = _shifts(family)
    control = family.control.numpy()
    spline = interpolate.RBFInterpolator(
        control, control + shifts.reshape(-1, 2).numpy(), kernel="thin_plate_spline", degree=1
    )
    points = np.random.default_rng(1).uniform(-1.2, 1.2, (40, 2))
    ours = family.map(shifts, torch.from_numpy(points))[0].numpy()
    np.testing.assert_allclose(ours, spline(points), atol=1e-9)


def test_affine_shifts_are_not_bent():
    family = ThinPlateSpline(4)
    linear = torch.tensor([[0.1, -0.05], [0.08, 0.2]], dtype=torch.float64)
    shifts = family.control @ linear.T + 0.1
    points = torch.tensor([[-1.0, 1.0], [0.3, 0.9]], dtype=torch.float64)
    moved = family.map(shifts.reshape(1, -1), points)[0]
    torch.testing.assert_close(moved, points + points @ linear.T + 0.1)


def test_too_few_points_are_named():
    with pytest.raises(ValueError, match="side is 1"):
        ThinPlateSpline(1)
