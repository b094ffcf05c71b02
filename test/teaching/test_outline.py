"""Outlines in drawn photos: borders, backgrounds, shadows and tilts, against the drawn corners."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stn_ros.geometry.homography import face_corners, longest_side, to_corners
from stn_ros.synthesis import artwork
from stn_ros.synthesis.scene import face_homography, paste_face
from stn_ros.teaching.outline import find_outlines, metric_aspects

WIDTH, HEIGHT = 960, 720
CENTRE = ((WIDTH - 1) / 2, (HEIGHT - 1) / 2)
FOCAL = 800.0
LIGHT, DARK = 222, 45


def drawn(
    style: str,
    ground: int,
    *,
    size: tuple[int, int] = (800, 566),
    border: float = 0.0,
    shadow: float = 0.0,
    long_side: float = 620,
    roll: float = 0.04,
    tilt: float = 0.15,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """A photo of a face on a table, and its corners; border and shadow in shares of its width."""
    rng = np.random.default_rng(seed)
    face = artwork.draw(seed, size, style, "held_out")
    edge = round(border * size[0])
    if edge:
        inside = face[edge:-edge, edge:-edge]
        face = cv2.copyMakeBorder(inside, *[edge] * 4, cv2.BORDER_CONSTANT, value=(247,) * 3)
    homography = face_homography(size, CENTRE, long_side, roll, tilt, 0.7, FOCAL, CENTRE)
    corners = to_corners(homography, size)
    shade = cv2.resize(rng.uniform(0.9, 1.05, (3, 4)).astype(np.float32), (WIDTH, HEIGHT))
    photo = ground * shade
    if shadow:
        cast = np.zeros((HEIGHT, WIDTH), np.float32)
        outline = np.round(corners + shadow * long_side).astype(np.int32)
        cv2.fillConvexPoly(cast, outline, 1.0)
        photo *= 1 - 0.35 * cv2.GaussianBlur(cast, (0, 0), 4)
    photo = cv2.merge([photo] * 3).clip(0, 255).astype(np.uint8)
    paste_face(photo, face, homography)
    noisy = cv2.GaussianBlur(photo, (0, 0), 0.8) + rng.normal(0, 2, photo.shape)
    return noisy.clip(0, 255).astype(np.uint8), corners


def off(found: np.ndarray, corners: np.ndarray) -> float:
    """The largest distance of corners in shares of the longest side."""
    return float(np.linalg.norm(found - corners, axis=1).max()) / longest_side(corners)


@pytest.mark.parametrize("border", [0.005, 0.01, 0.02])
@pytest.mark.parametrize("ground", [LIGHT, DARK])
@pytest.mark.parametrize("style", ["postcard", "playing_card"])
def test_the_outer_edge_of_a_thin_light_border_is_the_outline(
    style: str, ground: int, border: float
) -> None:
    photo, corners = drawn(style, ground, border=border, seed=3)
    outlines = find_outlines(photo)
    assert off(outlines[0].corners, corners) < 0.003
    if outlines[0].inner is not None:
        assert off(outlines[0].inner, corners) > 0.004


def test_the_inner_edge_of_a_border_is_named() -> None:
    photo, corners = drawn("street_map", DARK, border=0.02, roll=0.0, tilt=0.0)
    inner = find_outlines(photo)[0].inner
    assert inner is not None
    across = 0.02 * 620
    inwards = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    np.testing.assert_allclose(inner, corners + across * inwards, atol=1.5)


@pytest.mark.parametrize(("roll", "tilt"), [(0.0, 0.0), (-0.1, 0.3), (0.2, 0.5)])
@pytest.mark.parametrize("long_side", [420, 680])
def test_a_face_of_any_share_and_tilt_is_found(long_side: float, roll: float, tilt: float) -> None:
    photo, corners = drawn("magazine", 120, long_side=long_side, roll=roll, tilt=tilt, seed=1)
    assert off(find_outlines(photo)[0].corners, corners) < 0.003


def test_a_shadow_is_no_border() -> None:
    photo, corners = drawn("magazine", LIGHT, shadow=0.01, seed=1)
    assert off(find_outlines(photo)[0].corners, corners) < 0.003


def test_an_edge_that_goes_on_beyond_the_face_is_the_tables() -> None:
    photo, corners = drawn("magazine", LIGHT, roll=0.0, tilt=0.0, seed=1)
    below = round(corners[:, 1].max() + 14)
    photo[below:] = photo[below:] // 3
    assert off(find_outlines(photo)[0].corners, corners) < 0.003


def test_a_worn_edge_is_fitted_as_a_whole() -> None:
    """Each side wanders by half a pixel; the line through it does not."""
    y, x = np.mgrid[:240, :340]
    wander = np.random.default_rng(0).normal(0, 0.8, (4, 340))
    rough = [cv2.GaussianBlur(row[None], (0, 0), 2).ravel() * 1.6 for row in wander]
    inside = (y > 20 + 0.01 * x + rough[0][x]) & (y < 220 + rough[1][x])
    inside &= (x > 20 + rough[2][y]) & (x < 320 + rough[3][y])
    photo = cv2.merge(
        [cv2.GaussianBlur(np.where(inside, 200, 40).astype(np.uint8), (0, 0), 0.8)] * 3
    )
    # Least squares through what was drawn, at the two ends of each side.
    top, bottom = (np.polyval(np.polyfit(x[0, 20:320], r[20:320], 1), [20, 320]) for r in rough[:2])
    left, right = (np.polyval(np.polyfit(x[0, 20:220], r[20:220], 1), [20, 220]) for r in rough[2:])
    expected = [
        [20 + left[0], 20.2 + top[0]],
        [320 + right[0], 23.2 + top[1]],
        [320 + right[1], 220 + bottom[1]],
        [20 + left[1], 220 + bottom[0]],
    ]
    assert np.abs(find_outlines(photo)[0].corners - expected).max() < 0.6


def test_nothing_has_no_outline() -> None:
    noise = np.random.default_rng(0).normal(120, 4, (HEIGHT, WIDTH, 3))
    assert find_outlines(noise.astype(np.uint8)) == []
    disc = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    cv2.circle(disc, (480, 360), 200, (30, 200, 220), -1, cv2.LINE_AA)
    assert find_outlines(disc) == []


@pytest.mark.parametrize("tilt", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("azimuth", [0.0, 0.8, 1.57])
def test_perspective_gives_the_aspect_away(tilt: float, azimuth: float) -> None:
    homography = face_homography((300, 200), CENTRE, 500, 0.1, tilt, azimuth, FOCAL, CENTRE)
    aspects = metric_aspects(to_corners(homography, (300, 200)), (WIDTH, HEIGHT))
    assert np.abs(np.log(aspects / 1.5)).min() < 0.02


def test_sides_that_are_square_under_no_lens_have_no_aspect() -> None:
    sheared = face_corners((300, 200)) @ np.array([[1.0, 0], [0.4, 1]]) + 200
    assert metric_aspects(sheared, (WIDTH, HEIGHT)).size == 0
