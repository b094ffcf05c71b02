"""Training samples: pairs of reference and patch with the true motion between them.

A frame is rendered once and read several times, with the sampler the robot uses, at the places the
cascade will look from: regions under wrong and nearly right rotations for *locate*, transforms that
are a little off for *refine* and *polish*; and at places where the right answer is no.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.box import Box
from stn_ros.geometry.homography import face_corners, from_corners, jacobian, quarter_rotation
from stn_ros.geometry.patch import (
    normalised_patch_to_canonical,
    patch_to_canonical,
    region_homography,
)
from stn_ros.runtime.sampling import FrameSampler
from stn_ros.synthesis.scene import Conditions, LabelledFrame, render_frame
from stn_ros.synthesis.textures import Textures

YES, NO, UNSURE = 1, 0, -1


@dataclass(frozen=True)
class Stage:
    """One step of the cascade as training sees it.

    Attributes:
        name: for logs. patch: side of the patch, pixels. batch: samples in a training batch.
        weight: share of the training batches.
        offset: range of the initial corner displacement in face half-widths, log-uniform; None
            starts from a jittered region under a rotation instead.
        conditions: what the views look like.
    """

    name: str
    patch: int
    batch: int
    weight: int
    offset: tuple[float, float] | None
    conditions: Conditions


STAGES = (
    Stage("locate", 48, 64, 1, None, Conditions(long_side=(45, 260))),
    Stage("refine", 64, 48, 1, (0.01, 0.3), Conditions(long_side=(45, 280))),
    Stage("track", 112, 20, 1, (0.004, 0.15), Conditions(long_side=(50, 320))),
    Stage("polish", 128, 16, 1, (0.004, 0.1), Conditions(long_side=(55, 320))),
)
GIVEN_SHARE = 0.5
SEEN_SHARE = 0.5
"""Of the views of a given face, how many are sightings, where there are any."""
PHOTOS = 8
"""How many references a given face has, as if photographed in different light."""
ROTATION_REACH = 20.0
"""The largest rotation a locate patch may be off and still count as the right one, degrees."""


@dataclass(frozen=True)
class Batch:
    """N samples of one stage.

    Attributes:
        reference, patch: (N, S, S, 4) uint8, BGR and validity.
        motion: (N, 3, 3) float32, normalised patch coordinates: reference -> true place in patch.
        related: (N,) bool, the patch shows the object near enough for `motion` to be learnt.
        present: (N,) int8, whether the object is there the right way up: `YES`, `NO`, `UNSURE`.
    """

    reference: NDArray[np.uint8]
    patch: NDArray[np.uint8]
    motion: NDArray[np.float32]
    related: NDArray[np.bool_]
    present: NDArray[np.int8]


_Row = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float64], bool, int]
"""reference, patch, motion, related, present: see `Batch`."""


class TrainingFace:
    """A face, and its reference as a photograph of it would show it.

    Attributes:
        picture: BGR. size: its width and height, pixels. sibling: a face much like it, if any.
        look_alike_rotations: degrees, see `_find_look_alikes`.
    """

    def __init__(self, rng: np.random.Generator, picture: NDArray[np.uint8]) -> None:
        self.picture = picture
        height, width = picture.shape[:2]
        self.size = (width, height)
        photo: NDArray[Any] = picture
        if rng.random() < 0.5:
            photo = cv2.GaussianBlur(photo, (0, 0), rng.uniform(0.3, 1.0))
        gain = rng.uniform(0.7, 1.25) * (1 + 0.08 * rng.uniform(-1, 1, 3))
        photo = np.clip(255 * (photo / 255.0) ** rng.uniform(0.75, 1.3) * gain, 0, 255)
        self._photo = FrameSampler(np.ascontiguousarray(photo.astype(np.uint8)))
        self._patches: dict[int, NDArray[np.uint8]] = {}
        self.sibling: TrainingFace | None = None
        self.look_alike_rotations = self._find_look_alikes()

    def reference(self, patch: int) -> NDArray[np.uint8]:
        """(patch, patch, 4) uint8, BGR and validity."""
        if patch not in self._patches:
            self._patches[patch] = self._photo.sample(
                patch_to_canonical(patch, self.size), (patch, patch)
            )
        return self._patches[patch]

    def _find_look_alikes(self) -> set[int]:
        """Rotations under which the face can not be told from itself: no fair negatives."""
        small = cv2.resize(self.picture, (24, 24), interpolation=cv2.INTER_AREA).astype(np.float32)
        small -= small.mean(axis=(0, 1))
        power = float((small**2).sum()) + 24 * 24 * 3 * 4.0
        return {
            quarter * 90
            for quarter in (1, 2, 3)
            if float((small * np.rot90(small, -quarter)).sum()) / power > 0.85
        }


def true_rotation(homography: NDArray[np.float64], size: tuple[int, int]) -> float:
    """In-plane rotation, degrees, of a face seen through `homography`: see `region_homography`."""
    middle = np.array([(size[0] - 1) / 2, (size[1] - 1) / 2])
    local = jacobian(homography, middle)
    return math.degrees(math.atan2(local[1, 0] - local[0, 1], local[0, 0] + local[1, 1]))


def jittered_box(
    rng: np.random.Generator,
    box: Box,
    shift: float = 0.08,
    stretch: float = 0.12,
) -> Box:
    """A box as a detector would give it: moved by a share of its size, stretched by a factor."""
    left, top, width, height = box
    new_width = width * math.exp(rng.uniform(-stretch, stretch))
    new_height = height * math.exp(rng.uniform(-stretch, stretch))
    x = left + width / 2 + width * rng.uniform(-shift, shift)
    y = top + height / 2 + height * rng.uniform(-shift, shift)
    return Box(x - new_width / 2, y - new_height / 2, new_width, new_height)


class SampleMaker:
    """An endless source of batches.

    Args:
        seed: of all randomness. split: "train" or "held_out", see `Textures`.
        faces: how many faces are held at a time; one in twenty views brings a new one.
        given: BGR pictures of faces to be known above all. Half of the views show one of them;
            the others show distractors, which must not be taken for one.
        sightings: of the one given face, in a camera's frames; half of its views are these.

    Raises:
        ValueError: sightings, and not one given face.
    """

    def __init__(
        self,
        seed: int,
        split: str = "train",
        faces: int = 300,
        given: Sequence[NDArray[np.uint8]] = (),
        sightings: Sequence[LabelledFrame] = (),
    ) -> None:
        if sightings and len(given) != 1:
            raise ValueError(f"sightings are of one given face; {len(given)} are given")
        self._rng = np.random.default_rng(seed)
        self._textures = Textures(split)
        self._capacity = faces
        self._faces: list[TrainingFace] = []
        self._given = [TrainingFace(self._rng, picture) for picture in given for _ in range(PHOTOS)]
        self._sightings = list(sightings)
        self._surfaces: list[NDArray[np.uint8]] = []

    def batch(self, stage: Stage, count: int) -> Batch:
        """`count` new samples of a stage."""
        rows: list[_Row] = []
        while len(rows) < count:
            face = self._face()
            seen = self._frame(stage, face)
            make = self._locate_rows if stage.offset is None else self._refine_rows
            rows.extend(make(stage, face, seen))
        rows = rows[:count]
        return Batch(
            reference=np.stack([row[0] for row in rows]),
            patch=np.stack([row[1] for row in rows]),
            motion=np.stack([row[2] for row in rows]).astype(np.float32),
            related=np.array([row[3] for row in rows]),
            present=np.array([row[4] for row in rows], np.int8),
        )

    def _frame(self, stage: Stage, face: TrainingFace) -> LabelledFrame:
        rng = self._rng
        if self._sightings and face in self._given and rng.random() < SEEN_SHARE:
            return self._sightings[rng.integers(len(self._sightings))]
        return render_frame(rng, face.picture, self._surface, stage.conditions, near_only=True)

    def _face(self) -> TrainingFace:
        rng = self._rng
        if self._given and self._faces and rng.random() < GIVEN_SHARE:
            return self._given[rng.integers(len(self._given))]
        if len(self._faces) >= min(self._capacity, 40) and rng.random() > 0.05:
            return self._faces[rng.integers(len(self._faces))]
        long_side = int(rng.integers(256, 385))
        if rng.random() < 0.4:
            first, second = (TrainingFace(rng, p) for p in self._textures.siblings(rng, long_side))
            first.sibling, second.sibling = second, first
            fresh = [first, second]
        else:
            fresh = [TrainingFace(rng, self._textures.face(rng, long_side))]
        for face in fresh:
            if len(self._faces) < self._capacity:
                self._faces.append(face)
            else:
                self._faces[rng.integers(self._capacity)] = face
        return fresh[0]

    def _distractor(self, face: TrainingFace) -> TrainingFace | None:
        """Another face than `face`, often one much like it; None if there is none."""
        if face.sibling is not None and self._rng.random() < 0.7:
            return face.sibling
        others = self._faces if not self._given or face in self._given else self._given
        other = others[self._rng.integers(len(others))]
        return None if other is face else other

    def _surface(self, rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.uint8]:
        """A piece of one of the backgrounds at hand; now and then a new one is made."""
        if len(self._surfaces) < 12 or rng.random() < 0.03:
            fresh = self._textures.background(rng, (720, 560))
            if len(self._surfaces) < 60:
                self._surfaces.append(fresh)
            else:
                self._surfaces[rng.integers(60)] = fresh
        surface = self._surfaces[rng.integers(len(self._surfaces))]
        height, width = surface.shape[:2]
        cut = min(1.0, max(max(size[0] / width, size[1] / height), rng.uniform(0.25, 1.0)))
        cut_width, cut_height = int(max(2, cut * width)), int(max(2, cut * height))
        left = int(rng.integers(0, width - cut_width + 1))
        top = int(rng.integers(0, height - cut_height + 1))
        piece = surface[top : top + cut_height, left : left + cut_width]
        piece = np.asarray(cv2.resize(piece, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        return np.ascontiguousarray(piece[:, ::-1]) if rng.random() < 0.5 else piece

    def _locate_rows(self, stage: Stage, face: TrainingFace, seen: LabelledFrame) -> Iterator[_Row]:
        rng, sampler = self._rng, FrameSampler(seen.frame)
        rotation = true_rotation(seen.homography, face.size)
        present = YES if seen.visible > 0.45 else UNSURE

        def read(start: NDArray[np.float64]) -> NDArray[np.uint8]:
            return sampler.sample(
                start @ patch_to_canonical(stage.patch, face.size), (stage.patch, stage.patch)
            )

        reference = face.reference(stage.patch)
        for _ in range(3):
            start = region_homography(
                jittered_box(rng, seen.box),
                rotation + rng.uniform(-ROTATION_REACH, ROTATION_REACH),
                face.size,
            )
            patch = read(start)
            yield reference, patch, _motion(start, seen.homography, face.size), True, present
        flips = [t for t in (180, 180, 90, 270) if t not in face.look_alike_rotations]
        for _ in range(2 if flips else 0):
            other = rotation + rng.choice(flips) + rng.uniform(-15, 15)
            if rng.random() < 0.4:
                other = rotation + rng.choice([-1, 1]) * rng.uniform(50, 180)
                other = other if 180 not in face.look_alike_rotations else rotation + 60
            start = region_homography(jittered_box(rng, seen.box), other, face.size)
            yield reference, read(start), np.eye(3), False, NO
        distractor = self._distractor(face)
        if distractor is not None:
            if rng.random() < 0.75:
                at = rng.uniform(0, 360) if rng.random() < 0.5 else rotation + rng.uniform(-15, 15)
                start = region_homography(jittered_box(rng, seen.box), at, distractor.size)
                patch = sampler.sample(
                    start @ patch_to_canonical(stage.patch, distractor.size),
                    (stage.patch, stage.patch),
                )
                yield distractor.reference(stage.patch), patch, np.eye(3), False, NO
            else:
                surface = FrameSampler(self._surface(rng, (160, 160)))
                yield (
                    reference,
                    surface.sample(
                        np.diag([160 / stage.patch, 160 / stage.patch, 1.0]),
                        (stage.patch, stage.patch),
                    ),
                    np.eye(3),
                    False,
                    NO,
                )

    def _refine_rows(self, stage: Stage, face: TrainingFace, seen: LabelledFrame) -> Iterator[_Row]:
        rng, sampler = self._rng, FrameSampler(seen.frame)
        to_canonical = patch_to_canonical(stage.patch, face.size)
        reference = face.reference(stage.patch)
        present = YES if seen.visible > 0.45 else UNSURE
        assert stage.offset is not None

        def read(start: NDArray[np.float64]) -> NDArray[np.uint8]:
            return sampler.sample(start @ to_canonical, (stage.patch, stage.patch))

        for _ in range(3 if stage.batch >= 32 else 2):
            start = seen.homography @ _perturbation(rng, stage.offset, face.size)
            yield reference, read(start), _motion(start, seen.homography, face.size), True, present
        flips = [t for t in (180, 180, 90, 270) if t not in face.look_alike_rotations]
        if flips and rng.random() < 0.7:
            start = (
                seen.homography
                @ quarter_rotation(face.size, int(rng.choice(flips)))
                @ _perturbation(rng, stage.offset, face.size)
            )
            yield reference, read(start), np.eye(3), False, NO
        if rng.random() < 0.3:
            far = (0.5, 1.2) if stage.patch <= 64 else (0.25, 0.9)
            start = seen.homography @ _perturbation(rng, far, face.size)
            yield reference, read(start), np.eye(3), False, UNSURE
        distractor = self._distractor(face)
        if distractor is not None and rng.random() < 0.6:
            start = seen.homography @ _perturbation(rng, stage.offset, face.size)
            yield distractor.reference(stage.patch), read(start), np.eye(3), False, NO


def _motion(
    start: NDArray[np.float64], truth: NDArray[np.float64], size: tuple[int, int]
) -> NDArray[np.float64]:
    """M with truth = start . P . M . P^-1, P from normalised patch to canonical pixels."""
    to_canonical = normalised_patch_to_canonical(size)
    motion = np.linalg.inv(start @ to_canonical) @ truth @ to_canonical
    return np.asarray(motion / motion[2, 2])


def _perturbation(
    rng: np.random.Generator, offset: tuple[float, float], size: tuple[int, int]
) -> NDArray[np.float64]:
    """A small random homography of the canonical frame: a similarity and free corners."""
    reach = math.exp(rng.uniform(math.log(offset[0]), math.log(offset[1])))
    square = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    angle, grow = rng.normal(0, 0.4 * reach), math.exp(rng.normal(0, 0.5 * reach))
    rotation = grow * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    moved = square @ rotation.T + rng.normal(0, 0.6 * reach, 2) + rng.normal(0, 0.5 * reach, (4, 2))
    return from_corners(face_corners(size), (moved + 1) / 2 * np.array(size) - 0.5)
