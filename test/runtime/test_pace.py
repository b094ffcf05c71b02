"""Searching leaves time for following."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stn_ros.runtime.pace import BURST, Pace


def spent(share: float, period: float, cost: float, followed: float, seconds: float) -> float:
    """What is spent on things that take `cost`, as often as it is afforded."""
    pace, total = Pace(share), 0.0
    for frame in range(round(seconds / period)):
        pace.advance(frame * period, followed)
        for _ in range(min(pace.affords(cost), 5)):
            pace.spend(cost)
            total += cost
    return total


def test_half_of_what_following_leaves_is_spent():
    # A frame leaves 30 - 10 ms, half of it 10 ms: in ten seconds of 30 ms frames, 333 times.
    assert spent(0.5, 0.03, 0.004, 0.01, 10.0) == pytest.approx(3.33, rel=0.02)


def test_what_is_dearer_than_a_frame_leaves_waits_until_it_is_saved():
    assert spent(0.5, 0.03, 0.05, 0.01, 10.0) == pytest.approx(3.3, rel=0.05)


def test_a_frame_that_following_takes_whole_leaves_nothing():
    assert spent(0.5, 0.03, 0.004, 0.03, 10.0) == 0.0


@given(st.floats(0.01, 1), st.floats(0.01, 0.5), st.floats(0.001, 0.2), st.floats(0, 0.1))
def test_never_more_than_the_share(share: float, period: float, cost: float, followed: float):
    assert spent(share, period, cost, followed, 5.0) <= share * 5.0 + cost


def test_after_a_pause_no_frame_is_searched_for_long():
    pace = Pace(1.0)
    pace.advance(0.0, 0.0)
    pace.advance(60.0, 0.0)
    assert pace.affords(BURST / 3) == 3


def test_what_takes_longer_than_is_saved_up_is_afforded_all_the_same():
    assert spent(0.5, 0.1, 2 * BURST, 0.0, 10.0) == pytest.approx(5.0, rel=0.15)


def test_a_debt_is_paid_back():
    pace = Pace(0.5)
    pace.advance(0.0, 0.0)
    pace.spend(0.1)
    pace.advance(0.1, 0.0)
    assert pace.affords(0.01) == 0
    pace.advance(0.25, 0.0)
    assert pace.affords(0.02) == 1


def test_a_clock_that_stands_still_gives_nothing():
    pace = Pace(1.0)
    for _ in range(5):
        pace.advance(3.0, 0.0)
    assert pace.affords(0.001) == 0
