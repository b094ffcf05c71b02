import numpy as np
import pytest

from stn_ros.evaluation.poses import pose_error, true_pose
from stn_ros.geometry.planar_pose import pose_homography
from stn_ros.synthesis.scene import SHARP, render_view

cv2 = pytest.importorskip("cv2")


def _grey(rng, size):
    return np.full((size[1], size[0], 3), 128, np.uint8)


def test_true_pose_gives_the_homography_back():
    rng = np.random.default_rng(0)
    face, size_m = np.full((80, 120, 3), 200, np.uint8), (0.24, 0.16)
    for _ in range(5):
        view = render_view(rng, face, _grey, SHARP)
        R, t = true_pose(view, size_m)
        assert np.linalg.det(R) == pytest.approx(1)
        np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-5)
        again = pose_homography(R, t, view.size, size_m, view.camera)
        np.testing.assert_allclose(again / again[2, 2], view.homography, rtol=1e-4, atol=1e-4)
        sight = -t / np.linalg.norm(t)
        assert np.degrees(np.arccos(R[:, 2] @ sight)) == pytest.approx(view.tilt, abs=0.01)


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
