"""An object found anew in a region, from coarse to fine.

*Locate* tries every rotation in the image plane at once and keeps the best, *refine* brings those
close, *track* and *polish* make the winner exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stn_ros.geometry.box import Box
from stn_ros.geometry.patch import region_homography
from stn_ros.runtime.alignment import Alignment, Region
from stn_ros.runtime.network_step import Hypothesis, NetworkStep
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.sampling import FrameSampler
from stn_ros.runtime.verification import Verifier

SEARCH_STAGES = (("locate", 4), ("refine", 2), ("refine", 1), ("track", 1), ("polish", 1))
"""The network's stages in turn, and how many hypotheses of an object in a region are kept after
each."""
ROTATIONS = 12
"""Rotations in the image plane that are tried where none is known, evenly spaced."""


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

    def search(
        self, sampler: FrameSampler, regions: Sequence[tuple[Region, Box]]
    ) -> list[Alignment]:
        """Search each region; the box beside it is the region's in ideal camera pixels.

        Returns:
            The best answer of each region, accepted or not, in their order; none where no
            hypothesis is one that a camera can see.
        """
        found = [
            Hypothesis(query, model, region_homography(box, rotation, self._sizes[model]))
            for query, (region, box) in enumerate(regions)
            for model in self._models(region)
            for rotation in self._starts(region)
        ]
        for stage, kept in SEARCH_STAGES:
            found = best_of_each(self._step(stage, sampler, found), kept)
        best: dict[int, Alignment] = {}
        for hypothesis in found:
            region, _ = regions[hypothesis.query]
            answer = self._verifier.verify(sampler, hypothesis, tracked=False, region=region)
            other = best.get(hypothesis.query)
            if other is None or answer.confidence > other.confidence:
                best[hypothesis.query] = answer
        return [best[query] for query in sorted(best)]

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
