"""How likely an answer is right: a logistic judgement of what the cascade saw.

The weights are fitted on answers of the whole cascade to training pictures (right, wrong, flipped,
absent), and travel with the network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

MIN_INSIDE = 0.4
"""Share of the face that must lie inside the frame."""
RIGHT_PX, WRONG_PX = 3.0, 8.0
"""Corner errors below which an answer is right, and beyond which it is wrong."""
WRONG_WEIGHT = 60.0
"""How many right answers a wrong one counts for where the confidence is fitted."""

_TILES = 4
_CONTRAST = 4.0  # grey levels squared


class Evidence(NamedTuple):
    """What the last step said.

    Attributes:
        present, aligned: the network's verdicts, logits.
        agreement: share of the weight that agrees with the homography, 0..1.
        log_scale: mean log of the expected error of a cell, cells.
        spread: log of the corners' root mean square uncertainty, camera pixels.
    """

    present: float
    aligned: float
    agreement: float
    log_scale: float
    spread: float


def inputs(
    evidence: Evidence, pixels: float, seen: NDArray[np.uint8], reference: NDArray[np.uint8]
) -> dict[str, float]:
    """The numbers that are weighed, by name: the evidence, and how alike the patches are.

    Args:
        evidence: of the last step. pixels: NCC that the photometric refinement ended with.
        seen, reference: (S, S, 4) uint8 BGR and validity, the aligned
            patch and the reference's.
    """
    return {
        "bias": 1.0,
        "inside": float((seen[..., 3][reference[..., 3] > 0] > 0).mean()),
        "present": float(np.clip(evidence.present, -10, 10)),
        "aligned": float(np.clip(evidence.aligned, -10, 10)),
        "agreement": evidence.agreement,
        "log_scale": evidence.log_scale,
        "spread": evidence.spread,
        "pixels": pixels,
        **compare_patches(seen, reference),
    }


def confidence(found: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Logistic of the weighted `inputs`, 0..1; a face mostly out of the frame gets 0."""
    if found["inside"] < MIN_INSIDE:
        return 0.0
    total = sum(weight * found[name] for name, weight in weights.items())
    return 1.0 / (1.0 + math.exp(-min(max(total, -30.0), 30.0)))


def compare_patches(seen: NDArray[np.uint8], reference: NDArray[np.uint8]) -> dict[str, float]:
    """Compare two patches on a 4 x 4 raster of tiles; occluders and uneven light cost little.

    Returns:
        overall: correlation over all the tiles where the reference has contrast, -1..1.
        tint: how far the colours are off, log ratio of the channels, median over the tiles.
        patchwork: how unevenly tiles are brighter, darker or tinted than in the reference, log.
    """
    names = ("overall", "tint", "patchwork")
    valid = ((seen[..., 3] > 0) & (reference[..., 3] > 0)).astype(np.float32)
    left, top, width, height = cv2.boundingRect((reference[..., 3] > 0).astype(np.uint8))
    face = (slice(top, top + height), slice(left, left + width))
    if min(width, height) < _TILES:
        return dict.fromkeys(names, 0.0)
    mask = valid[face]
    first, second = (
        cv2.GaussianBlur(picture[..., :3], (0, 0), 1.0)[face].astype(np.float32) * mask[..., None]
        for picture in (seen, reference)
    )

    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        tiles = cv2.resize(values, (_TILES, _TILES), interpolation=cv2.INTER_AREA)
        return np.asarray(tiles, np.float32)

    share = mean(mask)
    inside = share > 0.5
    if not inside.any():
        return dict.fromkeys(names, 0.0)
    scale = np.maximum(share, 1e-6)[..., None]
    middle_first, middle_second = mean(first) / scale, mean(second) / scale
    ratio = np.log((middle_first[inside] + 10.0) / (middle_second[inside] + 10.0))
    tint = np.median(ratio - ratio.mean(axis=1, keepdims=True), axis=0)
    power_first = (mean(first * first) / scale - middle_first**2).mean(axis=2)
    power_second = (mean(second * second) / scale - middle_second**2).mean(axis=2)
    product = (mean(first * second) / scale - middle_first * middle_second).mean(axis=2)
    telling = inside & (power_second > _CONTRAST)
    # A plain patch is like nothing: what it has less of than `_CONTRAST` is rounding and noise.
    power_first = np.maximum(power_first, _CONTRAST)
    powers = power_first[telling].sum() * power_second[telling].sum()
    overall = product[telling].sum() / math.sqrt(powers) if telling.any() else 0.0
    return {
        "overall": float(np.clip(overall, -1.0, 1.0)),
        "tint": float(np.abs(tint).mean()),
        "patchwork": float(np.median(np.abs(ratio - np.median(ratio, axis=0)))),
    }
