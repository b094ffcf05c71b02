"""Node `observer`: notes what camera and canonicalizer publish, at the least cost to both.

Messages are taken as they lie on the wire and only stamped: what is in them is read afterwards.
"""

from __future__ import annotations

import struct
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, Image
from vision_msgs.msg import Detection3D, Detection3DArray

from stn_ros.evaluation.demo_report import Observation, Pose, Snapshot
from stn_ros.geometry.quaternion import to_rotation
from stn_ros.recordings.camera_info import camera_model
from stn_ros.recordings.encodings import Picture, to_bgr

DEPTH = 30  # a second of images: nothing is lost while another process has this one's core
_CALIBRATION, _TRUTH, _OBJECTS = "camera_info", "truth/objects", "objects"
_IMAGE, _OVERLAY = "image", "debug/image"


def stamp_of(serialized: bytes) -> int:
    """The header's stamp of a serialized message that starts with a header, nanoseconds."""
    little = serialized[1] & 1  # second byte of the CDR encapsulation
    seconds, nanoseconds = struct.unpack_from("<iI" if little else ">iI", serialized, 4)
    stamp: int = seconds * 1_000_000_000 + nanoseconds
    return stamp


class Observer(Node):
    """Listens to the image's camera_info, the objects found, their views, and the truth.

    Args:
        names: the objects whose views it listens to.
    """

    def __init__(self, names: Sequence[str], **arguments: Any) -> None:  # noqa: ANN401
        super().__init__("observer", **arguments)
        self._received: dict[int, int] = {}
        self._kept: dict[str, dict[int, bytes]] = defaultdict(dict)
        self._views: dict[str, dict[int, bytes | None]] = {name: {} for name in names}
        self._pictures = False
        self._qos = QoSProfile(depth=DEPTH)
        self._listen(CameraInfo, _CALIBRATION, self._keep(_CALIBRATION))
        self._listen(Detection3DArray, _TRUTH, self._keep(_TRUTH))
        self._listen(Detection3DArray, _OBJECTS, self._on_objects)
        for name in names:
            self._listen(Image, f"{name}/aligned/image", self._on_view(name))

    @property
    def counts(self) -> tuple[int, int]:
        """Images published by the camera, and answers to them, so far."""
        return len(self._kept[_CALIBRATION]), len(self._received)

    def counts_between(self, start: int, end: int) -> tuple[int, int]:
        """Images stamped from `start` to before `end` (nanoseconds), and answers to them."""
        images = [stamp for stamp in self._kept[_CALIBRATION] if start <= stamp < end]
        return len(images), sum(stamp in self._received for stamp in images)

    def watch_pictures(self) -> None:
        """From now on receive the camera's pictures, too, and keep every picture's pixels."""
        self._pictures = True
        for topic in (_IMAGE, _OVERLAY):
            self._listen(Image, topic, self._keep(topic))

    def snapshot(self) -> Snapshot | None:
        """The newest answered frame of those with most views; None if none has its pictures."""
        shown = self._kept[_IMAGE].keys() & self._kept[_OVERLAY].keys() & self._received.keys()
        if not shown:
            return None
        views = {
            stamp: {name: view for name, kept in self._views.items() if (view := kept.get(stamp))}
            for stamp in shown
        }
        stamp = max(shown, key=lambda stamp: (len(views[stamp]), stamp))
        return Snapshot(
            frame=_picture(self._kept[_IMAGE][stamp]),
            overlay=_picture(self._kept[_OVERLAY][stamp]),
            views={name: _picture(view) for name, view in views[stamp].items()},
            poses=self._poses(_OBJECTS, stamp),
            truth=self._poses(_TRUTH, stamp),
            K=self._intrinsics(),
        )

    def recording(self, start: int, end: int) -> Observation:
        """What was noted of the images stamped from `start` to before `end` (nanoseconds)."""
        inputs = sorted(s for s in self._kept[_CALIBRATION] if start <= s < end)
        answered = [stamp for stamp in inputs if stamp in self._received]
        return Observation(
            seconds=(end - start) * 1e-9,
            inputs=inputs,
            received={stamp: self._received[stamp] for stamp in answered},
            views={name: {*inputs} & views.keys() for name, views in self._views.items()},
            poses={stamp: self._poses(_OBJECTS, stamp) for stamp in answered},
            truth={s: self._poses(_TRUTH, s) for s in inputs if s in self._kept[_TRUTH]},
            K=self._intrinsics(),
        )

    def _listen(self, kind: type[Any], topic: str, callback: Callable[[bytes], None]) -> None:
        self.create_subscription(kind, topic, callback, self._qos, raw=True)

    def _keep(self, topic: str) -> Callable[[bytes], None]:
        kept = self._kept[topic]

        def keep(serialized: bytes) -> None:
            kept[stamp_of(serialized)] = serialized

        return keep

    def _on_objects(self, serialized: bytes) -> None:
        now, stamp = time.time_ns(), stamp_of(serialized)
        self._received[stamp] = now
        self._kept[_OBJECTS][stamp] = serialized

    def _on_view(self, name: str) -> Callable[[bytes], None]:
        views = self._views[name]

        def note(serialized: bytes) -> None:
            views[stamp_of(serialized)] = serialized if self._pictures else None

        return note

    def _poses(self, topic: str, stamp: int) -> dict[str, Pose]:
        """Poses by identity of one message, none if there is no such message."""
        if stamp not in self._kept[topic]:
            return {}
        message = deserialize_message(self._kept[topic][stamp], Detection3DArray)
        return {detection.id: _pose(detection) for detection in message.detections}

    def _intrinsics(self) -> NDArray[np.float64] | None:
        infos = self._kept[_CALIBRATION]
        if not infos:
            return None
        message = deserialize_message(infos[max(infos)], CameraInfo)
        return camera_model(message, rectified=False).K


def _picture(serialized: bytes) -> Picture:
    return to_bgr(deserialize_message(serialized, Image))


def _pose(detection: Detection3D) -> Pose:
    best = detection.results[0]
    p, q = best.pose.pose.position, best.pose.pose.orientation
    R = to_rotation(q.x, q.y, q.z, q.w)
    return Pose(R, np.array([p.x, p.y, p.z]), best.hypothesis.score)
