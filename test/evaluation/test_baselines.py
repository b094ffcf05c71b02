"""The rival works where it should, and says nothing where there is nothing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stn_ros.evaluation.baselines import SiftHomography, refine_ecc
from stn_ros.geometry.homography import corner_error
from stn_ros.synthesis import artwork
from stn_ros.synthesis.scene import face_homography, paste_face

ART = artwork.draw(7, (256, 190), "magazine")
SIZE = (256, 190)


def _frame(long_side: float, tilt: float, sigma: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    frame = cv2.resize(artwork.draw(8, (320, 240), "marble"), (640, 480))
    homography = face_homography(SIZE, (330, 250), long_side, 0.6, tilt, 1.0, 600, (319.5, 239.5))
    paste_face(frame, ART, homography)
    return cv2.GaussianBlur(frame, (0, 0), sigma), homography


@pytest.mark.parametrize(("long_side", "tilt"), [(220, 0.2), (160, 0.7), (90, 0.3)])
def test_finds_a_textured_face_to_half_a_pixel(long_side: float, tilt: float) -> None:
    frame, truth = _frame(long_side, tilt)
    reach = 0.6 * long_side
    box = (330 - reach, 250 - reach, 2 * reach, 2 * reach)
    found = SiftHomography(ART).align(frame, box)
    assert found is not None
    assert corner_error(found, truth, SIZE) < 0.5


def test_has_no_bias_on_an_untouched_picture() -> None:
    """Features of the same picture twice: a shift would show SIFT's coordinates are off."""
    found = SiftHomography(ART).align(ART, (-0.5, -0.5, *SIZE))
    assert found is not None
    assert corner_error(found, np.eye(3), SIZE) < 0.1


def test_says_nothing_where_there_is_nothing() -> None:
    rival = SiftHomography(ART)
    frame = np.full((480, 640, 3), 127, np.uint8)
    assert rival.align(frame, (100, 100, 200, 200)) is None
    noise = np.random.default_rng(0).integers(0, 255, frame.shape, np.uint8)
    assert rival.align(noise, (100, 100, 200, 200)) is None
    assert rival.align(frame, (700, 100, 200, 200)) is None


def test_ecc_makes_a_near_answer_better() -> None:
    frame, truth = _frame(200, 0.4)
    greys = [cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in (ART, frame)]
    start = truth.copy()
    start[:2, 2] += (1.5, -1.0)
    refined = refine_ecc(greys[0], greys[1], start)
    assert corner_error(refined, truth, SIZE) < 0.5 < corner_error(start, truth, SIZE)


def test_ecc_keeps_the_start_where_it_can_not_begin() -> None:
    blank = np.zeros((190, 256), np.uint8)
    start = np.array([[1, 0, 900], [0, 1, 0], [0, 0, 1.0]])
    np.testing.assert_array_equal(refine_ecc(blank, blank, start), start)
