"""Who says where to look in a frame: a detector, fixed boxes, or nobody (then everywhere).

A further source is a class that keeps to `RegionSource`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from stn_ros.runtime.alignment import Alignment, Region
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.pace import Pace
from stn_ros.runtime.sweep import Sweep
from stn_ros.runtime.tracker import SEARCHES


class Request(NamedTuple):
    """A frame in which somebody has to say where to look.

    Attributes:
        frame: (H, W, 3) uint8 BGR. stamp: its time, seconds.
        arrival: when it came, seconds of a clock that never jumps.
        in_view: what was seen in the last frame.
    """

    frame: NDArray[np.uint8]
    stamp: float
    arrival: float
    in_view: Sequence[Alignment]


class Search(NamedTuple):
    """Where to look.

    Attributes:
        regions: in the frame asked about; None if nobody has said (yet).
        most: how many of them may be searched in this frame.
    """

    regions: Sequence[Region] | None
    most: int = SEARCHES


class RegionSource(Protocol):
    """Whoever says where to look."""

    def search(self, request: Request) -> Search:
        """Where to look in a frame."""

    def took(self, searches: int, seconds: float) -> None:
        """Hear how long the whole work on that frame took, with so many regions to search."""


class GivenRegions:
    """Regions of this frame, such as a detector's.

    They are fresh, so they may show another instance of an object in view.
    """

    def __init__(self, regions: Sequence[Region] | None) -> None:
        self._regions = regions

    def search(self, request: Request) -> Search:
        """See `RegionSource`."""
        return Search(self._regions)

    def took(self, searches: int, seconds: float) -> None:
        """See `RegionSource`."""


class FixedRegions:
    """Standing regions: each is searched only for what is not in view."""

    def __init__(self, regions: Sequence[Region]) -> None:
        self._regions = tuple(regions)

    def search(self, request: Request) -> Search:
        """See `RegionSource`."""
        seen = {one.object_name for one in request.in_view}
        return Search([region for region in self._regions if region.object_name not in seen])

    def took(self, searches: int, seconds: float) -> None:
        """See `RegionSource`."""


class WholeImage:
    """Windows all over the image, for what is not in view.

    Args:
        objects: to look for, with distinct names.
        searches: windows in a frame; as many as there is time for, unless given.
    """

    def __init__(self, objects: Sequence[ObjectModel], searches: int | None = None) -> None:
        self._sweep = Sweep(objects)
        self._pace = Pace()
        self._searches = searches

    def search(self, request: Request) -> Search:
        """See `RegionSource`."""
        count = self._searches
        if count is None:
            count = self._pace.searches(request.arrival, following=bool(request.in_view))
        return Search(self._sweep.regions(request.frame, request.in_view, count), count)

    def took(self, searches: int, seconds: float) -> None:
        """See `RegionSource`."""
        self._pace.took(searches, seconds)
