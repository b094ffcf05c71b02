"""One step of the network: sample a patch under each hypothesis, and move it as the network says.

`patch = sample(frame, T)`, then `T <- T . M(patch)`, always from the full-resolution frame (the
inverse-compositional Spatial Transformer, Lin & Lucey 2017).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.homography import is_visible_face, longest_side, to_corners
from stn_ros.geometry.patch import (
    camera_corner_covariance,
    normalised_patch_to_canonical,
    patch_to_canonical,
)
from stn_ros.runtime.bundle import PATCH_STAGES, NetworkBundle
from stn_ros.runtime.confidence import Evidence
from stn_ros.runtime.engines import Engine, Motion
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.sampling import FrameSampler
from stn_ros.runtime.solver import fit_motion

Array = NDArray[np.float64]

MIN_SIDE = 12.0
"""Faces shorter than this in the frame are refused: there is nothing left to compare, pixels."""

REFERENCES = 1024
"""References kept as a stage knows them: 46 MB for *locate* of a thousand objects, 0.7 MB for all
four stages of one."""


@dataclass(frozen=True)
class Hypothesis:
    """A transform on trial, and what its last step said.

    Attributes:
        query: which of the questions asked it belongs to. model: index of the object.
        homography: 3x3, canonical -> ideal camera pixels.
        score: log of the chance that the object is there and the step was right.
        evidence: of the last step, None before the first.
        covariance: (8, 8) of the corners as if cells erred independently, camera pixels squared.
        moved: how far the last step moved the corners, as a share of the face's longest side.
    """

    query: int
    model: int
    homography: Array
    score: float = -math.inf
    evidence: Evidence | None = None
    covariance: Array | None = None
    moved: float = math.inf


@dataclass(frozen=True, eq=False)
class _Network:
    """A network at work; told apart from others by identity."""

    engine: Engine
    bundle: NetworkBundle


class _Reference(NamedTuple):
    """An object's reference as a stage knows it.

    Attributes:
        patch: (S, S, 4) BGR and validity. features: (C, S/4, S/4) of it.
    """

    patch: NDArray[np.uint8]
    features: NDArray[np.float32]


class NetworkStep:
    """The network, or the networks, of some objects, and what they know of the references.

    What they know of one is computed when it is first looked at, a few milliseconds a stage.

    Args:
        objects: those with a network of their own are stepped by that, all others by `bundle`.
        bundle: the shared network. make_engine: runs a bundle.

    Raises:
        ValueError: an object's own network is damaged.
    """

    def __init__(
        self,
        objects: Sequence[ObjectModel],
        bundle: NetworkBundle,
        make_engine: Callable[[NetworkBundle], Engine],
    ) -> None:
        self._objects = tuple(objects)
        shared = _Network(make_engine(bundle), bundle)
        self.engine_name = shared.engine.name
        self._networks: list[_Network] = []
        for model in objects:
            network = shared
            if model.network is not None:
                own = NetworkBundle.load(model.network)
                network = _Network(make_engine(own), own)
            self._networks.append(network)
        self._reference = lru_cache(REFERENCES)(self._make_reference)
        # What a network cannot do shall show here, not in the middle of a frame.
        for network in dict.fromkeys(self._networks):
            self._reference(self._networks.index(network), PATCH_STAGES[0])

    def bundle(self, model: int) -> NetworkBundle:
        """The network of an object."""
        return self._networks[model].bundle

    def reference_patch(self, model: int, stage: str) -> NDArray[np.uint8]:
        """(S, S, 4) BGR and validity: an object's reference as the network sees it in a stage."""
        return self._reference(model, stage).patch

    def patch(
        self, stage: str, sampler: FrameSampler, model: int, homography: Array
    ) -> NDArray[np.uint8]:
        """(S, S, 4) BGR and validity: what the network sees of a frame under a homography."""
        side = self._networks[model].bundle.patches[stage]
        to_canonical = patch_to_canonical(side, self._objects[model].size)
        return sampler.sample(homography @ to_canonical, (side, side))

    def __call__(
        self, stage: str, sampler: FrameSampler, hypotheses: Sequence[Hypothesis]
    ) -> list[Hypothesis]:
        """Move every hypothesis by one step; those that leave the possible are dropped.

        A batch for each network. Only `polish` asks for full precision.
        """
        moved: list[Hypothesis] = []
        for batch, motion in self._motions(stage, sampler, hypotheses):
            fit = fit_motion(motion.flow, motion.log_scale)
            for i, hypothesis in enumerate(batch):
                evidence = Evidence(
                    present=float(motion.present[i]),
                    aligned=float(motion.aligned[i]),
                    agreement=float(fit.agreement[i]),
                    log_scale=float(motion.log_scale[i].mean()),
                    spread=math.nan,
                )
                step = self._moved(hypothesis, fit.motion[i], fit.corner_covariance[i], evidence)
                if step is not None:
                    moved.append(step)
        return moved

    def scores(
        self, stage: str, sampler: FrameSampler, hypotheses: Sequence[Hypothesis]
    ) -> list[float]:
        """What a step would score each hypothesis with, at less than its cost."""
        scores = {
            id(hypothesis): _score(float(present), float(aligned))
            for batch, motion in self._motions(stage, sampler, hypotheses)
            for hypothesis, present, aligned in zip(
                batch, motion.present, motion.aligned, strict=True
            )
        }
        return [scores[id(hypothesis)] for hypothesis in hypotheses]

    def _make_reference(self, model: int, stage: str) -> _Reference:
        patch = self.patch(stage, FrameSampler(self._objects[model].reference), model, np.eye(3))
        return _Reference(patch, self._networks[model].engine.features(patch[None])[0])

    def _motions(
        self, stage: str, sampler: FrameSampler, hypotheses: Sequence[Hypothesis]
    ) -> Iterator[tuple[list[Hypothesis], Motion]]:
        """What each network says of those hypotheses that are its own."""
        for network in dict.fromkeys(self._networks[h.model] for h in hypotheses):
            batch = [h for h in hypotheses if self._networks[h.model] is network]
            patches = [self.patch(stage, sampler, h.model, h.homography) for h in batch]
            motion = network.engine.match(
                np.stack([self._reference(h.model, stage).features for h in batch]),
                np.stack(patches),
                exact=stage == "polish",
            )
            yield batch, motion

    def _moved(
        self, before: Hypothesis, motion: Array, covariance: Array, evidence: Evidence
    ) -> Hypothesis | None:
        """The hypothesis composed with a motion; None where no camera sees a face so."""
        size = self._objects[before.model].size
        to_canonical = normalised_patch_to_canonical(size)
        homography = before.homography @ to_canonical @ motion @ np.linalg.inv(to_canonical)
        homography = homography / homography[2, 2]
        if not is_visible_face(homography, size):
            return None
        corners = to_corners(homography, size)
        side = longest_side(corners)
        if side < MIN_SIDE:
            return None
        shift = corners - to_corners(before.homography, size)
        covariance = camera_corner_covariance(before.homography @ to_canonical, motion, covariance)
        spread = 0.5 * math.log(max(float(np.trace(covariance)) / 8, 1e-6))
        return replace(
            before,
            homography=homography,
            evidence=evidence._replace(spread=spread),
            score=_score(evidence.present, evidence.aligned),
            covariance=covariance,
            moved=float(np.linalg.norm(shift, axis=1).mean() / side),
        )


def _score(present: float, aligned: float) -> float:
    return _log_sigmoid(present) + _log_sigmoid(aligned)


def _log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x)) if x > -30 else x
