"""Decomposition by hand, and composed again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from stn_ros.geometry import homography as hg
from stn_ros.geometry.decomposition import decompose


def test_parts_by_hand():
    # Twice as wide, three times as high, then a quarter turn: x goes down, y goes left.
    parts = decompose([[0, -3, 10], [2, 0, 20], [0, 0, 1]])
    assert parts.translation == (10, 20)
    assert parts.rotation == pytest.approx(np.pi / 2)
    assert parts.scale == pytest.approx((2, 3))
    assert parts.shear == pytest.approx(0)
    assert parts.perspective == (0, 0)


def test_shear_by_hand():
    assert decompose([[1, 0.5, 0], [0, 1, 0], [0, 0, 1]]).shear == pytest.approx(0.5)
    # It acts after the scale: one pixel down is four target pixels down and two along.
    assert decompose([[1, 2, 0], [0, 4, 0], [0, 0, 1]]).shear == pytest.approx(0.5)


def test_mirrored_picture_has_a_negative_scale():
    assert decompose(np.diag([-1.0, 1, 1])).scale == pytest.approx((1, -1))


def test_about_a_point_gives_its_place_and_its_own_scale():
    tilted = np.array([[1, 0, 0], [0, 1, 0], [0.01, 0, 1]])
    parts = decompose(tilted, about=(100, 0))
    assert parts.translation == pytest.approx((50, 0))
    assert parts.scale == pytest.approx((0.25, 0.5))  # 1 / depth^2 along, 1 / depth across
    assert_allclose(hg.jacobian(tilted, [100, 0]), np.diag(parts.scale))


@given(
    st.lists(st.floats(-3, 3), min_size=4, max_size=4),
    st.floats(-200, 200),
    st.floats(-1e-3, 1e-3),
    st.tuples(st.floats(-100, 100), st.floats(-100, 100)),
)
def test_parts_compose_to_the_homography(linear, shift, tilt, about):
    matrix = np.array([[*linear[:2], shift], [*linear[2:], -shift], [tilt, -tilt, 1]])
    if abs(np.linalg.det(matrix)) < 1e-3:
        return
    try:
        parts = decompose(matrix, about)
    except ValueError:
        return
    assert_allclose(parts.homography(), matrix, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("matrix", "cause"),
    [
        ([[1, 0, 0], [0, 1, 0], [1, 0, 0]], "to infinity"),
        (np.full((3, 3), np.nan), "to infinity"),
        ([[1, 1, 0], [1, 1, 0], [0, 0, 1]], "singular"),
    ],
)
def test_what_cannot_be_taken_apart_is_named(matrix, cause):
    with pytest.raises(ValueError, match=cause):
        decompose(matrix)
