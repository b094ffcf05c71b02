"""Poses stay with their tilt while an object is in view."""

import cv2
import numpy as np
import pytest

from stn_ros.geometry.planar_pose import object_corners
from stn_ros.nodes.poses import MEMORY, Poses

SIZE_M = (0.2, 0.12)
K = np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]])
FACING = np.diag([1.0, -1.0, -1.0])


SURE, UNSURE = np.eye(8) * 0.01, np.eye(8)


def seen(tilt: float) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and corners of a face 1.5 m away, tilted about x by so many degrees."""
    R = cv2.Rodrigues(np.array([np.deg2rad(tilt), 0, 0]))[0] @ FACING
    points = (object_corners(SIZE_M) @ R.T + [0.02, 0.01, 1.5]) @ K.T
    return R, points[:, :2] / points[:, 2:]


def angle(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.rad2deg(np.linalg.norm(cv2.Rodrigues(first @ second.T)[0])))


def test_a_clear_tilt_is_found():
    R, corners = seen(25)
    found = Poses().estimate("box", 1.0, corners, SURE, SIZE_M, K)
    assert angle(found.pose.R, R) < 0.1
    assert found.pose.t == pytest.approx([0.02, 0.01, 1.5], abs=1e-3)
    assert not found.ambiguous


def test_an_ambiguous_tilt_stays_on_the_side_it_was_seen_on():
    poses = Poses()
    forward, corners = seen(25)
    poses.estimate("box", 1.0, corners, SURE, SIZE_M, K)
    backward, corners = seen(-25)
    alone = Poses().estimate("box", 1.1, corners, UNSURE, SIZE_M, K)
    kept = poses.estimate("box", 1.1, corners, UNSURE, SIZE_M, K)
    assert alone.ambiguous
    assert kept.ambiguous
    assert angle(alone.pose.R, backward) < 1
    assert angle(kept.pose.R, forward) < 5


@pytest.mark.parametrize("stamp", [1.0 + 2 * MEMORY, 0.5])
def test_a_pose_of_long_ago_or_of_the_future_does_not_count(stamp: float):
    poses = Poses()
    poses.estimate("box", 1.0, seen(25)[1], SURE, SIZE_M, K)
    backward, corners = seen(-25)
    found = poses.estimate("box", stamp, corners, UNSURE, SIZE_M, K)
    assert angle(found.pose.R, backward) < 1


def test_objects_do_not_mix_and_clear_forgets():
    poses = Poses()
    poses.estimate("box", 1.0, seen(25)[1], SURE, SIZE_M, K)
    backward, corners = seen(-25)
    assert angle(poses.estimate("mug", 1.1, corners, UNSURE, SIZE_M, K).pose.R, backward) < 1
    poses.clear()
    assert angle(poses.estimate("box", 1.2, corners, UNSURE, SIZE_M, K).pose.R, backward) < 1


def test_ambiguity_widens_the_covariance():
    corners = seen(25)[1]
    sure = Poses().estimate("box", 1.0, corners, SURE, SIZE_M, K).pose.covariance
    unsure = Poses().estimate("box", 1.0, corners, UNSURE, SIZE_M, K).pose.covariance
    # Beyond the hundredfold variance of the corners: the other tilt is 50 degrees away.
    assert unsure[3, 3] > 1.02 * 100 * sure[3, 3]
    chance = 1 / (1 + np.exp(7.27 / 2))
    assert unsure[3, 3] == pytest.approx(100 * sure[3, 3] + chance * np.deg2rad(49.1) ** 2, rel=0.1)
