"""Poses stay with their tilt while an object is in view."""

import cv2
import numpy as np
import pytest

from stn_ros.geometry.planar_pose import PoseSolution, object_corners
from stn_ros.runtime.alignment import Alignment
from stn_ros.runtime.poses import MEMORY, Poses

SIZE_M = (0.2, 0.12)
K = np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]])
FACING = np.diag([1.0, -1.0, -1.0])


SURE, UNSURE = np.eye(8) * 0.01, np.eye(8)


def seen(tilt: float) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and corners of a face 1.5 m away, tilted about x by so many degrees."""
    R = cv2.Rodrigues(np.array([np.deg2rad(tilt), 0, 0]))[0] @ FACING
    points = (object_corners(SIZE_M) @ R.T + [0.02, 0.01, 1.5]) @ K.T
    return R, points[:, :2] / points[:, 2:]


def estimate(
    poses: Poses, name: str, stamp: float, corners: np.ndarray, covariance: np.ndarray
) -> PoseSolution:
    found = Alignment(
        name, (16, 16), np.eye(3), 1.0, True, "", corners, covariance, tracked=True, region=None
    )
    return poses.estimate(found, stamp, SIZE_M, K)


def angle(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.rad2deg(np.linalg.norm(cv2.Rodrigues(first @ second.T)[0])))


def test_a_clear_tilt_is_found():
    R, corners = seen(25)
    found = estimate(Poses(), "box", 1.0, corners, SURE)
    assert angle(found.R, R) < 0.1
    assert found.t == pytest.approx([0.02, 0.01, 1.5], abs=1e-3)
    assert not found.ambiguous


def test_an_ambiguous_tilt_stays_on_the_side_it_was_seen_on():
    poses = Poses()
    forward, corners = seen(25)
    estimate(poses, "box", 1.0, corners, SURE)
    backward, corners = seen(-25)
    alone = estimate(Poses(), "box", 1.1, corners, UNSURE)
    kept = estimate(poses, "box", 1.1, corners, UNSURE)
    assert alone.ambiguous
    assert kept.ambiguous
    assert angle(alone.R, backward) < 1
    assert angle(kept.R, forward) < 5


@pytest.mark.parametrize("stamp", [1.0 + 2 * MEMORY, 0.5])
def test_a_pose_of_long_ago_or_of_the_future_does_not_count(stamp: float):
    poses = Poses()
    estimate(poses, "box", 1.0, seen(25)[1], SURE)
    backward, corners = seen(-25)
    found = estimate(poses, "box", stamp, corners, UNSURE)
    assert angle(found.R, backward) < 1


def test_objects_do_not_mix_and_clear_forgets():
    poses = Poses()
    estimate(poses, "box", 1.0, seen(25)[1], SURE)
    backward, corners = seen(-25)
    assert angle(estimate(poses, "mug", 1.1, corners, UNSURE).R, backward) < 1
    poses.clear()
    assert angle(estimate(poses, "box", 1.2, corners, UNSURE).R, backward) < 1


def test_ambiguity_widens_the_covariance():
    corners = seen(25)[1]
    sure = estimate(Poses(), "box", 1.0, corners, SURE).covariance
    unsure = estimate(Poses(), "box", 1.0, corners, UNSURE).covariance
    # Beyond the hundredfold variance of the corners: the other tilt is 50 degrees away.
    assert unsure[3, 3] > 1.02 * 100 * sure[3, 3]
    chance = 1 / (1 + np.exp(7.27 / 2))
    assert unsure[3, 3] == pytest.approx(100 * sure[3, 3] + chance * np.deg2rad(49.1) ** 2, rel=0.1)
