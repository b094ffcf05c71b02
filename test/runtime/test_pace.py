"""Searching leaves time for following."""

import numpy as np

from stn_ros.runtime.pace import BURST, SHARE, Pace


def drive(period: float, search: float, follow: float, seconds: float, following: bool):
    """Frames at a period, worked on as they come: searches in each, and when it was taken."""
    pace, now, frames = Pace(), 0.0, []
    while now < seconds:
        searches = pace.searches(now, following)
        work = searches * search + follow
        pace.took(searches, work)
        frames.append((now, searches, work))
        now += period * max(1, np.ceil(work / period))
    return frames


def test_searching_leaves_half_of_the_time_to_following():
    frames = drive(1 / 30, 0.07, 0.02, 10, following=True)
    busy = sum(work for _, searches, work in frames if searches)
    assert 0.7 * SHARE * 10 < busy <= SHARE * 10 + 0.1
    assert max(searches for _, searches, _ in frames) == 1
    assert len(frames) > 150


def test_one_search_shows_what_searches_cost():
    assert Pace().searches(0.0, following=True) == 1


def test_while_nothing_is_followed_every_frame_is_searched():
    assert {searches for _, searches, _ in drive(1 / 30, 0.07, 0.0, 10, following=False)} == {1}


def test_a_slow_camera_leaves_time_for_many_searches():
    frames = drive(0.25, 0.07, 0.01, 10, following=False)
    assert np.median([searches for _, searches, _ in frames]) == 3
    assert max(work for _, _, work in frames) <= 0.25


def test_after_a_pause_no_frame_is_searched_for_long():
    pace = Pace()
    pace.took(pace.searches(0.0, following=False), 0.05)
    assert pace.searches(60.0, following=False) <= BURST / 0.05
    pace.took(0, 0.01)
    assert pace.searches(60.03, following=True) <= BURST / 0.05
    # Nor does it add up while nothing was to be searched.
    for step in range(100):
        searches = pace.searches(61 + step / 30, following=True)
    assert searches <= 1
