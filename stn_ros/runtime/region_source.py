"""Who says where to look in a frame: a detector, fixed boxes, or nobody (then everywhere).

A further source is a class that keeps to `RegionSource`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from stn_ros.runtime.alignment import Alignment, Region
from stn_ros.runtime.finder.finder import Finder, Proposal
from stn_ros.runtime.pace import Pace
from stn_ros.runtime.tracker import SEARCHES

CANDIDATES = 40
"""Proposals of a frame that are told apart."""
PROPOSALS = 12
"""Of these, how many are looked at in a frame, at most."""
VAIN = 1.0
"""Seconds for which it is remembered what was looked at."""


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
    """The whole image, for what is not in view: places that the finder proposes.

    What is in view explains its place, whatever else is proposed there. Of a still scene the same
    is proposed again and again: what was looked at in vain waits until the rest has had its turn.

    Args:
        finder: of the objects. most: proposals in a frame; as many as there is time for, unless
            given.
    """

    def __init__(self, finder: Finder, most: int | None = None) -> None:
        self._finder = finder
        self._pace = Pace()
        self._most = most
        self._tried: list[_Tried] = []

    def search(self, request: Request) -> Search:
        """See `RegionSource`."""
        most = self._most
        if most is None:
            most = self._pace.searches(request.arrival, following=bool(request.in_view))
            most = min(most, PROPOSALS)
        self._tried = [one for one in self._tried if request.arrival - one.arrival <= VAIN]
        if most < 1:
            return Search([], 0)
        proposals = [
            proposal
            for proposal in self._finder.propose(request.frame, CANDIDATES)
            if not any(_inside(proposal, known) for known in request.in_view)
        ]
        # Sorting is stable: the likeliest first among those that were tried as often.
        chosen = sorted(proposals, key=self._times_tried)[:most]
        self._tried += [_Tried(one, request.arrival) for one in chosen]
        return Search([self._finder.region(one) for one in chosen], most)

    def took(self, searches: int, seconds: float) -> None:
        """See `RegionSource`."""
        self._pace.took(searches, seconds)

    def _times_tried(self, proposal: Proposal) -> int:
        return sum(
            one.proposal.model == proposal.model and proposal.is_near(one.proposal)
            for one in self._tried
        )


class _Tried(NamedTuple):
    """A proposal that was looked at, and when."""

    proposal: Proposal
    arrival: float


def _inside(proposal: Proposal, known: Alignment) -> bool:
    """Whether a proposal's centre lies on a face that is in view."""
    outline = known.corners.astype(np.float32)
    return cv2.pointPolygonTest(outline, proposal.centre.tolist(), measureDist=False) >= 0
