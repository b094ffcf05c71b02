"""The simulated camera on a real graph: what it publishes agrees with itself and its world."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
import rclpy
from builtin_interfaces.msg import Time
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection2DArray, Detection3DArray

from stn_ros.nodes import process
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
        self.counts: Counter[str] = Counter()
        for topic, kind in KINDS.items():
            qos = qos_profile_sensor_data if kind in (Image, CameraInfo) else QoSProfile(depth=100)
            self.create_subscription(kind, topic, lambda m, topic=topic: self.keep(topic, m), qos)

    def keep(self, topic: str, msg: object) -> None:
        self.counts[topic] += 1
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


def spin_until(executor: Executor, done: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 120
    while not done():
        assert time.monotonic() < give_up
        executor.spin_once(timeout_sec=0.05)


def film(
    context: rclpy.Context, images: int, namespace: str = "", **parameters: object
) -> Listener:
    """Listen until `images` complete sets came, or 120 s."""
    listener, executor = Listener(context, namespace), SingleThreadedExecutor(context=context)
    node = camera(context, namespace, **parameters)
    executor.add_node(listener)
    executor.add_node(node)
    deadline = time.monotonic() + 120
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


def seconds(stamps: Iterable[tuple[int, int]]) -> np.ndarray:
    return np.sort([sec + nanosec * 1e-9 for sec, nanosec in stamps])


def test_fewer_detections_than_images(context: rclpy.Context):
    received = film(
        context, 25, rate=25.0, detection_rate=2.0, width=160, height=120, objects=["tea_box"]
    ).received
    elapsed = np.ptp(seconds(received["image"]))
    assert 1 <= len(received["detections"]) <= 2 * elapsed + 2
    assert {d.id for m in received["truth/objects"].values() for d in m.detections} == {"tea_box"}


def test_rate_may_be_set_at_any_time(context: rclpy.Context):
    listener, executor = Listener(context, ""), process.make_executor(context)
    node = camera(context, rate=3.0, width=160, height=120, objects=["tea_box"])
    executor.add_node(listener)
    executor.add_node(node)
    images = listener.received["image"]
    spin_until(executor, lambda: len(images) >= 4)
    slow = np.diff(seconds(images)).min()
    assert slow > 0.2
    (refused,) = node.set_parameters([Parameter("rate", value=0.0)])
    assert not refused.successful
    (taken,) = node.set_parameters([Parameter("rate", value=40.0)])
    assert taken.successful
    before = set(images)
    spin_until(executor, lambda: len(images) >= len(before) + 8)
    # The least of several: a busy machine only ever makes them longer.
    assert np.diff(seconds(images.keys() - before)).min() < slow / 2


def test_while_the_clock_stands_no_stamp_is_published_twice(context: rclpy.Context):
    listener, executor = Listener(context, ""), SingleThreadedExecutor(context=context)
    parameters = {"use_sim_time": True, "rate": 50.0, "objects": ["novel"]}
    node = camera(context, width=160, height=120, **parameters)
    executor.add_node(listener)
    executor.add_node(node)
    clock = listener.create_publisher(Clock, "/clock", 10)

    def shown(sec: int) -> bool:
        clock.publish(Clock(clock=Time(sec=sec)))
        return (sec, 0) in listener.received["image"]

    for sec in (5, 6):
        spin_until(executor, lambda sec=sec: shown(sec))
        for _ in range(25):
            executor.spin_once(timeout_sec=0.02)
    assert listener.counts["image"] == listener.counts["truth/objects"] == 2
    assert sorted(listener.received["image"]) == [(5, 0), (6, 0)]


def test_a_shut_down_context_ends_the_film_without_a_word(
    context: rclpy.Context, capfd: pytest.CaptureFixture[str]
):
    node = camera(context, width=160, height=120, objects=["novel"])
    node._film()
    capfd.readouterr()
    context.shutdown()
    node._film()
    assert capfd.readouterr() == ("", "")


def test_two_cameras_share_no_frame(context: rclpy.Context):
    received = film(context, 2, namespace="left", width=160, height=120, objects=["novel"]).received
    transforms = [each for tf in received["/tf"].values() for each in tf.transforms]
    assert {each.child_frame_id for each in transforms} == {"left/truth/novel"}
    assert {each.header.frame_id for each in transforms} == {"left/camera_optical_frame"}
    frames = {each.header.frame_id for each in received["image"].values()}
    assert frames == {"left/camera_optical_frame"}


def test_a_given_frame_is_taken_as_it_is(context: rclpy.Context):
    named = {"frame_id": "eye", "width": 160, "height": 120, "objects": ["novel"]}
    received = film(context, 1, namespace="left", **named).received
    assert {each.header.frame_id for each in received["image"].values()} == {"eye"}


def test_parameters_of_kindred_types_are_taken_and_others_named(context: rclpy.Context):
    camera(context, rate=10, width=160.0, height=120, objects="novel").destroy_node()
    camera(context, seed=2**31 - 1, width=64, height=64, objects=["novel"]).destroy_node()
    with pytest.raises(ValueError, match=r"2147483648.*seed"):
        camera(context, seed=2**31)
    with pytest.raises(ValueError, match="rate is 0: must lie within"):
        camera(context, rate=0)
    with pytest.raises(ValueError, match="width is 'wide': must be a whole number"):
        camera(context, width="wide")


def test_what_cannot_be_filmed_is_named(context: rclpy.Context):
    with pytest.raises(ValueError, match="'kettle'"):
        camera(context, objects=["kettle"])
    with pytest.raises(ValueError, match="at least one object"):
        camera(context, objects=[""])
