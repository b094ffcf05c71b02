"""Crops of references: where what is seen lies."""

import math

import cv2
import numpy as np
import pytest

from stn_ros.runtime.finder.references import reference_crop

SIDE = 88


def spotted(size: tuple[int, int], spot: tuple[int, int], radius: int) -> np.ndarray:
    """A black picture with a white disc."""
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    cv2.circle(picture, spot, radius, (255, 255, 255), -1)
    return picture


def centre_of(crop: np.ndarray) -> np.ndarray:
    grey = crop[..., 0].astype(float)
    ys, xs = np.indices(grey.shape)
    return np.array([(grey * xs).sum(), (grey * ys).sum()]) / grey.sum()


@pytest.mark.parametrize("size", [20.0, 44.0, 60.0])
@pytest.mark.parametrize("rotation", [0, 30, 90, 200])
def test_it_lies_in_the_middle_turned_clockwise_and_of_the_size_asked(rotation: int, size: float):
    reference = spotted((200, 128), (160, 40), 14)
    scale = size / math.sqrt(200 * 128)
    crop = reference_crop(reference, SIDE, rotation, size, ground=(0, 0, 0))
    assert crop.shape == (SIDE, SIDE, 3)
    x, y = scale * (160 - 99.5), scale * (40 - 63.5)
    c, s = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    expected = (SIDE - 1) / 2 + np.array([c * x - s * y, s * x + c * y])
    assert centre_of(crop) == pytest.approx(expected, abs=0.3)


def test_around_it_is_ground():
    crop = reference_crop(np.full((60, 80, 3), 255, np.uint8), SIDE, 0, 40.0, ground=(10, 20, 30))
    assert crop[0, 0].tolist() == [10, 20, 30]
    assert (crop == 255).all(axis=2).sum() == pytest.approx(40**2, rel=0.06)


def test_what_is_reduced_much_is_averaged_first():
    # Stripes a pixel wide come out grey, not aliased.
    reference = np.zeros((512, 512, 3), np.uint8)
    reference[:, ::2] = 255
    crop = reference_crop(reference, SIDE, 0, 40.0)
    inner = crop[30:58, 30:58].astype(float)
    assert inner.std() < 4
    assert inner.mean() == pytest.approx(127.5, abs=3)
