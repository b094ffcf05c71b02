"""Where to look when nobody says where objects are."""

from collections.abc import Sequence

import numpy as np

from stn_ros.runtime.canonicalizer import Region

SCALES = (1.0, 0.6, 0.36)
STEP = 0.35
"""How far apart windows lie, in window sides."""


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
    """Looks for objects all over the image, one window of one object a frame."""

    def __init__(self) -> None:
        self._window = self._object = 0

    def region(self, size: tuple[int, int], objects: Sequence[str]) -> Region | None:
        """The next region of an image (width, height) to search for one of `objects`, if any."""
        if not objects:
            return None
        boxes = windows(size)
        if self._object >= len(objects):
            self._object, self._window = 0, self._window + 1
        region = Region(objects[self._object], *boxes[self._window % len(boxes)])
        self._object += 1
        return region
