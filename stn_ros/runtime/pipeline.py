"""From camera frames to posed objects: what the node, the commands and the facade all run.

frame -> where to look (`region_source`) -> follow or find (`tracker`, `canonicalizer`) -> pose
(`poses`) -> the virtual camera of the aligned view.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.camera import CameraModel
from stn_ros.geometry.virtual_camera import virtual_camera
from stn_ros.runtime.alignment import Alignment, Region
from stn_ros.runtime.canonicalizer import Canonicalizer
from stn_ros.runtime.finder.bundle import FinderBundle
from stn_ros.runtime.finder.finder import Finder
from stn_ros.runtime.poses import Poses
from stn_ros.runtime.region_source import RegionSource, Request
from stn_ros.runtime.sampling import check_frame
from stn_ros.runtime.sighting import Sighting
from stn_ros.runtime.tracker import Tracker, distinct

PROPOSALS = 24
"""Places that are looked at in a frame on its own, where nobody says where to look, at most."""


class Perceived(NamedTuple):
    """What came of a frame.

    Attributes:
        sightings: of the objects in view, by name and instance.
        refused: answers below the threshold, each with its reason.
    """

    sightings: list[Sighting]
    refused: list[Alignment]

    @property
    def alignments(self) -> list[Alignment]:
        """All answers, the refused ones first."""
        return [*self.refused, *(sighting.alignment for sighting in self.sightings)]


class Pipeline:
    """Follows and finds objects in a stream of frames, and gives them poses.

    Args:
        canonicalizer: of the objects.
    """

    def __init__(self, canonicalizer: Canonicalizer) -> None:
        self.canonicalizer = canonicalizer
        self._tracker = Tracker(canonicalizer)
        self._poses = Poses()
        self._in_view: list[Alignment] = []
        self._stamp: float | None = None

    @cached_property
    def finder(self) -> Finder:
        """Proposes where the objects are; made when first asked for, which takes a while.

        Raises:
            ValueError: its network is damaged.
        """
        return Finder(list(self.canonicalizer.objects.values()), FinderBundle.load())

    def reset(self) -> None:
        """Forget what was seen."""
        self._tracker.reset()
        self._poses.clear()
        self._in_view = []
        self._stamp = None

    def update(
        self,
        frame: NDArray[np.uint8],
        stamp: float,
        source: RegionSource,
        camera: CameraModel | None = None,
        arrival: float | None = None,
    ) -> Perceived:
        """Process the next frame.

        Args:
            frame: (H, W, 3) uint8 BGR; to be left unchanged until the views have been asked for.
            stamp: its time, seconds; where it jumps back, everything starts afresh.
            source: says where to look for what is not followed.
            camera: that took it; without one there are no poses, and no distortion is undone.
            arrival: when it came, seconds of a clock that never jumps; now, unless given.

        Raises:
            ValueError: see `Canonicalizer.process`; what was followed is left as it was.
        """
        check_frame(frame)
        start = time.monotonic()
        arrival = start if arrival is None else arrival
        if self._stamp is not None and stamp < self._stamp:
            self.reset()
        self._stamp = stamp
        search = source.search(Request(frame, stamp, arrival, self._in_view))
        answers = self._tracker.update(frame, stamp, search.regions, camera, search.most, arrival)
        self._in_view = [answer for answer in answers if answer.accepted]
        perceived = self._posed(answers, stamp, camera, self._poses)
        source.took(len(search.regions or ()), time.monotonic() - start)
        return perceived

    def find(
        self,
        frame: NDArray[np.uint8],
        regions: Sequence[Region] | None = None,
        camera: CameraModel | None = None,
    ) -> Perceived:
        """Find objects in one frame on its own; what is followed is neither used nor changed.

        Args:
            frame, camera: see `update`. regions: all of them are searched; without them, places
                all over the image that the finder proposes.

        Raises:
            ValueError: see `Canonicalizer.process`.
        """
        check_frame(frame)
        if regions is None:
            proposals = self.finder.propose(frame, PROPOSALS)
            regions = [self.finder.region(proposal) for proposal in proposals]
        answers = distinct(self.canonicalizer.process(frame, regions, camera=camera))
        return self._posed(answers, 0.0, camera, Poses())

    def _posed(
        self,
        answers: Sequence[Alignment],
        stamp: float,
        camera: CameraModel | None,
        poses: Poses,
    ) -> Perceived:
        sightings = [
            self._sighting(answer, stamp, camera, poses) for answer in answers if answer.accepted
        ]
        return Perceived(sightings, [answer for answer in answers if not answer.accepted])

    def _sighting(
        self, answer: Alignment, stamp: float, camera: CameraModel | None, poses: Poses
    ) -> Sighting:
        size_m = self.canonicalizer.objects[answer.object_name].size_m
        if size_m is None:
            return Sighting(answer, no_pose="its size is unknown")
        if camera is None:
            return Sighting(answer, size_m, no_pose="the camera is unknown")
        try:
            pose = poses.estimate(answer, stamp, size_m, camera.K)
            return Sighting(answer, size_m, pose, virtual_camera(answer.size, size_m, pose))
        except ValueError as error:
            return Sighting(answer, size_m, no_pose=str(error))
