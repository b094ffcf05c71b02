import cv2
import numpy as np
import pytest

from stn_ros.evaluation.pose_benchmark import pose_error


def test_pose_error_by_hand():
    lean = cv2.Rodrigues(np.array([np.radians(20.0), 0, 0]))[0]
    roll = cv2.Rodrigues(np.array([0, 0, np.radians(5.0)]))[0]
    t = np.array([0, 0, 0.5])
    error = pose_error([(lean, t * 1.02), (np.eye(3), t)], np.eye(3), t)
    assert error.tilt == pytest.approx(20)
    assert error.distance == pytest.approx(2)
    assert error.flipped
    error = pose_error([(roll, t), (lean, t)], np.eye(3), t)
    assert error.tilt == pytest.approx(0, abs=1e-6)
    assert error.turn == pytest.approx(5)
    assert not error.flipped
