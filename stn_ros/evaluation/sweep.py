"""A rival that knows no place: windows all over the image, the likeliest first, each searched."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.box import Box
from stn_ros.runtime.alignment import Region
from stn_ros.runtime.object_model import ObjectModel

Array = NDArray[np.float64]

SCALES = (1.0, 0.6, 0.36)
STEP = 0.35
"""How far apart windows lie, in window sides."""

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
    """Says which windows of a frame to search for which object.

    Args:
        objects: to look for, with distinct names.
    """

    def __init__(self, objects: Sequence[ObjectModel]) -> None:
        self._colours = {model.name: _colours(_bins(model.reference)) for model in objects}

    def regions(self, frame: NDArray[np.uint8], count: int) -> list[Region]:
        """The first `count` regions: each object's likeliest window, then each one's next, ...

        A window is likely where colours and contrast speak for the object.

        Args:
            frame: (H, W, 3) uint8 BGR.
        """
        boxes = np.array(windows((frame.shape[1], frame.shape[0])))
        picture = _Picture(frame)
        rounds = min(len(boxes), -(-count // len(self._colours)))
        likeliest = {
            name: boxes[np.argsort(-picture.likelihood(colours, boxes), kind="stable")[:rounds]]
            for name, colours in self._colours.items()
        }
        return [
            Region(name, *ranked[turn].tolist())
            for turn in range(rounds)
            for name, ranked in likeliest.items()
        ][:count]


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
