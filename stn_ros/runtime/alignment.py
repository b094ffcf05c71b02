"""What the canonicalizer is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.box import Box
from stn_ros.geometry.homography import to_corners
from stn_ros.runtime.sampling import FrameSampler

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Region:
    """Where an object may be.

    Attributes:
        object_name: which object; "" asks every known object and keeps the best answer.
        left, top, width, height: box, raw camera pixels.
        rotation: of the face in the image plane as far as it is known, degrees clockwise; None if
            it may be any.
        homography: 3x3, canonical -> raw camera pixels, of the face as far as it is known; None if
            it may lie anyhow in the box.
    """

    object_name: str
    left: float
    top: float
    width: float
    height: float
    rotation: float | None = None
    homography: Array | None = field(default=None, compare=False)

    @classmethod
    def of_face(cls, object_name: str, homography: Array, size: tuple[int, int]) -> Region:
        """The region of a face whose place is known about; `size` is that of its reference."""
        box = Box.around(to_corners(homography, size))
        return cls(object_name, *box, homography=homography)

    @property
    def box(self) -> Box:
        """The box, raw camera pixels."""
        return Box(self.left, self.top, self.width, self.height)


@dataclass(frozen=True)
class Alignment:
    """An object found (or not) in a frame.

    Attributes:
        object_name: which object.
        size: (width, height) of its canonical frame, pixels.
        homography: 3x3, canonical pixels -> ideal (undistorted) camera pixels.
        confidence: how likely the answer is right, 0..1. accepted: it reaches the threshold.
        reason: why it was not accepted; "" if it was.
        corners: (4, 2) of the face, TL TR BR BL, ideal camera pixels.
        corner_covariance: (8, 8) of x, y of those corners, pixels squared.
        tracked: found by following the last frame. region: the region it was found in, if any.
        sampler: of the frame it was found in; None if there is none (any more).
        confidence_inputs: the numbers the confidence follows from, see `confidence.inputs`.
        instance: which of the object's instances, from 1; a `Tracker` tells them apart.
        blur: of the frame against the reference, see `photometric.Refined`.
        age: frames since the network looked at it.
        missed: frames since it was last seen, of one that is expected.
    """

    object_name: str
    size: tuple[int, int]
    homography: Array
    confidence: float
    accepted: bool
    reason: str
    corners: Array
    corner_covariance: Array
    tracked: bool
    region: Region | None
    sampler: FrameSampler | None = field(default=None, repr=False)
    confidence_inputs: Mapping[str, float] = field(default_factory=dict)
    instance: int = 1
    blur: float = 0.0
    age: int = 0
    missed: int = 0

    @cached_property
    def view(self) -> NDArray[np.uint8]:
        """(h, w, 3) uint8 BGR, the aligned view: sampled from the frame when first asked for.

        Until then the frame must be left unchanged. Raises ValueError without a frame.
        """
        if self.sampler is None:
            raise ValueError(f"the view of {self.object_name} was not kept: its frame is gone")
        return self.sampler.sample_bgr(self.homography, self.size)
