"""Objects from frame to frame: what was found is followed, what is asked for is searched."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.camera import CameraModel
from stn_ros.geometry.homography import face_corners, from_corners
from stn_ros.runtime.canonicalizer import Alignment, Canonicalizer, Region

MAX_GAP = 1.0
"""An object that is not seen is followed on by its velocity, and keeps its number, for so long;
then it is forgotten. Seconds."""
SEARCHES = 2
"""Regions searched in one frame. Searching takes many times as long as following: were all
regions searched at once, the next frame could come too late to follow what was just found."""
SAME_PLACE = 0.5
"""Two alignments of one object whose boxes overlap by more than this share are one object."""
NEAR = 1.0
"""An alignment this near to where an instance is expected can be that instance, in lengths of the
longer side of its box."""


@dataclass(frozen=True)
class _Track:
    """The last accepted alignment, when it was, and how its corners moved (pixels per second)."""

    alignment: Alignment
    stamp: float
    velocity: NDArray[np.float64]


class Tracker:
    """Follows objects through a stream of frames and tells the instances of each apart by number.

    An instance keeps its number while it is followed, whatever crosses its way; a new one takes
    the lowest that is free.

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
        searches: int = SEARCHES,
    ) -> list[Alignment]:
        """Process the next frame.

        Args:
            frame: (H, W, 3) uint8 BGR. stamp: its time, seconds; one that jumps back (a looping
                bag) makes the tracker forget what it followed.
            regions: new detections, or None if there are none for this frame. No more than
                `searches` are searched, others first in the next frame.
            camera: see `Canonicalizer.process`.

        Returns:
            One `Alignment` for each object followed and each region searched, at most one for each
            place; the refused ones, then the accepted ones, with the numbers of their instances.

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
            self._canonicalizer.process(frame, regions, expected, camera, searches=searches)
        )
        self._first += searches
        self._stamp = stamp
        accepted = [alignment for alignment in found if alignment.accepted]
        seen, lost = _continued(live, expected, accepted, stamp)
        self._tracks = seen + lost
        return [alignment for alignment in found if not alignment.accepted] + [
            track.alignment for track in seen
        ]


def _expected(track: _Track, stamp: float) -> Alignment:
    """The alignment moved on with constant corner velocity."""
    corners = track.alignment.corners + track.velocity * (stamp - track.stamp)
    height, width = track.alignment.view.shape[:2]
    try:
        homography = from_corners(face_corners((width, height)), corners)
    except ValueError:
        return track.alignment
    return replace(track.alignment, homography=homography, corners=corners)


def _continued(
    before: Sequence[_Track],
    expected: Sequence[Alignment],
    accepted: Sequence[Alignment],
    stamp: float,
) -> tuple[list[_Track], list[_Track]]:
    """The tracks after a frame: those seen in it, by object and number, and those lost."""
    known = _matches(before, expected, accepted, stamp)
    seen = [_moved(before[i], accepted[j], stamp) for j, i in known.items()]
    lost = [track for i, track in enumerate(before) if i not in known.values()]
    new = [alignment for j, alignment in enumerate(accepted) if j not in known]
    # Found far from where it was lost, an object is no second one if it is the only one in view.
    anew = {a.object_name for a in new} - {track.alignment.object_name for track in seen}
    lost = [track for track in lost if track.alignment.object_name not in anew]
    for alignment in new:
        taken = {
            track.alignment.instance
            for track in seen + lost
            if track.alignment.object_name == alignment.object_name
        }
        number = next(i for i in itertools.count(1) if i not in taken)
        seen.append(_Track(replace(alignment, instance=number), stamp, np.zeros((4, 2))))
    return sorted(seen, key=lambda t: (t.alignment.object_name, t.alignment.instance)), lost


def _matches(
    tracks: Sequence[_Track],
    expected: Sequence[Alignment],
    accepted: Sequence[Alignment],
    stamp: float,
) -> dict[int, int]:
    """Which of the tracks each of the accepted alignments goes on from: the nearest.

    A track that was lost must be nearer than one that was not: while two instances pass at one
    place only that in front is seen, and it keeps its number.
    """
    pairs = []
    for i, (track, place) in enumerate(zip(tracks, expected, strict=True)):
        side = np.ptp(place.corners, axis=0).max()
        for j, alignment in enumerate(accepted):
            apart = np.linalg.norm((alignment.corners - place.corners).mean(axis=0)) / side
            if apart < NEAR and alignment.object_name == place.object_name:
                pairs.append((apart + (stamp - track.stamp) / MAX_GAP, i, j))
    matches: dict[int, int] = {}
    for _, i, j in sorted(pairs):
        if j not in matches and i not in matches.values():
            matches[j] = i
    return matches


def _moved(track: _Track, alignment: Alignment, stamp: float) -> _Track:
    """A track that goes on with an alignment."""
    velocity, gap = np.zeros((4, 2)), stamp - track.stamp
    if gap > 0 and alignment.tracked:
        velocity = (alignment.corners - track.alignment.corners) / gap
    return _Track(replace(alignment, instance=track.alignment.instance), stamp, velocity)


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
