"""What the canonicalizer node publishes."""

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
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
from stn_ros.geometry.planar_pose import PoseSolution
from stn_ros.geometry.virtual_camera import VirtualCamera
from stn_ros.nodes import detections, messages, overlay
from stn_ros.runtime.canonicalizer import Alignment

RCLError = rclpy_implementation.RCLError
# Reliable suits every subscriber (REP-2003); as tf2_ros has it, /tf keeps a hundred.
RESULTS, TF = QoSProfile(depth=5), QoSProfile(depth=100)


@dataclass(frozen=True)
class Sighting:
    """One object in one frame: its name among the objects in view, alignment, size and pose.

    identity  the object's name; with a number for its second, third ... instance in view
    size_m    (width, height) in metres, None if unknown
    pose      object -> camera's optical frame, None without a size or a calibrated camera
    camera    the virtual camera of the aligned view, None without a pose
    """

    identity: str
    alignment: Alignment
    size_m: tuple[float, float] | None
    pose: PoseSolution | None
    camera: VirtualCamera | None


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

    def __init__(self, node: Node, identities: Collection[str], tf_prefix: str) -> None:
        self._node = node
        self._prefix = f"{tf_prefix}/" if tf_prefix else ""
        self._publishers: list[Publisher] = []
        self._aligned: dict[str, tuple[Publisher, Publisher]] = {}
        self._objects = self._publisher(Detection3DArray, "objects", RESULTS)
        self._debug = self._publisher(Image, "debug/image", RESULTS)
        self._tf = self._publisher(TFMessage, "/tf", TF)
        for identity in identities:
            self._add(identity)
        self.failures = 0

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)
        self._publishers.clear()

    def publish(self, header: Header, sightings: Sequence[Sighting], publish_tf: bool) -> None:
        """Publish what was seen in the image of `header`: views, poses, transforms."""
        transforms = []
        array = Detection3DArray(header=header)
        for sighting in sightings:
            alignment, pose, camera = sighting.alignment, sighting.pose, sighting.camera
            frame = f"{self._prefix}{sighting.identity}"
            view = Header(stamp=header.stamp, frame_id=f"{frame}/view")
            if pose is not None and camera is not None:
                on_object = Header(stamp=header.stamp, frame_id=frame)
                transforms += [
                    detections.transform(pose.R, pose.t, header, frame),
                    detections.transform(camera.R, camera.t, on_object, view.frame_id),
                ]
                array.detections.append(
                    detections.detection3d(
                        sighting.identity,
                        alignment.object_name,
                        alignment.confidence,
                        pose.R,
                        pose.t,
                        pose.covariance,
                        sighting.size_m,
                        header,
                    )
                )
            K = None if camera is None else camera.K
            self._publish_view(sighting.identity, alignment.view, K, view)
        if publish_tf and transforms:
            self._send(self._tf, TFMessage(transforms=transforms))
        self._send(self._objects, array)

    def publish_debug(
        self,
        header: Header,
        frame: np.ndarray,
        alignments: Sequence[Alignment],
        camera: CameraModel | None,
    ) -> None:
        """Publish the overlay, if anybody looks."""
        if self._debug.get_subscription_count():
            picture = overlay.draw(frame, alignments, camera)
            self._send(self._debug, messages.image_message(picture, header))

    def _publish_view(
        self, identity: str, view: np.ndarray, K: np.ndarray | None, header: Header
    ) -> None:
        if identity not in self._aligned:
            self._add(identity)
        image, info = self._aligned[identity]
        if image.get_subscription_count():
            self._send(image, messages.image_message(view, header))
        size = view.shape[1], view.shape[0]
        self._send(info, messages.camera_info_message(K, size, header))

    def _add(self, identity: str) -> None:
        self._aligned[identity] = (
            self._publisher(Image, f"{identity}/aligned/image", RESULTS),
            self._publisher(CameraInfo, f"{identity}/aligned/camera_info", RESULTS),
        )

    def _publisher(self, kind: type, topic: str, qos: QoSProfile) -> Publisher:
        publisher = self._node.create_publisher(
            kind, topic, qos, qos_overriding_options=QoSOverridingOptions.with_default_policies()
        )
        self._publishers.append(publisher)
        return publisher

    def _send(self, publisher: Publisher, msg: object) -> None:
        try:
            publisher.publish(msg)
        except RCLError:  # a flooded reliable queue refuses: this message is lost, not the node
            self.failures += 1
