"""Objects are followed, lost, found again and told apart."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from stn_ros.geometry.homography import corner_error
from stn_ros.runtime.alignment import Alignment, Region
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.canonicalizer import Canonicalizer
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.tracker import MAX_GAP, Tracker
from stn_ros.synthesis.scene import SHARP, face_homography, paste_face, render_frame
from stn_ros.synthesis.textures import Textures


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(21)
    textures = Textures("held_out")
    model = ObjectModel("thing", textures.face(rng, 256))
    view = render_frame(rng, model.reference, textures.background, SHARP)
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


def test_a_hidden_object_comes_back_where_its_motion_took_it(scene):
    canonicalizer, view, region = scene
    tracker = Tracker(canonicalizer)
    tracker.update(view.frame, 0.0, [region])
    tracker.update(np.roll(view.frame, 8, axis=1), 0.1)
    empty = np.full_like(view.frame, 90)
    for step in range(2, 7):
        assert not any(a.accepted for a in tracker.update(empty, 0.1 * step))
    # 48 pixels on: more than one step from where it was seen last.
    (found,) = tracker.update(np.roll(view.frame, 56, axis=1), 0.7)
    assert found.accepted, found.reason
    assert found.tracked


def test_an_object_that_leaves_is_forgotten(scene):
    canonicalizer, view, region = scene
    tracker = Tracker(canonicalizer)
    tracker.update(view.frame, 0.0, [region])
    empty = np.full_like(view.frame, 90)
    for step in range(1, 10):
        assert not any(a.accepted for a in tracker.update(empty, step * MAX_GAP / 8))
    assert tracker.update(view.frame, 1.2 * MAX_GAP) == []


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


@pytest.mark.parametrize("in_front", [0, 1])
@pytest.mark.parametrize("height", [0, 40])
def test_instances_that_cross_keep_their_numbers(in_front: int, height: int):
    """One passes before the other and hides it, wholly or in part."""
    rng = np.random.default_rng(3)
    textures = Textures("held_out")
    model, background = ObjectModel("thing", textures.face(rng, 256)), textures.background
    scenery = background(rng, (640, 480))
    tracker, side = Tracker(Canonicalizer(NetworkBundle.load(), [model])), 130
    both = 0
    for step in range(24):
        centres = [(160 + 13 * step, 240 - height / 2), (480 - 13 * step, 240 + height / 2)]
        truth = [
            face_homography(model.size, centre, side, 0.2, 0.3, 0.5, 600.0, (319.5, 239.5))
            for centre in centres
        ]
        frame = scenery.copy()
        for one in (1 - in_front, in_front):
            paste_face(frame, model.reference, truth[one])
        frame = cv2.GaussianBlur(frame, (0, 0), 0.6)
        regions = [Region("thing", x - 70, y - 70, 140, 140) for x, y in centres]
        found = tracker.update(frame, step / 30, regions if step == 0 else None)
        seen = [one for one in found if one.accepted]
        for one in seen:
            assert corner_error(one.homography, truth[one.instance - 1], model.size) < 8
        both += len(seen) == 2
    assert both >= 14
    assert [one.instance for one in seen] == [1, 2]


Seen = tuple[float, float, bool]
"""Where a face's centre is seen in pixels, confidence from -1 (refused) to 1, whether tracked."""


class Script:
    """A canonicalizer that says what it is told to, frame by frame."""

    def __init__(self, *frames: Sequence[Seen]) -> None:
        self.frames = iter(frames)

    def process(
        self,
        frame: np.ndarray,
        regions: Sequence[Region],
        previous: Sequence[Alignment],
        camera: object,
        searches: int,
    ) -> list[Alignment]:
        self.missed = [one.missed for one in previous]
        self.expected = sorted(one.corners[:, 0].mean() for one in previous)
        return [alignment(*seen) for seen in next(self.frames)]


def alignment(x: float, confidence: float, tracked: bool) -> Alignment:
    square = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    return Alignment(
        object_name="thing",
        size=(16, 16),
        homography=np.eye(3),
        confidence=abs(confidence),
        accepted=confidence > 0,
        reason="",
        corners=[x, 200] + 100 * square,
        corner_covariance=np.eye(8),
        tracked=tracked,
        region=None,
    )


def play(*frames: Sequence[Seen], stamps: Sequence[float] | None = None) -> list[dict[int, float]]:
    """Of each frame, a tenth of a second after the last: where which instance was seen."""
    tracker, frame = Tracker(Script(*frames)), np.zeros((8, 8, 3), np.uint8)
    answers = [
        [one for one in tracker.update(frame, stamp) if one.accepted]
        for stamp, _ in zip(stamps or 0.1 * np.arange(len(frames)), frames, strict=True)
    ]
    return [{one.instance: one.corners[:, 0].mean() for one in answer} for answer in answers]


NEW = False
"""For `Seen`: located in a region."""


def test_new_instances_are_numbered_from_left_to_right():
    assert play([(500, 0.9, NEW), (100, 0.8, NEW)]) == [{1: 100, 2: 500}]


@pytest.mark.parametrize("confidences", [(0.6, 0.9), (0.9, 0.6)])
def test_of_two_answers_at_one_place_the_surer_one_stays(confidences: tuple[float, float]):
    first, second = confidences
    wanted = 100 if first > second else 108
    assert play([(100, first, NEW), (108, second, NEW)]) == [{1: wanted}]
    assert play([(100, 0.1, NEW), (108, -0.9, NEW)]) == [{1: 100}]


