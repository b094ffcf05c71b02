"""Poses of rendered faces, and how far an estimated pose is from them."""

from __future__ import annotations

import math

import numpy as np

from stn_ros.geometry.homography import Array, invert
from stn_ros.geometry.planar_pose import PoseSolution, angle_between, canonical_to_object


def pose_of_homography(
    homography: Array, size: tuple[int, int], size_m: tuple[float, float], K: Array
) -> tuple[Array, Array]:
    """R (3x3) and t (3, metres), object frame -> camera, of the exact homography of a face.

    Its columns are those of K [rx ry t], up to one scale (Zhang 2000, sec. 2.1).

    Args:
        homography: 3x3, canonical -> ideal camera pixels. size: (width, height), canonical pixels.
        size_m: (width, height), metres. K: 3x3 intrinsics.
    """
    columns = np.linalg.inv(K) @ homography @ invert(canonical_to_object(size, size_m))
    columns = columns / np.linalg.norm(columns[:, 0]) * np.sign(columns[2, 2])
    # Whole pixels keep the aspect only nearly, so the columns are not quite square to each other.
    left, _, right = np.linalg.svd(
        np.column_stack([columns[:, :2], np.cross(columns[:, 0], columns[:, 1])])
    )
    return left @ right, columns[:, 2]


def pose_error(pose: PoseSolution, R: Array, t: Array) -> tuple[float, float]:
    """Angle in degrees, and distance in per cent of the true distance, between two poses."""
    percent = 100 * float(np.linalg.norm(pose.t - t) / np.linalg.norm(t))
    return math.degrees(angle_between(pose.R, R)), percent
