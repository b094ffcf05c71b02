"""Homographies against hand-worked values, closed forms and OpenCV."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from stn_ros.geometry import homography as hg

SHIFT = np.array([[1, 0, 3], [0, 1, -2], [0, 0, 1.0]])
DOUBLE = np.diag([2.0, 2.0, 1.0])
unit = st.floats(-1, 1)


@st.composite
def visible_homographies(draw: st.DrawFn) -> np.ndarray:
    """Homographies of a 64x48 picture whose corners stay in four separate quarters: convex."""
    jitter = np.array(draw(st.lists(unit, min_size=8, max_size=8))).reshape(4, 2)
    quad = np.array([[0, 0], [300, 0], [300, 200], [0, 200]]) + jitter * [60, 40]
    angle = draw(st.floats(-np.pi, np.pi))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return hg.from_corners(hg.face_corners((64, 48)), quad @ turn.T + [500, 400])


def test_compose_applies_the_last_one_first():
    assert_allclose(hg.apply(hg.compose(SHIFT, DOUBLE), [1, 1]), [5, 0])
    assert_allclose(hg.apply(hg.compose(DOUBLE, SHIFT), [1, 1]), [8, -2])
    assert_allclose(hg.compose(), np.eye(3))


def test_result_is_scaled_to_a_last_entry_of_one():
    assert_allclose(hg.compose(SHIFT * -7.0), SHIFT)
    assert_allclose(hg.invert(SHIFT * 4.0), [[1, 0, -3], [0, 1, 2], [0, 0, 1]])


def test_origin_on_the_horizon_still_gives_a_finite_matrix():
    swap = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0.0]])
    assert_allclose(hg.invert(swap), swap)
    assert not np.isfinite(hg.apply(swap, [0, 5])).all()


@pytest.mark.parametrize(
    "matrix", [np.zeros((3, 3)), np.ones((3, 3)), np.diag([1.0, 0, 1]), np.full((3, 3), np.nan)]
)
def test_singular_matrix_is_refused(matrix):
    with pytest.raises(ValueError, match="singular"):
        hg.invert(matrix)


def test_wrong_shape_is_named():
    with pytest.raises(ValueError, match=r"3x3 matrix; got shape \(2, 3\)"):
        hg.apply(np.zeros((2, 3)), [0, 0])


@given(visible_homographies())
def test_inverse_undoes(matrix):
    points = np.random.default_rng(0).uniform(-10, 70, (20, 2))
    assert_allclose(hg.apply(hg.invert(matrix), hg.apply(matrix, points)), points, atol=1e-7)
    assert_allclose(
        hg.invert(matrix), np.linalg.inv(matrix) / np.linalg.inv(matrix)[2, 2], rtol=1e-6, atol=1e-9
    )


@given(visible_homographies())
def test_apply_agrees_with_opencv(matrix):
    points = np.random.default_rng(1).uniform(0, 60, (15, 2))
    assert_allclose(hg.apply(matrix, points), cv2.perspectiveTransform(points[None], matrix)[0])


@given(visible_homographies())
def test_four_corners_round_trip_and_agree_with_opencv(matrix):
    quad = hg.to_corners(matrix, (64, 48))
    found = hg.from_corners(hg.face_corners((64, 48)), quad)
    assert_allclose(found, matrix, rtol=1e-8, atol=1e-10)
    reference = cv2.getPerspectiveTransform(
        hg.face_corners((64, 48)).astype(np.float32), quad.astype(np.float32)
    )
    assert_allclose(hg.to_corners(reference, (64, 48)), quad, atol=1e-3)  # float32 input


@given(visible_homographies())
def test_jacobian_is_the_derivative(matrix):
    points = np.random.default_rng(2).uniform(0, 60, (5, 2))
    step = 1e-4
    numeric = np.stack(
        [
            (hg.apply(matrix, points + shift) - hg.apply(matrix, points - shift)) / (2 * step)
            for shift in step * np.eye(2)
        ],
        axis=-1,
    )
    assert_allclose(hg.jacobian(matrix, points), numeric, rtol=1e-5, atol=1e-6)


def test_face_corners_are_pixel_edges():
    assert_allclose(hg.face_corners((4, 2)), [[-0.5, -0.5], [3.5, -0.5], [3.5, 1.5], [-0.5, 1.5]])
    with pytest.raises(ValueError, match="size"):
        hg.face_corners((0, 2))


def test_corner_error_by_hand():
    assert hg.corner_error(SHIFT, np.eye(3), (10, 20)) == pytest.approx(np.hypot(3, 2))
    # Doubling a 2x2 picture moves its corners from -0.5, 1.5 to -1, 3.
    assert hg.corner_error(DOUBLE, np.eye(3), (2, 2)) == pytest.approx(
        (np.hypot(0.5, 0.5) + 2 * np.hypot(0.5, 1.5) + np.hypot(1.5, 1.5)) / 4
    )


def test_normalised_edges_and_centres():
    to_pixel = hg.normalised_to_pixel((4, 2))
    assert_allclose(
        hg.apply(to_pixel, [[-1, -1], [1, 1], [0, 0]]), [[-0.5, -0.5], [3.5, 1.5], [1.5, 0.5]]
    )
    x = np.arange(4)
    assert_allclose(
        hg.apply(hg.invert(to_pixel), np.stack([x, 0 * x], 1))[:, 0], (2 * x + 1) / 4 - 1
    )
    with pytest.raises(ValueError, match="size"):
        hg.normalised_to_pixel((4, 0))


@pytest.mark.parametrize(
    ("points", "cause"),
    [
        (np.zeros((3, 2)), r"target must be four points, shape \(4, 2\); got \(3, 2\)"),
        ([[0, 0], [1, 1], [2, 2], [0, 5]], "three of the target points lie on a line"),
        ([[0, 0], [0, 0], [2, 2], [0, 5]], "three of the target points lie on a line"),
        ([[0, 0], [1, 0], [np.nan, 1], [0, 1]], "target points must be finite"),
    ],
)
def test_degenerate_corners_are_named(points, cause):
    with pytest.raises(ValueError, match=cause):
        hg.from_corners(hg.face_corners((4, 4)), points)


@given(visible_homographies(), st.floats(0.01, 100), st.sampled_from([1, -1]))
def test_visible_face_whatever_the_scale_of_the_matrix(matrix, scale, sign):
    assert hg.is_visible_face(scale * sign * matrix, (64, 48))


def test_not_a_visible_face():
    mirrored = np.diag([-1.0, 1, 1])
    behind = np.array([[1, 0, 0], [0, 1, 0], [-0.05, 0, 1]])  # horizon at x = 20
    assert not hg.is_visible_face(mirrored, (64, 48))
    assert not hg.is_visible_face(behind, (64, 48))
    assert hg.is_visible_face(behind, (16, 48))
    assert not hg.is_visible_face(np.full((3, 3), np.nan), (64, 48))
    assert not hg.is_visible_face(np.zeros((3, 3)), (64, 48))


def test_quarter_rotation_by_hand():
    """Of 4 x 2 pixels: the top left corner goes on clockwise, the outline stays."""
    places = {0: (-0.5, -0.5), 90: (3.5, -0.5), 180: (3.5, 1.5), 270: (-0.5, 1.5)}
    for degrees, place in places.items():
        matrix = hg.quarter_rotation((4, 2), degrees)
        assert_allclose(hg.apply(matrix, [-0.5, -0.5]), place, atol=1e-12)
        corners = hg.to_corners(matrix, (4, 2))
        assert_allclose(sorted(corners.tolist()), sorted(hg.face_corners((4, 2)).tolist()))
    # A pixel to the right becomes half a pixel down, the outline's height over its width.
    quarter = hg.quarter_rotation((4, 2), 90)
    assert_allclose(hg.jacobian(quarter, [1.5, 0.5]), [[0, -2], [0.5, 0]], atol=1e-12)
    with pytest.raises(ValueError, match="multiples of 90 degrees keep an outline; got 45"):
        hg.quarter_rotation((4, 2), 45)


def test_longest_side_by_hand():
    corners = np.array([[0.0, 0], [4, 3], [4, 6], [0, 6]])  # 5, 3, 4, 6
    assert hg.longest_side(corners) == 6.0
    assert hg.longest_side(np.roll(corners, 1, axis=0)) == 6.0
