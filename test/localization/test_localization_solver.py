import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from stn_ros.localization.solver import (  # noqa: E402
    cell_centres,
    face_cells,
    fit_homography,
    motion_homography,
)
from stn_ros.runtime.solver import fit_motion  # noqa: E402
from stn_ros.transformer.grid import apply_homography  # noqa: E402

TRUTH = torch.tensor(
    [[[1.05, 0.10, 0.05], [-0.08, 0.96, -0.03], [0.04, -0.06, 1.0]]], dtype=torch.float64
)


def _field(truth, cells):
    centres = cell_centres(cells, cells, truth)
    points = centres.flatten(1).T
    flow = (apply_homography(truth, points) - points) * (cells / 2.0)
    return flow.transpose(1, 2).reshape(len(truth), 2, cells, cells)


def test_cell_centres_by_hand():
    centres = cell_centres(2, 4, torch.zeros(1))
    assert centres[0, 0].tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert centres[1, :, 0].tolist() == [-0.5, 0.5]
    assert int(face_cells(16, 16, torch.zeros(1)).sum()) == 12 * 12


def test_exact_field_gives_the_exact_homography():
    flow = _field(TRUTH, 16)
    found = motion_homography(flow, torch.zeros(1, 16, 16, dtype=torch.float64))
    # The ridge pulls a little towards the identity.
    assert (found - TRUTH).abs().max() < 0.01
    exact = fit_homography(
        torch.rand(30, 2, dtype=torch.float64) * 2 - 1,
        torch.zeros(1, 30, 2, dtype=torch.float64),
        torch.ones(1, 30).double(),
    )
    assert torch.isfinite(exact).all()


def test_gradient_reaches_flow_and_weights():
    flow = _field(TRUTH, 4).requires_grad_()
    scale = torch.randn(1, 4, 4, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(motion_homography, (flow, scale))


def test_unsure_cells_do_not_count():
    flow = _field(TRUTH, 16)
    scale = torch.full((1, 16, 16), -2.0, dtype=torch.float64)
    flow[:, :, :, :6] = 3.0
    scale[:, :, :6] = 3.0
    assert (motion_homography(flow, scale) - TRUTH).abs().max() < 0.02


def test_few_or_collinear_points_do_not_explode():
    points = torch.tensor([[0.0, 0.0], [0.1, 0.0], [0.2, 0.0]])
    moved = (points + 0.1).unsqueeze(0)
    found = fit_homography(points, moved, torch.ones(1, 3))
    assert torch.isfinite(found).all()
    assert found.abs().max() < 3


def test_runtime_fit_agrees_and_is_robust():
    generator = np.random.default_rng(3)
    flow = _field(TRUTH, 16).numpy().astype(np.float32)
    scale = np.full((1, 16, 16), -2.0, np.float32)
    exact = fit_motion(flow, scale)
    assert np.abs(exact.motion - TRUTH.numpy()).max() < 1e-3
    assert exact.agreement[0] > 0.99
    flow[:, :, 3:7, 3:13] = generator.normal(0, 3, (1, 2, 4, 10))
    torn = fit_motion(flow, scale)
    assert np.abs(torn.motion - TRUTH.numpy()).max() < 0.02
    assert torn.agreement[0] < 0.8
