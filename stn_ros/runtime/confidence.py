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


def features(
    evidence: Evidence, seen: NDArray[np.uint8], reference: NDArray[np.uint8]
) -> dict[str, float]:
    """The numbers that are judged, by name.

    Args:
        evidence: of the last step. seen, reference: (S, S, 4) uint8 BGR and validity, the aligned
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
        "likeness": likeness(seen, reference),
    }


def confidence(found: Mapping[str, float], judge: Mapping[str, float]) -> float:
    """Logistic of the weighted `features`, 0..1; a face mostly out of the frame gets 0."""
    if found["inside"] < MIN_INSIDE:
        return 0.0
    total = sum(weight * found[name] for name, weight in judge.items())
    return 1.0 / (1.0 + math.exp(-min(max(total, -30.0), 30.0)))


def likeness(seen: NDArray[np.uint8], reference: NDArray[np.uint8]) -> float:
    """Median over a 4 x 4 raster of the local correlation of two patches, -1..1.

    Local, so that uneven light cancels; the median, so that an occluder over less than half of the
    face does not count. Tiles without contrast in the reference are left out.
    """
    valid = (seen[..., 3] > 0) & (reference[..., 3] > 0)
    rows = np.flatnonzero(valid.any(axis=1))
    columns = np.flatnonzero(valid.any(axis=0))
    if len(rows) < 8 or len(columns) < 8:
        return 0.0
    values = []
    first = cv2.GaussianBlur(seen[..., :3], (0, 0), 1.0).astype(np.float32)
    second = cv2.GaussianBlur(reference[..., :3], (0, 0), 1.0).astype(np.float32)
    for row in np.array_split(np.arange(rows[0], rows[-1] + 1), 4):
        for column in np.array_split(np.arange(columns[0], columns[-1] + 1), 4):
            tile = np.ix_(row, column)
            mask = valid[tile]
            if mask.mean() < 0.5:
                continue
            a, b = first[tile][mask], second[tile][mask]
            a, b = a - a.mean(axis=0), b - b.mean(axis=0)
            power = float((b**2).mean())
            if power > 4.0:
                scale = math.sqrt(power * float((a**2).mean()) + 1e-3)
                values.append(float((a * b).mean()) / scale)
    return float(np.median(values)) if values else 0.0
