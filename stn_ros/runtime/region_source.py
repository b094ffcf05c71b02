"""Who says where to look in a frame: a detector, fixed boxes, or nobody (then everywhere).

A further source is a class that keeps to `RegionSource`.
"""

from __future__ import annotations

import math
import time
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
"""Proposals of a pass that are told apart."""
AT_ONCE = 12
"""Proposals looked at in one frame, at most."""
FRESH = 0.25
"""Seconds after which proposals are out of date: things move."""
SCALES = (1.0, 0.84, 0.71)
"""Of the finder's pyramid, in turn: what one misses another may not."""
VAIN = 1.0
"""Seconds for which it is remembered what was looked at."""
SHARE = 0.5
"""Of the time that following leaves, what searching may take."""
ALL_SEEN = 0.2
"""Of that share, what it takes while every object is in view: there may be a second one."""


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

    What is in view explains its place, whatever else is proposed there. While something is
    followed, a pass of the finder and the looks at what it proposed spread over as many frames as
    `share` asks for. Of a still scene the same is proposed again and again: what was looked at in
    vain waits until the rest has had its turn.

    Args:
        finder: of the objects. share: see `SHARE`, may be set at any time.
        most: proposals looked at in each frame, whatever time it takes; by `share` unless given.
    """

    def __init__(self, finder: Finder, share: float = SHARE, most: int | None = None) -> None:
        self.share = share
        self._finder = finder
        self._most = most
        self._pace = Pace(share)
        self._waiting: list[Proposal] = []
        self._passed, self._passes = -math.inf, 0
        self._tried: list[_Tried] = []
        # Seconds: of a pass, of a look at a proposal, of following in a frame; and of this frame's
        # pass.
        self._pass, self._look, self._following, self._this_pass = 0.0, 0.0, 0.0, 0.0

    def search(self, request: Request) -> Search:
        """See `RegionSource`."""
        now = request.arrival
        seen = {one.object_name for one in request.in_view}
        self._pace.share = self.share * (ALL_SEEN if self._finder.names <= seen else 1.0)
        self._pace.advance(now, self._following)
        hurried = bool(seen) and self._most is None
        self._this_pass = 0.0
        if now - self._passed > FRESH or not self._waiting or not hurried:
            if hurried and not self._pace.affords(self._pass):
                return Search([], 0)
            start = time.monotonic()
            scale = SCALES[self._passes % len(SCALES)]
            proposals = self._finder.propose(request.frame, CANDIDATES, scale)
            self._waiting = self._ordered(proposals, now)
            self._passed, self._passes = now, self._passes + 1
            self._this_pass = self._pass = time.monotonic() - start
            self._pace.spend(self._pass)
        most = AT_ONCE if self._most is None else self._most
        if hurried:
            most = min(most, self._pace.affords(self._look))
        chosen: list[Proposal] = []
        while self._waiting and len(chosen) < most:
            proposal = self._waiting.pop(0)
            if not any(_inside(proposal, known) for known in request.in_view):
                chosen.append(proposal)
        self._tried += [_Tried(one, now) for one in chosen]
        return Search([self._finder.region(one) for one in chosen], len(chosen))

    def took(self, searches: int, seconds: float) -> None:
        """See `RegionSource`."""
        seconds -= self._this_pass
        if searches:
            looks = max(0.0, seconds - self._following)
            self._look = looks / searches
            self._pace.spend(looks)
        else:
            self._following = seconds

    def _ordered(self, proposals: Sequence[Proposal], now: float) -> list[Proposal]:
        """Those first that were tried the fewest times lately, and of these the likeliest."""
        self._tried = [one for one in self._tried if now - one.arrival <= VAIN]

        def times(proposal: Proposal) -> int:
            return sum(
                one.proposal.model == proposal.model and proposal.is_near(one.proposal)
                for one in self._tried
            )

        return sorted(proposals, key=times)


class _Tried(NamedTuple):
    """A proposal that was looked at, and when."""

    proposal: Proposal
    arrival: float


def _inside(proposal: Proposal, known: Alignment) -> bool:
    """Whether a proposal's centre lies on a face that is in view."""
    outline = known.corners.astype(np.float32)
    return cv2.pointPolygonTest(outline, proposal.centre.tolist(), measureDist=False) >= 0
