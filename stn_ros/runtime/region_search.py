"""An object found anew in a region, from coarse to fine.

*Locate* tries every rotation in the image plane at once and keeps the best, *refine* brings those
close, *track* and the pixels make the winner exact. Where it is known about how the face lies,
*locate* tells whether it is there at all, and only what passes goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.box import Box
from stn_ros.geometry.patch import region_homography
from stn_ros.runtime.alignment import Alignment, Region
from stn_ros.runtime.network_step import Hypothesis, NetworkStep
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.sampling import FrameSampler
from stn_ros.runtime.verification import Verifier

Array = NDArray[np.float64]

SEARCH_STAGES = (("locate", 3), ("refine", 1), ("track", 1), ("track", 1))
"""The network's stages in turn, and how many hypotheses of an object in a region are kept after
each."""
PROPOSAL_STAGES = ("refine", "refine")
"""The stages, after *locate*, of a face of which it is known about how it lies."""
REJECTED = -5.0
"""Score of *locate* below which a face is not where it was proposed."""
ROTATIONS = 12
"""Rotations in the image plane that are tried where none is known, evenly spaced."""


class Place(NamedTuple):
    """A region, and its box and homography (if it has one) in ideal camera pixels."""

    region: Region
    box: Box
    homography: Array | None = None


class RegionSearch:
    """Searches regions for objects.

    Args:
        objects: those that can be asked for. step: of the network. verifier: judges the outcome.
        rotations: see `ROTATIONS`.
    """

    def __init__(
        self,
        objects: Sequence[ObjectModel],
        step: NetworkStep,
        verifier: Verifier,
        rotations: int = ROTATIONS,
    ) -> None:
        self._sizes = [model.size for model in objects]
        self._index: Mapping[str, int] = {model.name: i for i, model in enumerate(objects)}
        self._step = step
        self._verifier = verifier
        self._rotations = rotations

    def search(self, sampler: FrameSampler, places: Sequence[Place]) -> list[Alignment]:
        """Search each place.

        Returns:
            The best answer of each place, accepted or not, in their order; none where no
            hypothesis is one that a camera can see, or a face is not where it was proposed.
        """
        found = [
            Hypothesis(query, model, region_homography(place.box, rotation, self._sizes[model]))
            for query, place in enumerate(places)
            if place.homography is None
            for model in self._models(place.region)
            for rotation in self._starts(place.region)
        ]
        for stage, kept in SEARCH_STAGES:
            found = best_of_each(self._step(stage, sampler, found), kept)
        found += self._proposed(sampler, places)
        best: dict[int, Alignment] = {}
        for hypothesis in found:
            region = places[hypothesis.query].region
            answer = self._verifier.verify(sampler, hypothesis, tracked=False, region=region)
            other = best.get(hypothesis.query)
            if other is None or answer.confidence > other.confidence:
                best[hypothesis.query] = answer
        return [best[query] for query in sorted(best)]

    def _proposed(self, sampler: FrameSampler, places: Sequence[Place]) -> list[Hypothesis]:
        """What comes of the places whose homography is known about."""
        start = [
            Hypothesis(query, model, place.homography)
            for query, place in enumerate(places)
            if place.homography is not None
            for model in self._models(place.region)
        ]
        found = [h for h in self._step("locate", sampler, start) if h.score > REJECTED]
        for stage in PROPOSAL_STAGES:
            found = self._step(stage, sampler, found)
        return found

    def _models(self, region: Region) -> Sequence[int]:
        if region.object_name:
            return [self._index[region.object_name]]
        return range(len(self._sizes))

    def _starts(self, region: Region) -> list[float]:
        """Rotations to start from, degrees: all of them, or the known one and its neighbours."""
        apart = 360.0 / self._rotations
        if region.rotation is None:
            return [i * apart for i in range(self._rotations)]
        return [region.rotation + i * apart for i in (-1, 0, 1)]


def best_of_each(hypotheses: Sequence[Hypothesis], count: int) -> list[Hypothesis]:
    """The `count` best-scored hypotheses of each object in each region."""
    kept: list[Hypothesis] = []
    for hypothesis in sorted(hypotheses, key=lambda h: -h.score):
        rivals = sum((h.query, h.model) == (hypothesis.query, hypothesis.model) for h in kept)
        if rivals < count:
            kept.append(hypothesis)
    return kept
