"""The last refinement and what it makes of a hypothesis; following by pixels alone."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from oracle_engine import Oracle, bundle

from stn_ros.geometry.homography import corner_error, to_corners
from stn_ros.runtime.alignment import Alignment
from stn_ros.runtime.confidence import Evidence
from stn_ros.runtime.network_step import Hypothesis, NetworkStep
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.sampling import FrameSampler
from stn_ros.runtime.verification import FADED, UNCERTAIN, Verifier, uncertain
from stn_ros.synthesis import artwork
from stn_ros.synthesis.scene import face_homography, paste_face

SIZE = (256, 170)
MODEL = ObjectModel("box", artwork.draw(7, SIZE, "board_game", split="held_out"))
TRUTH = face_homography(SIZE, (320.3, 240.6), 230.0, 0.3, 0.4, 0.7, 600.0, (319.5, 239.5))
EVIDENCE = Evidence(present=4.0, aligned=4.0, agreement=0.9, log_scale=-2.0, spread=0.0)


def shown() -> np.ndarray:
    frame = np.full((480, 640, 3), 120, np.uint8)
    paste_face(frame, MODEL.reference, TRUTH)
    return cv2.GaussianBlur(frame, (0, 0), 0.6)


def shifted(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]]) @ TRUTH


def verifier(steps: int = 4, threshold: float = 0.5, **weights: float) -> Verifier:
    step = NetworkStep([MODEL], bundle(**weights), lambda _: Oracle({}))
    return Verifier([MODEL], step, threshold, photometric_steps=steps)


def hypothesis(homography: np.ndarray, deviation: float = 1.0) -> Hypothesis:
    return Hypothesis(0, 0, homography, 0.0, EVIDENCE, deviation**2 * np.eye(8), 0.0)


@pytest.fixture(scope="module")
def followed() -> Alignment:
    return verifier().verify(FrameSampler(shown()), hypothesis(TRUTH), tracked=True)


def test_a_hypothesis_is_refined_on_the_pixels():
    found = verifier().verify(FrameSampler(shown()), hypothesis(shifted(1.2, -0.8)), tracked=False)
    assert corner_error(found.homography, TRUTH, SIZE) < 0.06
    np.testing.assert_allclose(found.corners, to_corners(found.homography, SIZE))
    assert found.confidence_inputs["pixels"] > 0.9
    assert found.view.shape == MODEL.reference.shape


def test_without_steps_the_networks_answer_stands():
    start = shifted(1.2, -0.8)
    found = verifier(steps=0).verify(FrameSampler(shown()), hypothesis(start), tracked=False)
    np.testing.assert_allclose(found.homography, start / start[2, 2])


def test_the_networks_covariance_is_scaled_as_its_bundle_says():
    answers = []
    for scale in (1.0, 9.0):
        step = NetworkStep([MODEL], replace(bundle(), corner_scale=scale), lambda _: Oracle({}))
        checker = Verifier([MODEL], step, 0.5, photometric_steps=0)
        answers.append(checker.verify(FrameSampler(shown()), hypothesis(TRUTH), tracked=False))
    first, second = (np.trace(each.corner_covariance) for each in answers)
    assert second == pytest.approx(9 * first, rel=1e-3)


def test_the_threshold_decides_and_is_named():
    checker = verifier(bias=-4.0)  # the logistic of nothing
    found = checker.verify(FrameSampler(shown()), hypothesis(TRUTH), tracked=False)
    assert found.confidence == pytest.approx(0.5)
    assert found.accepted
    checker.threshold = 0.51
    found = checker.verify(FrameSampler(shown()), hypothesis(TRUTH), tracked=False)
    assert not found.accepted
    assert found.reason == "box: confidence 0.50 is below 0.51"


def test_pixels_follow_an_object_that_moves_a_little(followed: Alignment):
    for x, y in ((-1, 1), (2, -2)):
        frame = np.roll(shown(), (y, x), axis=(0, 1))
        after = verifier().track_photometrically(FrameSampler(frame), followed)
        assert after is not None
        assert after.age == followed.age + 1
        assert after.tracked
        assert corner_error(after.homography, shifted(x, y), SIZE) < 0.1


def test_pixels_alone_do_not_follow_what_has_faded(followed: Alignment):
    sampler = FrameSampler(shown())
    after = verifier().track_photometrically(sampler, followed)
    assert after is not None
    pixels = after.confidence_inputs["pixels"]
    for loss, holds in ((0.9 * FADED, True), (1.1 * FADED, False)):
        before = replace(
            followed, confidence_inputs={**followed.confidence_inputs, "pixels": pixels + loss}
        )
        assert (verifier().track_photometrically(sampler, before) is not None) == holds


def test_pixels_alone_do_not_follow_what_is_hidden_or_gone(followed: Alignment):
    hidden = np.full((480, 640, 3), 120, np.uint8)
    assert verifier().track_photometrically(FrameSampler(hidden), followed) is None


def test_pixels_alone_do_not_follow_what_would_be_refused(followed: Alignment):
    assert verifier(bias=-9.0).track_photometrically(FrameSampler(shown()), followed) is None


def test_uncertainty_is_relative_to_the_faces_length():
    corners = np.array([[0.0, 0], [200, 0], [200, 100], [0, 100]])
    for deviation, expected in ((0.9, False), (1.1, True)):
        answer = Alignment(
            "box",
            SIZE,
            np.eye(3),
            1.0,
            True,
            "",
            corners,
            (deviation * UNCERTAIN * 200) ** 2 * np.eye(8),
            tracked=True,
            region=None,
        )
        assert uncertain(answer) == expected
