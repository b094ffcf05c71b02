"""What the canonicalizer node subscribes to, and why a topic may stay silent."""

from collections.abc import Callable

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, QoSReliabilityPolicy, qos_check_compatible
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo

from stn_ros.geometry.camera import CameraModel
from stn_ros.nodes.messages import camera_model, same_calibration

# Best effort takes every publisher (REP-2003).
_SENSOR = {"reliability": QoSReliabilityPolicy.BEST_EFFORT}


def subscribe(node: Node, kind: type, topic: str, callback: Callable, depth: int) -> Subscription:
    """A subscription for sensor data whose QoS can be overridden by parameters."""
    return node.create_subscription(
        kind,
        topic,
        callback,
        QoSProfile(depth=depth, **_SENSOR),
        qos_overriding_options=QoSOverridingOptions.with_default_policies(),
    )


def why_silent(node: Node, subscription: Subscription) -> str:
    """In words, why nothing comes on a subscription from which nothing comes."""
    topic = subscription.topic_name
    expected = _type_name(subscription.msg_type)
    publishers = node.get_publishers_info_by_topic(topic)
    if not publishers:
        return f"nothing on '{topic}': nobody publishes it; remap it to the topic you mean"
    types = {publisher.topic_type for publisher in publishers}
    if expected not in types:
        return (
            f"nothing on '{topic}': it carries {', '.join(sorted(types))}, not {expected}; "
            "see the parameter image_transport"
        )
    refusals = []
    for publisher in publishers:
        compatibility, reason = qos_check_compatible(
            publisher.qos_profile, subscription.qos_profile
        )
        if compatibility == QoSCompatibility.ERROR:
            refusals.append(reason.strip().rstrip(";").removeprefix("ERROR: "))
    if len(refusals) == len(publishers):
        return (
            f"nothing on '{topic}': QoS mismatch ({refusals[0]}); "
            f"see qos_overrides.{topic}.subscription"
        )
    return (
        f"nothing on '{topic}' although it has a publisher: it is paused, or its messages are "
        "too large for the shared memory of DDS; see README, 'Large images'"
    )


def _type_name(kind: type) -> str:
    package, folder, *_ = kind.__module__.split(".")
    return f"{package}/{folder}/{kind.__name__}"


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
