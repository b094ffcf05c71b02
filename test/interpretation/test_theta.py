"""Statistics of theta against hand-worked values and independent references."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stn_ros.geometry.homography import from_corners
from stn_ros.interpretation.theta import (
    COMPONENTS,
    agreement,
    compare,
    components,
    corner_errors,
    mean_direction,
    nearest_symmetric,
    wrapped,
)

stats = pytest.importorskip("scipy.stats", reason="the train extra is not installed")

SIZE = (64, 32)


def _made_of(rotation=0.0, scale=(1.0, 1.0), shear=0.0, at=(0.0, 0.0), perspective=(0.0, 0.0)):
    """The homography of some components at the middle of SIZE, factor by factor."""
    angle = math.radians(rotation)
    move = np.array([[1, 0, at[0]], [0, 1, at[1]], [0, 0, 1.0]])
    turn = np.array(
        [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]]
    )
    lean = np.array([[1, shear, 0], [0, 1, 0], [0, 0, 1.0]])
    depth = np.array([[1, 0, 0], [0, 1, 0], [perspective[0], perspective[1], 1.0]])
    middle = np.array([[1, 0, -31.5], [0, 1, -15.5], [0, 0, 1.0]])
    return move @ turn @ lean @ np.diag([*scale, 1.0]) @ depth @ middle


def test_components_are_those_a_transform_was_made_of():
    made = _made_of(30.0, (1.5, 0.5), 0.2, (40.0, 20.0), (0.001, -0.002))
    found = components([made, np.eye(3)], SIZE)
    # 0.001 a pixel over half the width of 64, 0.002 over half the height of 32.
    wanted = [30.0, 1.5, 0.5, 0.2, 40.0, 20.0, 3.2, -3.2]
    np.testing.assert_allclose([found[each.name][0] for each in COMPONENTS], wanted, atol=1e-9)
    identity = [0.0, 1.0, 1.0, 0.0, 31.5, 15.5, 0.0, 0.0]
    np.testing.assert_allclose([found[each.name][1] for each in COMPONENTS], identity, atol=1e-9)


def test_what_can_not_be_taken_apart_is_nan_and_left_out():
    found = components([np.zeros((3, 3)), _made_of(10.0), _made_of(20.0)], SIZE)
    assert np.isnan(found["rotation"][0])
    known = components([_made_of(5.0), _made_of(10.0), _made_of(20.0)], SIZE)
    each = agreement(found["rotation"], known["rotation"], circular=True)
    assert each.count == 2
    assert each.correlation == pytest.approx(1.0)
    assert agreement([math.nan], [1.0]).count == 0


def test_an_exact_answer_correlates_fully_and_has_no_error():
    rng = np.random.default_rng(3)
    right = [
        _made_of(
            rng.uniform(-180, 180), rng.uniform(0.5, 2, 2), rng.uniform(-0.3, 0.3),
            rng.uniform(0, 90, 2), rng.uniform(-0.003, 0.003, 2),
        )
        for _ in range(40)
    ]  # fmt: skip
    for each in compare(components(right, SIZE), components(right, SIZE)).values():
        assert each.correlation == pytest.approx(1.0, abs=1e-9)
        assert each.slope == pytest.approx(1.0, abs=1e-9)
        assert max(each.error, abs(each.offset), each.scatter) < 1e-9


def test_agreement_worked_by_hand():
    each = agreement([1.0, 3.0, 5.0, 9.0], [0.0, 1.0, 2.0, 3.0])
    # Differences 1, 2, 3, 6.
    assert (each.error, each.offset, each.scatter) == (2.5, 2.5, 1.0)
    assert each.slope == pytest.approx(13 / 5)
    assert each.spread == pytest.approx(math.sqrt(1.25))
    assert each.correlation == pytest.approx(stats.pearsonr([1, 3, 5, 9], [0, 1, 2, 3]).statistic)


def test_a_component_that_never_changes_has_no_correlation():
    each = agreement(np.full(5, 0.7), np.arange(5.0))
    assert math.isnan(each.correlation)
    assert each.slope == 0.0
    turned = agreement(np.full(5, 12.0), 30.0 * np.arange(5.0), circular=True)
    assert math.isnan(turned.correlation)


@given(
    st.lists(st.floats(-180, 180), min_size=4, max_size=30, unique_by=lambda x: round(x, 1)),
    st.floats(-180, 180),
)
def test_angles_with_an_offset_correlate_fully_wherever_they_begin_anew(known, offset):
    known = np.array(known)
    each = agreement(wrapped(known + offset), known, circular=True)
    if not math.isnan(each.correlation):  # all the same, up to half a turn
        assert each.correlation == pytest.approx(1.0, abs=1e-6)
    assert abs(wrapped(each.offset - offset)) < 1e-6
    assert each.scatter < 1e-6


def test_angles_that_say_nothing_do_not_correlate():
    rng = np.random.default_rng(0)
    found, known = rng.uniform(-180, 180, (2, 400))
    each = agreement(found, known, circular=True)
    assert abs(each.correlation) < 0.1
    # Mirrored angles turn against each other.
    assert agreement(-known, known, circular=True).correlation == pytest.approx(-1.0)


def test_small_angles_correlate_as_pearson_has_it():
    rng = np.random.default_rng(1)
    known = rng.normal(0, 2.0, 300)
    found = 0.5 * known + rng.normal(0, 1.0, 300)
    each = agreement(found, known, circular=True)
    assert each.correlation == pytest.approx(stats.pearsonr(found, known).statistic, abs=0.005)
    assert each.slope == pytest.approx(np.polyfit(known, found, 1)[0], abs=0.005)


def test_mean_direction_is_scipys():
    angles = [170.0, -175.0, 160.0]
    wanted = stats.circmean(angles, high=180, low=-180)
    assert mean_direction(angles) == pytest.approx(wanted)


def test_corner_errors_are_mean_distances_and_infinite_where_a_corner_is_not_found():
    moved = np.array([[1, 0, 3], [0, 1, 4], [0, 0, 1.0]])
    errors = corner_errors([moved, np.full((3, 3), np.nan)], [np.eye(3), np.eye(3)], SIZE)
    np.testing.assert_allclose(errors, [5.0, math.inf])


def test_the_nearest_look_alike_is_the_right_one():
    corners = np.array([[-0.5, -0.5], [63.5, -0.5], [63.5, 31.5], [-0.5, 31.5]])
    half = from_corners(corners, np.roll(corners, 2, axis=0))
    known = [_made_of(10.0), _made_of(-20.0)]
    found = [known[0] @ half, known[1]]
    nearest = nearest_symmetric(found, known, [np.eye(3), half], SIZE)
    np.testing.assert_allclose(corner_errors(found, nearest, SIZE), 0, atol=1e-9)
    np.testing.assert_allclose(nearest[1], known[1] / known[1][2, 2], atol=1e-12)
