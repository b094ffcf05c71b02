"""Frames with taught faces anywhere in them, to measure finding without a detector.

One to four of the taught faces lie anywhere among other pictures, at any rotation; a fifth of the
frames show none. Faces, photos and backgrounds are held out: no network was trained on them. What
is taught is seen nowhere else: photos that faces are cut from are no backgrounds, and no two faces
show the same part of one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.homography import compose, corner_error, to_corners
from stn_ros.runtime.confidence import WRONG_PX
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.synthesis import artwork
from stn_ros.synthesis.drawing import Picture
from stn_ros.synthesis.scene import Conditions, photographed, render_faces
from stn_ros.synthesis.textures import Textures
from stn_ros.teaching.texture import (
    corner_deviation,
    look_alike_rotations,
    symmetry_homographies,
)

Array = NDArray[np.float64]

EMPTY_SHARE = 0.2
"""Share of the frames that show no taught face."""
MOST_FACES = 4
LEAST_VISIBLE = 0.6
"""Share of a face from which it is expected to be found."""
RIGHT_PX, RIGHT_SHARE = 3.0, 0.02
"""An answer is right with a corner error below this, pixels or share of the face's size."""
WRONG_SHARE = 0.25
"""It is elsewhere, not only inexact, from `WRONG_PX` and this share on."""
LONG_SIDE = 256
"""Of a face's picture, pixels."""
PHOTO_SHARE = 0.35
"""Of the faces, as long as there are photos; the others are drawn."""
POOR = 0.004
"""Expected corner error of a part of a photo, in face sizes, from which it is not taught."""
PLAIN = Conditions(
    tilt=(0, 50),
    blur=(0, 0.8),
    motion_share=0.0,
    noise=(0, 5),
    occluded_share=0.0,
    cut_share=0.0,
    harsh_light=0.3,
    body_share=0.2,
    clutter=2,
)
KINDS = {
    "plain": PLAIN,
    "blurred": replace(PLAIN, blur=(1.2, 2.2)),
    "occluded": replace(PLAIN, occluded_share=1.0, occluded=(0.1, 0.35)),
    "dim": replace(PLAIN, harsh_light=1.0, noise=(5, 12)),
}
"""What the frames look like; each is as likely as the others."""


@dataclass(frozen=True)
class Face:
    """A taught face in a frame.

    Attributes:
        model: the object. homography: 3x3, canonical -> frame pixels. size: root of its area in
            the frame, pixels. tilt: degrees. visible: share that is neither hidden nor outside.
    """

    model: ObjectModel
    homography: Array
    size: float
    tilt: float
    visible: float


@dataclass(frozen=True)
class WholeFrame:
    """A frame and the taught faces in it; `kind` is one of `KINDS`."""

    picture: Picture
    faces: list[Face]
    kind: str


class Scenes:
    """Taught objects, and frames that show them.

    Args:
        seed: of everything. taught: how many objects.
        sizes: of the faces in a frame, root of the area in pixels, log-uniform.
        frame_size: (width, height).
    """

    def __init__(
        self,
        seed: int,
        taught: int,
        sizes: tuple[float, float] = (36.0, 230.0),
        frame_size: tuple[int, int] = (640, 480),
    ) -> None:
        self._seed = seed
        self._sizes = sizes
        self._frame_size = frame_size
        self._surroundings = _Photos(1)
        rng = np.random.default_rng([seed, 0])
        self._pictures = _faces(rng, taught)
        self.models = [
            ObjectModel(
                f"face_{i}", photographed(rng, picture), symmetry=look_alike_rotations(picture)
            )
            for i, picture in enumerate(self._pictures)
        ]

    def frames(
        self, count: int, empty_share: float = EMPTY_SHARE, stream: int = 1
    ) -> Iterator[WholeFrame]:
        """`count` frames; the same at every call.

        Args:
            empty_share: of them without a taught face. stream: from 1; each has other frames.
        """
        for index in range(count):
            yield self._frame(np.random.default_rng([self._seed, stream, index]), empty_share)

    def _frame(self, rng: np.random.Generator, empty_share: float) -> WholeFrame:
        kind = str(rng.choice(list(KINDS)))
        shown: Sequence[int] = []
        if rng.random() >= empty_share:
            most = min(MOST_FACES, len(self.models))
            shown = rng.choice(len(self.models), rng.integers(1, most + 1), replace=False).tolist()
        # Other faces lie about too.
        others = [self._surroundings.face(rng, 200) for _ in range(rng.integers(0, 3))]
        pictures = [*others, *(self._pictures[i] for i in shown)]
        reach = 1.25, 1.45  # from the root of the area, square-on, to the longer side, about
        conditions = replace(
            KINDS[kind], long_side=(self._sizes[0] * reach[0], self._sizes[1] * reach[1])
        )
        backdrop = self._surroundings.background
        seen = render_faces(rng, pictures, backdrop, conditions, self._frame_size)
        faces = []
        for i, homography, visible, tilt in zip(
            shown,
            seen.homographies[len(others) :],
            seen.visible[len(others) :],
            seen.tilts[len(others) :],
            strict=True,
        ):
            size = face_size(homography, self.models[i].size)
            faces.append(Face(self.models[i], homography, size, tilt, visible))
        return WholeFrame(seen.frame, faces, kind)


