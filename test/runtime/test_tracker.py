import numpy as np
import pytest

from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.canonicalizer import Canonicalizer, Region
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.tracker import MAX_GAP, Tracker
from stn_ros.synthesis.scene import SHARP, render_view
from stn_ros.synthesis.textures import Textures


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(21)
    textures = Textures("held_out")
    model = ObjectModel("thing", textures.face(rng, 256))
    view = render_view(rng, model.reference, textures.background, SHARP)
    return Canonicalizer(NetworkBundle.load(), [model]), view, Region("thing", *view.box)


def test_found_once_followed_without_regions(scene):
    canonicalizer, view, region = scene
    tracker = Tracker(canonicalizer)
    assert tracker.update(view.frame, 0.0) == []
    (first,) = tracker.update(view.frame, 0.1, [region])
    assert first.accepted
    assert not first.tracked
    # 120 pixels a second: without the motion model the next step would start 12 pixels off.
    for step in range(1, 8):
        frame = np.roll(view.frame, 4 * step, axis=1)
        (found,) = tracker.update(frame, 0.1 + step / 30)
        assert found.accepted, found.reason
        assert found.tracked
        move = (found.corners - first.corners).mean(axis=0)
        np.testing.assert_allclose(move, [4 * step, 0], atol=1.0)


def test_an_object_that_leaves_is_forgotten(scene):
    canonicalizer, view, region = scene
    tracker = Tracker(canonicalizer)
    tracker.update(view.frame, 0.0, [region])
    empty = np.full_like(view.frame, 90)
    assert not any(a.accepted for a in tracker.update(empty, 0.03))
    assert tracker.update(view.frame, 0.06) == []


def test_a_long_gap_or_a_clock_that_jumps_back_starts_over(scene):
    canonicalizer, view, region = scene
    tracker = Tracker(canonicalizer)
    tracker.update(view.frame, 10.0, [region])
    assert tracker.update(view.frame, 10.0 + 2 * MAX_GAP) == []
    tracker.update(view.frame, 20.0, [region])
    assert tracker.update(view.frame, 5.0) == []
    (again,) = tracker.update(view.frame, 5.1, [region])
    assert again.accepted


def test_two_regions_on_one_object_give_one_answer(scene):
    canonicalizer, view, region = scene
    near = Region("thing", region.left + 4, region.top - 3, region.width, region.height)
    (found,) = Tracker(canonicalizer).update(view.frame, 0.0, [region, near])
    assert found.accepted


def test_a_bad_region_changes_nothing(scene):
    canonicalizer, view, region = scene
    tracker = Tracker(canonicalizer)
    tracker.update(view.frame, 0.0, [region])
    with pytest.raises(ValueError, match="nobody"):
        tracker.update(view.frame, 0.03, [Region("nobody", 0, 0, 9, 9)])
    (found,) = tracker.update(view.frame, 0.06)
    assert found.tracked


def test_no_region_is_starved_by_others(scene):
    canonicalizer, view, region = scene
    tracker = Tracker(canonicalizer)
    empty = [Region("thing", x, 5, 40, 40) for x in range(5, 600, 150)]
    for step in range(4):
        found = tracker.update(view.frame, step / 30, [*empty, region])
        if any(a.accepted for a in found):
            return
    pytest.fail("the region with the object was never searched")
