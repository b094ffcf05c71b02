"""What a picture alone says: how well it can be placed, and which rotations look alike."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from stn_ros.geometry.homography import apply
from stn_ros.synthesis import artwork
from stn_ros.teaching.texture import (
    corner_deviation,
    look_alike_rotations,
    rotated_ncc,
    symmetry_homographies,
)

ART = artwork.draw(3, (256, 170), "product_box")


def test_texture_is_needed_along_both_directions() -> None:
    plain = np.full((100, 160, 3), 90, np.uint8)
    stripes = plain.copy()
    stripes[:, ::20] = 200
    assert corner_deviation(plain) == math.inf
    assert corner_deviation(stripes) == math.inf
    assert corner_deviation(ART) < 0.003


def test_the_bound_grows_with_noise_and_falls_with_contrast() -> None:
    assert corner_deviation(ART, 16) == pytest.approx(2 * corner_deviation(ART, 8))
    faint = (128 + 0.1 * (ART.astype(float) - 128)).astype(np.uint8)
    assert corner_deviation(faint) == pytest.approx(10 * corner_deviation(ART), rel=0.1)


def test_the_bound_is_reached_by_alignment_of_a_noisy_picture() -> None:
    """Gauss-Newton on noisy copies spreads as the Cramer-Rao bound says."""
    rng = np.random.default_rng(0)
    base = cv2.GaussianBlur(cv2.resize(ART, (64, 42), interpolation=cv2.INTER_AREA), (0, 0), 1.0)
    grey = cv2.cvtColor(base, cv2.COLOR_BGR2GRAY).astype(np.float32)
    spread = []
    for _ in range(30):
        noisy = grey + rng.normal(0, 3, grey.shape).astype(np.float32)
        _, warp = cv2.findTransformECC(
            grey,
            noisy,
            np.eye(3, dtype=np.float32),
            cv2.MOTION_HOMOGRAPHY,
            (3, 60, 1e-6),
            None,
            1,
        )
        corners = np.array([[0, 0], [63, 0], [63, 41], [0, 41.0]])
        spread.append(apply(warp, corners) - corners)
    measured = np.sqrt((np.array(spread) ** 2).sum(axis=2).mean()) / 64
    bound = corner_deviation(cv2.cvtColor(grey.astype(np.uint8), cv2.COLOR_GRAY2BGR), 3)
    assert 0.6 * bound < measured < 2.5 * bound


def test_look_alike_rotations_are_found() -> None:
    assert look_alike_rotations(ART) == ()
    half = np.vstack([ART, ART[::-1, ::-1]])
    assert look_alike_rotations(half) == (180,)
    quarter = cv2.resize(ART, (120, 120))
    top = np.hstack([quarter, np.rot90(quarter, -1)])
    pinwheel = np.vstack([top, np.rot90(top, 2)])
    assert look_alike_rotations(pinwheel) == (90, 180, 270)
    assert look_alike_rotations(cv2.resize(pinwheel, (240, 160))) == (180,)


def test_a_mark_on_one_side_lowers_the_ncc() -> None:
    half = np.vstack([ART, ART[::-1, ::-1]])
    marked = half.copy()
    marked[20:80, 20:120] = (0, 0, 255)
    assert rotated_ncc(marked, 180) < rotated_ncc(half, 180) - 0.02


def test_rotated_corners_follow_each_other() -> None:
    identity, half = symmetry_homographies((200, 100), (180,))
    np.testing.assert_allclose(identity, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(apply(half, [[0, 0], [199, 0]]), [[199, 99], [0, 99]], atol=1e-9)
