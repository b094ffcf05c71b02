"""The observer on a real graph: what is published is noted with its stamp, read back exactly."""

import time

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
pytest.importorskip("vision_msgs", reason="vision_msgs is not installed: run `make setup`")
import rclpy
from builtin_interfaces.msg import Time
from rclpy.executors import SingleThreadedExecutor
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray

from stn_ros.nodes.detections import detection3d
from stn_ros.nodes.messages import camera_info_message, image_message
from stn_ros.nodes.observer import Observer, stamp_of

pytestmark = pytest.mark.ros
TOPICS = {
    "camera_info": CameraInfo,
    "image": Image,
    "debug/image": Image,
    "objects": Detection3DArray,
    "truth/objects": Detection3DArray,
    "box/aligned/image": Image,
}
K = np.array([[600.0, 0, 31.5], [0, 600, 23.5], [0, 0, 1]])
R = cv2.Rodrigues(np.array([2.9, 0.2, -0.4]))[0]
T = np.array([0.1, -0.2, 0.7])


def header(nanoseconds: int) -> Header:
    sec, nanosec = divmod(nanoseconds, 1_000_000_000)
    return Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id="camera")


@pytest.mark.parametrize("nanoseconds", [0, 1_700_000_000_123_456_789, 999_999_999])
def test_stamp_is_read_from_the_serialized_message(nanoseconds: int):
    assert stamp_of(serialize_message(CameraInfo(header=header(nanoseconds)))) == nanoseconds


def test_stamp_of_a_big_endian_message():
    assert stamp_of(bytes([0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 5])) == 2_000_000_005


@pytest.fixture
def graph():
    context = rclpy.Context()
    rclpy.init(context=context)
    observer = Observer(["box"], context=context)
    sender = rclpy.create_node("sender", context=context)
    publishers = {topic: sender.create_publisher(kind, topic, 10) for topic, kind in TOPICS.items()}
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(observer)
    yield observer, publishers, executor
    rclpy.shutdown(context=context)


def spin_until(executor, done):
    give_up = time.monotonic() + 60.0
    while not done():
        assert time.monotonic() < give_up
        executor.spin_once(timeout_sec=0.1)


def test_recording_and_snapshot(graph):
    observer, publishers, executor = graph
    observer.watch_pictures()
    spin_until(executor, lambda: all(p.get_subscription_count() for p in publishers.values()))
    assert observer.snapshot() is None
    picture = np.arange(48 * 64 * 3, dtype=np.uint32).reshape(48, 64, 3).astype(np.uint8)
    view = picture[:16, :32]
    now = time.time_ns()
    first, second, later = now, now + 1000, now + 2_000_000_000
    for stamp in (first, second, later):
        h = header(stamp)
        publishers["camera_info"].publish(camera_info_message(K, (64, 48), h))
        publishers["image"].publish(image_message(picture, h))
        publishers["debug/image"].publish(image_message(255 - picture, h))
        pose = detection3d("box", "box", 0.75, R, T, None, (0.2, 0.1), h)
        truth = Detection3DArray(header=h, detections=[pose])
        publishers["truth/objects"].publish(truth)
        if stamp == first:  # the only one that is answered
            publishers["box/aligned/image"].publish(image_message(view, h))
            publishers["objects"].publish(truth)
    spin_until(executor, lambda: observer.counts == (3, 1) and observer.snapshot() is not None)

    recording = observer.recording(now, now + 1_000_000_000)
    assert recording.inputs == [first, second]
    assert recording.seconds == pytest.approx(1.0)
    assert list(recording.received) == [first]
    assert 0 < recording.received[first] - first < 20_000_000_000
    assert recording.views == {"box": {first}}
    assert recording.truth.keys() == {first, second}
    np.testing.assert_allclose(recording.K, K)
    found = recording.poses[first]["box"]
    np.testing.assert_allclose(found.R, R, atol=1e-12)
    np.testing.assert_allclose(found.t, T)
    assert found.score == 0.75

    snapshot = observer.snapshot()
    np.testing.assert_array_equal(snapshot.frame, picture)
    np.testing.assert_array_equal(snapshot.overlay, 255 - picture)
    np.testing.assert_array_equal(snapshot.views["box"], view)
    assert snapshot.poses.keys() == snapshot.truth.keys() == {"box"}
