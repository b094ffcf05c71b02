"""Pose of a flat face of known size from its four corners.

Frames: the object frame has its origin in the middle of the face, x right, y up and z out of the
face towards the viewer, metres. The camera frame is optical (REP-103): x right, y down, z forward.
A pose R, t maps object coordinates to camera coordinates.

A plane seen from far away looks nearly the same under two poses, mirrored about the line of sight.
IPPE (Collins and Bartoli, "Infinitesimal plane-based pose estimation", IJCV 2014) gives both; each
is then moved to the least squared error, weighted by the corners' covariance, and both are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from stn_ros.geometry.homography import face_corners, from_corners, is_visible_face

Array = NDArray[np.float64]

# Corners are never better than this, pixels: it keeps the weights of perfect corners finite.
_LEAST_DEVIATION = 0.01
# Two poses nearer than this, radians, are one.
_SAME_ANGLE = 1e-3
# The fit ends with a step that gains less than this share of the chi-square. A pose far beyond all
# doubt need not be exact, and would creep on for long.
_SETTLED, _SETTLED_BEYOND = 1e-6, 1e-2
_BEYOND = 1000.0
# A second pose up to three standard deviations behind the first may be the true one.
_AMBIGUOUS_BELOW = 9.0


@dataclass(frozen=True, eq=False)
class PoseSolution:
    """One pose that explains the corners.

    Attributes:
        R, t: 3x3 and 3, object frame -> camera optical frame, metres.
        reprojection_error: root mean square distance over the four corners, pixels.
        chi_square: squared corner errors over their variances (of 1 px where none was given).
        covariance: 6x6 in ROS order (x, y, z, turns about the camera frame's x, y, z), in m and
            rad; None if the corners came without one. It holds the uncertainty between the two
            solutions too, each weighted by how well it explains the corners.
    """

    R: Array
    t: Array
    reprojection_error: float
    chi_square: float
    covariance: Array | None


def planar_pose(
    corners: ArrayLike,
    size_m: tuple[float, float],
    K: ArrayLike,
    corner_covariance: ArrayLike | None = None,
) -> list[PoseSolution]:
    """Poses of a face, the better one first: two, or one where both coincide.

    Args:
        corners: (4, 2) outer corners of the face TL, TR, BR, BL, ideal camera pixels.
        size_m: (width, height) of the face, metres.
        K: 3x3 intrinsics of the ideal camera.
        corner_covariance: 8x8 of (x0, y0, x1, y1, ..), square pixels. With it the fit is weighted
            and the poses carry their covariance, to first order.

    Raises:
        ValueError: a shape or size is wrong, a value not finite, or the corners do not show the
            front of a face (mirrored, not convex, or on one line).
    """
    points = object_corners(size_m)
    pixels = np.asarray(corners, np.float64)
    # from_corners names wrong shapes and degenerate corners.
    if not is_visible_face(from_corners(face_corners((1, 1)), pixels), (1, 1)):
        raise ValueError(f"corners do not show the front of a face: {pixels.tolist()}")
    intrinsics = np.asarray(K, np.float64)
    if intrinsics.shape != (3, 3) or not np.isfinite(intrinsics).all():
        raise ValueError(f"K must be a finite 3x3 matrix; got {intrinsics.tolist()}")
    whitening = np.eye(8) if corner_covariance is None else _whitening(corner_covariance)

    solutions: list[PoseSolution] = []
    for start in _ippe(points, pixels, intrinsics):
        if (points @ start[0].T + start[1])[:, 2].min() <= 0:
            continue
        solution = _least_squares(*start, points, pixels, intrinsics, whitening)
        if all(_angle_between(solution.R, other.R) > _SAME_ANGLE for other in solutions):
            solutions.append(solution)
    if not solutions:
        raise ValueError(f"no pose in front of the camera explains the corners {pixels.tolist()}")
    solutions.sort(key=lambda solution: solution.chi_square)
    if corner_covariance is None:
        return [replace(solution, covariance=None) for solution in solutions]
    return _with_each_other(solutions)


def object_corners(size_m: tuple[float, float]) -> Array:
    """Corners (4, 3) TL, TR, BR, BL of a face of size (width, height), object frame, metres."""
    width, height = size_m
    if not (np.isfinite([width, height]).all() and width > 0 and height > 0):
        raise ValueError(f"size must be a positive width and height in metres; got {size_m}")
    x, y = width / 2, height / 2
    return np.array([[-x, y, 0], [x, y, 0], [x, -y, 0], [-x, -y, 0]])


def pose_homography(
    R: ArrayLike, t: ArrayLike, size_px: tuple[int, int], size_m: tuple[float, float], K: ArrayLike
) -> Array:
    """The homography canonical -> ideal camera pixels that a face in this pose is seen under.

    Args:
        R, t: object frame -> camera optical frame.
        size_px: (width, height) of the canonical picture, pixels.
        size_m: (width, height) of the face, metres.
        K: 3x3 intrinsics of the ideal camera.
    """
    projected = (object_corners(size_m) @ np.asarray(R).T + np.asarray(t)) @ np.asarray(K).T
    return from_corners(face_corners(size_px), projected[:, :2] / projected[:, 2:])


def ambiguous(solutions: Sequence[PoseSolution]) -> bool:
    """Whether the corners cannot tell the two poses apart (within three standard deviations)."""
    return (
        len(solutions) > 1 and solutions[1].chi_square - solutions[0].chi_square < _AMBIGUOUS_BELOW
    )


def prefer_continuity(
    solutions: Sequence[PoseSolution], previous: PoseSolution | None
) -> PoseSolution:
    """The best solution; where that is ambiguous, the one turned least from the previous pose.

    Args:
        solutions: as `planar_pose` returns them.
        previous: pose of the same object in the frame before, None if there is none.
    """
    if previous is None or not ambiguous(solutions):
        return solutions[0]
    return min(solutions, key=lambda solution: _angle_between(solution.R, previous.R))


def _ippe(points: Array, pixels: Array, K: Array) -> list[tuple[Array, Array]]:
    """Both poses R, t that agree with the homography to first order at the face's middle.

    Collins and Bartoli 2014, sections 3.2 to 3.4. OpenCV's version gives nan for a face that is
    exactly square-on.
    """
    rays = np.linalg.solve(K, np.vstack([pixels.T, np.ones(4)])).T
    seen = rays[:, :2] / rays[:, 2:]
    homography = from_corners(points[:, :2], seen)
    middle = homography[:2, 2]
    jacobian = homography[:2, :2] - np.outer(middle, homography[2, :2])
    onto_sight = _turn_of_z_axis(np.append(middle, 1.0))
    flat = onto_sight[:2, :2] - np.outer(middle, onto_sight[2, :2])
    tilted = np.linalg.solve(flat, jacobian)
    tilted /= np.linalg.norm(tilted, 2)
    # What the first two columns of a rotation lack to unit length is their third entry.
    lacking = np.eye(2) - tilted.T @ tilted
    third = np.sqrt(lacking.diagonal().clip(0))
    if lacking[0, 1] < 0:
        third[1] = -third[1]
    poses = []
    for row in (third, -third):
        columns = np.vstack([tilted, row])
        R = onto_sight @ np.column_stack([columns, np.cross(columns[:, 0], columns[:, 1])])
        turned = points @ R.T
        # (turned + t) must lie on the ray (seen, 1): two equations a corner, linear in t.
        equations = np.tile(np.eye(3)[:2], (4, 1))
        equations[:, 2] = -seen.ravel()
        offsets = (seen * turned[:, 2:] - turned[:, :2]).ravel()
        poses.append((R, np.linalg.lstsq(equations, offsets, rcond=None)[0]))
    return poses


def _turn_of_z_axis(direction: Array) -> Array:
    """The smallest rotation that turns the z axis into a direction in front of the camera."""
    x, y, z = direction / np.linalg.norm(direction)
    return np.array(
        [
            [1 - x * x / (1 + z), -x * y / (1 + z), x],
            [-x * y / (1 + z), 1 - y * y / (1 + z), y],
            [-x, -y, z],
        ]
    )


def _least_squares(
    R: Array, t: Array, points: Array, pixels: Array, K: Array, whitening: Array
) -> PoseSolution:
    """Levenberg-Marquardt on the whitened corner errors; turns are about the camera's axes."""
    error, jacobian = _residual(R, t, points, pixels, K, whitening)
    damping = 1e-4
    for _ in range(50):
        normal = jacobian.T @ jacobian
        damped = normal + damping * np.diag(normal.diagonal())
        step = np.linalg.solve(damped, -jacobian.T @ error)
        tried = cv2.Rodrigues(step[3:])[0] @ R, t + step[:3]
        next_error, next_jacobian = _residual(*tried, points, pixels, K, whitening)
        gain = error @ error - next_error @ next_error
        if gain >= 0:
            (R, t), error, jacobian = tried, next_error, next_jacobian
            damping = max(damping / 10, 1e-12)
            left = error @ error
            if gain <= (_SETTLED if left < _BEYOND else _SETTLED_BEYOND) * (1 + left):
                break
        else:
            damping *= 10
            if damping > 1e8:
                break
    offsets = _project(R, t, points, K) - pixels
    return PoseSolution(
        R=R,
        t=t,
        reprojection_error=float(np.sqrt((offsets**2).sum(axis=1).mean())),
        chi_square=float(error @ error),
        covariance=np.linalg.inv(jacobian.T @ jacobian),
    )


def _residual(
    R: Array, t: Array, points: Array, pixels: Array, K: Array, whitening: Array
) -> tuple[Array, Array]:
    """Whitened corner errors (8,) and their derivative (8, 6) by shift and by turn."""
    turned = points @ R.T
    seen = (turned + t) @ K.T
    depth = seen[:, 2:]
    if depth.min() <= 0:
        return np.full(8, np.inf), np.zeros((8, 6))
    projected = seen[:, :2] / depth
    by_point = (K[None, :2] - projected[:, :, None] * K[2]) / depth[:, :, None]
    by_turn = by_point @ -_cross_matrices(turned)
    jacobian = np.concatenate([by_point, by_turn], axis=2).reshape(8, 6)
    return whitening @ (projected - pixels).ravel(), whitening @ jacobian


def _project(R: Array, t: Array, points: Array, K: Array) -> Array:
    seen = (points @ R.T + t) @ K.T
    return seen[:, :2] / seen[:, 2:]


def _cross_matrices(vectors: Array) -> Array:
    """Matrices (N, 3, 3) that multiply as the cross products with vectors (N, 3)."""
    x, y, z = vectors.T
    zero = np.zeros_like(x)
    return np.array([[zero, -z, y], [z, zero, -x], [-y, x, zero]]).transpose(2, 0, 1)


def _whitening(corner_covariance: ArrayLike) -> Array:
    """Matrix that turns corner errors into independent ones of unit variance."""
    covariance = np.asarray(corner_covariance, np.float64)
    if covariance.shape != (8, 8) or not np.isfinite(covariance).all():
        raise ValueError("corner covariance must be a finite 8x8 matrix in square pixels")
    variances, directions = np.linalg.eigh((covariance + covariance.T) / 2)
    if variances[0] < -1e-9 * max(variances[-1], 1.0):
        raise ValueError("corner covariance must not be negative in any direction")
    return directions.T / np.sqrt(variances.clip(0) + _LEAST_DEVIATION**2)[:, None]


def _with_each_other(solutions: list[PoseSolution]) -> list[PoseSolution]:
    """Widen each covariance by the chance that the other solution is the true one."""
    if len(solutions) < 2:
        return solutions
    first, second = solutions
    chance = 1 / (1 + np.exp(min((second.chi_square - first.chi_square) / 2, 500.0)))
    turn = cv2.Rodrigues(second.R @ first.R.T)[0].ravel()
    apart = np.concatenate([second.t - first.t, turn])
    spread = np.outer(apart, apart)
    return [
        replace(first, covariance=first.covariance + chance * spread),
        replace(second, covariance=second.covariance + (1 - chance) * spread),
    ]


def _angle_between(first: Array, second: Array) -> float:
    """Angle of the turn between two rotations, radians."""
    return float(np.linalg.norm(cv2.Rodrigues(first @ second.T)[0]))
