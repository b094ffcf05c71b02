"""Objects from frame to frame: what was found is followed, what is asked for is searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.camera import CameraModel
from stn_ros.geometry.homography import face_corners, from_corners
from stn_ros.runtime.canonicalizer import Alignment, Canonicalizer, Region

MAX_GAP = 1.0
"""After a longer pause between frames objects are not followed but searched again, seconds."""
SEARCHES = 2
"""Regions searched in one frame. Searching takes many times as long as following: were all
regions searched at once, the next frame could come too late to follow what was just found."""
SAME_PLACE = 0.5
"""Two alignments of one object whose boxes overlap by more than this share are one object."""


@dataclass(frozen=True)
class _Track:
    """The last accepted alignment, when it was, and how its corners moved (pixels per second)."""

    alignment: Alignment
    stamp: float
    velocity: NDArray[np.float64]


class Tracker:
    """Follows objects through a stream of frames.

    Args:
        canonicalizer: does the seeing.
    """

    def __init__(self, canonicalizer: Canonicalizer) -> None:
        self._canonicalizer = canonicalizer
        self._tracks: list[_Track] = []
        self._stamp: float | None = None
        self._first = 0

    def reset(self) -> None:
        """Forget every object."""
        self._tracks, self._stamp = [], None

    def update(
        self,
        frame: NDArray[np.uint8],
        stamp: float,
        regions: Sequence[Region] | None = None,
        camera: CameraModel | None = None,
    ) -> list[Alignment]:
        """Process the next frame.

        Args:
            frame: (H, W, 3) uint8 BGR. stamp: its time, seconds; one that jumps back (a looping
                bag) makes the tracker forget what it followed.
            regions: new detections, or None if there are none for this frame. No more than
                `SEARCHES` are searched, others first in the next frame.
            camera: see `Canonicalizer.process`.

        Returns:
            One `Alignment` for each object followed and each region searched, accepted or not; at
            most one for each place.

        Raises:
            ValueError: see `Canonicalizer.process`; the tracker is left as it was.
        """
        if self._stamp is not None and stamp < self._stamp:
            self.reset()
        live = [t for t in self._tracks if stamp - t.stamp <= MAX_GAP]
        expected = [_expected(track, stamp) for track in live]
        first = self._first % len(regions) if regions else 0
        regions = [*regions[first:], *regions[:first]] if regions else []
        found = _distinct(
            self._canonicalizer.process(frame, regions, expected, camera, searches=SEARCHES)
        )
        self._first += SEARCHES
        self._stamp = stamp
        self._tracks = [
            _continued(alignment, stamp, live) for alignment in found if alignment.accepted
        ]
        return found


def _expected(track: _Track, stamp: float) -> Alignment:
    """The alignment moved on with constant corner velocity."""
    corners = track.alignment.corners + track.velocity * (stamp - track.stamp)
    height, width = track.alignment.view.shape[:2]
    try:
        homography = from_corners(face_corners((width, height)), corners)
    except ValueError:
        return track.alignment
    return replace(track.alignment, homography=homography, corners=corners)


def _continued(alignment: Alignment, stamp: float, before: Sequence[_Track]) -> _Track:
    """A track with its velocity, if it goes on from one before."""
    velocity = np.zeros((4, 2))
    for track in before:
        gap = stamp - track.stamp
        if gap > 0 and alignment.tracked and _same(track.alignment, alignment):
            velocity = (alignment.corners - track.alignment.corners) / gap
            break
    return _Track(alignment, stamp, velocity)


def _distinct(alignments: Sequence[Alignment]) -> list[Alignment]:
    """Without the less confident of alignments that are one and the same object."""
    kept: list[Alignment] = []
    for alignment in sorted(alignments, key=lambda a: (-a.accepted, -a.confidence)):
        if not any(_same(other, alignment) for other in kept):
            kept.append(alignment)
    return sorted(kept, key=lambda a: (a.object_name, a.corners[:, 0].mean()))


def _same(first: Alignment, second: Alignment) -> bool:
    if first.object_name != second.object_name:
        return False
    low = np.maximum(first.corners.min(axis=0), second.corners.min(axis=0))
    high = np.minimum(first.corners.max(axis=0), second.corners.max(axis=0))
    shared = float(np.prod(np.maximum(high - low, 0.0)))
    areas = [float(np.prod(np.ptp(a.corners, axis=0))) for a in (first, second)]
    return shared > SAME_PLACE * (sum(areas) - shared)
