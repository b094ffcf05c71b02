"""Regions of a camera frame in, canonical views and transforms out.

Two operations in a loop (inverse-compositional Spatial Transformer, Lin & Lucey 2017):
`patch = sample(frame, T)` and `T <- T . M(patch)`, always from the full-resolution frame, from
coarse to fine: *locate* tries every turn in the plane at once and keeps the best, *refine* brings
those close, *polish* makes the winner exact. What the network answers is then refined on the pixels
themselves (`photometric`). An object known from the last frame is followed by its pixels alone; at
every fifth frame, and where they lose hold, the network takes one coarse step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.camera import CameraModel
from stn_ros.geometry.homography import is_visible_face, jacobian, longest_side, to_corners
from stn_ros.geometry.patch import (
    MARGIN,
    normalised_patch_to_canonical,
    patch_to_canonical,
    region_homography,
)
from stn_ros.runtime import photometric
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.confidence import Evidence, confidence, features
from stn_ros.runtime.engine import Engine, OnnxEngine
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.sampling import FrameSampler
from stn_ros.runtime.solver import fit_motion

Array = NDArray[np.float64]

MIN_SIDE = 12.0
"""Faces shorter than this in the frame are refused: there is nothing left to compare, pixels."""
SEARCH = (("locate", 4), ("refine", 2), ("refine", 1), ("track", 1), ("polish", 1))
"""A search in a region: the network's stages in turn, and how many answers are kept after each."""
SETTLED = 0.02
"""A step that moved the corners by less than this share of the face's length needs no other."""
LOOSE = 0.003
"""Standard deviation of a followed object's corners, as a share of its length, from which a finer
step is taken."""
FOLLOWED = 2
"""Photometric steps, at most, of an object that is followed."""
FOLLOWED_SIDE = 10
"""Photometric tiles along the longer side of an object that is followed, at most."""
CHECKED = 5
"""Frames in which the network looks once at an object that is followed; the pixels alone follow it
through the others, and call for the network when they lose hold."""
HELD = 3
"""Photometric steps, at most, of an object that the pixels alone follow."""
_ASTRAY = 0.02  # deviation of the corners from where they were expected, share of the face's length
_FADED = 0.05  # loss of likeness since the last frame from which the network must look


@dataclass(frozen=True)
class Region:
    """Where an object may be.

    Attributes:
        object_name: which object; "" asks every known object and keeps the best answer.
        left, top, width, height: box, raw camera pixels.
    """

    object_name: str
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Alignment:
    """An object found (or not) in a frame.

    Attributes:
        object_name: which object.
        homography: 3x3, canonical pixels -> ideal (undistorted) camera pixels.
        confidence: how likely the answer is right, 0..1. accepted: it reaches the threshold.
        reason: why it was not accepted; "" if it was.
        corners: (4, 2) of the face, TL TR BR BL, ideal camera pixels.
        corner_covariance: (8, 8) of x, y of those corners, pixels squared.
        view: (h, w, 3) uint8 BGR, the canonical view.
        tracked: found by following the last frame. region: the region it was found in, if any.
        evidence: the numbers the confidence was judged from, see `confidence.features`.
        instance: which of the object's instances, from 1; a `Tracker` tells them apart.
        blur: of the frame against the reference, see `photometric.Refined`.
        age: frames since the network looked at it.
    """

    object_name: str
    homography: Array
    confidence: float
    accepted: bool
    reason: str
    corners: Array
    corner_covariance: Array
    view: NDArray[np.uint8]
    tracked: bool
    region: Region | None
    evidence: Mapping[str, float] = field(default_factory=dict)
    instance: int = 1
    blur: float = 0.0
    age: int = 0


