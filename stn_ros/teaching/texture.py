"""What a face's picture alone says of how well it can be aligned."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.homography import Array, quarter_rotation

_SIDE = 64
_LOOK_ALIKE = 0.97
_SQUARE = 1.05


def corner_deviation(reference: NDArray[np.uint8], noise: float = 8.0) -> float:
    """The least standard deviation any method can place a corner with, in shares of the long side.

    The Cramer-Rao bound of the eight parameters of a homography, from the gradients of the picture
    at 64 px and white noise; root mean square over the four corners (Kay 1993, sec. 3.7).

    Args:
        reference: (h, w, 3) BGR uint8. noise: sigma in grey levels; stands for all that differs.

    Returns:
        The deviation, infinite for a picture that is plain or varies along one direction only.
    """
    h, w = reference.shape[:2]
    scale = _SIDE / max(w, h)
    size = (max(8, round(w * scale)), max(8, round(h * scale)))
    small = cv2.resize(reference, size, interpolation=cv2.INTER_AREA)
    x, y = np.meshgrid(*(np.linspace(-1 + 1 / n, 1 - 1 / n, n) for n in size))
    information = np.zeros((8, 8))
    for channel in cv2.split(small.astype(np.float32)):
        dx = cv2.Sobel(channel, cv2.CV_32F, 1, 0, scale=1 / 8) * (size[0] / 2)
        dy = cv2.Sobel(channel, cv2.CV_32F, 0, 1, scale=1 / 8) * (size[1] / 2)
        along = dx * x + dy * y
        rows = [dx * x, dx * y, dx, dy * x, dy * y, dy, -along * x, -along * y]
        jacobian = np.stack([row.ravel() for row in rows], axis=1)
        information += jacobian.T @ jacobian / 3
    if np.linalg.cond(information) > 1e12:
        return math.inf
    covariance = np.linalg.inv(information) * noise**2
    total = 0.0
    half = np.array([size[0] / 2, size[1] / 2]) / _SIDE
    for cx, cy in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        motion = np.array(
            [
                [cx, cy, 1, 0, 0, 0, -cx * cx, -cx * cy],
                [0, 0, 0, cx, cy, 1, -cy * cx, -cy * cy],
            ]
        )
        total += float(np.trace((motion @ covariance @ motion.T) * np.outer(half, half)))
    return math.sqrt(total / 4)


def rotated_ncc(reference: NDArray[np.uint8], rotation: int) -> float:
    """NCC (-1..1) of a picture with itself rotated by 90, 180 or 270 degrees.

    Colours count; both are smoothed to 32 px and may be shifted by a pixel or two, so a smudge or
    a print slightly off centre does not hide that a face looks alike.
    """
    side = 32
    small = cv2.resize(reference, (side, side), interpolation=cv2.INTER_AREA)
    rotated = np.ascontiguousarray(np.rot90(small, -rotation // 90))
    small = small.astype(np.float32) - small.mean(axis=(0, 1), dtype=np.float32)
    rotated = cv2.copyMakeBorder(rotated, 2, 2, 2, 2, cv2.BORDER_REPLICATE).astype(np.float32)
    best = -1.0
    for top in range(5):
        for left in range(5):
            other = rotated[top : top + side, left : left + side]
            other = other - other.mean(axis=(0, 1))
            power = math.sqrt(float((small**2).sum()) * float((other**2).sum()))
            best = max(best, float((small * other).sum()) / max(power, 1e-6))
    return best


def look_alike_rotations(
    reference: NDArray[np.uint8], least: float = _LOOK_ALIKE
) -> tuple[int, ...]:
    """The in-plane rotations under which the face can not be told from itself.

    Returns:
        (), (180,) or, for a square face, (90, 180, 270).
    """
    if rotated_ncc(reference, 180) < least:
        return ()
    h, w = reference.shape[:2]
    if max(w, h) < _SQUARE * min(w, h) and rotated_ncc(reference, 90) >= least:
        return (90, 180, 270)
    return (180,)


def symmetry_homographies(size: tuple[int, int], symmetry: tuple[int, ...]) -> list[Array]:
    """Canonical -> canonical homographies of the rotations that look alike, the identity first."""
    return [quarter_rotation(size, rotation) for rotation in (0, *symmetry)]
