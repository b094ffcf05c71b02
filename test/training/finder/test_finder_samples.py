"""What the finder is trained on is what it says."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ros.localization.finder import MIDDLE, STRIDE
from stn_ros.synthesis.scene import face_homography
from stn_ros.training.finder.samples import (
    CROP,
    PICTURE,
    FinderBatch,
    FinderSamples,
    outline_of,
)


@pytest.fixture(scope="module")
def batch() -> FinderBatch:
    return FinderSamples(4, faces=30).batch(3, 24)


def test_shapes(batch: FinderBatch):
    rows, columns = PICTURE[1] // STRIDE, PICTURE[0] // STRIDE
    assert batch.pictures.shape == (3, PICTURE[1], PICTURE[0], 3)
    assert batch.crops.shape == (24, CROP, CROP, 3)
    assert batch.ignored.shape == (3, rows, columns)
    count = len(batch.face)
    assert count >= 4
    assert batch.rivals.shape == (count, 24)
    assert batch.outline.shape == (count, 5)
    assert CROP // STRIDE % 2 == 1  # a cell in the very middle


def test_the_same_seed_gives_the_same(batch: FinderBatch):
    again = FinderSamples(4, faces=30).batch(3, 24)
    for name, value in vars(batch).items():
        assert_array_equal(value, getattr(again, name))


def test_a_face_is_no_rival_of_itself(batch: FinderBatch):
    for i, (crop, face) in enumerate(zip(batch.crop, batch.face, strict=True)):
        assert batch.crop_face[crop] == face
        assert not batch.rivals[i, crop]
        assert not batch.rivals[i, batch.crop_face == face].any()
        others = (batch.crop_face >= 0) & (batch.crop_face != face)
        assert batch.rivals[i, others].all()


def test_its_centre_is_in_the_cell_it_is_said_to_be_in(batch: FinderBatch):
    assert (np.abs(batch.outline[:, :2]) <= 0.5 + 1e-6).all()
    assert batch.ignored[batch.picture, batch.row, batch.column].all()
    size = MIDDLE * np.exp((batch.outline[:, 2] + batch.outline[:, 4]) / 2)
    assert (size > 26).all()
    assert (size < 76).all()


@pytest.mark.parametrize("roll", [0, 40, 90])
def test_outline_of_a_face_seen_square_on(roll: float):
    size = (120, 80)
    homography = face_homography(
        size, (50.0, 60.0), 48.0, math.radians(roll), 0.0, 0.0, 600.0, (50.0, 60.0)
    )
    centre, triangle = outline_of(homography, size)
    assert_allclose(centre, [50, 60], atol=1e-6)
    # A rectangle of 48 x 32 px: its sides' squares, turned.
    turn = np.array(
        [
            [math.cos(math.radians(roll)), -math.sin(math.radians(roll))],
            [math.sin(math.radians(roll)), math.cos(math.radians(roll))],
        ]
    )
    assert_allclose(
        triangle @ triangle.T, turn @ np.diag([48.0**2, 32.0**2]) @ turn.T, rtol=1e-6, atol=1e-6
    )
    assert triangle[0, 1] == 0
