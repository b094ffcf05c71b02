"""Where to look when nobody says where objects are, and how often there is time to."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from stn_ros.runtime.canonicalizer import Alignment, Region
from stn_ros.runtime.object_model import ObjectModel

Array = NDArray[np.float64]

SCALES = (1.0, 0.6, 0.36)
STEP = 0.35
"""How far apart windows lie, in window sides."""
LEAST = 0.3
"""Weight of a window where nothing speaks for the object; the likeliest has 1."""
LAST_PLACE = 0.5
"""Weight that a window gains which is the box the object was last seen in."""
SHARE = 0.5
"""Of the time, for frames with searches while something is followed."""
BURST = 0.5
"""One frame is not searched for longer, however slowly frames come, seconds."""

_DETAIL = 120  # pixels of the shorter side of the picture that windows are compared on
_BINS = 32
_BIN = 4  # Lab units
_TOLERANCE = 2.5  # bins by which light shifts a colour
_RARE = 1e-4  # share of a colour that is not seen: in a grey image no object is impossible


def windows(size: tuple[int, int]) -> list[tuple[float, float, float, float]]:
    """Square boxes (left, top, width, height) over an image (width, height), largest first.

    An object is found in a window that is 0.6 to 1.8 times as large as it and at most a fifth of
    its size off centre. So these find every object from a third of the image's shorter side on,
    and many that are smaller.
    """
    found = []
    for scale in SCALES:
        side = scale * min(size)
        starts = []
        for length in size:
            room = length - side
            count = 1 + int(np.ceil(room / (STEP * side)))
            starts.append(np.linspace(0, room, count) if count > 1 else np.array([room / 2]))
        found += [(x - 0.5, y - 0.5, side, side) for y in starts[1] for x in starts[0]]
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
        self._places: dict[str, Array] = {}
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
        self._places.update({one.object_name: _place(one) for one in in_view})
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
        weights = np.maximum(likelihood / max(likelihood.max(), 1e-9), LEAST)
        if name in self._places:
            place = self._places[name]
            shared = _shared(boxes, place)
            areas = np.prod(boxes[:, 2:], axis=1) + np.prod(place[2:])
            weights += LAST_PLACE * shared / (areas - shared)
        return weights


class Pace:
    """How many searches a frame has time for.

    Searching takes many times as long as following, and an object may be absent for ever: while
    others are followed, frames with searches take no more than `SHARE` of the time. While nothing
    is followed, there is always one, and as many as fit between two frames.
    """

    def __init__(self) -> None:
        self._last: float | None = None
        self._credit = 0.0
        self._cost = 0.0

    def searches(self, now: float, following: bool) -> int:
        """For a frame that came at `now`, seconds of a clock that never jumps."""
        elapsed = 0.0 if self._last is None else now - self._last
        self._last = now
        earned = min(elapsed * (SHARE if following else 1.0), BURST)
        # No more is saved than one search costs: what was not searched for long stalls no frame.
        self._credit = min(self._credit + earned, max(earned, self._cost))
        affordable = int(self._credit / self._cost) if self._cost else 1
        return affordable if following else max(1, affordable)

    def took(self, searches: int, seconds: float) -> None:
        """Tell how long the whole work on a frame with so many searches took."""
        if searches:
            self._cost = seconds / searches
            self._credit = max(0.0, self._credit - seconds)


class _Picture:
    """A frame made small, to tell quickly what may be where."""

    def __init__(self, frame: NDArray[np.uint8]) -> None:
        scale = min(1.0, _DETAIL / min(frame.shape[:2]))
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self._scale = scale
        self._bins = _bins(small)
        self._colours = _colours(self._bins)
        grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        self._contrast = cv2.integral(np.abs(cv2.Laplacian(grey, cv2.CV_32F)))

    def likelihood(self, colours: Array, boxes: Array) -> Array:
        """Of each box (N, 4) in the frame, how well it goes with an object's `colours`; unscaled.

        The mean chance that a pixel of its colour is the object's and not the frame's, times the
        root of the contrast.
        """
        chance = (colours + _RARE) / (colours + self._colours + 2 * _RARE)
        likely = cv2.integral(chance.ravel()[self._bins])
        return self._means(likely, boxes) * np.sqrt(self._means(self._contrast, boxes))

    def _means(self, integral: Array, boxes: Array) -> Array:
        limit = np.array(self._bins.shape[::-1])
        low = np.rint((boxes[:, :2] + 0.5) * self._scale).astype(int).clip(0, limit - 1)
        high = np.rint((boxes[:, :2] + boxes[:, 2:] + 0.5) * self._scale).astype(int)
        (left, top), (right, bottom) = low.T, high.clip(low + 1, limit).T
        total = integral[bottom, right] - integral[top, right]
        total += integral[top, left] - integral[bottom, left]
        return np.maximum(total, 0.0) / ((right - left) * (bottom - top))


def _bins(picture: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(H, W) numbers of colours without brightness: the bin of each pixel's a and b of Lab."""
    ab = cv2.cvtColor(picture, cv2.COLOR_BGR2Lab)[..., 1:].astype(int) - 128
    column, row = np.moveaxis((ab // _BIN + _BINS // 2).clip(0, _BINS - 1), 2, 0)
    return row * _BINS + column


def _colours(bins: NDArray[np.int64]) -> Array:
    """The share of each colour, (_BINS, _BINS), blurred as light may shift them."""
    shares = np.bincount(bins.ravel(), minlength=_BINS**2) / bins.size
    shares = shares.reshape(_BINS, _BINS)
    return cv2.GaussianBlur(shares, (0, 0), _TOLERANCE, borderType=cv2.BORDER_CONSTANT)


def _place(alignment: Alignment) -> Array:
    """The box of a face; a lens may bend it by a bit, which does not matter here."""
    low = alignment.corners.min(axis=0)
    return np.concatenate([low, alignment.corners.max(axis=0) - low])


def _shared(boxes: Array, place: Array) -> Array:
    """The area that each of the boxes (N, 4) shares with a place, pixels squared."""
    low = np.maximum(boxes[:, :2], place[:2])
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], place[:2] + place[2:])
    return np.prod(np.maximum(high - low, 0.0), axis=1)
