"""Transform families by hand and by their group laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from stn_ros.geometry import homography as hg
from stn_ros.geometry.families import Affine, Projective

SIZE = (64, 48)
FAMILIES = [Affine(SIZE, 0.3), Projective(SIZE, 0.3)]
members = st.sampled_from(FAMILIES).flatmap(
    lambda family: st.tuples(
        st.just(family),
        *[
            st.lists(st.floats(-0.25, 0.25), min_size=family.count, max_size=family.count)
            for _ in range(2)
        ],
    )
)


@pytest.mark.parametrize("family", FAMILIES)
def test_zeros_are_the_identity(family):
    assert_allclose(family.homography(family.identity()), np.eye(3), atol=1e-12)


def test_affine_by_hand():
    # Half a picture to the right, twice as high about the middle.
    homography = Affine(SIZE).homography([0, 0, 1, 0, 1, 0])
    assert_allclose(hg.apply(homography, [31.5, 23.5]), [63.5, 23.5])
    assert_allclose(hg.apply(homography, [31.5, 24.5]), [63.5, 25.5])


def test_projective_by_hand():
    # The upper left corner moves a quarter of the width right; the others stay.
    corners = hg.to_corners(Projective(SIZE).homography([0.5, *[0] * 7]), SIZE)
    expected = hg.face_corners(SIZE)
    expected[0, 0] += 16
    assert_allclose(corners, expected, atol=1e-9)


@given(members)
def test_parameters_and_homography_are_inverse(drawn):
    family, values, _ = drawn
    assert_allclose(family.parameters(family.homography(values)), values, atol=1e-9)


@given(members)
def test_composition_and_inverse(drawn):
    family, first, second = drawn
    assert_allclose(
        family.homography(family.compose(first, second)),
        hg.compose(family.homography(first), family.homography(second)),
        rtol=1e-6,
        atol=1e-8,
    )
    assert_allclose(family.compose(family.inverse(first), first), family.identity(), atol=1e-8)


@given(st.lists(st.floats(-50, 50), min_size=8, max_size=8))
def test_bounded_members_are_always_visible_faces(values):
    family = Projective(SIZE, 0.4)
    bounded = family.bounded(values)
    assert np.abs(bounded).max() <= 0.4
    assert hg.is_visible_face(family.homography(bounded), SIZE)


def test_bound_does_not_touch_small_parameters():
    assert_allclose(Affine(SIZE, 0.5).bounded([1e-3] * 6), [1e-3] * 6, rtol=1e-5)


def test_parameters_do_not_depend_on_the_picture_size():
    values = [0.1, 0, 0.2, -0.1, 0.05, 0, 0, 0]
    small, large = Projective((64, 64)), Projective((256, 256))
    scale = np.array([[4, 0, 1.5], [0, 4, 1.5], [0, 0, 1]])
    assert_allclose(
        hg.compose(scale, small.homography(values), hg.invert(scale)), large.homography(values)
    )


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="Affine takes 6 parameters"):
        Affine(SIZE).homography(np.zeros(8))
    with pytest.raises(ValueError, match="not affine"):
        Affine(SIZE).parameters([[1, 0, 0], [0, 1, 0], [1e-3, 0, 1]])
    with pytest.raises(ValueError, match="limit must be positive"):
        Affine(SIZE, 0)
    with pytest.raises(ValueError, match="size"):
        Projective((0, 5))
