"""The canonical patch: the square picture the localization network sees.

It shows the face, squeezed to a square, in its middle and a margin around it. Normalised patch
coordinates are [-1, 1] with the pixel edges at +-1 (align_corners=False).
"""

from __future__ import annotations

import math

import numpy as np

from stn_ros.geometry.homography import Array, apply, jacobian, normalised_to_pixel

MARGIN = 1.25
"""Half-width of the patch in units of the face's half-width."""


def patch_to_canonical(patch: int, size: tuple[int, int]) -> Array:
    """3x3, pixels of a patch of `patch` x `patch` -> canonical pixels of a face of `size`."""
    return normalised_patch_to_canonical(size) @ np.linalg.inv(normalised_to_pixel((patch, patch)))


def normalised_patch_to_canonical(size: tuple[int, int]) -> Array:
    """3x3, normalised patch coordinates -> canonical pixels of a face of `size`."""
    matrix: Array = normalised_to_pixel(size) @ np.diag([MARGIN, MARGIN, 1.0])
    return matrix


def region_homography(
    box: tuple[float, float, float, float], rotation: float, size: tuple[int, int]
) -> Array:
    """Where a face may lie, were it square-on, rotated by `rotation` and bounded by `box`.

    Args:
        box: (left, top, width, height), camera pixels.
        rotation: of the face in its plane, degrees, clockwise as the picture is seen (y down).
        size: (width, height) of the canonical picture.

    Returns:
        3x3 similarity, canonical pixels -> camera pixels. Its outline's bounding box has the area
        of `box`; both fit only where the proportions agree.
    """
    left, top, box_width, box_height = box
    width, height = size
    cosine, sine = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    bound = (abs(width * cosine) + abs(height * sine)) * (abs(width * sine) + abs(height * cosine))
    scale = math.sqrt(box_width * box_height / bound)
    centre = (left + box_width / 2, top + box_height / 2)
    linear = scale * np.array([[cosine, -sine], [sine, cosine]])
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    homography = np.eye(3)
    homography[:2, :2] = linear
    homography[:2, 2] = np.array(centre) - linear @ middle
    return homography


def camera_corner_covariance(patch_to_camera: Array, motion: Array, covariance: Array) -> Array:
    """Covariance (8, 8) of a face's corners in camera pixels, to first order.

    Args:
        patch_to_camera: 3x3, normalised patch coordinates -> camera pixels.
        motion: 3x3, normalised patch coordinates: from where the face's corners stand in a patch
            that shows it exactly, to where they were found.
        covariance: (8, 8) of the found corners' x0, y0, x1, y1, .. (TL, TR, BR, BL), normalised
            patch coordinates.
    """
    corners = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]) / MARGIN
    spread = np.zeros((8, 8))
    for i, local in enumerate(jacobian(patch_to_camera, apply(motion, corners))):
        spread[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = local
    return spread @ covariance @ spread.T
