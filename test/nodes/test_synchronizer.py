"""Detections meet their images: exact, late, early, looped, too far apart."""

import pytest

from stn_ros.nodes.synchronizer import Match, Synchronizer

SECOND = 1_000_000_000


@pytest.fixture
def sync():
    return Synchronizer(slop=0.1)


def ns(seconds: float) -> int:
    return round(seconds * SECOND)


def test_exact_stamp_wins_over_a_nearer_arrival(sync: Synchronizer[str]):
    sync.put(ns(1.00), "a")
    sync.put(ns(1.03), "b")
    sync.put(ns(1.06), "c")
    assert sync.take(ns(1.03)).item == "b"
    assert sync.take(ns(1.06)).item == "c"


def test_an_item_is_taken_once_and_takes_older_ones_along(sync: Synchronizer[str]):
    sync.put(ns(1.00), "a")
    sync.put(ns(1.03), "b")
    assert sync.take(ns(1.03)).item == "b"
    assert sync.take(ns(1.04)) == Match(None, None)


def test_a_detection_ahead_waits_for_its_image(sync: Synchronizer[str]):
    sync.put(ns(1.06), "early")
    assert sync.take(ns(1.00)) == Match(None, None)
    assert sync.take(ns(1.03)).item is None
    assert sync.take(ns(1.06)).item == "early"


def test_time_may_begin_at_zero(sync: Synchronizer[str]):
    """As simulated time does: nothing has jumped back."""
    sync.put(0, "first")
    sync.put(ns(0.3), "early")
    assert sync.take(0).item == "first"
    assert sync.take(ns(0.3)).item == "early"


def test_a_late_detection_goes_to_the_next_image_within_the_slop(sync: Synchronizer[str]):
    assert sync.take(ns(1.00)).item is None
    sync.put(ns(1.00), "late")
    assert sync.take(ns(1.0999)).item == "late"


def test_beyond_the_slop_it_is_forgotten_and_the_gap_told(sync: Synchronizer[str]):
    sync.put(ns(1.00), "too late")
    match = sync.take(ns(1.2))
    assert match.item is None
    assert match.gap == pytest.approx(0.2)
    assert sync.take(ns(1.05)) == Match(None, None)


def test_stamps_of_another_clock_are_told(sync: Synchronizer[str]):
    sync.put(ns(1000.0), "wall clock")
    match = sync.take(ns(1.0))
    assert match.item is None
    assert match.gap == pytest.approx(-999)


def test_a_looping_bag_starts_afresh(sync: Synchronizer[str]):
    sync.take(ns(9.9))
    sync.put(ns(9.97), "before the loop")
    sync.put(ns(1.0), "after the loop")
    assert sync.take(ns(1.0)).item == "after the loop"
    assert sync.take(ns(9.97)) == Match(None, None)


def test_images_that_jump_back_drop_what_was_waiting(sync: Synchronizer[str]):
    sync.put(ns(9.9), "before the loop")
    sync.take(ns(9.8))
    assert sync.take(ns(1.0)) == Match(None, None)
    sync.put(ns(1.03), "after the loop")
    assert sync.take(ns(1.03)).item == "after the loop"


def test_without_images_only_the_newest_are_kept():
    sync = Synchronizer(slop=0.1, depth=3)
    for index in range(10):
        sync.put(ns(index), str(index))
    assert sync.take(ns(6)) == Match(None, pytest.approx(-1))
    assert sync.take(ns(7)).item == "7"
