"""Where an aligned face shows another print than its reference: what tells look-alikes apart.

The reference is blurred as the frame is and lit as the frame is: a gain for each channel, a ramp of
light across the face and a tone curve, fitted robustly where the prints agree. What is left is
weighed by kind. Colours that differ where the print agrees: the *hue* was turned. Print that
differs on a ground of the same colour, among print that agrees: a *misprint*, such as a changed
word. An occluder, a shadow or glare has another mean colour than the reference has there, which is
never a misprint, nor is anything that close to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.homography import longest_side, normalised_to_pixel, to_corners
from stn_ros.runtime.sampling import FrameSampler

Array = NDArray[np.float64]
Picture = NDArray[np.float32]

_SIDES = 72, 120  # patch pixels along the longer side, at least and at most
_FILLED = 0.9  # patch pixels to a frame pixel
_SMOOTH = 0.7  # of both pictures, sigma in patch pixels
_WINDOW = 0.09  # of the longer side, over which print is compared
_EVERY = 4  # patch pixels between the windows
_CELL = 6  # side of what the light is fitted on, patch pixels
_DARK = 12.0  # grey levels added before a logarithm
_MIDDLE = 4.5  # logarithm of a middle grey
_LIGHT_FITS = 4
_LEAST_NCC = 0.3
_MODEL_ERROR = 0.02  # share of the contrast, squared, that is never explained
_NOISE = 4.0  # grey levels squared
_REACH = 0.14  # of the longer side, across: what is so near to something else does not count
_USUAL_HUE, _USUAL_MISPRINT = 0.02, 0.15  # what right answers in all kinds of views come to


class PrintComparison:
    """Compares what is seen of one face with its reference.

    Args:
        reference: (h, w, 3) uint8 BGR, the face, square-on.
    """

    def __init__(self, reference: NDArray[np.uint8]) -> None:
        self._sampler = FrameSampler(reference)
        self._size = reference.shape[1], reference.shape[0]
        self._to_canonical = normalised_to_pixel(self._size)

    def compare(self, sampler: FrameSampler, homography: Array, blur: float) -> dict[str, float]:
        """`compare_prints` of the face in a frame.

        Args:
            sampler: of the frame. homography: 3x3, canonical -> ideal camera pixels. blur: of the
                reference that the frame is most like, sigma as a share of the longer side.
        """
        least, most = _SIDES
        long_side = min(
            max(_FILLED * longest_side(to_corners(homography, self._size)), least), most
        )
        width, height = (max(24, round(s * long_side / max(self._size))) for s in self._size)
        to_canonical = self._to_canonical @ np.linalg.inv(normalised_to_pixel((width, height)))
        seen = sampler.sample(homography @ to_canonical, (width, height))
        reference = self._sampler.sample_bgr(to_canonical, (width, height))
        return compare_prints(seen, reference, blur * long_side)


def compare_prints(
    seen: NDArray[np.uint8], reference: NDArray[np.uint8], blur: float
) -> dict[str, float]:
    """How clearly the aligned face shows another print.

    Args:
        seen: (h, w, 4) uint8 BGR and validity, the face alone. reference: (h, w, 3) uint8 BGR.
        blur: that makes the reference as blurred as what is seen, sigma in pixels.

    Returns:
        hue: how far colours differ where the prints agree, beside the light; share of the grey
            level, upper quartile over the face.
        misprint: share of what is seen that the reference does not explain, on a ground of the
            same colour; 0..1, cubic mean over the face.
        Both are 0 up to what light, blur and occluders make of right answers.
    """
    valid = seen[..., 3] > 0
    if not valid.any():
        return {"hue": 0.0, "misprint": 0.0}
    picture = np.asarray(cv2.GaussianBlur(seen[..., :3], (0, 0), _SMOOTH), np.float32)
    sigma = math.hypot(_SMOOTH, blur)
    blurred = cv2.GaussianBlur(reference, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    window = max(5, round(_WINDOW * max(valid.shape)) | 1)

    def mean(values: NDArray[np.float32]) -> Picture:
        """Of each window."""
        means = cv2.blur(values, (window, window), borderType=cv2.BORDER_REFLECT)
        return np.asarray(means[_EVERY // 2 :: _EVERY, _EVERY // 2 :: _EVERY], np.float32)

    # No window may reach over the edge of the frame, nor to where the face's edge is blurred.
    whole = np.zeros(valid.shape, np.float32)
    rim = window // 2 + round(2 * sigma)
    whole[rim:-rim, rim:-rim] = 1.0
    inside = (mean(valid.astype(np.float32)) > 0.999) & (
        whole[_EVERY // 2 :: _EVERY, _EVERY // 2 :: _EVERY] > 0
    )
    agreement = _agreement(_grey(picture), _grey(blurred.astype(np.float32)), mean)
    agreement *= inside
    expected = _lit(blurred, picture, valid, agreement)
    error = picture - expected
    hue = _hue(error, expected, agreement, mean)
    misprint = _misprint(error, expected, picture, agreement, inside, mean)
    return {
        "hue": max(0.0, hue - _USUAL_HUE),
        "misprint": max(0.0, misprint - _USUAL_MISPRINT),
    }


def _agreement(seen: Picture, reference: Picture, mean: Callable[[Picture], Picture]) -> Picture:
    """How surely each window shows the reference's print, 0..1, whatever its colour."""
    mean_seen, mean_reference = mean(seen), mean(reference)
    variance = mean(reference * reference) - mean_reference**2
    power = np.maximum(mean(seen * seen) - mean_seen**2, 2.0) * np.maximum(variance, 2.0)
    ncc = (mean(seen * reference) - mean_seen * mean_reference) / np.sqrt(power)
    sure = np.maximum(ncc - _LEAST_NCC, 0.0) / (1.0 - _LEAST_NCC)
    return np.asarray(sure**2 * np.clip(variance / 60.0, 0.0, 1.0), np.float32)


