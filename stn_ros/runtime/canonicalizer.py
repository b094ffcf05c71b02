"""Regions of a camera frame in, canonical views and transforms out.

Objects known from the last frame are followed (`follow`), the others searched for in the regions
given (`region_search`); both end on the pixels and with a confidence (`verification`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.box import Box
from stn_ros.geometry.camera import CameraModel
from stn_ros.geometry.homography import apply, face_corners, from_corners
from stn_ros.runtime import engines, photometric
from stn_ros.runtime.alignment import Alignment, Region
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.engines import Engine
from stn_ros.runtime.follow import Follower
from stn_ros.runtime.network_step import NetworkStep
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.region_search import ROTATIONS, Place, RegionSearch
from stn_ros.runtime.sampling import FrameSampler
from stn_ros.runtime.verification import Verifier

EXPLAINED = 1 / 3
"""A region whose box overlaps that of a followed object by more than this share (intersection over
union) shows that object and is not searched."""


@dataclass(frozen=True)
class CanonicalizerSettings:
    """How hard to look, and when to speak.

    Attributes:
        threshold: confidence from which an answer is accepted.
        rotations: in the image plane, tried in a region.
        photometric_steps: at most, of the refinement on pixels; 0 leaves the network's answer.
        engine: that runs the network, see `engines.make_engine`.
        threads: of the network, 0 = chosen by the engine.
    """

    threshold: float = 0.5
    rotations: int = ROTATIONS
    photometric_steps: int = photometric.STEPS
    engine: str = engines.AUTO
    threads: int = 1

    def __post_init__(self) -> None:
        _check_threshold(self.threshold)
        for name, least in (("rotations", 4), ("photometric_steps", 0), ("threads", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}: must be at least {least}")


class Canonicalizer:
    """Finds known flat objects in regions of camera frames and aligns them.

    Args:
        bundle: the network of all objects but those that have one of their own.
        objects: with distinct names. settings: see `CanonicalizerSettings`.
        engine: runs the network of `bundle`; made as the settings say unless given.

    Raises:
        ValueError: no objects, two of one name, an object's own network is damaged, or the engine
            cannot run here.
    """

    def __init__(
        self,
        bundle: NetworkBundle,
        objects: Sequence[ObjectModel],
        settings: CanonicalizerSettings | None = None,
        engine: Engine | None = None,
    ) -> None:
        names = [model.name for model in objects]
        if not names:
            raise ValueError("no objects: teach one with `stn-ros teach` and name it")
        if len(set(names)) < len(names):
            raise ValueError(
                f"objects {sorted(n for n in set(names) if names.count(n) > 1)}: "
                "named more than once"
            )
        settings = settings or CanonicalizerSettings()
        self.objects = {model.name: model for model in objects}

        def make_engine(of: NetworkBundle) -> Engine:
            if engine is not None and of is bundle:
                return engine
            return engines.make_engine(of, settings.engine, settings.threads)

        step = NetworkStep(objects, bundle, make_engine)
        self.engine_name = step.engine_name
        self._verifier = Verifier(objects, step, settings.threshold, settings.photometric_steps)
        index = {name: i for i, name in enumerate(names)}
        self._follower = Follower(index, step, self._verifier)
        self._search = RegionSearch(objects, step, self._verifier, settings.rotations)

    @property
    def threshold(self) -> float:
        """Confidence from which an answer is accepted, 0..1; may be set between two frames."""
        return self._verifier.threshold

    @threshold.setter
    def threshold(self, value: float) -> None:
        _check_threshold(value)
        self._verifier.threshold = value

    def process(
        self,
        frame: NDArray[np.uint8],
        regions: Sequence[Region],
        expected: Sequence[Alignment] = (),
        camera: CameraModel | None = None,
        searches: int | None = None,
    ) -> list[Alignment]:
        """Align objects in one frame.

        Args:
            frame: (H, W, 3) uint8 BGR; to be left unchanged while views are asked for. regions:
                where to look for objects not yet known.
            expected: where objects should be, such as the last frame's alignments, moved on;
                regions they lie in are not searched again unless they are lost.
            camera: needed if the frame is distorted.
            searches: how many regions are searched at most, the first ones; None for all.

        Returns:
            One `Alignment` for each object followed and each region searched, accepted or not.

        Raises:
            ValueError: a malformed frame, or a region that names an unknown object, is not
                finite, is empty or lies outside the frame.
        """
        sampler = FrameSampler(frame, camera)
        places = [self._place(region, frame, camera) for region in regions]
        followed = self._follower.follow(sampler, expected)
        unexplained = [
            place
            for place in places
            if not any(found.accepted and _explains(found, place) for found in followed)
        ]
        return followed + self._search.search(sampler, unexplained[:searches])

    def _place(self, region: Region, frame: NDArray[np.uint8], camera: CameraModel | None) -> Place:
        """The region within the frame, in ideal camera pixels; ValueError if there is none."""
        name, box = region.object_name, region.box
        if name and name not in self.objects:
            raise ValueError(
                f"region names object {name!r}, which is not loaded; "
                f"loaded: {', '.join(self.objects)}"
            )
        if not np.isfinite(box).all() or not np.isfinite(region.rotation or 0.0):
            raise ValueError(f"region of {name!r} is not finite: {list(box)}")
        if box.width <= 0 or box.height <= 0:
            raise ValueError(f"region of {name!r} is empty: {box.width:g} x {box.height:g}")
        height, width = frame.shape[:2]
        inside = box.clipped((width, height))
        if inside is None:
            raise ValueError(
                f"region of {name!r} lies outside the {width} x {height} image: {list(box)}"
            )
        homography = region.homography
        if camera is None or not camera.distorted:
            return Place(region, inside, homography)
        if homography is not None:
            corners = face_corners(self.objects[name].size)
            seen = camera.undistort_points(apply(homography, corners))
            homography = from_corners(corners, seen) if np.isfinite(seen).all() else None
        return Place(region, Box.around(camera.undistort_points(inside.corners)), homography)


def _explains(found: Alignment, place: Place) -> bool:
    """Whether a region is where a followed object already is."""
    if place.region.object_name not in ("", found.object_name):
        return False
    return Box.around(found.corners).overlap(place.box) > EXPLAINED


def _check_threshold(value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"threshold is {value}: must lie in 0..1")
