"""The camera that CameraInfo messages describe; those of rclpy and of rosbags are read alike."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from stn_ros.geometry.camera import CameraModel


class CameraInfo(Protocol):
    """The fields of sensor_msgs/CameraInfo."""

    width: int
    height: int
    distortion_model: str
    d: Any  # any sequence of numbers, like the next three
    k: Any
    r: Any
    p: Any
    binning_x: int
    binning_y: int
    roi: Any  # sensor_msgs/RegionOfInterest


def camera_model(msg: CameraInfo, rectified: bool) -> CameraModel:
    """The camera a CameraInfo describes; `rectified` says that its images are rectified already.

    Raises ValueError naming what is wrong: uncalibrated, no size, unknown distortion model.
    """
    return CameraModel.from_calibration(
        width=msg.width,
        height=msg.height,
        k=msg.k,
        d=msg.d,
        r=msg.r,
        p=msg.p,
        distortion_model=msg.distortion_model,
        binning_x=msg.binning_x,
        binning_y=msg.binning_y,
        roi=(msg.roi.x_offset, msg.roi.y_offset, msg.roi.width, msg.roi.height),
        rectified=rectified,
    )


def same_calibration(one: CameraInfo, other: CameraInfo) -> bool:
    """True if two messages describe the same camera; their headers may differ."""
    return (
        all(
            np.array_equal(getattr(one, name), getattr(other, name))
            for name in (
                "width",
                "height",
                "distortion_model",
                "d",
                "k",
                "r",
                "p",
                "binning_x",
                "binning_y",
            )
        )
        and one.roi == other.roi
    )


class Calibration:
    """The camera the newest CameraInfo describes, worked out anew only when it changes."""

    def __init__(self, rectified: bool) -> None:
        self._rectified = rectified
        self._newest: CameraInfo | None = None
        self._read: CameraInfo | None = None
        self._camera: CameraModel | str = ""

    def update(self, msg: CameraInfo) -> None:
        """Take a new message."""
        self._newest = msg

    def camera(self, size: tuple[int, int]) -> CameraModel | None:
        """The camera of images of `size` (width, height); None before the first message.

        Raises ValueError naming what is wrong with the calibration, or that it is of another size.
        """
        msg = self._newest
        if msg is None:
            return None
        if self._read is None or not same_calibration(msg, self._read):
            try:
                self._camera = camera_model(msg, self._rectified)
            except ValueError as error:
                self._camera = str(error)
            self._read = msg
        if isinstance(self._camera, str):
            raise ValueError(self._camera)
        if self._camera.size != size:
            raise ValueError(
                f"camera_info is of a {self._camera.size[0]}x{self._camera.size[1]} image, the "
                f"image has {size[0]}x{size[1]}"
            )
        return self._camera
