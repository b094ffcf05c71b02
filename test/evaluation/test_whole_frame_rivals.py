"""The rivals find what is easy, say nothing where there is nothing, and are tuned to be right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from stn_ros.evaluation.whole_frame import Answer, Contestant, Face, WholeFrame, error_of
from stn_ros.evaluation.whole_frame_rivals import (
    LEAST_INLIERS,
    FeatureMatching,
    Supported,
    SweepingWindows,
    orb,
    sift,
    tune,
)
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.canonicalizer import CanonicalizerSettings
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.synthesis import artwork
from stn_ros.synthesis.scene import face_homography, paste_face

SIZE = (256, 190)
MODELS = [
    ObjectModel(name, artwork.draw(seed, SIZE, "magazine"))
    for seed, name in ((7, "one"), (9, "two"), (11, "three"))
]
BLANK = np.full((480, 640, 3), 127, np.uint8)
NOISE = np.random.default_rng(0).integers(0, 255, BLANK.shape, np.uint8)


def scene(*places: tuple[ObjectModel, tuple[float, float]]) -> WholeFrame:
    picture = cv2.resize(artwork.draw(8, (320, 240), "marble"), (640, 480))
    faces = []
    for model, centre in places:
        homography = face_homography(SIZE, centre, 220, 0.6, 0.2, 1.0, 600, (319.5, 239.5))
        paste_face(picture, model.reference, homography)
        faces.append(Face(model, homography, 190, 11, 1))
    return WholeFrame(cv2.GaussianBlur(picture, (0, 0), 0.5), faces, "plain")


def sweep() -> SweepingWindows:
    return SweepingWindows(NetworkBundle.load(), CanonicalizerSettings(), searches=2)


def test_the_sweep_finds_a_large_sharp_face():
    frame = scene((MODELS[0], (320, 240)))
    rival = sweep()
    rival.teach(MODELS[:1])
    (answer,) = rival.find(frame.picture)
    assert error_of(answer, frame.faces[0]) < 1


@pytest.mark.parametrize("make", [orb, sift])
@pytest.mark.parametrize("taught", [1, 3])
def test_features_find_a_large_sharp_face(make: Callable[[], FeatureMatching], taught: int):
    frame = scene((MODELS[0], (330, 250)))
    rival = make()
    rival.teach(MODELS[:taught])
    (answer,) = rival.find(frame.picture)
    assert error_of(answer, frame.faces[0]) < 1


@pytest.mark.parametrize("make", [orb, sift])
def test_several_objects_of_a_frame_are_told_apart(make: Callable[[], FeatureMatching]):
    frame = scene((MODELS[1], (180, 250)), (MODELS[2], (460, 250)))
    rival = make()
    rival.teach(MODELS)
    answers = {answer.object_name: answer for answer in rival.find(frame.picture)}
    assert answers.keys() == {"two", "three"}
    assert all(error_of(answers[face.model.name], face) < 3 for face in frame.faces)


@pytest.mark.parametrize("make", [orb, sift, sweep])
@pytest.mark.parametrize("frame", [BLANK, NOISE], ids=["blank", "noise"])
def test_nothing_is_said_where_there_is_nothing(make: Callable[[], Contestant], frame: np.ndarray):
    rival = make()
    rival.teach(MODELS)
    assert rival.find(frame) == []


@pytest.mark.parametrize("make", [orb, sift])
def test_a_face_without_features_is_never_found(make: Callable[[], FeatureMatching]):
    rival = make()
    rival.teach([ObjectModel("plain", np.full((190, 256, 3), 90, np.uint8))])
    assert rival.find(scene((MODELS[0], (330, 250))).picture) == []


def test_at_one_place_only_the_best_is_kept():
    """Taught twice, once with half of its print gone: one answer, of the whole one."""
    half = MODELS[0].reference.copy()
    half[:, 128:] = 127
    rival = orb()
    rival.teach([ObjectModel("half", half), MODELS[0]])
    (one,) = rival.supported(scene((MODELS[0], (330, 250))).picture)
    assert one.answer.object_name == "one"


def test_teaching_anew_forgets_what_was_taught():
    rival = orb()
    rival.teach(MODELS[:1])
    rival.teach(MODELS[1:])
    picture = scene((MODELS[0], (330, 250))).picture
    assert "one" not in [answer.object_name for answer in rival.find(picture)]


def test_of_a_hundred_frames_one_may_be_wrong():
    class Known(FeatureMatching):
        """Says of a frame what its first pixel tells: one wrong answer with as many inliers."""

        def supported(self, frame: np.ndarray) -> list[Supported]:
            return [Supported(Answer("one", np.eye(3)), int(frame[0, 0, 0]))] * bool(frame.any())

    def tuned(inliers: list[int], count: int) -> int:
        rival = Known(None)
        values = inliers + [0] * (count - len(inliers))
        tune(rival, (WholeFrame(np.full((1, 1, 3), n, np.uint8), [], "") for n in values))
        return rival.min_inliers

    assert tuned([40, 12, 9], count=99) == 41
    assert tuned([9, 40, 12], count=100) == 13
    assert tuned([9, 40, 12], count=200) == 10
    assert tuned([40], count=100) == LEAST_INLIERS


def test_a_rival_is_tuned_until_nothing_is_wrong():
    frame = scene((MODELS[0], (330, 250)))
    rival = orb()
    rival.teach(MODELS)
    (one,) = rival.supported(frame.picture)
    tune(rival, [frame])
    assert rival.min_inliers == LEAST_INLIERS
    assert len(rival.find(frame.picture)) == 1
    # The same answer, if the face were not there.
    tune(rival, [frame, replace(frame, faces=[])])
    assert rival.min_inliers == one.inliers + 1
    assert rival.find(frame.picture) == []
    tune(rival, [frame])
    assert len(rival.find(frame.picture)) == 1
