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
from math import asin, cos, exp, hypot, inf, sin, sqrt

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from stn_ros.geometry.homography import face_corners, from_corners, is_visible_face

Array = NDArray[np.float64]
# First and second column of R and t, nine floats.
Pose = list[float]
# x, y of each corner on the face, metres, and x, y of its ray at z = 1.
Pairs = list[tuple[float, float, float, float]]

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
        covariance: 6x6 in ROS order (x, y, z, rotations about the camera frame's x, y, z), in m and
            rad; None if the corners came without one. It holds the uncertainty between the two
            solutions too, each weighted by how well it explains the corners.
        ambiguous: whether another pose explains the corners as well, see `ambiguous`.
    """

    R: Array
    t: Array
    reprojection_error: float
    chi_square: float
    covariance: Array | None
    ambiguous: bool = False


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
    points = object_corners(size_m)[:, :2]
    pixels = np.asarray(corners, np.float64)
    # from_corners names wrong shapes and degenerate corners.
    homography = from_corners(face_corners((1, 1)), pixels)
    if not is_visible_face(homography, (1, 1)):
        raise ValueError(f"corners do not show the front of a face: {pixels.tolist()}")
    intrinsics = np.asarray(K, np.float64)
    if intrinsics.shape != (3, 3) or not np.isfinite(intrinsics).all():
        raise ValueError(f"K must be a finite 3x3 matrix; got {intrinsics.tolist()}")
    if np.abs(intrinsics[2] - (0, 0, 1)).max() > 1e-8:
        raise ValueError(f"K must have the last row 0, 0, 1; got {intrinsics.tolist()}")
    to_pixels = np.eye(8).reshape(32, 2).dot(intrinsics[:2, :2]).reshape(8, 8)
    weights = to_pixels
    if corner_covariance is not None:
        weights = _whitening(corner_covariance) @ to_pixels

    # From here on: metres on the face -> the plane at z = 1 in front of the camera.
    to_rays = np.linalg.inv(intrinsics)
    seen = pixels @ to_rays[:2, :2].T + to_rays[:2, 2]
    homography = to_rays @ homography / (size_m[0], -size_m[1], 1)
    pairs = [(*point, *ray) for point, ray in zip(points.tolist(), seen.tolist(), strict=True)]
    solutions: list[PoseSolution] = []
    for start in _ippe(homography, points, seen):
        solution = _least_squares(start, pairs, weights, to_pixels)
        if all(angle_between(solution.R, other.R) > _SAME_ANGLE for other in solutions):
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


def canonical_to_object(size: tuple[int, int], size_m: tuple[float, float]) -> Array:
    """3x3, canonical pixels -> (x, y) on the face in the object frame, metres.

    Args:
        size: (width, height) of the canonical picture, pixels. size_m: of the face, metres.
    """
    step_x, step_y = size_m[0] / size[0], size_m[1] / size[1]
    return np.array(
        [
            [step_x, 0.0, -step_x * (size[0] - 1) / 2],
            [0.0, -step_y, step_y * (size[1] - 1) / 2],
            [0.0, 0.0, 1.0],
        ]
    )


def angle_between(first: Array, second: Array) -> float:
    """Angle of the rotation that leads from one rotation matrix to another, radians."""
    apart = first - second
    return 2 * asin(min(sqrt(np.vdot(apart, apart) / 8), 1.0))


def ambiguous(solutions: Sequence[PoseSolution]) -> bool:
    """Whether the corners cannot tell the two poses apart (within three standard deviations)."""
    return (
        len(solutions) > 1 and solutions[1].chi_square - solutions[0].chi_square < _AMBIGUOUS_BELOW
    )


def prefer_continuity(
    solutions: Sequence[PoseSolution], previous: PoseSolution | None
) -> PoseSolution:
    """The best solution; where that is ambiguous, the one rotated least from the previous pose.

    Args:
        solutions: as `planar_pose` returns them.
        previous: pose of the same object in the frame before, None if there is none.
    """
    if previous is None or not ambiguous(solutions):
        return solutions[0]
    return min(solutions, key=lambda solution: angle_between(solution.R, previous.R))


def _ippe(homography: Array, points: Array, seen: Array) -> list[Pose]:
    """The poses that agree with the homography to first order at the face's middle, two at most.

    Collins and Bartoli 2014, sections 3.2 to 3.4. OpenCV's version gives nan for a face that is
    exactly square-on.
    """
    middle = homography[:2, 2:]
    jacobian = homography[:2, :2] - middle * homography[2, :2]
    onto_sight = _rotation_of_z_axis(*homography[:, 2].tolist())
    flat = onto_sight[:2, :2] - middle * onto_sight[2, :2]
    (a, b), (c, d) = np.linalg.solve(flat, jacobian).tolist()
    # Divided by its largest singular value, this is the upper left of a rotation.
    largest = (hypot(a + d, b - c) + hypot(a - d, b + c)) / 2
    a, b, c, d = a / largest, b / largest, c / largest, d / largest
    # What the first two columns of a rotation lack to unit length is their third entry.
    e, f = sqrt(max(1 - a * a - c * c, 0)), sqrt(max(1 - b * b - d * d, 0))
    if a * b + c * d > 0:
        f = -f
    axes = np.array([[[a, c, e], [b, d, f]], [[a, c, -e], [b, d, -f]]]) @ onto_sight.T
    rotated = points @ axes
    # (rotated + t) must lie on the ray (seen, 1): a line of offset by seen, its slope is -t_z.
    offsets = seen * rotated[..., 2:] - rotated[..., :2]
    centre = seen.sum(axis=0) / 4
    spread = seen - centre
    depth = -(spread * offsets).sum(axis=(1, 2)) / np.vdot(spread, spread)
    shift = offsets.sum(axis=1) / 4 + depth[:, None] * centre
    poses = np.hstack([axes.reshape(2, 6), shift, depth[:, None]])
    in_front: list[Pose] = poses[(rotated[..., 2].min(axis=1) + depth) > 0].tolist()
    return in_front


def _rotation_of_z_axis(x: float, y: float, z: float) -> Array:
    """The smallest rotation that brings the z axis into a direction in front of the camera."""
    length = hypot(x, y, z)
    x, y, z = x / length, y / length, z / length
    return np.array(
        [
            [1 - x * x / (1 + z), -x * y / (1 + z), x],
            [-x * y / (1 + z), 1 - y * y / (1 + z), y],
            [-x, -y, z],
        ]
    )


def _least_squares(pose: Pose, pairs: Pairs, weights: Array, to_pixels: Array) -> PoseSolution:
    """Levenberg-Marquardt on the whitened corner errors; rotations are about the camera's axes."""
    normal, descent, chi_square = _normal_equations(pose, pairs, weights)
    damping = 1e-4
    for _ in range(50):
        damped = normal.copy()
        damped.flat[::7] *= 1 + damping  # the diagonal
        solved, step = cv2.solve(damped, descent, flags=cv2.DECOMP_CHOLESKY)
        tried = _moved(pose, *step.ravel().tolist())
        next_normal, next_descent, left = _normal_equations(tried, pairs, weights)
        gain = chi_square - left
        if solved and gain >= 0:
            pose, normal, descent, chi_square = tried, next_normal, next_descent, left
            damping = max(damping / 10, 1e-12)
            if gain <= (_SETTLED if left < _BEYOND else _SETTLED_BEYOND) * (1 + left):
                break
        else:
            damping *= 10
            if damping > 1e8:
                break
    a, b, c, d, e, f, *t = pose
    return PoseSolution(
        R=np.array([[a, d, b * f - c * e], [b, e, c * d - a * f], [c, f, a * e - b * d]]),
        t=np.array(t),
        reprojection_error=sqrt(_normal_equations(pose, pairs, to_pixels)[2] / 4),
        chi_square=chi_square,
        covariance=np.asarray(np.linalg.inv(normal), np.float64),
    )


def _normal_equations(pose: Pose, pairs: Pairs, weights: Array) -> tuple[Array, Array, float]:
    """Normal matrix (6, 6) and right side (6,) of a step by shift and by rotation; the chi-square.

    Plain floats: on four corners they take a fraction of the time of array operations.
    """
    r_x, r_y, r_z, u_x, u_y, u_z, t_x, t_y, t_z = pose
    rows: list[float] = []
    for x, y, seen_u, seen_v in pairs:
        a, b, c = r_x * x + u_x * y, r_y * x + u_y * y, r_z * x + u_z * y
        if c + t_z <= 0:
            return np.zeros((6, 6)), np.zeros(6), inf
        w = 1 / (c + t_z)
        u, v = (a + t_x) * w, (b + t_y) * w
        rows += (w, 0.0, -u * w, -u * b * w, (c + u * a) * w, -b * w, seen_u - u)
        rows += (0.0, w, -v * w, -(c + v * b) * w, v * a * w, a * w, seen_v - v)
    whitened = weights.dot(np.array(rows).reshape(8, 7))
    products = whitened.T.dot(whitened)
    return products[:6, :6], products[:6, 6], float(products[6, 6])


def _moved(pose: Pose, dx: float, dy: float, dz: float, x: float, y: float, z: float) -> Pose:
    """The pose shifted, and rotated about (x, y, z) by its length: unit quaternion (w, x, y, z)."""
    r_x, r_y, r_z, u_x, u_y, u_z, t_x, t_y, t_z = pose
    angle = hypot(x, y, z)
    w, scale = cos(angle / 2), sin(angle / 2) / angle if angle else 0.5
    x, y, z = x * scale, y * scale, z * scale
    axes: list[float] = []
    for a, b, c in ((r_x, r_y, r_z), (u_x, u_y, u_z)):
        d, e, f = 2 * (y * c - z * b), 2 * (z * a - x * c), 2 * (x * b - y * a)
        axes += (a + w * d + y * f - z * e, b + w * e + z * d - x * f, c + w * f + x * e - y * d)
    return [*axes, t_x + dx, t_y + dy, t_z + dz]


def _whitening(corner_covariance: ArrayLike) -> Array:
    """Matrix that makes corner errors independent and of unit variance."""
    covariance = np.asarray(corner_covariance, np.float64)
    if covariance.shape != (8, 8) or not np.isfinite(covariance).all():
        raise ValueError("corner covariance must be a finite 8x8 matrix in square pixels")
    variances, directions = np.linalg.eigh((covariance + covariance.T) / 2)
    if variances[0] < -1e-9 * max(variances[-1], 1.0):
        raise ValueError("corner covariance must not be negative in any direction")
    whitening: Array = directions.T / np.sqrt(variances.clip(0) + _LEAST_DEVIATION**2)[:, None]
    return whitening


def _with_each_other(solutions: list[PoseSolution]) -> list[PoseSolution]:
    """Widen each covariance by the chance that the other solution is the true one."""
    if len(solutions) < 2:
        return solutions
    first, second = solutions
    assert first.covariance is not None
    assert second.covariance is not None
    chance = 1 / (1 + exp(min((second.chi_square - first.chi_square) / 2, 500.0)))
    rotation = cv2.Rodrigues(second.R @ first.R.T)[0].ravel()
    apart = np.concatenate([second.t - first.t, rotation])
    spread = np.outer(apart, apart)
    return [
        replace(first, covariance=first.covariance + chance * spread),
        replace(second, covariance=second.covariance + (1 - chance) * spread),
    ]
