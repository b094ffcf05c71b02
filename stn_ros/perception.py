"""The facade: known flat objects in frames, without ROS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stn_ros.geometry.camera import CameraModel
from stn_ros.runtime import engines
from stn_ros.runtime.alignment import Region
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.canonicalizer import Canonicalizer, CanonicalizerSettings
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import find_objects
from stn_ros.runtime.pipeline import Pipeline
from stn_ros.runtime.region_source import GivenRegions, WholeImage
from stn_ros.runtime.sighting import Sighting

RegionLike = Region | tuple[str, float, float, float, float]


class Perception:
    """Finds taught objects in frames, follows them, and gives their poses.

    Args:
        objects: names (taught on this machine, or samples that come along), object folders,
            patterns of either (`box_*`, `~/objects/*`), or "all", see `paths.find_objects`.
        threshold: confidence, 0..1, that an answer must reach to be returned.
        engine: runs the network, see `stn_ros.runtime.engines`; "auto" is the best one here.
        model: folder of the network; the one that comes along unless given.
        threads: of the network; 0 lets the engine choose.

    Raises:
        ValueError: an object is unknown, damaged or named twice, the network is damaged, or the
            engine cannot run here.

    Example:
        >>> from stn_ros.simulation.world import World
        >>> perception = Perception(["novel"])
        >>> world = World(list(perception.objects.values()), seed=1)
        >>> frame, (truth,) = world.render(1.0)
        >>> (found,) = perception.find(frame, camera=world.camera)
        >>> found.object_name, found.view.shape == perception.objects["novel"].reference.shape
        ('novel', True)
        >>> bool(np.linalg.norm(found.pose.t - truth.t) < 0.002)  # metres
        True
    """

    def __init__(
        self,
        objects: Sequence[str | Path],
        threshold: float = 0.5,
        engine: str = engines.AUTO,
        model: str | Path | None = None,
        threads: int = 1,
    ) -> None:
        if isinstance(objects, str | Path):
            objects = [objects]
        settings = CanonicalizerSettings(threshold=threshold, engine=engine, threads=threads)
        models = [ObjectModel.load(each) for each in find_objects(objects)]
        canonicalizer = Canonicalizer(NetworkBundle.load(model), models, settings)
        self.objects: dict[str, ObjectModel] = canonicalizer.objects
        self._pipeline = Pipeline(canonicalizer)
        self._whole_image = WholeImage(self._pipeline.finder)

    def update(
        self,
        frame: NDArray[np.uint8],
        stamp: float,
        camera: ArrayLike | CameraModel | None = None,
        regions: Sequence[RegionLike] | None = None,
    ) -> list[Sighting]:
        """What is in view in the next frame of a stream: known objects are followed.

        Args:
            frame: (H, W, 3) uint8 BGR; to be left unchanged until views have been asked for.
            stamp: its time, seconds; one that jumps back starts afresh.
            camera: 3x3 K of an undistorted frame in pixels, or a `CameraModel`; without one there
                are no poses.
            regions: where to look for what is not followed, each a `Region` or (object name or "",
                left, top, width, height) in pixels; without them, all over the image, as far as
                time allows.

        Raises:
            ValueError: a malformed frame, camera or region.
        """
        source = self._whole_image if regions is None else GivenRegions(_regions(regions))
        camera = _camera(camera, frame)
        return self._pipeline.update(frame, stamp, source, camera).sightings

    def find(
        self,
        frame: NDArray[np.uint8],
        regions: Sequence[RegionLike] | None = None,
        camera: ArrayLike | CameraModel | None = None,
    ) -> list[Sighting]:
        """What is in view in one frame on its own; see `update`.

        Without regions, the whole image is searched.
        """
        found = self._pipeline.find(
            frame, None if regions is None else _regions(regions), _camera(camera, frame)
        )
        return found.sightings

    def reset(self) -> None:
        """Forget what was followed."""
        self._pipeline.reset()


def _regions(regions: Sequence[RegionLike]) -> list[Region]:
    return [each if isinstance(each, Region) else Region(*each) for each in regions]


def _camera(camera: ArrayLike | CameraModel | None, frame: NDArray[np.uint8]) -> CameraModel | None:
    if camera is None or isinstance(camera, CameraModel):
        return camera
    return CameraModel((frame.shape[1], frame.shape[0]), np.asarray(camera, np.float64))
