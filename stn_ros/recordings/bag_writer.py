"""Rosbags (mcap) of pictures with detections, written without ROS."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from stn_ros.recordings.bags import CAMERA_INFO, IMAGE
from stn_ros.recordings.encodings import Picture

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

IMAGE_TOPIC, CAMERA_INFO_TOPIC, DETECTIONS_TOPIC = "/image", "/camera_info", "/detections"
_TYPES = {
    IMAGE_TOPIC: IMAGE,
    CAMERA_INFO_TOPIC: CAMERA_INFO,
    DETECTIONS_TOPIC: "vision_msgs/msg/Detection2DArray",
}
_VISION_MSGS = Path("vision_msgs/msg")


def typestore() -> Typestore:
    """ROS 2's common types and those of vision_msgs, which rosbags does not bring.

    Raises:
        FileNotFoundError: the message definitions of vision_msgs are not here.
    """
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    for file in sorted(_vision_msgs().glob("*.msg")):
        name = f"vision_msgs/msg/{file.stem}"
        store.register(get_types_from_msg(file.read_text(encoding="utf-8"), name))
    return store


class BagWriter:
    """Writes image, camera_info and detections of one camera; a context manager.

    Args:
        folder: of the new bag; must not exist. frame_id: of the camera, in the headers.

    Raises:
        ValueError: the folder exists. FileNotFoundError: see `typestore`.
    """

    def __init__(self, folder: Path, frame_id: str = "camera_optical_frame") -> None:
        from rosbags.rosbag2 import StoragePlugin, Writer

        if folder.exists():
            raise ValueError(f"bag {folder} exists: choose another folder or remove it")
        self._frame_id = frame_id
        self._types = typestore()
        self._writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)

    def __enter__(self) -> BagWriter:
        self._writer.open()
        self._connections = {
            topic: self._writer.add_connection(topic, kind, typestore=self._types)
            for topic, kind in _TYPES.items()
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()

    def write(
        self,
        stamp: int,
        frame: Picture,
        K: ArrayLike,
        detections: Sequence[tuple[str, tuple[float, float, float, float]]],
    ) -> None:
        """Add one frame.

        Args:
            stamp: nanoseconds, of every header and of the record. frame: (H, W, 3) BGR uint8.
            K: 3x3 intrinsics of an undistorted camera.
            detections: class and box (left, top, width, height) of each, pixels.
        """
        types: dict[str, Any] = dict(self._types.types)
        header = types["std_msgs/msg/Header"](
            types["builtin_interfaces/msg/Time"](*divmod(stamp, 1_000_000_000)), self._frame_id
        )
        intrinsics = np.asarray(K, np.float64)
        height, width = frame.shape[:2]
        image = types[IMAGE](
            header, height, width, "bgr8", 0, 3 * width, np.ascontiguousarray(frame).ravel()
        )
        info = types[CAMERA_INFO](
            header=header,
            height=height,
            width=width,
            distortion_model="plumb_bob",
            d=np.zeros(5),
            k=intrinsics.ravel(),
            r=np.eye(3).ravel(),
            p=np.column_stack([intrinsics, np.zeros(3)]).ravel(),
            binning_x=0,
            binning_y=0,
            roi=types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False),
        )
        found = types[_TYPES[DETECTIONS_TOPIC]](
            header, [self._detection(header, name, box) for name, box in detections]
        )
        for topic, message in (
            (CAMERA_INFO_TOPIC, info),
            (IMAGE_TOPIC, image),
            (DETECTIONS_TOPIC, found),
        ):
            content = self._types.serialize_cdr(message, _TYPES[topic])
            self._writer.write(self._connections[topic], stamp, content)

    def _detection(
        self, header: object, name: str, box: tuple[float, float, float, float]
    ) -> object:
        types: dict[str, Any] = dict(self._types.types)
        left, top, width, height = box
        point, pose = types["geometry_msgs/msg/Point"], types["geometry_msgs/msg/Pose"]
        turn = types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0)
        nowhere = types["geometry_msgs/msg/PoseWithCovariance"](
            pose(point(0.0, 0.0, 0.0), turn), np.zeros(36)
        )
        hypothesis = types["vision_msgs/msg/ObjectHypothesis"](name, 1.0)
        centre = types["vision_msgs/msg/Pose2D"](
            types["vision_msgs/msg/Point2D"](left + width / 2, top + height / 2), 0.0
        )
        return types["vision_msgs/msg/Detection2D"](
            header,
            [types["vision_msgs/msg/ObjectHypothesisWithPose"](hypothesis, nowhere)],
            types["vision_msgs/msg/BoundingBox2D"](centre, width, height),
            name,
        )


def _vision_msgs() -> Path:
    """The folder of vision_msgs' message definitions: the source tree's, else an installed one."""
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    folders = [Path(__file__).resolve().parents[2] / "interfaces" / _VISION_MSGS] + [
        Path(prefix) / "share" / _VISION_MSGS for prefix in prefixes if prefix
    ]
    for folder in folders:
        if any(folder.glob("*.msg")):
            return folder
    raise FileNotFoundError(
        "the message definitions of vision_msgs are not here; looked in "
        f"{', '.join(map(str, folders))}: install vision_msgs, or source the ROS that has it"
    )
