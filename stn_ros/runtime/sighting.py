"""An object in view: where, how sure, and in what pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.planar_pose import PoseSolution
from stn_ros.geometry.virtual_camera import VirtualCamera
from stn_ros.runtime.alignment import Alignment

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sighting:
    """An object in a frame, accepted.

    Attributes:
        alignment: where it is, in pixels.
        size_m: (width, height) of its face in metres, None if unknown.
        pose: object frame -> the camera's optical frame; None without a size or a camera.
        virtual_camera: that sees the aligned view, None without a pose.
        no_pose: why there is no pose, "" if there is one.
    """

    alignment: Alignment
    size_m: tuple[float, float] | None = None
    pose: PoseSolution | None = None
    virtual_camera: VirtualCamera | None = None
    no_pose: str = ""

    @property
    def object_name(self) -> str:
        """Which object."""
        return self.alignment.object_name

    @property
    def instance(self) -> int:
        """Which of the object's instances in view, from 1."""
        return self.alignment.instance

    @property
    def confidence(self) -> float:
        """How likely the answer is right, 0..1."""
        return self.alignment.confidence

    @property
    def homography(self) -> Array:
        """3x3, reference pixels -> frame pixels (ideal pixels of a distorted camera)."""
        return self.alignment.homography

    @property
    def corners(self) -> Array:
        """(4, 2) of the face, TL TR BR BL, frame pixels (ideal pixels of a distorted camera)."""
        return self.alignment.corners

    @property
    def view(self) -> NDArray[np.uint8]:
        """(h, w, 3) uint8 BGR, the aligned view, see `Alignment.view`."""
        return self.alignment.view
