"""Objects from frame to frame: what was found is followed, what is asked for is searched."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.box import Box
from stn_ros.geometry.camera import CameraModel
from stn_ros.geometry.homography import face_corners, from_corners
from stn_ros.runtime.alignment import Alignment, Region
from stn_ros.runtime.canonicalizer import Canonicalizer

MAX_GAP = 1.0
"""An object that is not seen is followed on by its velocity, and keeps its number, for so long;
then it is forgotten. Seconds."""
SEARCHES = 2
"""Regions searched in one frame. Searching takes many times as long as following: were all
regions searched at once, the next frame could come too late to follow what was just found."""
SAME_PLACE = 0.5
"""Two alignments whose boxes overlap by more than this share are at one place: one is published."""
NEAR = 1.0
"""An alignment this near to where an instance is expected can be that instance, in lengths of the
longer side of its box."""


@dataclass(frozen=True)
class _Track:
    """An instance that is followed.

    Attributes:
        alignment: the last accepted one. time: when it was, on the tracker's clock, seconds.
        velocity: of its corners, pixels a second. missed: frames since then.
    """

    alignment: Alignment
    time: float
    velocity: NDArray[np.float64]
    missed: int = 0


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
        self._arrival: float | None = None
        self._time = 0.0
        self._first = 0

    @property
    def following(self) -> bool:
        """Whether any object is followed, or was seen so lately that it is expected back."""
        return bool(self._tracks)

    def reset(self) -> None:
        """Forget every object."""
        self._tracks, self._stamp, self._arrival = [], None, None

    def update(
        self,
        frame: NDArray[np.uint8],
        stamp: float,
        regions: Sequence[Region] | None = None,
        camera: CameraModel | None = None,
        searches: int = SEARCHES,
        arrival: float | None = None,
    ) -> list[Alignment]:
        """Process the next frame.

        Args:
            frame: (H, W, 3) uint8 BGR; see `Canonicalizer.process`.
            stamp: its time, seconds; one that jumps back (a looping bag) makes the tracker forget
                what it followed.
            regions: new detections, or None if there are none for this frame. No more than
                `searches` are searched, others first in the next frame.
            camera: see `Canonicalizer.process`.
            arrival: when the frame came, seconds of a clock that never jumps; this time passes
                where stamps stand still (a camera that does not stamp its images).

        Returns:
            One `Alignment` for each object followed and each region searched, at most one for each
            place; the refused ones, then the accepted ones, with the numbers of their instances.

        Raises:
            ValueError: see `Canonicalizer.process`; the tracker is left as it was.
        """
        if self._stamp is not None and stamp < self._stamp:
            self.reset()
        now = self._time + self._elapsed(stamp, arrival)
        live = [t for t in self._tracks if now - t.time <= MAX_GAP]
        expected = [_expected(track, now) for track in live]
        first = self._first % len(regions) if regions else 0
        regions = [*regions[first:], *regions[:first]] if regions else []
        found = distinct(
            self._canonicalizer.process(frame, regions, expected, camera, searches=searches)
        )
        self._first += searches
        self._time, self._stamp, self._arrival = now, stamp, arrival
        accepted = [alignment for alignment in found if alignment.accepted]
        seen, lost = _continued(live, expected, accepted, now)
        self._tracks = seen + lost
        return [alignment for alignment in found if not alignment.accepted] + [
            track.alignment for track in seen
        ]

    def _elapsed(self, stamp: float, arrival: float | None) -> float:
        """Seconds since the last frame."""
        if self._stamp is None:
            return 0.0
        if stamp > self._stamp or arrival is None or self._arrival is None:
            return stamp - self._stamp
        return max(0.0, arrival - self._arrival)


def _expected(track: _Track, now: float) -> Alignment:
    """The alignment moved on with constant corner velocity."""
    known = replace(track.alignment, sampler=None, missed=track.missed)
    corners = known.corners + track.velocity * (now - track.time)
    try:
        homography = from_corners(face_corners(known.size), corners)
    except ValueError:
        return known
    return replace(known, homography=homography, corners=corners)


def _continued(
    before: Sequence[_Track],
    expected: Sequence[Alignment],
    accepted: Sequence[Alignment],
    now: float,
) -> tuple[list[_Track], list[_Track]]:
    """The tracks after a frame: those seen in it, by object and number, and those lost."""
    known = _matches(before, expected, accepted, now)
    seen = [_moved(before[i], accepted[j], now) for j, i in known.items()]
    lost = [
        replace(track, missed=track.missed + 1)
        for i, track in enumerate(before)
        if i not in known.values()
    ]
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
        seen.append(_Track(replace(alignment, instance=number), now, np.zeros((4, 2))))
    return sorted(seen, key=lambda t: (t.alignment.object_name, t.alignment.instance)), lost


def _matches(
    tracks: Sequence[_Track],
    expected: Sequence[Alignment],
    accepted: Sequence[Alignment],
    now: float,
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
                pairs.append((apart + (now - track.time) / MAX_GAP, i, j))
    matches: dict[int, int] = {}
    for _, i, j in sorted(pairs):
        if j not in matches and i not in matches.values():
            matches[j] = i
    return matches


def _moved(track: _Track, alignment: Alignment, now: float) -> _Track:
    """A track that goes on with an alignment."""
    gap = now - track.time
    velocity: NDArray[np.float64] = np.zeros((4, 2))
    if gap > 0 and alignment.tracked:
        velocity = (alignment.corners - track.alignment.corners) / gap
    return _Track(replace(alignment, instance=track.alignment.instance), now, velocity)


def distinct(alignments: Sequence[Alignment]) -> list[Alignment]:
    """Without the less confident of those at one place: objects there compete, and one is seen.

    What was refused stays beside what another object was accepted for.
    """
    kept: list[Alignment] = []
    for alignment in sorted(alignments, key=lambda a: (-a.accepted, -a.confidence)):
        if not any(_same(other, alignment) for other in kept):
            kept.append(alignment)
    return sorted(kept, key=lambda a: (a.object_name, a.corners[:, 0].mean()))


def _same(first: Alignment, second: Alignment) -> bool:
    if first.object_name != second.object_name and not (first.accepted and second.accepted):
        return False
    boxes = [Box.around(alignment.corners) for alignment in (first, second)]
    return boxes[0].overlap(boxes[1]) > SAME_PLACE
