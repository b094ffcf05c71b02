"""Where to look when nobody says where objects are: windows all over the image, in turn."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.box import Box, overlaps
from stn_ros.runtime.alignment import Alignment, Region
from stn_ros.runtime.object_model import ObjectModel

Array = NDArray[np.float64]

SCALES = (1.0, 0.6, 0.36)
STEP = 0.35
"""How far apart windows lie, in window sides."""
LEAST = 0.3
"""Weight of a window where nothing speaks for the object; the likeliest has 1."""
LAST_PLACE = 0.5
"""Weight that a window gains which is the box the object was last seen in."""

_DETAIL = 120  # pixels of the shorter side of the picture that windows are compared on
_BINS = 32
_BIN = 4  # Lab units
_TOLERANCE = 2.5  # bins by which light shifts a colour
_RARE = 1e-4  # share of a colour that is not seen: in a grey image no object is impossible


def windows(size: tuple[int, int]) -> list[Box]:
    """Square boxes over an image of `size` (width, height), largest first.

    An object is found in a window that is 0.6 to 1.8 times as large as it and at most a fifth of
    its size off centre. So these find every object from a third of the image's shorter side on,
    and many that are smaller.
    """
    found: list[Box] = []
    for scale in SCALES:
        side = scale * min(size)
        starts = []
        for length in size:
            room = length - side
            count = 1 + int(np.ceil(room / (STEP * side)))
            starts.append(np.linspace(0, room, count) if count > 1 else np.array([room / 2]))
        found += [Box(x - 0.5, y - 0.5, side, side) for y in starts[1] for x in starts[0]]
    return found


class Sweep:
    """Looks for objects all over the image, in the likeliest windows most often.

    Next comes the window with the greatest product of its weight and the time since it was last
    searched, so each has its turn. It weighs more where colours and contrast speak for the object,
    and where that was last seen.

    Args:
        objects: to look for, with distinct names.
    """

    def __init__(self, objects: Sequence[ObjectModel]) -> None:
        self._colours = {model.name: _colours(_bins(model.reference)) for model in objects}
        self._places: dict[str, Box] = {}
        self._searched: dict[str, Array] = {}
        self._size = (0, 0)
        self._turn = 0

    def regions(
        self, frame: NDArray[np.uint8], in_view: Sequence[Alignment], count: int
    ) -> list[Region]:
        """The next `count` regions to search, for each absent object in turn; none if all are seen.

        Args:
            frame: (H, W, 3) uint8 BGR. in_view: what was seen in the last frame.
        """
        self._places.update({one.object_name: Box.around(one.corners) for one in in_view})
        seen = {one.object_name for one in in_view}
        absent = [name for name in self._colours if name not in seen]
        if not absent or count < 1:
            return []
        size = frame.shape[1], frame.shape[0]
        boxes = np.array(windows(size))
        if size != self._size:
            self._size = size
            self._searched = {name: np.full(len(boxes), -1) for name in self._colours}
        picture = _Picture(frame)
        weights: dict[str, Array] = {}
        regions = []
        for _ in range(count):
            name = min(absent, key=lambda one: self._searched[one].max())
            if name not in weights:
                weights[name] = self._weights(name, picture, boxes)
            best = int(np.argmax(weights[name] * (self._turn - self._searched[name])))
            self._searched[name][best] = self._turn
            self._turn += 1
            regions.append(Region(name, *boxes[best].tolist()))
        return regions

    def _weights(self, name: str, picture: _Picture, boxes: Array) -> Array:
        likelihood = picture.likelihood(self._colours[name], boxes)
        weights: Array = np.maximum(likelihood / max(likelihood.max(), 1e-9), LEAST)
        if name in self._places:
            weights += LAST_PLACE * overlaps(boxes, self._places[name])
        return weights


class _Picture:
    """A frame made small, to tell quickly what may be where."""

    def __init__(self, frame: NDArray[np.uint8]) -> None:
        scale = min(1.0, _DETAIL / min(frame.shape[:2]))
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self._scale = scale
        self._bins = _bins(np.asarray(small, np.uint8))
        self._colours = _colours(self._bins)
        grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        self._contrast = _integral(np.abs(cv2.Laplacian(grey, cv2.CV_32F)))

    def likelihood(self, colours: Array, boxes: Array) -> Array:
        """Of each box (N, 4) in the frame, how well it goes with an object's `colours`; unscaled.

        The mean chance that a pixel of its colour is the object's and not the frame's, times the
        root of the contrast.
        """
        chance = (colours + _RARE) / (colours + self._colours + 2 * _RARE)
        likely = self._means(_integral(chance.ravel()[self._bins]), boxes)
        contrast: Array = np.sqrt(self._means(self._contrast, boxes))
        return likely * contrast

    def _means(self, integral: Array, boxes: Array) -> Array:
        limit = np.array(self._bins.shape[::-1])
        low = np.rint((boxes[:, :2] + 0.5) * self._scale).astype(int).clip(0, limit - 1)
        high = np.rint((boxes[:, :2] + boxes[:, 2:] + 0.5) * self._scale).astype(int)
        (left, top), (right, bottom) = low.T, high.clip(low + 1, limit).T
        total = integral[bottom, right] - integral[top, right]
        total += integral[top, left] - integral[bottom, left]
        means: Array = np.maximum(total, 0.0) / ((right - left) * (bottom - top))
        return means


def _integral(picture: NDArray[np.floating]) -> Array:
    return np.asarray(cv2.integral(picture), np.float64)


def _bins(picture: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(H, W) numbers of colours without brightness: the bin of each pixel's a and b of Lab."""
    ab = cv2.cvtColor(picture, cv2.COLOR_BGR2Lab)[..., 1:].astype(int) - 128
    places = (ab // _BIN + _BINS // 2).clip(0, _BINS - 1)
    return np.asarray(places[..., 1] * _BINS + places[..., 0], np.int64)


def _colours(bins: NDArray[np.int64]) -> Array:
    """The share of each colour, (_BINS, _BINS), blurred as light may shift them."""
    shares = np.bincount(bins.ravel(), minlength=_BINS**2) / bins.size
    shares = shares.reshape(_BINS, _BINS)
    blurred = cv2.GaussianBlur(shares, (0, 0), _TOLERANCE, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(blurred, np.float64)
