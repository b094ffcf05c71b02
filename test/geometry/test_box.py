"""Boxes: hand-worked overlaps and edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stn_ros.geometry.box import Box, overlaps

SIDES = st.floats(0.5, 50)
PLACES = st.floats(-60, 60)
BOXES = st.builds(Box, PLACES, PLACES, SIDES, SIDES)


def test_around_points_of_any_shape():
    points = np.array([[[3.0, -1], [7, 4]], [[5, 9], [3, 0]]])
    assert Box.around(points) == Box(3, -1, 4, 10)


def test_corners_go_clockwise_from_the_top_left():
    assert Box(1, 2, 3, 4).corners.tolist() == [[1, 2], [4, 2], [4, 6], [1, 6]]


@pytest.mark.parametrize(
    ("other", "share"),
    [
        (Box(0, 0, 4, 2), 1),
        (Box(2, 0, 4, 2), 4 / 12),
        (Box(3, 1, 4, 2), 1 / 15),
        (Box(1, 0.5, 2, 1), 2 / 8),
        (Box(4, 0, 4, 2), 0),
        (Box(9, 9, 1, 1), 0),
    ],
)
def test_overlap_is_intersection_over_union(other: Box, share: float):
    assert Box(0, 0, 4, 2).overlap(other) == pytest.approx(share)
    assert overlaps([other, other], Box(0, 0, 4, 2)) == pytest.approx([share, share])


@given(BOXES, BOXES)
def test_overlap_is_symmetric_and_what_counting_says(first: Box, second: Box):
    share = first.overlap(second)
    assert share == pytest.approx(second.overlap(first))
    assert 0 <= share <= 1 + 1e-12
    # Counted along each axis, since boxes are products of intervals.
    across = min(first.left + first.width, second.left + second.width)
    across -= max(first.left, second.left)
    down = min(first.top + first.height, second.top + second.height) - max(first.top, second.top)
    shared = max(across, 0) * max(down, 0)
    whole = first.width * first.height + second.width * second.height - shared
    assert share == pytest.approx(shared / whole)


@given(BOXES)
def test_what_is_clipped_lies_in_the_image_and_in_the_box(box: Box):
    inside = box.clipped((40, 30))
    outside = (
        box.left >= 39.5
        or box.top >= 29.5
        or box.left + box.width <= -0.5
        or box.top + box.height <= -0.5
    )
    assert (inside is None) == outside
    if inside is not None:
        low, high = inside.corners.min(axis=0), inside.corners.max(axis=0)
        assert (low >= [-0.5, -0.5]).all()
        assert (high <= np.array([39.5, 29.5]) + 1e-9).all()
        assert (low >= box.corners.min(axis=0) - 1e-9).all()
        assert (high <= box.corners.max(axis=0) + 1e-9).all()
