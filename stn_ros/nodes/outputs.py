"""What the canonicalizer node publishes."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from numpy.typing import NDArray
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray

from stn_ros.geometry.camera import CameraModel
from stn_ros.nodes import detections, messages, overlay
from stn_ros.runtime.alignment import Alignment
from stn_ros.runtime.sighting import Sighting

RCLError = rclpy_implementation.RCLError
# Reliable suits every subscriber (REP-2003); as tf2_ros has it, /tf keeps a hundred.
RESULTS, TF = QoSProfile(depth=5), QoSProfile(depth=100)


def identify(alignment: Alignment, objects: Collection[str]) -> str:
    """The name of an instance: its object's, from the second on with its number.

    Names of other `objects` are passed over: where there is a `box_2`, the second box is `box_3`.
    """
    name = alignment.object_name
    numbered = (name if i == 1 else f"{name}_{i}" for i in itertools.count(1))
    free = (one for one in numbered if one == name or one not in objects)
    return next(itertools.islice(free, alignment.instance - 1, None))


class Outputs:
    """The publishers and what goes out on them. Everything carries the source image's stamp."""

    def __init__(self, node: Node, objects: Collection[str], tf_prefix: str) -> None:
        self._node = node
        self._objects = tuple(objects)
        self._prefix = f"{tf_prefix}/" if tf_prefix else ""
        self._publishers: list[Publisher[Any]] = []
        self._aligned: dict[str, tuple[Publisher[Any], Publisher[Any]]] = {}
        self._detections = self._publisher(Detection3DArray, "objects", RESULTS)
        self._debug = self._publisher(Image, "debug/image", RESULTS)
        self._tf = self._publisher(TFMessage, "/tf", TF)
        self._tf_stamp: Time | None = None
        for name in objects:
            self._add(name)
        self.failures = 0

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)
        self._publishers.clear()

    def publish(self, header: Header, sightings: Sequence[Sighting], publish_tf: bool) -> None:
        """Publish what was seen in the image of `header`: transforms, poses, views.

        Transforms go first: who has a view shall find them. They go once for a stamp: tf2 warns of
        any repeated one.
        """
        named = [(identify(one.alignment, self._objects), one) for one in sightings]
        transforms = [each for name, one in named for each in self._transforms(header, name, one)]
        if publish_tf and transforms and header.stamp != self._tf_stamp:
            self._tf_stamp = header.stamp
            self._send(self._tf, TFMessage(transforms=transforms))
        array = Detection3DArray(header=header)
        for name, one in named:
            if one.pose is not None and one.size_m is not None:
                array.detections.append(
                    detections.detection3d(
                        name,
                        one.object_name,
                        one.confidence,
                        one.pose.R,
                        one.pose.t,
                        one.pose.covariance,
                        one.size_m,
                        header,
                    )
                )
        self._send(self._detections, array)
        for name, one in named:
            self._publish_view(header, name, one)

    def _transforms(self, header: Header, name: str, sighting: Sighting) -> list[TransformStamped]:
        """Camera -> object -> view; none without a pose."""
        pose, camera = sighting.pose, sighting.virtual_camera
        if pose is None or camera is None:
            return []
        frame = f"{self._prefix}{name}"
        on_object = Header(stamp=header.stamp, frame_id=frame)
        return [
            detections.transform(pose.R, pose.t, header, frame),
            detections.transform(camera.R, camera.t, on_object, f"{frame}/view"),
        ]

    def publish_debug(
        self,
        header: Header,
        frame: NDArray[np.uint8],
        alignments: Sequence[Alignment],
        camera: CameraModel | None,
    ) -> None:
        """Publish the overlay, if anybody looks."""
        if self._debug.get_subscription_count():
            picture = overlay.draw(frame, alignments, camera)
            self._send(self._debug, messages.image_message(picture, header))

    def _publish_view(self, header: Header, name: str, sighting: Sighting) -> None:
        """The view, while somebody looks, and its camera."""
        if name not in self._aligned:
            self._add(name)
        image, info = self._aligned[name]
        on_view = Header(stamp=header.stamp, frame_id=f"{self._prefix}{name}/view")
        if image.get_subscription_count():
            self._send(image, messages.image_message(sighting.view, on_view))
        camera = sighting.virtual_camera
        K = None if camera is None else camera.K
        self._send(info, messages.camera_info_message(K, sighting.alignment.size, on_view))

    def _add(self, name: str) -> None:
        self._aligned[name] = (
            self._publisher(Image, f"{name}/aligned/image", RESULTS),
            self._publisher(CameraInfo, f"{name}/aligned/camera_info", RESULTS),
        )

    def _publisher(self, kind: type[Any], topic: str, qos: QoSProfile) -> Publisher[Any]:
        publisher: Publisher[Any] = self._node.create_publisher(
            kind, topic, qos, qos_overriding_options=QoSOverridingOptions.with_default_policies()
        )
        self._publishers.append(publisher)
        return publisher

    def _send(self, publisher: Publisher[Any], msg: object) -> None:
        try:
            publisher.publish(msg)
        except RCLError:  # a flooded reliable queue refuses: this message is lost, not the node
            self.failures += 1
