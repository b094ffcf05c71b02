"""Transform families: parameter vectors that stand for homographies near the identity.

A family member maps a picture's pixels to pixels of the same picture, in the sampling direction: a
cascade composes it on the right of its current homography (canonical -> camera). Zeros are the
identity. Parameters are in normalised coordinates, where the picture spans [-1, 1] both ways, so
that they mean the same at every picture size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stn_ros.geometry import homography as hg

Array = NDArray[np.float64]

_SQUARE = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])


@dataclass(frozen=True)
class Family(ABC):
    """What the families share.

    Attributes:
        size: (width, height) of the picture, pixels.
        limit: bound on each parameter, see `bounded`.
    """

    size: tuple[int, int]
    limit: float = 1.0

    count: ClassVar[int]

    def __post_init__(self) -> None:
        if not self.limit > 0:
            raise ValueError(f"limit must be positive; got {self.limit}")
        hg.normalised_to_pixel(self.size)  # names a wrong size

    def homography(self, parameters: ArrayLike) -> Array:
        """Parameters -> 3x3 pixel homography."""
        values = np.asarray(parameters, np.float64)
        if values.shape != (self.count,):
            raise ValueError(
                f"{type(self).__name__} takes {self.count} parameters; got shape {values.shape}"
            )
        to_pixel = hg.normalised_to_pixel(self.size)
        return hg.compose(to_pixel, self._normalised(values), hg.invert(to_pixel))

    def parameters(self, homography: ArrayLike) -> Array:
        """3x3 pixel homography -> parameters.

        Raises:
            ValueError: the homography does not belong to the family.
        """
        to_pixel = hg.normalised_to_pixel(self.size)
        return self._values(hg.compose(hg.invert(to_pixel), homography, to_pixel))

    def identity(self) -> Array:
        """Parameters of the identity: zeros."""
        return np.zeros(self.count)

    def compose(self, first: ArrayLike, second: ArrayLike) -> Array:
        """Parameters of the map that applies `second`, then `first`, like a matrix product."""
        return self.parameters(hg.compose(self.homography(first), self.homography(second)))

    def inverse(self, parameters: ArrayLike) -> Array:
        """Parameters of the inverse map."""
        return self.parameters(hg.invert(self.homography(parameters)))

    def bounded(self, parameters: ArrayLike) -> Array:
        """Parameters pressed smoothly into (-limit, limit), unchanged to first order at zero."""
        return self.limit * np.tanh(np.asarray(parameters, np.float64) / self.limit)

    @abstractmethod
    def _normalised(self, parameters: Array) -> Array:
        """3x3 in normalised coordinates."""

    @abstractmethod
    def _values(self, normalised: Array) -> Array:
        """Inverse of `_normalised`."""


class Affine(Family):
    """Six parameters: what the 2x3 matrix of Jaderberg et al. 2015, eq. 1 adds to the identity."""

    count: ClassVar[int] = 6

    def _normalised(self, parameters: Array) -> Array:
        return np.eye(3) + np.vstack([parameters.reshape(2, 3), np.zeros(3)])

    def _values(self, normalised: Array) -> Array:
        if np.abs(normalised[2] - [0, 0, 1]).max() > 1e-9:
            raise ValueError("homography has perspective: it is not affine")
        return (normalised - np.eye(3))[:2].ravel()


class Projective(Family):
    """Eight parameters: shifts (x, y) of the corners TL, TR, BR, BL (DeTone et al. 2016).

    With a limit below 1 every bounded member keeps the corners in their own quarters.
    """

    count: ClassVar[int] = 8

    def _normalised(self, parameters: Array) -> Array:
        return hg.from_corners(_SQUARE, _SQUARE + parameters.reshape(4, 2))

    def _values(self, normalised: Array) -> Array:
        return (hg.apply(normalised, _SQUARE) - _SQUARE).ravel()
