"""The held-out benchmark keeps to its word: what is held out, where the truth is, its seeds."""

from __future__ import annotations

import numpy as np
import pytest

from stn_ros.evaluation.held_out import (
    ABSENT,
    FAINT,
    HARD,
    LOW_TEXTURE,
    ROWS,
    make_faces,
    make_trials,
    trial_count,
)
from stn_ros.geometry.homography import to_corners
from stn_ros.runtime.sampling import FrameSampler
from stn_ros.synthesis import artwork
from stn_ros.synthesis.textures import HELD_OUT_PHOTOS, Textures


@pytest.fixture(scope="module")
def faces():
    return make_faces(14, seed=1)


@pytest.fixture(scope="module")
def trials(faces):
    return list(make_trials(faces, 1, seed=1, rows=ROWS))


def test_no_face_comes_from_what_training_sees(faces) -> None:
    train = {name for name, _ in Textures("train").photos} | set(artwork.TRAIN_STYLES)
    sources = {face.source for face in faces}
    assert not sources & train
    assert sources & HELD_OUT_PHOTOS
    assert sources & set(artwork.HELD_OUT_STYLES)


def test_faint_faces_have_little_contrast_and_are_of_both_kinds() -> None:
    faces = make_faces(20, seed=2)
    faint = [face for face in faces if face.row == FAINT]
    plain = [face for face in faces if not face.row]
    contrasts = [
        np.mean([face.picture.std(axis=(0, 1)).mean() for face in kind]) for kind in (faint, plain)
    ]
    assert contrasts[0] < 0.3 * contrasts[1]
    styles = set(artwork.HELD_OUT_STYLES)
    assert any(face.source in styles for face in faint)
    assert any(face.source not in styles for face in faint)


def test_every_condition_has_its_trials(faces, trials) -> None:
    assert len(trials) == trial_count(faces, 1, ROWS)
    groups = [trial.group for trial in trials]
    assert {groups.count(group) for group in set(groups)} == {14}
    assert {
        "sharp",
        "blurred",
        "small",
        "occluded",
        "tilted",
        LOW_TEXTURE,
        FAINT,
        HARD,
        ABSENT,
    } == set(groups)


def test_the_truth_is_where_the_face_is(trials) -> None:
    """Sampled through the truth, a sharp frame shows the reference; turned, it does not."""
    for trial in trials:
        if trial.group == "sharp" and not trial.model.symmetry:
            view = FrameSampler(trial.frame).sample(trial.truth, trial.model.size)[..., :3]
            reference = trial.model.reference
            upright = np.corrcoef(view.ravel(), reference.ravel())[0, 1]
            turned = np.corrcoef(view[::-1, ::-1].ravel(), reference.ravel())[0, 1]
            assert upright > max(0.4, turned + 0.15)


def test_regions_hold_most_of_the_face_and_little_else(trials) -> None:
    for trial in trials:
        if trial.truth is None:
            continue
        corners = to_corners(trial.truth, trial.model.size)
        low, high = corners.min(axis=0), corners.max(axis=0)
        box_low, extent = np.array(trial.box[:2]), np.array(trial.box[2:])
        assert np.abs(box_low - low).max() <= 0.09 * (high - low).max()
        assert np.abs(box_low + extent - high).max() <= 0.09 * (high - low).max()


def test_absent_objects_are_not_in_the_frame(trials) -> None:
    absent = [trial for trial in trials if trial.group == ABSENT]
    assert all(trial.truth is None for trial in absent)


def test_the_same_seed_gives_the_same_trials(faces, trials) -> None:
    again = next(make_trials(faces, 1, seed=1, rows=ROWS))
    np.testing.assert_array_equal(again.frame, trials[0].frame)
    np.testing.assert_array_equal(again.truth, trials[0].truth)
    other = next(make_trials(faces, 1, seed=2, rows=ROWS))
    assert not np.array_equal(other.frame, trials[0].frame)


def test_a_row_is_the_same_with_and_without_the_others(faces, trials) -> None:
    alone = next(make_trials(faces, 1, seed=1, rows=[HARD]))
    among = next(trial for trial in trials if trial.group == HARD)
    np.testing.assert_array_equal(alone.frame, among.frame)
