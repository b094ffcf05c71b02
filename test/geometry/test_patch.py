import math

import numpy as np
import pytest

from stn_ros.geometry.homography import apply, face_corners, to_corners
from stn_ros.geometry.patch import (
    MARGIN,
    camera_corner_covariance,
    normalised_patch_to_canonical,
    patch_to_canonical,
    region_homography,
)

SIZE = (120, 80)


def test_face_fills_the_middle_of_the_patch():
    inner = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / MARGIN
    np.testing.assert_allclose(
        apply(normalised_patch_to_canonical(SIZE), inner), face_corners(SIZE), atol=1e-9
    )


def test_patch_pixels_by_hand():
    # 50 pixels over 1.25 faces of 120 x 80: 3 x 2 canonical pixels each.
    matrix = patch_to_canonical(50, SIZE)
    np.testing.assert_allclose(matrix, [[3, 0, -14], [0, 2, -9.5], [0, 0, 1]], atol=1e-9)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_region_of_the_right_proportions_is_filled(rotation):
    box = (10.0, 20.0, 240.0, 160.0) if rotation % 180 == 0 else (10.0, 20.0, 160.0, 240.0)
    corners = to_corners(region_homography(box, rotation, SIZE), SIZE)
    np.testing.assert_allclose(corners.min(axis=0), box[:2], atol=1e-9)
    np.testing.assert_allclose(np.ptp(corners, axis=0), box[2:], atol=1e-9)
    first = {0: (10, 20), 90: (170, 20), 180: (250, 180), 270: (10, 260)}[rotation]
    np.testing.assert_allclose(corners[0], first, atol=1e-9)


def test_region_under_any_rotation_keeps_area_and_centre():
    corners = to_corners(region_homography((10, 20, 100, 140), 33.0, SIZE), SIZE)
    assert math.prod(np.ptp(corners, axis=0)) == pytest.approx(100 * 140)
    np.testing.assert_allclose(corners.mean(axis=0), [60, 90], atol=1e-9)


def test_corner_covariance_scales_with_the_patch():
    """The whole face, 60 x 40 camera pixels a normalised unit: variances times 3600 and 1600."""
    found = camera_corner_covariance(np.diag([60.0, 40, 1]), np.eye(3), 0.01 * np.eye(8))
    np.testing.assert_allclose(found, np.diag([36.0, 16.0] * 4), atol=1e-9)


def test_corner_covariance_is_first_order_in_what_each_corner_moves():
    """Against finite differences, through a perspective and a face found off the middle."""
    to_camera = np.array([[60.0, 8, 300], [-5, 40, 200], [0.1, -0.2, 1]])
    motion = np.array([[1.1, 0.1, 0.05], [-0.1, 0.9, 0.1], [0.05, 0.02, 1]])
    mixing = np.random.default_rng(0).normal(size=(8, 8))
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / MARGIN
    found = apply(motion, corners).ravel()
    step = 1e-6
    columns = [
        (apply(to_camera, (found + shift).reshape(4, 2)) - apply(to_camera, found.reshape(4, 2)))
        for shift in step * np.eye(8)
    ]
    spread = np.stack([column.ravel() for column in columns], axis=1) / step
    np.testing.assert_allclose(
        camera_corner_covariance(to_camera, motion, mixing @ mixing.T),
        spread @ mixing @ mixing.T @ spread.T,
        rtol=1e-4,
    )
