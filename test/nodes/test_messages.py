"""Messages made of pictures and calibrations hold them, and can be read back."""

import sys

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from stn_ros.nodes import messages
from stn_ros.recordings.camera_info import camera_model
from stn_ros.recordings.encodings import image_view

pytestmark = pytest.mark.ros
BGR = np.random.default_rng(0).integers(0, 256, (24, 36, 3), np.uint8)


def test_stamps_are_nanoseconds():
    assert messages.nanoseconds(Time(sec=12, nanosec=345)) == 12_000_000_345
    assert messages.nanoseconds(Time(sec=-1, nanosec=1)) == -999_999_999


@pytest.mark.parametrize("pixels", [BGR, BGR[..., 0], BGR[:, ::2], BGR[3:9, 5:11]])
def test_image_message_round_trip(pixels: np.ndarray):
    header = Header(frame_id="camera")
    header.stamp.sec = 12
    msg = messages.image_message(pixels, header)
    assert (msg.header.stamp.sec, msg.header.frame_id) == (12, "camera")
    np.testing.assert_array_equal(image_view(msg), pixels)


def test_image_message_is_filled_as_a_whole():
    """Plain assignment of a numpy array looks at each value: 80 ms for an HD image."""
    calls = []
    before = sys.getprofile()
    sys.setprofile(lambda *event: calls.append(event[1]))
    try:
        messages.image_message(np.zeros((36, 64, 3), np.uint8), Header())
    finally:
        sys.setprofile(before)
    assert len(calls) < 36 * 64


def test_camera_info_message_reads_back():
    K = np.array([[700.0, 0, 99.5], [0, 700, 63.5], [0, 0, 1]])
    info = messages.camera_info_message(K, (200, 128), Header(frame_id="box/view"))
    model = camera_model(info, rectified=False)
    assert (model.size, model.distorted) == ((200, 128), False)
    np.testing.assert_array_equal(model.K, K)
    np.testing.assert_array_equal(camera_model(info, rectified=True).K, K)


def test_camera_info_without_pose_says_uncalibrated():
    info = messages.camera_info_message(None, (200, 128), Header())
    assert (info.width, info.height) == (200, 128)
    assert not np.any(info.k)
