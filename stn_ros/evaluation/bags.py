"""Rosbags (mcap) of pictures with detections, written without ROS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from stn_ros.evaluation.baselines import Box

IMAGE, CAMERA_INFO, DETECTIONS = "/image", "/camera_info", "/detections"
_TYPES = {
    IMAGE: "sensor_msgs/msg/Image",
    CAMERA_INFO: "sensor_msgs/msg/CameraInfo",
    DETECTIONS: "vision_msgs/msg/Detection2DArray",
}
# Fields of vision_msgs 4, which rosbags does not bring.
_VISION_MSGS = {
    "Point2D": "float64 x\nfloat64 y",
    "Pose2D": "vision_msgs/Point2D position\nfloat64 theta",
    "BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y",
    "ObjectHypothesis": "string class_id\nfloat64 score",
    "ObjectHypothesisWithPose": (
        "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose"
    ),
    "Detection2D": (
        "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
        "vision_msgs/BoundingBox2D bbox\nstring id"
    ),
    "Detection2DArray": "std_msgs/Header header\nvision_msgs/Detection2D[] detections",
}


class BagWriter:
    """Writes image, camera_info and detections of one camera; a context manager.

    Args:
        folder: of the new bag; must not exist. frame_id: of the camera, in the headers.

    Raises:
        ValueError: the folder exists.
    """

    def __init__(self, folder: Path, frame_id: str = "camera_optical_frame") -> None:
        if folder.exists():
            raise ValueError(f"bag {folder} exists: choose another folder or remove it")
        self._frame_id = frame_id
        self._types = get_typestore(Stores.ROS2_JAZZY)
        for name, fields in _VISION_MSGS.items():
            self._types.register(get_types_from_msg(fields, f"vision_msgs/msg/{name}"))
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
        frame: np.ndarray,
        K: np.ndarray,
        detections: Sequence[tuple[str, Box]],
    ) -> None:
        """Add one frame.

        Args:
            stamp: nanoseconds, of every header and of the record. frame: (H, W, 3) BGR uint8.
            K: 3x3 intrinsics of an undistorted camera. detections: class and box of each.
        """
        types = self._types.types
        header = types["std_msgs/msg/Header"](
            types["builtin_interfaces/msg/Time"](*divmod(stamp, 1_000_000_000)), self._frame_id
        )
        height, width = frame.shape[:2]
        image = types[_TYPES[IMAGE]](
            header, height, width, "bgr8", 0, 3 * width, np.ascontiguousarray(frame).ravel()
        )
        info = types[_TYPES[CAMERA_INFO]](
            header=header,
            height=height,
            width=width,
            distortion_model="plumb_bob",
            d=np.zeros(5),
            k=np.asarray(K, float).ravel(),
            r=np.eye(3).ravel(),
            p=np.column_stack([K, np.zeros(3)]).ravel(),
            binning_x=0,
            binning_y=0,
            roi=types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False),
        )
        found = types[_TYPES[DETECTIONS]](
            header, [self._detection(header, name, box) for name, box in detections]
        )
        for topic, message in ((CAMERA_INFO, info), (IMAGE, image), (DETECTIONS, found)):
            content = self._types.serialize_cdr(message, _TYPES[topic])
            self._writer.write(self._connections[topic], stamp, content)

    def _detection(self, header: object, name: str, box: Box) -> object:
        types = self._types.types
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


def raw_messages(bag: Path) -> Iterator[tuple[str, str, int, bytes]]:
    """Every message of a bag in order: topic, type, record stamp (ns), serialized content.

    Raises:
        ValueError: there is no readable bag of ROS 2.
    """
    try:
        reader = AnyReader([bag])
        reader.open()
    except Exception as error:
        # rosbags' readers raise many kinds, by storage.
        raise ValueError(f"bag {bag}: can not be read: {error}") from None
    try:
        for connection, stamp, content in reader.messages():
            yield connection.topic, connection.msgtype, stamp, bytes(content)
    finally:
        reader.close()
