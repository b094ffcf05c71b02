"""The virtual camera is true: for the face, for what stands before it, and for the picture."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from stn_ros.geometry import homography as hg
from stn_ros.geometry.planar_pose import (
    PoseSolution,
    object_corners,
    planar_pose,
    pose_homography,
)
from stn_ros.geometry.virtual_camera import virtual_camera

K = np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]])
SIZE_PX, SIZE_M = (256, 160), (0.19, 0.12)


def solution(tilt: float, azimuth: float, roll: float, t: tuple[float, float, float]):
    tilt, azimuth, roll = np.radians([tilt, azimuth, roll])
    turn = cv2.Rodrigues(np.array([0, 0, roll]))[0] @ np.diag([1.0, -1, -1])
    lean = cv2.Rodrigues(tilt * np.array([np.cos(azimuth), np.sin(azimuth), 0]))[0]
    return PoseSolution(lean @ turn, np.array(t), 0.0, 0.0, None)


def project(intrinsics: np.ndarray, points: np.ndarray) -> np.ndarray:
    seen = points @ intrinsics.T
    return seen[..., :2] / seen[..., 2:]


def into_view(camera, points: np.ndarray) -> np.ndarray:
    """Object frame -> view frame."""
    return (points - camera.t) @ camera.R


poses = st.builds(
    solution,
    st.floats(0, 65),
    st.floats(0, 360),
    st.floats(0, 360),
    st.tuples(st.floats(-0.1, 0.1), st.floats(-0.1, 0.1), st.floats(0.3, 2)),
)


def test_square_on_by_hand():
    camera = virtual_camera((200, 100), (0.4, 0.2), solution(0, 0, 0, (0, 0, 0.8)))
    # 500 px/m at 0.8 m; the middle of 200 x 100 pixels is (99.5, 49.5).
    assert_allclose(camera.K, [[400, 0, 99.5], [0, 400, 49.5], [0, 0, 1]])
    assert_allclose(camera.t, [0, 0, 0.8])
    # Its axes in the object frame: x right, y down, z into the face.
    assert_allclose(camera.R.T, [[1, 0, 0], [0, -1, 0], [0, 0, -1]])


def test_principal_point_is_below_the_optical_centre_by_hand():
    # The camera stands 0.1 m right of and 0.05 m above the middle: 50 px right, 25 px up.
    camera = virtual_camera((200, 100), (0.4, 0.2), solution(0, 0, 0, (-0.1, 0.05, 0.8)))
    assert_allclose(camera.K[:2, 2], [149.5, 24.5])


@given(poses)
@settings(deadline=None)
def test_corners_land_on_the_corners_of_the_picture(pose):
    if pose.R[:, 2] @ pose.t > -0.05:
        return
    camera = virtual_camera(SIZE_PX, SIZE_M, pose)
    landed = project(camera.K, into_view(camera, object_corners(SIZE_M)))
    assert_allclose(landed, hg.face_corners(SIZE_PX), atol=1e-9)


@given(poses, st.integers(0, 1000))
@settings(deadline=None)
def test_points_off_the_face_too_are_where_the_picture_shows_them(pose, seed):
    if pose.R[:, 2] @ pose.t > -0.05:
        return
    camera = virtual_camera(SIZE_PX, SIZE_M, pose)
    points = np.random.default_rng(seed).uniform(-0.06, 0.06, (10, 3))
    in_camera = project(K, points @ pose.R.T + pose.t)
    homography = pose_homography(pose.R, pose.t, SIZE_PX, SIZE_M, K)
    shown = hg.apply(hg.invert(homography), in_camera)
    before = points[:, 2] < pose.R.T[2] @ -pose.t  # in front of the virtual camera
    assert_allclose(project(camera.K, into_view(camera, points[before])), shown[before], atol=1e-6)


def test_noisy_corners_move_no_corner_of_the_view():
    rng = np.random.default_rng(1)
    truth = solution(40, 30, 15, (0.05, 0.02, 0.6))
    corners = project(K, object_corners(SIZE_M) @ truth.R.T + truth.t)
    for _ in range(50):
        noisy = corners + rng.normal(0, 1.5, (4, 2))
        pose = planar_pose(noisy, SIZE_M, K)[0]
        camera = virtual_camera(SIZE_PX, SIZE_M, pose)
        landed = project(camera.K, into_view(camera, object_corners(SIZE_M)))
        assert_allclose(landed, hg.face_corners(SIZE_PX), atol=1e-9)


def test_size_and_side_are_checked():
    with pytest.raises(ValueError, match="size must be a positive width and height"):
        virtual_camera(SIZE_PX, (0.1, -1), solution(0, 0, 0, (0, 0, 1)))
    with pytest.raises(ValueError, match="behind the face"):
        virtual_camera(SIZE_PX, SIZE_M, solution(120, 0, 0, (0, 0, 1)))
