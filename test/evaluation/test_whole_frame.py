"""Frames for finding: where the truth is, what lies about, and how answers are judged."""

from __future__ import annotations

import numpy as np
import pytest

from stn_ros.evaluation.whole_frame import (
    KINDS,
    Answer,
    Face,
    Scenes,
    WholeFrame,
    face_size,
    judged,
)
from stn_ros.evaluation.whole_frame_rivals import orb
from stn_ros.geometry.homography import to_corners
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.sampling import FrameSampler

PICTURE = np.zeros((100, 100, 3), np.uint8)


def scaled(scale: float, shift: float = 0.0) -> np.ndarray:
    """A homography that scales about the outer corner at (-0.5, -0.5) and then shifts along x."""
    offset = (scale - 1) / 2
    return np.array([[scale, 0, offset + shift], [0, scale, offset], [0, 0, 1.0]])


def frame_with(*faces: tuple[str, float], symmetry: tuple[int, ...] = ()) -> WholeFrame:
    """Faces by name and size."""
    shown = [
        Face(
            ObjectModel(name, PICTURE, symmetry=symmetry),
            scaled(size / 100),
            size,
            tilt=0,
            visible=1,
        )
        for name, size in faces
    ]
    return WholeFrame(np.zeros((480, 640, 3), np.uint8), shown, "plain")


@pytest.mark.parametrize(
    ("size", "shift", "verdict"),
    [
        (40, 0.0, "right"),
        (40, 2.9, "right"),
        (40, 3.1, "inexact"),
        (40, 9.9, "inexact"),
        (40, 10.1, "wrong"),  # a quarter of the size
        (24, 7.9, "inexact"),
        (24, 8.1, "wrong"),  # 8 px are more than a quarter
        (300, 5.9, "right"),  # 2 % of the size
        (300, 6.1, "inexact"),
        (300, 76, "wrong"),
    ],
)
def test_a_shift_is_judged_by_the_size(size: float, shift: float, verdict: str):
    outcome = judged(frame_with(("a", size)), [Answer("a", scaled(size / 100, shift))])
    assert outcome.right == [verdict == "right"]
    assert len(outcome.inexact) == (verdict == "inexact")
    assert len(outcome.wrong) == (verdict == "wrong")


def test_another_name_at_the_place_and_the_name_elsewhere_are_wrong():
    frame = frame_with(("a", 100), ("b", 200))
    at_a, at_b = (face.homography for face in frame.faces)
    answers = [Answer("b", at_b), Answer("b", at_a), Answer("c", at_a), Answer("a", at_b)]
    outcome = judged(frame, answers)
    assert outcome.right == [False, True]
    assert outcome.wrong == answers[1:]


def test_nothing_published_is_nothing_right_and_nothing_wrong():
    outcome = judged(frame_with(("a", 100)), [])
    assert (outcome.right, outcome.inexact, outcome.wrong) == ([False], [], [])


def test_all_is_wrong_in_an_empty_frame():
    outcome = judged(frame_with(), [Answer("a", np.eye(3))])
    assert (outcome.right, len(outcome.wrong)) == ([], 1)


def test_a_homography_that_is_none_is_wrong():
    outcome = judged(frame_with(("a", 100)), [Answer("a", np.zeros((3, 3)))])
    assert len(outcome.wrong) == 1


def test_a_half_turn_is_right_where_the_face_looks_the_same():
    turned = Answer("a", np.array([[-1, 0, 99.0], [0, -1, 99], [0, 0, 1]]))
    assert judged(frame_with(("a", 100)), [turned]).right == [False]
    assert judged(frame_with(("a", 100), symmetry=(180,)), [turned]).right == [True]


def test_the_size_of_a_face_is_the_root_of_its_area():
    assert face_size(scaled(0.5), (100, 100)) == pytest.approx(50)
    assert face_size(np.diag([2.0, 0.5, 1]), (40, 90)) == pytest.approx(60)


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return Scenes(5, 12)


@pytest.fixture(scope="module")
def frames(scenes: Scenes) -> list[WholeFrame]:
    return list(scenes.frames(24))


def test_the_same_seed_gives_the_same_faces_and_frames(scenes: Scenes, frames: list[WholeFrame]):
    again = Scenes(5, 12)
    for one, other in zip(scenes.models, again.models, strict=True):
        np.testing.assert_array_equal(one.reference, other.reference)
    for one, other in zip(again.frames(3), frames[:3], strict=True):
        np.testing.assert_array_equal(one.picture, other.picture)
        assert [face.model.name for face in one.faces] == [f.model.name for f in other.faces]
        assert all(
            np.array_equal(face.homography, known.homography)
            for face, known in zip(one.faces, other.faces, strict=True)
        )


def test_another_stream_or_seed_gives_other_frames(scenes: Scenes, frames: list[WholeFrame]):
    other = next(scenes.frames(1, stream=2))
    assert not np.array_equal(other.picture, frames[0].picture)
    assert not np.array_equal(Scenes(6, 1).models[0].reference, Scenes(5, 1).models[0].reference)


def test_faces_are_taught_ones_within_the_frame_and_of_the_sizes(frames: list[WholeFrame]):
    faces = [face for frame in frames for face in frame.faces]
    assert {len(frame.faces) for frame in frames} == {0, 1, 2, 3, 4}
    assert {frame.kind for frame in frames} == set(KINDS)
    for face in faces:
        corners = to_corners(face.homography, face.model.size)
        assert (corners > -0.5).all()
        assert (corners < (639.5, 479.5)).all()
        # Tilt and aspect make a face smaller or larger than it was drawn for.
        assert 36 / 1.7 < face.size < 230 * 1.7
        assert 0 <= face.tilt <= 50
        assert 0 <= face.visible <= 1
    assert np.mean([36 <= face.size <= 230 for face in faces]) > 0.8


def test_the_truth_is_where_the_face_is(frames: list[WholeFrame]):
    """Sampled through the truth, a plain frame shows the reference; turned, it does not."""
    seen = 0
    for frame in frames:
        for face in frame.faces:
            model = face.model
            if frame.kind != "plain" or face.visible < 1 or face.size < 60 or model.symmetry:
                continue
            view = FrameSampler(frame.picture).sample(face.homography, model.size)[..., :3]
            upright = np.corrcoef(view.ravel(), model.reference.ravel())[0, 1]
            turned = np.corrcoef(view[::-1, ::-1].ravel(), model.reference.ravel())[0, 1]
            assert upright > max(0.4, turned)
            seen += 1
    assert seen >= 3


def test_occluded_faces_are_less_visible(frames: list[WholeFrame]):
    visible = {
        kind: np.mean([face.visible for one in frames if one.kind == kind for face in one.faces])
        for kind in ("plain", "occluded")
    }
    assert visible["occluded"] < visible["plain"] - 0.1


def test_the_share_of_empty_frames(scenes: Scenes):
    assert not any(frame.faces for frame in scenes.frames(4, empty_share=1.0))
    assert all(frame.faces for frame in scenes.frames(4, empty_share=0.0))


def test_no_taught_face_lies_about_untold():
    """Features would find a photo that is taught and also serves as a background."""
    scenes, matching = Scenes(77, 20), orb()
    matching.teach(scenes.models)
    for frame in scenes.frames(5, empty_share=1.0):
        assert all(one.inliers < 25 for one in matching.supported(frame.picture))


def test_frames_of_another_size():
    frame = next(Scenes(5, 2, frame_size=(400, 300)).frames(1, empty_share=0.0))
    assert frame.picture.shape == (300, 400, 3)
