"""The simulated camera on a real graph: what it publishes agrees with itself and its world."""

import time
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection2DArray, Detection3DArray

from stn_ros.nodes.simulated_camera import SimulatedCamera
from stn_ros.recordings.camera_info import camera_model
from stn_ros.recordings.encodings import to_bgr

pytestmark = pytest.mark.ros
KINDS = {
    "image": Image,
    "camera_info": CameraInfo,
    "detections": Detection2DArray,
    "truth/objects": Detection3DArray,
    "/tf": TFMessage,
}


class Listener(Node):
    def __init__(self, context: rclpy.Context, namespace: str) -> None:
        super().__init__("listener", context=context, namespace=namespace)
        self.received: dict[str, dict[tuple[int, int], object]] = defaultdict(dict)
        for topic, kind in KINDS.items():
            qos = qos_profile_sensor_data if kind in (Image, CameraInfo) else QoSProfile(depth=100)
            self.create_subscription(kind, topic, lambda m, topic=topic: self.keep(topic, m), qos)

    def keep(self, topic: str, msg: object) -> None:
        header = msg.transforms[0].header if topic == "/tf" else msg.header
        self.received[topic][(header.stamp.sec, header.stamp.nanosec)] = msg


@pytest.fixture
def context() -> Iterator[rclpy.Context]:
    context = rclpy.Context()
    rclpy.init(context=context)
    yield context
    rclpy.try_shutdown(context=context)


def camera(context: rclpy.Context, namespace: str = "", **parameters: object) -> SimulatedCamera:
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    return SimulatedCamera(context=context, namespace=namespace, parameter_overrides=overrides)


def film(
    context: rclpy.Context, images: int, namespace: str = "", **parameters: object
) -> Listener:
    """Listen until `images` complete sets came, or 60 s."""
    listener, executor = Listener(context, namespace), SingleThreadedExecutor(context=context)
    node = camera(context, namespace, **parameters)
    executor.add_node(listener)
    executor.add_node(node)
    deadline = time.monotonic() + 60
    while (
        time.monotonic() < deadline
        and min(len(listener.received[topic]) for topic in ("image", "/tf")) < images
    ):
        executor.spin_once(timeout_sec=0.1)
    for _ in range(20):
        executor.spin_once(timeout_sec=0.0)
    node.destroy_node()
    return listener


def test_everything_of_one_image_has_its_stamp_and_agrees(context: rclpy.Context):
    received = film(context, 5, rate=20.0, width=320, height=240).received
    stamps = [s for s in received["image"] if all(s in received[topic] for topic in KINDS)]
    assert len(stamps) >= 3
    for stamp in stamps:
        image, info, boxes, truth, tf = (received[topic][stamp] for topic in KINDS)
        assert {m.header.frame_id for m in (image, info, boxes, truth)} == {"camera_optical_frame"}
        assert to_bgr(image).shape == (240, 320, 3)
        K = camera_model(info, rectified=False).K
        assert [d.id for d in truth.detections] == [
            t.child_frame_id.removeprefix("truth/") for t in tf.transforms
        ]
        named = {d.results[0].hypothesis.class_id: d.bbox for d in boxes.detections}
        for found, frame in zip(truth.detections, tf.transforms, strict=True):
            pose = found.results[0].pose.pose
            at, moved = pose.position, frame.transform.translation
            assert (at.x, at.y, at.z) == (moved.x, moved.y, moved.z)
            assert pose.orientation == frame.transform.rotation
            assert 0.4 <= at.z <= 0.85
            assert 0 < found.results[0].hypothesis.score <= 1
            # The pose's origin is seen inside its detection's box.
            box = named[found.id]
            seen = K @ (at.x, at.y, at.z) / at.z
            assert abs(seen[0] - box.center.position.x) < box.size_x / 2
            assert abs(seen[1] - box.center.position.y) < box.size_y / 2


def test_rate_and_fewer_detections(context: rclpy.Context):
    received = film(
        context, 25, rate=25.0, detection_rate=5.0, width=160, height=120, objects=["tea_box"]
    ).received
    # Never more often than asked; a busy machine makes less.
    for topic, period in (("image", 0.04), ("detections", 0.2)):
        stamps = sorted(sec + nanosec * 1e-9 for sec, nanosec in received[topic])
        assert len(stamps) > 1
        assert np.median(np.diff(stamps)) > 0.85 * period
    assert {d.id for m in received["truth/objects"].values() for d in m.detections} == {"tea_box"}


def test_two_cameras_share_no_truth_frame(context: rclpy.Context):
    received = film(context, 2, namespace="left", width=160, height=120, objects=["novel"]).received
    children = {t.child_frame_id for tf in received["/tf"].values() for t in tf.transforms}
    assert children == {"left/truth/novel"}


def test_what_cannot_be_filmed_is_named(context: rclpy.Context):
    with pytest.raises(ValueError, match="'kettle'"):
        camera(context, objects=["kettle"])
    with pytest.raises(ValueError, match="at least one object"):
        camera(context, objects=[""])
