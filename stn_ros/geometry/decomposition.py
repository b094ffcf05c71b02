"""What a homography does near a point, in terms a person reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stn_ros.geometry.homography import compose

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Decomposition:
    """A homography as translation * rotation * shear * scale * perspective, right one first.

    Attributes:
        about: source point (x, y) around which the others act, pixels.
        translation: target point (x, y) on which `about` lands, pixels.
        rotation: of the source x axis, radians, clockwise as seen (y points down).
        scale: (x, y) target pixels per source pixel; y is negative if the picture is mirrored.
        shear: lean of the y axis, target pixels along x per pixel along y, before the rotation.
        perspective: (x, y) relative growth of depth per source pixel; zeros for an affine map.
    """

    about: tuple[float, float]
    translation: tuple[float, float]
    rotation: float
    scale: tuple[float, float]
    shear: float
    perspective: tuple[float, float]

    def homography(self) -> Array:
        """The 3x3 homography composed again."""
        cosine, sine = np.cos(self.rotation), np.sin(self.rotation)
        to_point = np.array([[1, 0, -self.about[0]], [0, 1, -self.about[1]], [0, 0, 1]])
        perspective = np.array([[1, 0, 0], [0, 1, 0], [*self.perspective, 1]])
        stretch = np.array([[1, self.shear, 0], [0, 1, 0], [0, 0, 1]]) @ np.diag([*self.scale, 1])
        rigid = np.array(
            [[cosine, -sine, self.translation[0]], [sine, cosine, self.translation[1]], [0, 0, 1]]
        )
        return compose(rigid, stretch, perspective, to_point)


def decompose(homography: ArrayLike, about: tuple[float, float] = (0.0, 0.0)) -> Decomposition:
    """Take a homography apart around a source point, for a face best its middle.

    Args:
        homography: 3x3, source pixels -> target pixels.
        about: source point (x, y), pixels.

    Raises:
        ValueError: the point lies on the horizon, or the map squashes its neighbourhood.
    """
    moved = np.asarray(homography, np.float64) @ [[1, 0, about[0]], [0, 1, about[1]], [0, 0, 1]]
    if not np.isfinite(moved).all() or abs(moved[2, 2]) <= 1e-12 * np.abs(moved).max():
        raise ValueError(f"homography sends the point {about} to infinity: choose another")
    moved = moved / moved[2, 2]
    linear = moved[:2, :2] - np.outer(moved[:2, 2], moved[2, :2])
    along_x = float(np.hypot(*linear[:, 0]))
    determinant = float(np.linalg.det(linear))
    if abs(determinant) <= 1e-12 * (linear**2).sum():
        raise ValueError(f"homography is singular at {about}: it cannot be taken apart")
    scale = (along_x, determinant / along_x)
    return Decomposition(
        about=(float(about[0]), float(about[1])),
        translation=(float(moved[0, 2]), float(moved[1, 2])),
        rotation=float(np.arctan2(linear[1, 0], linear[0, 0])),
        scale=scale,
        shear=float(linear[:, 0] @ linear[:, 1]) / determinant,
        perspective=(float(moved[2, 0]), float(moved[2, 1])),
    )
