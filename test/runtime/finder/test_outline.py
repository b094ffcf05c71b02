"""A face's affine map from its outline and its rotation."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from stn_ros.geometry.homography import apply, to_corners
from stn_ros.runtime.finder.outline import face_affine, face_homography

SIZES = st.tuples(st.integers(20, 400), st.integers(20, 400))


def turned(degrees: float) -> np.ndarray:
    angle = math.radians(degrees)
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def test_square_on_and_upright():
    # 100 x 50 canonical pixels seen 200 x 100 large: twice as large.
    found = face_affine(np.diag([200.0**2, 100.0**2]), 0.0, (100, 50))
    assert_allclose(found, 2 * np.eye(2), atol=1e-9)


def test_a_quarter_clockwise():
    # Its width now lies along y; x goes down, y to the left.
    found = face_affine(np.diag([100.0**2, 200.0**2]), 90.0, (100, 50))
    assert_allclose(found, [[0, -2], [2, 0]], atol=1e-9)


@given(
    SIZES,
    st.floats(-180, 180),
    st.floats(0, 180),
    st.floats(0.2, 1.0),
    st.floats(0.1, 5.0),
)
def test_any_turn_tilt_and_distance_is_found_again(size, rotation, axis, foreshortening, scale):
    stretch = turned(axis) @ np.diag([scale, scale * foreshortening]) @ turned(-axis)
    affine = stretch @ turned(rotation)
    unit = affine @ np.diag(size)
    found = face_affine(unit @ unit.T, rotation, size)
    assert_allclose(found, affine, rtol=1e-6, atol=1e-6 * scale)


@given(SIZES, st.floats(-180, 180), st.floats(-500, 500), st.floats(-500, 500))
def test_the_centre_is_where_it_was_said(size, rotation, x, y):
    homography = face_homography(np.array([x, y]), np.diag([900.0, 400.0]), rotation, size)
    middle = (np.array(size) - 1) / 2
    assert_allclose(apply(homography, middle), [x, y], atol=1e-6)
    assert_allclose(to_corners(homography, size).mean(axis=0), [x, y], atol=1e-6)
    assert_allclose(homography[2], [0, 0, 1])
