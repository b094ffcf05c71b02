"""Upright boxes in an image, and how far they overlap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class Box(NamedTuple):
    """An upright box by its edges, pixels: the pixel (0, 0) alone fills Box(-0.5, -0.5, 1, 1)."""

    left: float
    top: float
    width: float
    height: float

    @classmethod
    def around(cls, points: ArrayLike) -> Box:
        """The smallest box around points (..., 2).

        Example:
            >>> Box.around([[3, 1], [1, 5], [2, 2]])
            Box(left=1.0, top=1.0, width=2.0, height=4.0)
        """
        flat = np.asarray(points, np.float64).reshape(-1, 2)
        (left, top), (right, bottom) = flat.min(axis=0).tolist(), flat.max(axis=0).tolist()
        return cls(left, top, right - left, bottom - top)

    @property
    def corners(self) -> Array:
        """(4, 2): TL, TR, BR, BL."""
        right, bottom = self.left + self.width, self.top + self.height
        return np.array(
            [[self.left, self.top], [right, self.top], [right, bottom], [self.left, bottom]]
        )

    def clipped(self, size: tuple[int, int]) -> Box | None:
        """What of the box lies in an image of `size` (width, height); None if nothing does."""
        left, top = max(self.left, -0.5), max(self.top, -0.5)
        right = min(self.left + self.width, size[0] - 0.5)
        bottom = min(self.top + self.height, size[1] - 0.5)
        if right <= left or bottom <= top:
            return None
        return Box(left, top, right - left, bottom - top)

    def overlap(self, other: Box) -> float:
        """Intersection over union of two boxes, 0..1."""
        return float(overlaps(np.array([self]), other)[0])


def overlaps(boxes: ArrayLike, box: Box) -> Array:
    """Intersection over union (N,) of boxes (N, 4) (left, top, width, height) with one box; 0..1.

    Example:
        >>> overlaps([[0, 0, 2, 2], [5, 5, 1, 1]], Box(1, 0, 2, 2)).round(3).tolist()
        [0.333, 0.0]
    """
    many = np.asarray(boxes, np.float64)
    one = np.asarray(box, np.float64)
    low = np.maximum(many[:, :2], one[:2])
    high = np.minimum(many[:, :2] + many[:, 2:], one[:2] + one[2:])
    shared = np.maximum(high - low, 0.0).prod(axis=1)
    union = many[:, 2:].prod(axis=1) + one[2:].prod() - shared
    overlap: Array = shared / np.maximum(union, 1e-12)
    return overlap
