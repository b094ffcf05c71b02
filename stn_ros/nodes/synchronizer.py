"""Brings detections and images together by their stamps."""

import threading
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Match(Generic[Item]):
    """What `Synchronizer.take` found for an image.

    Attributes:
        item: the item of this image, None if there is none (yet).
        gap: seconds from the nearest item that fits no image to this image, None if all may fit.
            Negative: the item is ahead of the image.
    """

    item: Item | None
    gap: float | None


class Synchronizer(Generic[Item]):
    """Items (detections) that wait for the image of their stamp; safe across threads.

    An item belongs to the image of its very stamp. If that image has gone by (dropped, or the item
    came late), the next image takes it, at most `slop` seconds later; beyond, it is forgotten.
    Stamps that jump back (a bag that loops, a simulator that restarts) drop what belongs to the
    time before the jump.
    """

    def __init__(self, slop: float, depth: int = 20) -> None:
        self.slop = slop
        self._depth = depth
        self._items: dict[int, Item] = {}
        self._newest_item = self._newest_image = -1
        self._lock = threading.Lock()

    def put(self, stamp: int, item: Item) -> None:
        """Leave an item stamped `stamp` nanoseconds; the oldest of more than `depth` goes."""
        with self._lock:
            if stamp < self._newest_item:
                self._items = {at: kept for at, kept in self._items.items() if at < stamp}
            self._newest_item = stamp
            self._items[stamp] = item
            while len(self._items) > self._depth:
                del self._items[min(self._items)]

    def take(self, stamp: int) -> Match[Item]:
        """The item for an image stamped `stamp` nanoseconds, taken out with all older ones."""
        slop = round(self.slop * 1e9)
        with self._lock:
            if stamp < self._newest_image:
                self._items = {at: item for at, item in self._items.items() if at <= stamp + slop}
            self._newest_image = stamp
            past = sorted(at for at in self._items if at <= stamp)
            items = {at: self._items.pop(at) for at in past}
            if past and stamp - past[-1] <= slop:
                return Match(items[past[-1]], None)
            ahead = min(self._items, default=stamp)
            if past:
                return Match(None, (stamp - past[-1]) * 1e-9)
            return Match(None, (stamp - ahead) * 1e-9 if ahead - stamp > slop else None)
