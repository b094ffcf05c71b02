"""From the network's field of correspondences to homographies and how sure they are (numpy).

The robust counterpart of `localization.solver`: the same weighted least squares, repeated with
weights that fade where the field disagrees with the homography, and with the covariance of the
result. Coordinates are normalised to the canonical patch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.patch import MARGIN

Array = NDArray[np.float64]

_ITERATIONS = 4
_CAUCHY = 2.0
_RIDGE = 1e-6
_CORNERS = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]) / MARGIN


class Fit(NamedTuple):
    """Homographies fitted to N fields.

    Attributes:
        motion: (N, 3, 3), canonical patch -> where it was found, normalised coordinates.
        corner_covariance: (N, 8, 8) of the face's corners (x, y of TL, TR, BR, BL) after the
            motion, as if cells erred independently of each other, normalised coordinates squared.
        agreement: (N,) share of the weight of the face's cells that agrees with the motion.
    """

    motion: Array
    corner_covariance: Array
    agreement: Array


def fit_motion(flow: NDArray[np.float32], log_scale: NDArray[np.float32]) -> Fit:
    """Fit homographies robustly to fields of correspondences.

    Iteratively reweighted least squares on the direct linear transform with h33 = 1 (Hartley &
    Zisserman 2004, sections 4.1 and 4.7): Cauchy weights of each cell's residual over its own
    expected error, and each row over its denominator, so that residuals are geometric.

    Args:
        flow: (N, 2, h, w) cells. log_scale: (N, h, w), log of the expected error in cells.
    """
    n, _, h, w = flow.shape
    points, keep = _face_cells(h, w)
    cell = np.array([2.0 / w, 2.0 / h])
    found = flow.reshape(n, 2, h * w)[:, :, keep].transpose(0, 2, 1).astype(np.float64)
    targets = points + found * cell
    scale = np.exp(log_scale.reshape(n, h * w)[:, keep].astype(np.float64)) * cell.mean()
    precision = scale**-2
    x, y = points[:, 0], points[:, 1]
    one, zero = np.ones_like(x), np.zeros_like(x)
    linear = np.stack(
        [
            np.stack([x, y, one, zero, zero, zero], axis=1),
            np.stack([zero, zero, zero, x, y, one], axis=1),
        ],
        axis=1,
    )
    rows = np.concatenate(
        [
            np.broadcast_to(linear, (n, *linear.shape)),
            -targets[..., None] * points[None, :, None, :],
        ],
        axis=3,
    )
    error = targets - points
    weights = precision
    motion = np.broadcast_to(np.eye(3), (n, 3, 3))
    agree = np.ones_like(scale)
    normal = np.zeros((n, 8, 8))
    for iteration in range(_ITERATIONS):
        share = weights / weights.sum(axis=1, keepdims=True)
        weighted = (rows * share[..., None, None]).reshape(n, -1, 8)
        flat = rows.reshape(n, -1, 8)
        normal = weighted.transpose(0, 2, 1) @ flat
        ridge = _RIDGE * np.eye(8)
        step = np.linalg.solve(
            normal + ridge, weighted.transpose(0, 2, 1) @ error.reshape(n, -1, 1)
        )
        motion = np.concatenate([step[..., 0], np.zeros((n, 1))], axis=1).reshape(n, 3, 3)
        motion = motion + np.eye(3)
        mapped = points @ motion[:, :, :2].transpose(0, 2, 1) + motion[:, None, :, 2]
        depth = np.maximum(mapped[..., 2], 0.05)
        residual = np.linalg.norm(mapped[..., :2] / depth[..., None] - targets, axis=2)
        agree = 1.0 / (1.0 + (residual / (_CAUCHY * scale)) ** 2)
        if iteration < _ITERATIONS - 1:
            weights = precision * agree / depth**2
    spread = (share * residual**2).sum(axis=1) / 2
    # Variance of a weighted mean of independent errors: weights enter as shares, so the effective
    # number of cells does, too.
    effective = 1.0 / (share**2).sum(axis=1)
    parameters = np.linalg.inv(normal + _RIDGE * np.eye(8))
    parameters *= (spread / effective)[:, None, None]
    by_parameter = _corner_jacobian(motion)
    covariance = by_parameter @ parameters @ by_parameter.transpose(0, 2, 1)
    agreement = (precision * agree).sum(axis=1) / precision.sum(axis=1)
    return Fit(motion, covariance, agreement)


def _face_cells(h: int, w: int) -> tuple[Array, NDArray[np.bool_]]:
    """Normalised centres (K, 2) of the cells on the face, and which of all cells they are."""
    xs, ys = np.meshgrid((np.arange(w) * 2 + 1) / w - 1, (np.arange(h) * 2 + 1) / h - 1)
    centres = np.column_stack([xs.ravel(), ys.ravel()])
    keep = np.abs(centres).max(axis=1) <= 1.0 / MARGIN
    return centres[keep], keep


def _corner_jacobian(motion: Array) -> Array:
    """(N, 8, 8) derivative of the moved corners by the first eight entries of the motion."""
    mapped = _CORNERS @ motion[:, :, :2].transpose(0, 2, 1) + motion[:, None, :, 2]
    depth = np.maximum(mapped[..., 2:], 0.05)
    at = mapped[..., :2] / depth
    source = np.column_stack([_CORNERS, np.ones(4)])
    derivative = np.zeros((len(motion), 4, 2, 9))
    derivative[:, :, 0, 0:3] = source / depth
    derivative[:, :, 1, 3:6] = source / depth
    derivative[:, :, :, 6:9] = -at[..., None] * source[:, None, :] / depth[..., None]
    return derivative.reshape(len(motion), 8, 9)[..., :8]
