"""References as the finder knows them: embeddings at several rotations and sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from stn_ros.runtime.finder.bundle import FinderBundle
from stn_ros.runtime.finder.session import FinderSession, neighbourhoods
from stn_ros.runtime.object_model import Embeddings

GROUND = (128.0, 128.0, 128.0)
"""BGR around a reference where it is encoded."""


def reference_crop(
    reference: NDArray[np.uint8],
    side: int,
    rotation: float,
    size: float,
    ground: Sequence[float] = GROUND,
) -> NDArray[np.uint8]:
    """A reference as a frame would show it square-on, at the middle of a picture.

    Args:
        reference: (h, w, 3) BGR. side: of the picture, pixels. rotation: degrees clockwise.
        size: root of the reference's area there, pixels. ground: BGR around it.

    Returns:
        (side, side, 3) uint8.
    """
    reduced = reference
    scale = size / math.sqrt(reduced.shape[0] * reduced.shape[1])
    while scale < 0.5:
        half = (max(1, round(reduced.shape[1] / 2)), max(1, round(reduced.shape[0] / 2)))
        reduced = np.asarray(cv2.resize(reduced, half, interpolation=cv2.INTER_AREA), np.uint8)
        scale = size / math.sqrt(reduced.shape[0] * reduced.shape[1])
    turn = math.radians(rotation)
    matrix = scale * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    middle = (np.array(reduced.shape[1::-1]) - 1) / 2
    offset = (side - 1) / 2 - matrix @ middle
    crop = cv2.warpAffine(
        reduced,
        np.column_stack([matrix, offset]),
        (side, side),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=tuple(float(channel) for channel in ground),
    )
    return np.asarray(crop, np.uint8)


def encode(network: FinderSession, reference: NDArray[np.uint8]) -> Embeddings:
    """Encode a reference (h, w, 3) BGR."""
    bundle = network.bundle
    middle = np.array([bundle.crop // bundle.stride // 2])
    known = []
    for size in bundle.sizes:
        crops = np.stack(
            [
                reference_crop(reference, bundle.crop, turn * 360 / bundle.rotations, size)
                for turn in range(bundle.rotations)
            ]
        )
        features, _ = network.cells(crops)
        around = [neighbourhoods(each, middle, middle, bundle.neighbourhood) for each in features]
        known.append(network.describe(np.concatenate(around))[0])
    return Embeddings(np.stack(known).astype(np.float16), bundle.sha256)


def fits(known: Embeddings, bundle: FinderBundle) -> bool:
    """Whether embeddings were made by the network of `bundle`, as it makes them."""
    made = len(bundle.sizes), bundle.rotations
    return known.graph == bundle.sha256 and known.values.shape[:2] == made