def test_a_new_instance_takes_the_lowest_free_number():
    still = [(300, 0.9, True)]
    gone = int(10 * MAX_GAP) + 1
    steps = play([(100, 0.9, NEW), (300, 0.9, NEW)], *[still] * gone, [*still, (500, 0.9, NEW)])
    assert steps[-2:] == [{2: 300}, {1: 500, 2: 300}]


def test_the_number_of_one_just_lost_is_not_given_away():
    steps = play(
        [(100, 0.9, NEW), (300, 0.9, NEW)],
        [(300, 0.9, True), (600, 0.9, NEW)],
        [(300, 0.9, True), (600, 0.9, True), (110, 0.9, NEW)],
    )
    assert steps[1:] == [{2: 300, 3: 600}, {1: 110, 2: 300, 3: 600}]


def test_lost_and_located_in_one_frame_is_the_same_instance():
    steps = play(
        [(100, 0.9, NEW), (300, 0.9, NEW)],
        [(100, -0.2, True), (300, 0.9, True), (130, 0.9, NEW)],
        [(130, 0.9, True), (300, -0.2, True), (280, 0.9, NEW)],
    )
    assert steps[1:] == [{1: 130, 2: 300}, {1: 130, 2: 280}]


def test_the_only_instance_in_view_is_no_second_one_however_far_it_jumped():
    steps = play([(100, 0.9, NEW)], [(100, -0.2, True)], [(600, 0.9, NEW)])
    assert steps == [{1: 100}, {}, {1: 600}]


@pytest.mark.parametrize("confidences", [(0.9, 0.8), (0.8, 0.9)])
def test_where_two_tracks_converge_the_one_expected_there_goes_on(confidences: tuple[float, float]):
    """Number 1 passes behind number 2, which is just then nearer to where 1 is expected."""
    first, second = confidences
    steps = play(
        [(100, 0.9, NEW), (300, 0.9, NEW)],
        [(176, 0.9, True), (300, 0.9, True)],
        [(216, 0.9, True), (300, 0.9, True)],
        [(301, first, True), (300, second, True)],
        [(296, first, True), (297, second, True)],
        [(376, 0.9, True), (294, 0.9, True)],
    )
    assert [sorted(step) for step in steps] == [[1, 2], [1, 2], [1, 2], [2], [2], [1, 2]]
    assert steps[-1] == {1: 376, 2: 294}


def test_two_tracks_of_one_object_become_the_one_that_fits_it():
    steps = play(
        [(200, 0.9, NEW), (290, 0.9, NEW)],
        *[[(200, 0.8, True), (201, 0.9, True)]] * 20,
    )
    assert all(list(step) == [1] for step in steps[1:])


def test_a_refused_frame_keeps_the_velocity():
    script = Script([(100, 0.9, NEW)], [(110, 0.9, True)], [], [], [])
    tracker, frame = Tracker(script), np.zeros((8, 8, 3), np.uint8)
    for step in range(5):
        tracker.update(frame, 0.1 * step)
    assert script.expected == pytest.approx([140])


def test_a_clock_that_jumps_back_numbers_afresh():
    assert play(
        [(100, 0.9, NEW), (300, 0.9, NEW)],
        [(300, 0.9, True)],
        [(300, 0.9, NEW)],
        stamps=[5.0, 5.1, 1.0],
    ) == [{1: 100, 2: 300}, {2: 300}, {1: 300}]


def test_frames_of_one_stamp_do_not_bring_back_what_was_refused():
    steps = play([(100, 0.9, NEW)], [(100, -0.2, True)], [(100, 0.9, True)], stamps=[1.0, 1.0, 1.0])
    assert steps == [{1: 100}, {}, {1: 100}]


@pytest.mark.parametrize("period", [0.1, 0.4])
def test_where_stamps_stand_still_the_time_of_arrival_counts(period: float):
    """Lost, it is expected back for `MAX_GAP`, then forgotten."""
    frames = int(2 * MAX_GAP / period)
    script = Script([(100, 0.9, NEW)], *[[]] * frames)
    tracker, frame = Tracker(script), np.zeros((8, 8, 3), np.uint8)
    expected = []
    for step in range(1 + frames):
        tracker.update(frame, 7.0, arrival=50 + step * period)
        expected.append(len(script.expected))
    assert expected == [0] + [int(step * period <= MAX_GAP + 1e-9) for step in range(1, 1 + frames)]


def test_velocity_is_measured_by_arrival_where_stamps_stand_still():
    script = Script([(100, 0.9, NEW)], [(110, 0.9, True)], [(120, 0.9, True)], [])
    tracker, frame = Tracker(script), np.zeros((8, 8, 3), np.uint8)
    for step in range(4):
        tracker.update(frame, 7.0, arrival=50 + 0.1 * step)
    assert script.expected == pytest.approx([130])


def test_frames_that_an_object_missed_are_counted_until_it_is_seen_again():
    script = Script([(100, 0.9, NEW)], [], [], [(100, 0.9, True)], [], [])
    tracker, frame = Tracker(script), np.zeros((8, 8, 3), np.uint8)
    missed = []
    for step in range(6):
        tracker.update(frame, 0.1 * step)
        missed.append(script.missed)
    assert missed == [[], [0], [1], [2], [0], [1]]


def test_what_flickers_all_over_the_image_is_forgotten():
    rng = np.random.default_rng(0)
    frames = [[(300, 0.9, True), (x, 0.9, NEW)] for x in rng.uniform(500, 5000, 300)]
    steps = play([(300, 0.9, NEW)], *frames)
    assert all(step[1] == 300 for step in steps)
    assert max(max(step) for step in steps) <= 2 + 10 * MAX_GAP
