"""The canonical patch: the square picture the localization network sees.

It shows the face, squeezed to a square, in its middle and a margin around it. Normalised patch
coordinates are [-1, 1] with the pixel edges at +-1 (align_corners=False).
"""

from __future__ import annotations

import math

import numpy as np

from .homography import normalised_to_pixel

MARGIN = 1.25
"""Half-width of the patch in units of the face's half-width."""


def patch_to_canonical(patch: int, size: tuple[int, int]) -> np.ndarray:
    """3x3, pixels of a patch of `patch` x `patch` -> canonical pixels of a face of `size`."""
    return normalised_patch_to_canonical(size) @ np.linalg.inv(normalised_to_pixel((patch, patch)))


def normalised_patch_to_canonical(size: tuple[int, int]) -> np.ndarray:
    """3x3, normalised patch coordinates -> canonical pixels of a face of `size`."""
    return normalised_to_pixel(size) @ np.diag([MARGIN, MARGIN, 1.0])


def region_homography(
    box: tuple[float, float, float, float], turn: float, size: tuple[int, int]
) -> np.ndarray:
    """Where a face may lie, were it square-on, turned by `turn` and bounded by `box`.

    Args:
        box: (left, top, width, height), camera pixels.
        turn: in-plane turn of the face, degrees, clockwise as the picture is seen (y down).
        size: (width, height) of the canonical picture.

    Returns:
        3x3 similarity, canonical pixels -> camera pixels. Its outline's bounding box has the area
        of `box`; both fit only where the proportions agree.
    """
    left, top, box_width, box_height = box
    width, height = size
    cosine, sine = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    bound = (abs(width * cosine) + abs(height * sine)) * (abs(width * sine) + abs(height * cosine))
    scale = math.sqrt(box_width * box_height / bound)
    centre = (left + box_width / 2, top + box_height / 2)
    linear = scale * np.array([[cosine, -sine], [sine, cosine]])
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    homography = np.eye(3)
    homography[:2, :2] = linear
    homography[:2, 2] = np.array(centre) - linear @ middle
    return homography
