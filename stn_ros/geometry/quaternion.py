"""Rotation matrices from and to unit quaternions (x, y, z, w), as ROS orders them (REP-103)."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def to_quaternion(R: ArrayLike) -> tuple[float, float, float, float]:
    """The unit quaternion (x, y, z, w), w >= 0, of a 3x3 rotation matrix.

    Solved from its largest component, so that it is exact for half turns too (Shepperd 1978).

    Example:
        >>> to_quaternion(np.diag([1.0, -1.0, -1.0]))
        (1.0, 0.0, 0.0, 0.0)
    """
    (a, b, c), (d, e, f), (g, h, i) = np.asarray(R, np.float64).tolist()
    # Plain floats: as NumPy calls this took ten times as long, and a frame asks for several.
    # Rows: the products 4 q q_k of one component q with x, y, z, w; the diagonal holds 4 q q.
    products = (
        (1 + a - e - i, b + d, c + g, h - f),
        (b + d, 1 - a + e - i, f + h, c - g),
        (c + g, f + h, 1 - a - e + i, d - b),
        (h - f, c - g, d - b, 1 + a + e + i),
    )
    best = products[max(range(4), key=lambda k: products[k][k])]
    length = math.hypot(*best) * (-1 if best[3] < 0 else 1)
    x, y, z, w = (component / length for component in best)
    return x, y, z, w


def to_rotation(x: float, y: float, z: float, w: float) -> Array:
    """The 3x3 rotation matrix of a quaternion of any length but 0."""
    axis = np.array([x, y, z], np.float64)
    sine = float(np.linalg.norm(axis))
    axis_angle = 2 * math.atan2(sine, w) * axis / sine if sine else axis
    return np.asarray(cv2.Rodrigues(axis_angle)[0], np.float64)
