"""Faces that are easily taken for each other: one print, and the same print with a part changed.

A look-alike has the size of the face it is like. How much of the face differs is measured, not
assumed: a word changed on a face of plain colour may change nothing at all.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from stn_ros.geometry.homography import Array
from stn_ros.synthesis.drawing import Picture, word

HUE, WORD, TITLE, HALF, MIRRORED, TAG = "hue", "word", "title", "half", "mirrored", "tag"
KINDS = (HUE, WORD, TITLE, HALF, MIRRORED, TAG)
"""Hue turned, a word changed, another title, another picture on half of the face,
mirrored, two AprilTags of one family."""
_RASTER = 64  # cells along the longer side that are compared
_DIFFERENT = 24.0  # grey levels, of any channel
_TAG_FAMILIES = (
    cv2.aruco.DICT_APRILTAG_16h5,
    cv2.aruco.DICT_APRILTAG_25h9,
    cv2.aruco.DICT_APRILTAG_36h11,
    cv2.aruco.DICT_4X4_50,
    cv2.aruco.DICT_6X6_250,
)


class LookAlikes(NamedTuple):
    """Two faces (h, w, 3) BGR uint8 of one size, and the share of the face that differs, 0..1."""

    face: Picture
    other: Picture
    share: float


def look_alikes(
    rng: np.random.Generator, kind: str, face: Picture, stranger: Picture
) -> LookAlikes:
    """A pair of look-alikes.

    Args:
        rng: all randomness comes from here. kind: one of `KINDS`.
        face: (h, w, 3) BGR uint8, the first of the pair, but for tags, which are drawn.
        stranger: another face, of any size: half of it is in the other of `HALF`.

    Raises:
        ValueError: unknown kind.
    """
    if kind == HUE:
        other = _hue_turned(face, int(rng.integers(60, 121)))
    elif kind == WORD:
        face, other = _reprinted(rng, face, rng.uniform(0.04, 0.15), rng.uniform(0.25, 0.6))
    elif kind == TITLE:
        face, other = _reprinted(rng, face, rng.uniform(0.12, 0.25), 0.94)
    elif kind == HALF:
        other = _half_replaced(rng, face, stranger)
    elif kind == MIRRORED:
        other = np.ascontiguousarray(face[:, ::-1])
    elif kind == TAG:
        face, other = _tags(rng, max(face.shape[:2]))
    else:
        raise ValueError(f"kind is {kind!r}; use one of {', '.join(KINDS)}")
    if rng.random() < 0.5:
        face, other = other, face
    return LookAlikes(face, other, differing_share(face, other))


def differing_share(first: Picture, second: Picture) -> float:
    """Share of a raster of 64 cells along the longer side whose colours differ by 24 levels."""
    height, width = first.shape[:2]
    scale = _RASTER / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    cells = (
        cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        for picture in (first, second)
    )
    return float((np.abs(next(cells) - next(cells)).max(axis=2) > _DIFFERENT).mean())


def _hue_turned(face: Picture, by: int) -> Picture:
    """`by`: half degrees, as OpenCV has it."""
    hsv = cv2.cvtColor(face, cv2.COLOR_BGR2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + by) % 180
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR))


def _reprinted(
    rng: np.random.Generator, face: Picture, share: float, width_share: float
) -> tuple[Picture, Picture]:
    """Two words of one lettering at one place of the face, over `share` of it."""
    height, width = face.shape[:2]
    part_width = int(min(0.94, width_share) * width)
    part_height = int(min(share * width * height / part_width, 0.94 * height))
    left = int(rng.uniform(0.02 * width, 0.98 * width - part_width))
    top = int(rng.uniform(0.02 * height, 0.98 * height - part_height))
    part = np.s_[top : top + part_height, left : left + part_width]
    colours = face[part].reshape(-1, 3).astype(np.float32)
    ground = np.median(colours, axis=0)
    distance = np.linalg.norm(colours - ground, axis=1)
    ink = colours[distance >= np.quantile(distance, 0.97)].mean(axis=0)
    if np.abs(ink - ground).max() < 60:
        ink = ground + (90 if ground.mean() < 127 else -90)
    font = int(rng.choice([cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX]))
    plain = face.copy()
    if rng.random() < 0.5:
        plain[part] = ground
    pair = []
    for _ in range(2):
        mask = cv2.resize(
            _lettering(rng, font), (part_width, part_height), interpolation=cv2.INTER_AREA
        )
        alpha = mask[..., None] / 255.0
        printed = plain.copy()
        printed[part] = ((1 - alpha) * plain[part] + alpha * ink.clip(0, 255)).round()
        pair.append(printed)
    return pair[0], pair[1]


def _lettering(rng: np.random.Generator, font: int) -> Picture:
    """A made-up word, 255 on 0, that fills its picture."""
    text = word(rng, 2, 3)
    (wide, high), below = cv2.getTextSize(text, font, 2.0, 5)
    canvas = np.zeros((high + below + 6, wide + 6), np.uint8)
    cv2.putText(canvas, text, (3, high + 3), font, 2.0, 255, 5, cv2.LINE_AA)
    return canvas


def _half_replaced(rng: np.random.Generator, face: Picture, stranger: Picture) -> Picture:
    height, width = face.shape[:2]
    other = np.array(cv2.resize(stranger, (width, height), interpolation=cv2.INTER_AREA))
    kept = np.zeros((height, width), bool)
    if rng.random() < 0.5:
        kept[:, : width // 2] = True
    else:
        kept[: height // 2] = True
    if rng.random() < 0.5:
        kept = ~kept
    other[kept] = face[kept]
    return other


def _tags(rng: np.random.Generator, side: int) -> tuple[Picture, Picture]:
    """Two tags of one family with their white margin."""
    family = cv2.aruco.getPredefinedDictionary(int(rng.choice(_TAG_FAMILIES)))
    cells = family.markerSize + 2
    pixels = max(1, side // (cells + 2)) * cells
    margin = (side - pixels) // 2
    first, second = (
        cv2.copyMakeBorder(
            cv2.cvtColor(
                cv2.aruco.generateImageMarker(family, int(number), pixels), cv2.COLOR_GRAY2BGR
            ),
            margin,
            margin,
            margin,
            margin,
            cv2.BORDER_CONSTANT,
            value=(255, 255, 255),
        )
        for number in rng.choice(len(family.bytesList), 2, replace=False)
    )
    return first, second


def glare_disc(
    rng: np.random.Generator, frame: Picture, homography: Array, size: tuple[int, int]
) -> None:
    """Blind a disc of 0.35 face widths anywhere on the face, in place.

    Args:
        frame: (H, W, 3). homography: 3x3, canonical -> frame pixels. size: of the face, pixels.
    """
    width, height = size
    radius = 0.175 * width
    centre = [
        rng.uniform(min(radius, side / 2), max(side - radius, side / 2)) for side in (width, height)
    ]
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    outline = np.array(centre) + radius * np.column_stack([np.cos(angles), np.sin(angles)])
    seen = cv2.perspectiveTransform(outline[None], homography)[0]
    light: Picture = np.zeros(frame.shape[:2], np.uint8)
    cv2.fillPoly(light, [np.round(seen * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    light = cv2.GaussianBlur(light, (0, 0), 1.5)
    cv2.add(frame, cv2.merge([light] * 3), dst=frame)


def partly_printed(rng: np.random.Generator, face: Picture) -> Picture:
    """`face` with print on 20 to 40 % of it only, the rest blank paper."""
    height, width = face.shape[:2]
    share = rng.uniform(0.2, 0.4)
    wide = rng.uniform(max(share, 0.45), 0.95)
    part_width, part_height = int(wide * width), int(min(share / wide, 0.95) * height)
    left = int(rng.uniform(0.02 * width, 0.98 * width - part_width))
    top = int(rng.uniform(0.02 * height, 0.98 * height - part_height))
    paper = np.empty_like(face)
    paper[:] = rng.uniform(170, 250) + rng.uniform(-15, 5, 3)
    paper[top : top + part_height, left : left + part_width] = cv2.resize(
        face, (part_width, part_height), interpolation=cv2.INTER_AREA
    )
    return paper
