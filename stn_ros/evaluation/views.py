"""Where an aligned view was taken from, read off the view itself."""

from __future__ import annotations

import cv2
import numpy as np

from stn_ros.geometry.homography import (
    Array,
    compose,
    corner_error,
    face_corners,
    from_corners,
    invert,
    to_corners,
)
from stn_ros.synthesis.drawing import Picture

_NO_MASK = np.empty((0, 0), np.uint8)


def view_homography(frame: Picture, view: Picture, start: Array) -> tuple[Array, float]:
    """Register a view against the frame it was sampled from.

    Both show the same pixels, so enhanced correlation (Evangelidis & Psarakis 2008) finds the
    sampling transform to a few hundredths of a pixel wherever it converges at all.

    Args:
        frame, view: BGR uint8. start: 3x3, view -> frame pixels, a guess.

    Returns:
        The homography view -> frame pixels, and the correlation reached (1 = the same picture);
        the start and -1 where it does not converge.
    """
    seen, to_view = _as_large_as_seen(view, start)
    greys = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in (seen, frame)]
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 60, 1e-6)
    guess: Picture = compose(start, to_view).astype(np.float32)
    for smoothing in (9, 3):
        try:
            correlation, guess = cv2.findTransformECC(
                greys[0], greys[1], guess, cv2.MOTION_HOMOGRAPHY, criteria, _NO_MASK, smoothing
            )
        except cv2.error:
            return start, -1.0
    return compose(guess, invert(to_view)), float(correlation)


def _as_large_as_seen(view: Picture, to_frame: Array) -> tuple[Picture, Array]:
    """The view reduced to the size it has in the frame, and from its pixels to the view's."""
    height, width = view.shape[:2]
    extent = np.ptp(to_corners(to_frame, (width, height)), axis=0).max()
    scale = min(1.0, float(extent) / max(width, height))
    size = max(16, round(width * scale)), max(16, round(height * scale))
    to_view = from_corners(face_corners(size), face_corners((width, height)))
    return cv2.resize(view, size, interpolation=cv2.INTER_AREA), to_view


def view_error(frame: Picture, view: Picture, truth: Array) -> float:
    """Corner error in pixels of the transform a view was sampled by; infinite if it is far off.

    Args:
        frame, view: BGR uint8. truth: 3x3, view -> frame pixels.
    """
    found, correlation = view_homography(frame, view, truth)
    if correlation < 0.97:
        return float("inf")
    return corner_error(found, truth, (view.shape[1], view.shape[0]))
