"""The camera of the newest CameraInfo, and why a topic is silent."""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from stn_ros.nodes.inputs import Calibration
from stn_ros.nodes.messages import camera_info_message

pytestmark = pytest.mark.ros
K = np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]])


def info(focal: float = 600.0) -> CameraInfo:
    intrinsics = K.copy()
    intrinsics[0, 0] = focal
    return camera_info_message(intrinsics, (640, 480), Header())


def test_before_the_first_message_there_is_no_camera():
    assert Calibration(rectified=False).camera((640, 480)) is None


def test_the_camera_is_worked_out_anew_only_when_it_changes():
    calibration = Calibration(rectified=False)
    calibration.update(info())
    first = calibration.camera((640, 480))
    calibration.update(info())
    assert calibration.camera((640, 480)) is first
    calibration.update(info(focal=700))
    assert calibration.camera((640, 480)).K[0, 0] == 700


def test_what_is_wrong_is_named_until_it_is_mended():
    calibration = Calibration(rectified=False)
    calibration.update(CameraInfo(width=640, height=480))
    for _ in range(2):
        with pytest.raises(ValueError, match="uncalibrated"):
            calibration.camera((640, 480))
    calibration.update(info())
    with pytest.raises(ValueError, match="of a 640x480 image, the image has 1280x720"):
        calibration.camera((1280, 720))
    assert calibration.camera((640, 480)) is not None


def test_a_rectified_image_takes_p():
    msg = info()
    msg.d = [0.3, 0.0, 0.0, 0.0, 0.0]
    msg.p[0] = 550.0
    raw, rectified = Calibration(rectified=False), Calibration(rectified=True)
    for calibration in (raw, rectified):
        calibration.update(msg)
    assert raw.camera((640, 480)).distorted
    assert not rectified.camera((640, 480)).distorted
    assert rectified.camera((640, 480)).K[0, 0] == 550