class _Photos(Textures):
    """Held-out textures with every second of the photos, from the `first` on."""

    def __init__(self, first: int) -> None:
        self._first = first
        super().__init__("held_out")

    @property
    def photos(self) -> tuple[tuple[str, Picture], ...]:
        """See `Textures`."""
        return super().photos[self._first :: 2]


def _faces(rng: np.random.Generator, count: int) -> list[Picture]:
    """Faces that have nothing in common: drawn ones, and quarters of photos."""
    quarters = [
        photo[top : top + photo.shape[0] // 2, left : left + photo.shape[1] // 2]
        for _, photo in _Photos(0).photos
        for top in (0, photo.shape[0] // 2)
        for left in (0, photo.shape[1] // 2)
    ]
    left_over = [quarters[i] for i in rng.permutation(len(quarters))]
    faces = []
    for _ in range(count):
        size = artwork.face_size(rng, LONG_SIDE)
        face = None
        if rng.random() < PHOTO_SHARE:
            while left_over and face is None:
                cut = _cut(left_over.pop(), size)
                face = cut if corner_deviation(cut) < POOR else None
        if face is None:
            face = artwork.draw(int(rng.integers(2**62)), size, split="held_out")
        faces.append(face)
    return faces


def _cut(photo: Picture, size: tuple[int, int]) -> Picture:
    """The middle of a photo, as much of it as has the aspect of `size`, in that size."""
    height, width = photo.shape[:2]
    scale = min(width / size[0], height / size[1])
    part = max(1, int(size[0] * scale)), max(1, int(size[1] * scale))
    left, top = (width - part[0]) // 2, (height - part[1]) // 2
    cut = photo[top : top + part[1], left : left + part[0]]
    interpolation = cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(cut, size, interpolation=interpolation), np.uint8)


def face_size(homography: Array, size: tuple[int, int]) -> float:
    """Root of the area of a face in a frame, pixels."""
    x, y = to_corners(homography, size).T
    return math.sqrt(abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2)


class Answer(NamedTuple):
    """An object published in a frame: its name and homography (3x3), canonical -> frame pixels."""

    object_name: str
    homography: Array


class Contestant(Protocol):
    """Whoever looks for taught objects in whole frames."""

    def teach(self, models: Sequence[ObjectModel]) -> None:
        """Learn the objects to look for, in place of those before."""

    def find(self, frame: Picture) -> list[Answer]:
        """What is published for a frame (H, W, 3) uint8 BGR on its own."""


@dataclass(frozen=True)
class Outcome:
    """What came of a frame.

    Attributes:
        kind: of the frame. faces: in it. right: of these, in their order, whether it was published
            right. inexact: answers near the face they name, but not right.
        wrong: answers that name what is not there, or is elsewhere.
    """

    kind: str
    faces: list[Face]
    right: list[bool]
    inexact: list[Answer]
    wrong: list[Answer]


def judged(frame: WholeFrame, answers: Sequence[Answer]) -> Outcome:
    """Compare what was published for a frame with what is in it."""
    outcome = Outcome(frame.kind, frame.faces, [False] * len(frame.faces), [], [])
    for answer in answers:
        # Each object is in a frame once.
        errors = [error_of(answer, face) for face in frame.faces]
        nearest = int(np.argmin(errors)) if errors else -1
        size = frame.faces[nearest].size if errors else 0.0
        error = errors[nearest] if errors else math.inf
        if error < max(RIGHT_PX, RIGHT_SHARE * size):
            outcome.right[nearest] = True
        elif error < max(WRONG_PX, WRONG_SHARE * size):
            outcome.inexact.append(answer)
        else:
            outcome.wrong.append(answer)
    return outcome


def error_of(answer: Answer, face: Face) -> float:
    """Corner error, pixels; the least over rotations in which the face looks the same.

    Infinite where the answer names another object.
    """
    model = face.model
    if answer.object_name != model.name:
        return math.inf
    error = min(
        corner_error(answer.homography, compose(face.homography, turn), model.size)
        for turn in symmetry_homographies(model.size, model.symmetry)
    )
    return error if math.isfinite(error) else math.inf
