"""What a cell of the finder says of a face's outline, as a homography.

A cell tells where the face's centre is and the second moments M of its outline: M = A A^T, where A
takes the unit square about the centre to the picture. That leaves the rotation open, which the
reference that fits best has. `rotation` and `M` give A: a face of sides D seen square-on under the
rotation R is stretched by the symmetric S of a tilt and a distance, A = S R D.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def face_affine(moments: Array, rotation: float, size: tuple[int, int]) -> Array:
    """Linear part (2, 2), canonical -> picture, of a face.

    Args:
        moments: (2, 2) of the outline, pixels squared. rotation: degrees clockwise.
        size: (width, height) of the canonical frame, pixels.
    """
    turn = math.radians(rotation)
    R = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    seen = R @ np.diag(np.square(size, dtype=np.float64)) @ R.T
    root = _root(seen)
    inverse = np.linalg.inv(root)
    stretch = inverse @ _root(root @ moments @ root) @ inverse
    return np.asarray(stretch @ R, np.float64)


def face_homography(centre: Array, moments: Array, rotation: float, size: tuple[int, int]) -> Array:
    """Homography (3, 3) without perspective, canonical -> picture; see `face_affine`.

    centre: (2,) of the face, picture pixels.
    """
    homography = np.eye(3)
    homography[:2, :2] = face_affine(moments, rotation, size)
    middle = (np.array(size, np.float64) - 1) / 2
    homography[:2, 2] = centre - homography[:2, :2] @ middle
    return homography


def _root(matrix: Array) -> Array:
    """The symmetric square root of a symmetric positive (2, 2) matrix (Cayley-Hamilton)."""
    s = math.sqrt(max(float(np.linalg.det(matrix)), 1e-18))
    t = math.sqrt(max(float(np.trace(matrix)) + 2 * s, 1e-18))
    return np.asarray((matrix + s * np.eye(2)) / t, np.float64)
