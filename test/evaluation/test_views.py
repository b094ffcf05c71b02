"""Views tell where they were taken from."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stn_ros.evaluation.views import view_error, view_homography
from stn_ros.geometry.homography import corner_error
from stn_ros.runtime.sampling import FrameSampler
from stn_ros.synthesis import artwork
from stn_ros.synthesis.scene import face_homography, paste_face

ART = artwork.draw(11, (256, 180), "magazine")
HOMOGRAPHY = face_homography((256, 180), (300, 240), 220, 0.7, 0.5, 1.0, 600, (319.5, 239.5))


@pytest.fixture
def frame() -> np.ndarray:
    picture = cv2.resize(artwork.draw(12, (320, 240), "marble"), (640, 480))
    paste_face(picture, ART, HOMOGRAPHY)
    return picture


def test_a_view_tells_where_it_was_taken_from(frame: np.ndarray) -> None:
    taken = HOMOGRAPHY @ np.array([[1.01, 0.005, 1.5], [-0.004, 0.99, -2.0], [1e-5, 0, 1]])
    view = FrameSampler(frame).sample(taken, (256, 180))[..., :3]
    found, correlation = view_homography(frame, view, HOMOGRAPHY)
    assert correlation > 0.99
    assert corner_error(found, taken, (256, 180)) < 0.1
    expected = corner_error(taken, HOMOGRAPHY, (256, 180))
    assert expected > 1
    assert view_error(frame, view, HOMOGRAPHY) == pytest.approx(expected, abs=0.1)


def test_a_view_of_something_else_is_off(frame: np.ndarray) -> None:
    other = artwork.draw(13, (256, 180), "comic")
    assert view_error(frame, other, HOMOGRAPHY) == float("inf")
    upside_down = FrameSampler(frame).sample(HOMOGRAPHY, (256, 180))[::-1, ::-1, :3]
    assert view_error(frame, np.ascontiguousarray(upside_down), HOMOGRAPHY) == float("inf")
