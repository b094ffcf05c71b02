import numpy as np
from scipy.optimize import least_squares

from stn_ros.geometry.patch import MARGIN
from stn_ros.runtime.solver import fit_motion

TRUTH = np.array([[1.05, 0.10, 0.05], [-0.08, 0.96, -0.03], [0.04, -0.06, 1.0]])
CORNERS = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]) / MARGIN


def _apply(matrix, points):
    mapped = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return mapped[:, :2] / mapped[:, 2:]


def _field(matrix, cells=16):
    axis = (np.arange(cells) * 2 + 1) / cells - 1
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    flow = (_apply(matrix, points) - points) * cells / 2
    return flow.T.reshape(1, 2, cells, cells).astype(np.float32)


def test_exact_field_gives_the_exact_motion():
    fit = fit_motion(_field(TRUTH), np.full((1, 16, 16), -2.0, np.float32))
    np.testing.assert_allclose(fit.motion[0], TRUTH, atol=1e-3)
    assert fit.agreement[0] > 0.99


def test_batch_is_fitted_one_by_one():
    flow = np.concatenate([_field(TRUTH), _field(np.eye(3))])
    fit = fit_motion(flow, np.zeros((2, 16, 16), np.float32))
    np.testing.assert_allclose(fit.motion[0], TRUTH, atol=1e-3)
    np.testing.assert_allclose(fit.motion[1], np.eye(3), atol=1e-6)


def test_confident_liars_are_outvoted():
    rng = np.random.default_rng(0)
    flow = _field(TRUTH)
    flow[:, :, 3:8, 3:8] += 2.5 + rng.normal(0, 0.2, (1, 2, 5, 5))
    fit = fit_motion(flow, np.full((1, 16, 16), -2.0, np.float32))
    moved = _apply(fit.motion[0], CORNERS) - _apply(TRUTH, CORNERS)
    assert np.abs(moved).max() < 0.02
    assert fit.agreement[0] < 0.9


def test_covariance_predicts_the_spread_of_the_corners():
    rng = np.random.default_rng(1)
    exact, noise = _field(TRUTH), 0.2
    flow = np.repeat(exact, 400, axis=0) + rng.normal(0, noise, (400, 2, 16, 16))
    fit = fit_motion(flow.astype(np.float32), np.full((400, 16, 16), np.log(noise), np.float32))
    found = np.stack([_apply(motion, CORNERS).ravel() for motion in fit.motion])
    measured = np.diag(np.cov(found.T))
    predicted = np.diagonal(fit.corner_covariance, axis1=1, axis2=2).mean(axis=0)
    ratio = predicted / measured
    assert ((ratio > 0.6) & (ratio < 1.6)).all(), ratio
    # In all eight directions together: 8, and some more as cells are weighted by their own errors.
    errors = found - _apply(TRUTH, CORNERS).ravel()
    squares = np.einsum("ni,nij,nj->n", errors, np.linalg.inv(fit.corner_covariance), errors)
    assert 7 < squares.mean() < 12


def test_all_weight_on_one_line_stays_modest():
    scale = np.full((1, 16, 16), 8.0, np.float32)
    scale[:, 8] = -3.0
    fit = fit_motion(_field(np.eye(3)), scale)
    assert np.isfinite(fit.motion).all()
    assert np.abs(fit.motion - np.eye(3)).max() < 0.1


def test_residuals_are_geometric_under_strong_perspective():
    """The answer is the least squares of distances in the patch, which scipy finds on its own."""
    tilted = np.array([[1.1, 0.1, 0.05], [-0.1, 0.9, 0.0], [0.45, -0.35, 1.0]])
    rng = np.random.default_rng(4)
    flow = _field(tilted) + rng.normal(0, 0.02, (1, 2, 16, 16)).astype(np.float32)
    # Errors far below what is expected of a cell: the robust weights hardly differ.
    fit = fit_motion(flow, np.full((1, 16, 16), np.log(0.2), np.float32))
    axis = (np.arange(16) * 2 + 1) / 16 - 1
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    targets = points + flow[0].reshape(2, -1).T / 8
    on_face = np.abs(points).max(axis=1) <= 1 / MARGIN

    def residuals(entries):
        matrix = np.append(entries, 1.0).reshape(3, 3)
        return (_apply(matrix, points[on_face]) - targets[on_face]).ravel()

    best = np.append(least_squares(residuals, tilted.ravel()[:8]).x, 1.0).reshape(3, 3)
    off = np.linalg.norm(_apply(fit.motion[0], CORNERS) - _apply(best, CORNERS), axis=1)
    assert off.max() < 3e-4
