"""What a source holds as image and camera_info, see test_frames.py for the sources."""

import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image

from stn_ros.nodes.player import Player, intrinsics
from stn_ros.recordings.encodings import to_bgr

pytestmark = pytest.mark.ros
SIZE = (64, 48)


def shade(index: int) -> np.ndarray:
    return np.full((SIZE[1], SIZE[0], 3), 40 * index + 20, np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), shade(index))
    return tmp_path


def test_intrinsics():
    K = intrinsics([0.0] * 4, 90.0, (640, 480))
    np.testing.assert_allclose(K, [[320, 0, 319.5], [0, 320, 239.5], [0, 0, 1]])
    K = intrinsics([500.0, 501.0, 300.0, 200.0], 90.0, (640, 480))
    np.testing.assert_allclose(K, [[500, 0, 300], [0, 501, 200], [0, 0, 1]])


@pytest.fixture(scope="module")
def context() -> Iterator[rclpy.Context]:
    context = rclpy.Context()
    rclpy.init(context=context)
    yield context
    context.try_shutdown()


def player(context: rclpy.Context, **parameters: object) -> Player:
    return Player(
        context=context,
        parameter_overrides=[Parameter(name, value=value) for name, value in parameters.items()],
    )


def test_plays_in_real_time_and_loops(context: rclpy.Context, folder: Path):
    node = player(context, source=str(folder), rate=20.0, frame_id="lens")
    listener = Node("listener", context=context)
    images: list[Image] = []
    infos: list[CameraInfo] = []
    listener.create_subscription(Image, "image", images.append, qos_profile_sensor_data)
    listener.create_subscription(CameraInfo, "camera_info", infos.append, qos_profile_sensor_data)
    executor = SingleThreadedExecutor(context=context)
    for member in (node, listener):
        executor.add_node(member)
    end = time.monotonic() + 60
    while min(len(images), len(infos)) < 7 and time.monotonic() < end:
        executor.spin_once(timeout_sec=0.1)
    executor.shutdown()
    for member in (node, listener):
        member.destroy_node()
    found = [round((to_bgr(msg).mean() - 20) / 40) for msg in images]
    assert [step % 3 for step in np.diff(found)] == [1] * (len(found) - 1)
    stamps = [msg.header.stamp.sec + msg.header.stamp.nanosec * 1e-9 for msg in images]
    assert 0.04 < np.median(np.diff(stamps)) < 0.25  # never faster; slower on a busy machine
    image, info = images[5], infos[5]
    assert image.header == info.header
    assert info.header.frame_id == "lens"
    assert (info.width, info.height) == SIZE
    assert info.k[0] == pytest.approx(32 / np.tan(np.pi / 6))


def test_bad_parameters_are_named(context: rclpy.Context, folder: Path):
    with pytest.raises(ValueError, match="k is"):
        player(context, source=str(folder), k=[500.0, 500.0])
    with pytest.raises(ValueError, match="source is empty"):
        player(context)


def test_a_bag_is_not_for_this_player(context: rclpy.Context, tmp_path: Path):
    bag_writer = pytest.importorskip("stn_ros.recordings.bag_writer", reason="no rosbags")
    with bag_writer.BagWriter(tmp_path / "bag") as bag:
        bag.write(1, shade(0), np.eye(3), [])
    with pytest.raises(ValueError, match="is a bag: `ros2 bag play` plays it"):
        player(context, source=str(tmp_path / "bag"))


def test_a_broken_picture_is_left_out(context: rclpy.Context, folder: Path):
    (folder / "1.png").write_bytes(b"no picture")
    node = player(context, source=str(folder), loop=True)
    with pytest.raises(ValueError, match=r"1\.png cannot be read"):
        [node._next() for _ in range(2)]
    found = [round((node._next().picture.mean() - 20) / 40) for _ in range(2)]
    assert found == [2, 0]  # the next one, and the first again
    node.destroy_node()
