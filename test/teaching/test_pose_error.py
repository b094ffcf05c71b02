"""Poses of exact homographies, and distances between poses."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stn_ros.geometry.homography import face_corners, from_corners
from stn_ros.geometry.planar_pose import angle_between, object_corners, planar_pose
from stn_ros.teaching.pose_error import pose_error, pose_of_homography

K = np.array([[600, 0, 320], [0, 610, 240], [0, 0, 1.0]])
SIZE, SIZE_M = (256, 128), (0.2, 0.1)
# The face looks at the camera: half a turn about x, then some more.
R = cv2.Rodrigues(np.array([0.3, -0.5, 0.8]))[0] @ np.diag([1.0, -1, -1])
T = np.array([0.05, -0.08, 0.9])


def _homography() -> np.ndarray:
    seen = (object_corners(SIZE_M) @ R.T + T) @ K.T
    return from_corners(face_corners(SIZE), seen[:, :2] / seen[:, 2:])


def test_the_pose_of_an_exact_homography_is_exact() -> None:
    rotation, position = pose_of_homography(_homography(), SIZE, SIZE_M, K)
    np.testing.assert_allclose(rotation, R, atol=1e-9)
    np.testing.assert_allclose(position, T, atol=1e-9)
    assert np.linalg.det(rotation) == pytest.approx(1)


def test_an_aspect_off_by_half_a_pixel_still_gives_a_rotation() -> None:
    rotation, _ = pose_of_homography(_homography(), SIZE, (0.2, 0.1004), K)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.degrees(angle_between(rotation, R)) < 0.5


def test_errors_are_degrees_and_per_cent_of_the_distance() -> None:
    corners = _homography() @ np.column_stack([face_corners(SIZE), np.ones(4)]).T
    pose = planar_pose((corners[:2] / corners[2]).T, SIZE_M, K)[0]
    assert pose_error(pose, R, T) == pytest.approx((0, 0), abs=1e-3)
    turned = R @ cv2.Rodrigues(np.array([0, 0, np.radians(3)]))[0]
    degrees, percent = pose_error(pose, turned, T + np.array([0.01 * np.linalg.norm(T), 0, 0]))
    assert degrees == pytest.approx(3, abs=1e-3)
    assert percent == pytest.approx(1, rel=0.02)
