"""The end of every alignment: refined on the pixels, and how sure it is.

The network's answer is moved until the print lies on the reference's (`photometric`), then judged
by what the network, the pixels and a comparison of the two patches say (`confidence`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.homography import longest_side, to_corners
from stn_ros.runtime import photometric
from stn_ros.runtime.alignment import Alignment, Region
from stn_ros.runtime.confidence import confidence, inputs
from stn_ros.runtime.network_step import Hypothesis, NetworkStep
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.photometric import PhotometricRefiner, Refined
from stn_ros.runtime.print_comparison import PrintComparison
from stn_ros.runtime.sampling import FrameSampler

Array = NDArray[np.float64]

FOLLOWED_STEPS = 2
"""Photometric steps, at most, of a followed object that the network has just looked at."""
TRACKING_STEPS = 3
"""Photometric steps, at most, of an object that the pixels alone follow."""
FOLLOWED_TILES = 10
"""Photometric tiles along the longer side of an object that is followed, at most."""
UNCERTAIN = 0.003
"""Standard deviation of a followed object's corners, as a share of its length, from which a finer
step of the network is taken."""
ASTRAY = 0.02
"""Standard deviation of the corners from where a followed object is expected, as a share of its
length."""
FADED = 0.05
"""Loss of NCC since the last frame from which the network must look."""
REFINERS = 32
"""Objects whose references are kept as the refinement on pixels knows them: 2 to 6 MB each."""


class Verifier:
    """Turns hypotheses of the network into answers.

    Args:
        objects: in the order of the hypotheses' `model`. step: whose hypotheses these are.
        threshold: confidence from which an answer is accepted; may be set at any time.
        photometric_steps: at most; 0 leaves the network's answer.
    """

    def __init__(
        self,
        objects: Sequence[ObjectModel],
        step: NetworkStep,
        threshold: float,
        photometric_steps: int,
    ) -> None:
        self.threshold = threshold
        self._objects = tuple(objects)
        self._index = {model.name: i for i, model in enumerate(objects)}
        self._step = step
        self._steps = photometric_steps
        self._refiner = lru_cache(REFINERS)(
            lambda model: PhotometricRefiner(self._objects[model].reference)
        )
        self._comparison = lru_cache(REFINERS)(
            lambda model: PrintComparison(self._objects[model].reference)
        )

    def verify(
        self,
        sampler: FrameSampler,
        hypothesis: Hypothesis,
        tracked: bool,
        region: Region | None = None,
    ) -> Alignment:
        """The answer that a hypothesis comes to, after at least one step of the network."""
        assert hypothesis.evidence is not None
        assert hypothesis.covariance is not None
        model = hypothesis.model
        refined = self._refiner(model).refine(
            sampler,
            hypothesis.homography,
            self._step.bundle(model).corner_scale * hypothesis.covariance,
            min(self._steps, FOLLOWED_STEPS) if tracked else self._steps,
            finest=FOLLOWED_TILES if tracked else photometric.SIDES[-1],
        )
        numbers = {
            **inputs(
                hypothesis.evidence,
                refined.ncc,
                self._step.patch("refine", sampler, model, refined.homography),
                self._step.reference_patch(model, "refine"),
            ),
            **self._comparison(model).compare(sampler, refined.homography, refined.blur),
        }
        return self._alignment(sampler, model, refined, numbers, tracked, region)

    def track_photometrically(self, sampler: FrameSampler, known: Alignment) -> Alignment | None:
        """`known` followed by its pixels; None where they do not hold it as they did."""
        model = self._index[known.object_name]
        deviation = ASTRAY * longest_side(to_corners(known.homography, known.size))
        refined = self._refiner(model).refine(
            sampler,
            known.homography,
            deviation**2 * np.eye(8),
            min(self._steps, TRACKING_STEPS),
            known.blur,
            FOLLOWED_TILES,
        )
        if not refined.settled or refined.ncc < known.confidence_inputs["pixels"] - FADED:
            return None
        numbers = {**known.confidence_inputs, "pixels": refined.ncc}
        answer = self._alignment(sampler, model, refined, numbers, tracked=True, region=None)
        if not answer.accepted or uncertain(answer):
            return None
        return replace(answer, age=known.age + 1)

    def _alignment(
        self,
        sampler: FrameSampler,
        model: int,
        refined: Refined,
        numbers: Mapping[str, float],
        tracked: bool,
        region: Region | None,
    ) -> Alignment:
        name, size = self._objects[model].name, self._objects[model].size
        sure = confidence(numbers, self._step.bundle(model).confidence_weights)
        accepted = sure >= self.threshold
        reason = f"{name}: confidence {sure:.2f} is below {self.threshold:.2f}"
        return Alignment(
            object_name=name,
            size=size,
            homography=refined.homography,
            confidence=sure,
            accepted=accepted,
            reason="" if accepted else reason,
            corners=to_corners(refined.homography, size),
            corner_covariance=refined.corner_covariance,
            tracked=tracked,
            region=region,
            sampler=sampler,
            confidence_inputs=numbers,
            blur=refined.blur,
        )


def uncertain(answer: Alignment) -> bool:
    """Whether the corners are less certain than `UNCERTAIN`."""
    deviation = UNCERTAIN * longest_side(answer.corners)
    return bool(np.trace(answer.corner_covariance) / 8 > deviation**2)
