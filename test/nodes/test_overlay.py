"""Outlines drawn where the faces are."""

from dataclasses import replace

import numpy as np

from stn_ros.geometry.camera import CameraModel
from stn_ros.nodes.overlay import FOUND, REFUSED, draw
from stn_ros.runtime.alignment import Alignment, Region

SIZE = (320, 240)
CORNERS = np.array([(60.0, 50.0), (260.0, 50.0), (260.0, 190.0), (60.0, 190.0)])


def alignment(accepted: bool, region: Region | None = None) -> Alignment:
    return Alignment(
        object_name="box",
        size=(16, 16),
        homography=np.eye(3),
        confidence=0.9,
        accepted=accepted,
        reason="" if accepted else "too dark",
        corners=CORNERS.copy(),
        corner_covariance=np.eye(8),
        tracked=False,
        region=region,
    )


def drawn(*alignments: Alignment, camera: CameraModel | None = None) -> np.ndarray:
    frame = np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)
    picture = draw(frame, alignments, camera)
    assert (frame == 128).all()
    return picture


def inked(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.abs(picture.astype(int) - colour).max(axis=2) < 40


def test_the_outline_runs_through_the_corners_and_its_top_is_thick():
    ink = inked(drawn(alignment(True)), FOUND)
    for x, y in ((160, 50), (260, 120), (160, 190), (60, 120)):
        assert ink[y, x]
    assert ink[46:55, 200].sum() > ink[186:195, 200].sum()
    assert not ink[100:140, 100:220].any()


def test_in_a_distorted_image_the_outline_bends_with_the_lens():
    K = np.array([[300.0, 0, 159.5], [0, 300, 119.5], [0, 0, 1]])
    lens = CameraModel(SIZE, K, np.array([-0.4, 0.0, 0.0, 0.0]))
    ink = inked(drawn(alignment(True), camera=lens), FOUND)
    middle, corner = lens.distort_points([(160.0, 50.0), (60.0, 50.0)])
    assert middle[1] > 51
    assert corner[1] > middle[1] + 3
    for x, y in np.rint([middle, corner]).astype(int):
        assert ink[y - 1 : y + 2, x - 1 : x + 2].any()


def test_what_was_refused_shows_its_region():
    region = Region("box", 100, 80, 60, 40)
    picture = drawn(alignment(False, region))
    assert inked(picture, REFUSED)[80, 130]
    assert not inked(picture, FOUND).any()
    assert (drawn(alignment(False)) == 128).all()


def test_the_number_of_a_second_instance_is_written():
    one = alignment(True)
    assert (drawn(one) == drawn(replace(one, instance=1))).all()
    assert (drawn(one) != drawn(replace(one, instance=2))).any()


def test_an_outline_far_outside_does_no_harm():
    wild = alignment(True)
    wild.corners[:] = [(-1e9, 0), (np.nan, np.nan), (1e9, 1e9), (0, 50)]
    drawn(wild)