def _lit(
    reference: NDArray[Any], seen: Picture, valid: NDArray[np.bool_], agreement: Picture
) -> Picture:
    """The reference under the light of what is seen, grey levels (h, w, 3)."""
    height, width = valid.shape
    size = max(2, round(width / _CELL)), max(2, round(height / _CELL))

    def cells(values: NDArray[np.float32]) -> NDArray[np.float64]:
        return cv2.resize(values, size, interpolation=cv2.INTER_AREA).astype(float)

    dark = np.log(cells(reference.astype(np.float32)) + _DARK).reshape(-1, 3)
    change = np.log(cells(seen) + _DARK).reshape(-1, 3) - dark
    weight = (cells(valid.astype(np.float32)) > 0.99) * (cv2.resize(agreement, size) + 0.03)
    weight = weight.astype(float).ravel()
    across, down = np.linspace(-1, 1, size[0]), np.linspace(-1, 1, size[1])
    ramp = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
    # Columns: the gains of the three channels, the ramp, the tone curve about middle grey.
    columns = np.zeros((len(dark), 3, 6))
    columns[:, range(3), range(3)] = 1.0
    columns[:, :, 3:5] = ramp[:, None]
    columns[:, :, 5] = dark - _MIDDLE
    flat = columns.reshape(-1, 6)
    prior = 0.02 * len(dark) * np.diag([1e-3, 1e-3, 1e-3, 0.5, 0.5, 3.0])
    trust = weight
    light = np.zeros(6)
    for _ in range(_LIGHT_FITS):
        by_row = np.repeat(trust, 3)[:, None] * flat
        stiff = prior * max(float(trust.mean()), 1e-3)
        light = np.linalg.solve(flat.T @ by_row + stiff, by_row.T @ change.ravel())
        left = np.abs(change - columns @ light).mean(axis=1)
        scale = 1.5 * max(0.03, _quantile(left, weight, 0.4))
        trust = weight / (1.0 + (left / scale) ** 2)
    levels = np.log(np.arange(256.0) + _DARK)[:, None]
    table = np.exp(levels + light[:3] + light[5] * (levels - _MIDDLE)).astype(np.float32)
    brightened = cv2.LUT(reference, table[None])
    ramp_x = np.exp(light[3] * np.linspace(-1, 1, width))
    ramp_y = np.exp(light[4] * np.linspace(-1, 1, height))
    return np.asarray(
        brightened * np.outer(ramp_y, ramp_x)[..., None].astype(np.float32) - _DARK, np.float32
    )


def _hue(
    error: Picture,
    expected: Picture,
    agreement: Picture,
    mean: Callable[[Picture], Picture],
) -> float:
    relative = error / (np.maximum(expected, 0.0) + 60.0)
    off = mean(relative.astype(np.float32))
    off = np.abs(off - off.mean(axis=2, keepdims=True)).mean(axis=2)
    return _quantile(off.ravel(), agreement.ravel(), 0.75)


def _misprint(
    error: Picture,
    expected: Picture,
    seen: Picture,
    agreement: Picture,
    inside: NDArray[np.bool_],
    mean: Callable[[Picture], Picture],
) -> float:
    def variance(picture: Picture) -> Picture:
        grey = _grey(picture)
        return np.asarray(np.maximum(mean(grey * grey) - mean(grey) ** 2, 0.0), np.float32)

    off_print = variance(error)
    off_ground = (mean(error) ** 2).mean(axis=2)
    grey = _grey(expected)
    dx, dy = (cv2.Sobel(grey, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1)))
    steep = cv2.dilate(np.asarray(dx * dx + dy * dy, np.float32), np.ones((3, 3), np.uint8))
    edges = mean(np.asarray(steep, np.float32)) + 0.3
    # Edges a little beside or sharper than expected: as far as the print that agrees shows them.
    weight = (agreement + 0.01) * inside
    loose = _quantile((off_print / edges).ravel(), weight.ravel(), 0.6)
    least = _quantile(off_print.ravel(), weight.ravel(), 0.2)
    contrasts = variance(expected) + variance(seen)
    usual = np.maximum(loose * edges, least) + _NOISE + _MODEL_ERROR * contrasts
    ground = off_print / (off_print + off_ground + _NOISE)
    other = ((off_ground > 4.0 * usual) & (ground < 0.6)).astype(np.uint8)
    reach = max(1, round(_REACH * max(seen.shape[:2]) / _EVERY / 2))
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    counted = inside & (cv2.dilate(other, around) == 0)
    unexplained = off_print / (off_print + usual) * ground**5 * counted
    return float((unexplained**3).mean() ** (1 / 3))


def _grey(picture: Picture) -> Picture:
    """Mean of the three channels: several times as fast as NumPy's over an axis so short."""
    return np.asarray(cv2.transform(picture, np.full((1, 3), 1 / 3)), np.float32)


def _quantile(values: NDArray[Any], weights: NDArray[Any], share: float) -> float:
    """The value below which `share` of the weight lies; 0 where there is none."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    if total[-1] <= 0:
        return 0.0
    return float(values[order][np.searchsorted(total, share * total[-1])])