@dataclass(frozen=True)
class CanonicalizerSettings:
    """How hard to look, and when to speak.

    Attributes:
        threshold: confidence from which an answer is accepted.
        turns: in-plane turns tried in a region.
        photometric_steps: at most, of the refinement on pixels; 0 leaves the network's answer.
        threads: of the network, 0 = chosen by the engine.
    """

    threshold: float = 0.5
    turns: int = 12
    photometric_steps: int = photometric.STEPS
    threads: int = 1

    def __post_init__(self) -> None:
        if not 0.0 <= self.threshold <= 1.0:
            raise ValueError(f"threshold is {self.threshold}: must lie in 0..1")
        for name, least in (
            ("turns", 4),
            ("photometric_steps", 0),
            ("threads", 0),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}: must be at least {least}")


@dataclass(frozen=True)
class _Hypothesis:
    """A transform on trial for one object in one region, and what its last step said.

    `moved` is how far that step moved the corners, as a share of the face's longest side.
    """

    item: int
    object: int
    homography: Array
    score: float = -math.inf
    evidence: Evidence | None = None
    covariance: Array | None = None
    moved: float = math.inf


class _Network(NamedTuple):
    """A network at work."""

    engine: Engine
    bundle: NetworkBundle


class Canonicalizer:
    """Finds known flat objects in regions of camera frames and aligns them.

    Args:
        bundle: the network of all objects but those that have one of their own.
        objects: with distinct names. settings: see `CanonicalizerSettings`.
        engine: runs the network of `bundle`; ONNX Runtime on the CPU unless given.

    Raises:
        ValueError: no objects, two of one name, or an object's own network is damaged.
    """

    def __init__(
        self,
        bundle: NetworkBundle,
        objects: Sequence[ObjectModel],
        settings: CanonicalizerSettings | None = None,
        engine: Engine | None = None,
    ) -> None:
        names = [model.name for model in objects]
        if not names:
            raise ValueError("no objects: teach one with `stn-ros teach` and name it")
        if len(set(names)) < len(names):
            raise ValueError(
                f"objects {sorted(n for n in set(names) if names.count(n) > 1)}: "
                "named more than once"
            )
        self.settings = settings or CanonicalizerSettings()
        self.objects = tuple(objects)
        self._index = {name: i for i, name in enumerate(names)}
        engine = engine or OnnxEngine(bundle, self.settings.threads)
        shared = _Network(engine, bundle)
        self._networks = [
            shared if model.network is None else self._own_network(model.network)
            for model in objects
        ]
        self._refiners = [photometric.PhotometricRefiner(model.reference) for model in objects]
        # Of each object, by stage.
        self._reference_patches = [
            {
                stage: FrameSampler(model.reference).sample(
                    patch_to_canonical(patch, model.size), (patch, patch)
                )
                for stage, patch in network.bundle.patches.items()
            }
            for model, network in zip(objects, self._networks, strict=True)
        ]
        self._references = [
            {stage: network.engine.features(seen[None])[0] for stage, seen in patches.items()}
            for patches, network in zip(self._reference_patches, self._networks, strict=True)
        ]

    def process(
        self,
        frame: NDArray[np.uint8],
        regions: Sequence[Region],
        previous: Sequence[Alignment] = (),
        camera: CameraModel | None = None,
        searches: int | None = None,
    ) -> list[Alignment]:
        """Align objects in one frame.

        Args:
            frame: (H, W, 3) uint8 BGR. regions: where to look for objects not yet known.
            previous: where objects are expected, such as the last frame's alignments, moved on;
                regions they lie in are not searched again unless they are lost.
            camera: needed if the frame is distorted.
            searches: how many regions are searched at most, the first ones; None for all.

        Returns:
            One `Alignment` for each object followed and each region searched, accepted or not.

        Raises:
            ValueError: a malformed frame, or a region that names an unknown object, is not
                finite, is empty or lies outside the frame.
        """
        sampler = FrameSampler(frame, camera)
        boxes = [self._ideal_box(region, frame, camera) for region in regions]
        followed = self._follow(sampler, previous)
        open_regions = [
            (region, box)
            for region, box in zip(regions, boxes, strict=True)
            if not any(found.accepted and _explains(found, region, box) for found in followed)
        ]
        return followed + self._search(sampler, open_regions[:searches])

    def known(self, object_name: str) -> bool:
        """Whether `object_name` may be asked for; "" asks for every object."""
        return object_name == "" or object_name in self._index

    def _own_network(self, folder: Path) -> _Network:
        bundle = NetworkBundle.load(folder)
        return _Network(OnnxEngine(bundle, self.settings.threads), bundle)

    def _ideal_box(
        self, region: Region, frame: NDArray[np.uint8], camera: CameraModel | None
    ) -> tuple[float, float, float, float]:
        if not self.known(region.object_name):
            raise ValueError(
                f"region names object {region.object_name!r}, which is not loaded; "
                f"loaded: {', '.join(self._index)}"
            )
        box = np.array([region.left, region.top, region.width, region.height])
        if not np.isfinite(box).all():
            raise ValueError(f"region of {region.object_name!r} is not finite: {box.tolist()}")
        if region.width <= 0 or region.height <= 0:
            raise ValueError(
                f"region of {region.object_name!r} is empty: {region.width:g} x {region.height:g}"
            )
        height, width = frame.shape[:2]
        left, top = max(region.left, -0.5), max(region.top, -0.5)
        right = min(region.left + region.width, width - 0.5)
        bottom = min(region.top + region.height, height - 0.5)
        if right <= left or bottom <= top:
            raise ValueError(
                f"region of {region.object_name!r} lies outside the {width} x "
                f"{height} image: {box.tolist()}"
            )
        if camera is not None and camera.distorted:
            corners = camera.undistort_points(
                np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
            )
            (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
        return left, top, right - left, bottom - top

    def _follow(self, sampler: FrameSampler, previous: Sequence[Alignment]) -> list[Alignment]:
        held = self._hold(sampler, previous)
        start = [
            _Hypothesis(i, self._index[known.object_name], known.homography)
            for i, known in enumerate(previous)
            if i not in held
        ]
        # A coarse step is enough where there is print that the pixels can hold on to.
        found = self._step("refine", sampler, start)
        answers = held | {
            h.item: self._answer(sampler, h, tracked=True, region=None)
            for h in found
            if h.moved <= SETTLED
        }
        open_ones = [h for h in found if h.item not in answers or _loose(answers[h.item])]
        for hypothesis in self._step("track", sampler, open_ones):
            answers[hypothesis.item] = self._answer(sampler, hypothesis, True, None)
        lost = [h for h in start if h.item not in answers or not answers[h.item].accepted]
        again = self._step("refine", sampler, self._step("refine", sampler, lost))
        again = self._step("track", sampler, again)
        for hypothesis in self._step("polish", sampler, again):
            answers[hypothesis.item] = self._answer(sampler, hypothesis, True, None)
        return [answers[item] for item in sorted(answers)]

    def _hold(self, sampler: FrameSampler, previous: Sequence[Alignment]) -> dict[int, Alignment]:
        """By place in `previous`, those that the pixels alone can follow.

        The network looks at no more of them in a frame than it must to look at each in time.
        """
        by_age = sorted(range(len(previous)), key=lambda i: -previous[i].age)
        due = [i for i in by_age if previous[i].age >= CHECKED - 1]
        due = due[: -(-len(previous) // CHECKED)]
        held = {i: self._held(sampler, previous[i]) for i in by_age if i not in due}
        return {i: answer for i, answer in held.items() if answer is not None}

    def _held(self, sampler: FrameSampler, known: Alignment) -> Alignment | None:
        """`known` followed by its pixels; None where they do not hold it as they did."""
        index = self._index[known.object_name]
        size = self.objects[index].size
        corners = to_corners(known.homography, size)
        deviation = _ASTRAY * longest_side(corners)
        refined = self._refiners[index].refine(
            sampler,
            known.homography,
            deviation**2 * np.eye(8),
            min(self.settings.photometric_steps, HELD),
            known.blur,
            FOLLOWED_SIDE,
        )
        if not refined.settled or refined.likeness < known.evidence["pixels"] - _FADED:
            return None
        evidence = {**known.evidence, "pixels": refined.likeness}
        answer = self._alignment(sampler, index, refined, evidence, tracked=True, region=None)
        if not answer.accepted or _loose(answer):
            return None
        return replace(answer, age=known.age + 1)

    def _search(
        self,
        sampler: FrameSampler,
        regions: Sequence[tuple[Region, tuple[float, float, float, float]]],
    ) -> list[Alignment]:
        settings = self.settings
        start = []
        for item, (region, box) in enumerate(regions):
            wanted = (
                [self._index[region.object_name]]
                if region.object_name
                else range(len(self.objects))
            )
            for index in wanted:
                for turn in range(settings.turns):
                    start.append(
                        _Hypothesis(
                            item,
                            index,
                            region_homography(
                                box, turn * 360.0 / settings.turns, self.objects[index].size
                            ),
                        )
                    )
        found = start
        for stage, kept in SEARCH:
            found = _best(self._step(stage, sampler, found), kept)
        best: dict[int, Alignment] = {}
        for hypothesis in found:
            answer = self._answer(sampler, hypothesis, False, regions[hypothesis.item][0])
            other = best.get(hypothesis.item)
            if other is None or answer.confidence > other.confidence:
                best[hypothesis.item] = answer
        return [best[item] for item in sorted(best)]

    def _step(
        self, stage: str, sampler: FrameSampler, hypotheses: Sequence[_Hypothesis]
    ) -> list[_Hypothesis]:
        """One sample-and-move step of all hypotheses; those that leave the possible are dropped."""
        if not hypotheses:
            return []
        network = self._networks[hypotheses[0].object]
        others = [h for h in hypotheses if self._networks[h.object] is not network]
        hypotheses = [h for h in hypotheses if self._networks[h.object] is network]
        patch = network.bundle.patches[stage]
        patches = np.stack(
            [
                sampler.sample(
                    h.homography @ patch_to_canonical(patch, self.objects[h.object].size),
                    (patch, patch),
                )
                for h in hypotheses
            ]
        )
        reference = np.stack([self._references[h.object][stage] for h in hypotheses])
        motion = network.engine.match(reference, patches, exact=stage == "polish")
        fit = fit_motion(motion.flow, motion.log_scale)
        moved = []
        for i, hypothesis in enumerate(hypotheses):
            size = self.objects[hypothesis.object].size
            frame = normalised_patch_to_canonical(size)
            homography = hypothesis.homography @ frame @ fit.motion[i] @ np.linalg.inv(frame)
            homography = homography / homography[2, 2]
            if not is_visible_face(homography, size):
                continue
            corners = to_corners(homography, size)
            side = longest_side(corners)
            if side < MIN_SIDE:
                continue
            shift = corners - to_corners(hypothesis.homography, size)
            covariance = _to_camera(
                hypothesis.homography @ frame, fit.motion[i], fit.corner_covariance[i]
            )
            evidence = Evidence(
                present=float(motion.present[i]),
                aligned=float(motion.aligned[i]),
                agreement=float(fit.agreement[i]),
                log_scale=float(motion.log_scale[i].mean()),
                spread=0.5 * math.log(max(float(np.trace(covariance)) / 8, 1e-6)),
            )
            moved.append(
                replace(
                    hypothesis,
                    homography=homography,
                    evidence=evidence,
                    score=_log_sigmoid(evidence.present) + _log_sigmoid(evidence.aligned),
                    covariance=covariance,
                    moved=float(np.linalg.norm(shift, axis=1).mean() / side),
                )
            )
        return moved + self._step(stage, sampler, others)

    def _answer(
        self, sampler: FrameSampler, hypothesis: _Hypothesis, tracked: bool, region: Region | None
    ) -> Alignment:
        assert hypothesis.covariance is not None
        assert hypothesis.evidence is not None
        network = self._networks[hypothesis.object]
        steps = self.settings.photometric_steps
        refined = self._refiners[hypothesis.object].refine(
            sampler,
            hypothesis.homography,
            network.bundle.corner_scale * hypothesis.covariance,
            min(steps, FOLLOWED) if tracked else steps,
            finest=FOLLOWED_SIDE if tracked else photometric.SIDES[-1],
        )
        patch = network.bundle.patches["refine"]
        to_canonical = patch_to_canonical(patch, self.objects[hypothesis.object].size)
        evidence = features(
            hypothesis.evidence,
            refined.likeness,
            sampler.sample(refined.homography @ to_canonical, (patch, patch)),
            self._reference_patches[hypothesis.object]["refine"],
        )
        return self._alignment(sampler, hypothesis.object, refined, evidence, tracked, region)

    def _alignment(
        self,
        sampler: FrameSampler,
        index: int,
        refined: photometric.Refined,
        evidence: Mapping[str, float],
        tracked: bool,
        region: Region | None,
    ) -> Alignment:
        model = self.objects[index]
        sure = confidence(evidence, self._networks[index].bundle.judge)
        accepted = sure >= self.settings.threshold
        return Alignment(
            object_name=model.name,
            homography=refined.homography,
            confidence=sure,
            accepted=accepted,
            reason=""
            if accepted
            else (f"{model.name}: confidence {sure:.2f} is below {self.settings.threshold:.2f}"),
            corners=to_corners(refined.homography, model.size),
            corner_covariance=refined.corner_covariance,
            view=sampler.sample_bgr(refined.homography, model.size),
            tracked=tracked,
            region=region,
            evidence=evidence,
            blur=refined.blur,
        )


def _loose(answer: Alignment) -> bool:
    deviation = LOOSE * longest_side(answer.corners)
    return bool(np.trace(answer.corner_covariance) / 8 > deviation**2)


def _log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x)) if x > -30 else x


def _best(hypotheses: Sequence[_Hypothesis], count: int) -> list[_Hypothesis]:
    """The `count` best-scored hypotheses of each object in each region."""
    ranked = sorted(hypotheses, key=lambda h: -h.score)
    kept: list[_Hypothesis] = []
    for hypothesis in ranked:
        rivals = sum(h.item == hypothesis.item and h.object == hypothesis.object for h in kept)
        if rivals < count:
            kept.append(hypothesis)
    return kept


def _explains(found: Alignment, region: Region, box: tuple[float, float, float, float]) -> bool:
    """Whether a region is where a followed object already is: boxes overlap by a third or more."""
    if region.object_name not in ("", found.object_name):
        return False
    low, high = found.corners.min(axis=0), found.corners.max(axis=0)
    left, top, width, height = box
    across = min(high[0], left + width) - max(low[0], left)
    down = min(high[1], top + height) - max(low[1], top)
    shared = max(0.0, across) * max(0.0, down)
    return shared > (np.prod(high - low) + width * height - shared) / 3


def _to_camera(to_camera: Array, motion: Array, covariance: Array) -> Array:
    """Corner covariance from normalised patch coordinates to camera pixels.

    `to_camera` maps normalised patch coordinates to camera pixels, `motion` the face's corners to
    where they were found in the patch.
    """
    corners = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]) / MARGIN
    moved = np.column_stack([corners, np.ones(4)]) @ motion.T
    local = jacobian(to_camera, moved[:, :2] / moved[:, 2:])
    spread = np.zeros((8, 8))
    for i in range(4):
        spread[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = local[i]
    return spread @ covariance @ spread.T
