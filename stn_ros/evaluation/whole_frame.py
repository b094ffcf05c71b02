"""Frames with taught faces anywhere in them, to measure finding without a detector.

One to four of the taught faces lie anywhere among other pictures, at any rotation; a fifth of the
frames show none. Faces, photos and backgrounds are held out: no network was trained on them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.homography import corner_error, to_corners
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.sighting import Sighting
from stn_ros.synthesis.drawing import Picture
from stn_ros.synthesis.scene import Conditions, photographed, render_faces
from stn_ros.synthesis.textures import Textures

Array = NDArray[np.float64]

EMPTY_SHARE = 0.2
"""Share of the frames that show no taught face."""
MOST_FACES = 4
LEAST_VISIBLE = 0.6
"""Share of a face from which it is expected to be found."""
RIGHT_PX, RIGHT_SHARE = 3.0, 0.02
"""An answer is right with a corner error below this, pixels or share of the face's size."""
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
        name: of the object. homography: 3x3, canonical -> frame pixels. size: root of its area in
            the frame, pixels. tilt: degrees. visible: share that is neither hidden nor outside.
    """

    name: str
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
        self._textures = Textures("held_out")
        rng = np.random.default_rng([seed, 0])
        self._pictures = [self._textures.face(rng, 256) for _ in range(taught)]
        self.models = [
            ObjectModel(f"face_{i}", photographed(rng, picture))
            for i, picture in enumerate(self._pictures)
        ]

    def frames(self, count: int, empty_share: float = EMPTY_SHARE) -> Iterator[WholeFrame]:
        """`count` frames; the same at every call."""
        for index in range(count):
            yield self._frame(np.random.default_rng([self._seed, 1, index]), empty_share)

    def _frame(self, rng: np.random.Generator, empty_share: float) -> WholeFrame:
        kind = str(rng.choice(list(KINDS)))
        shown: Sequence[int] = []
        if rng.random() >= empty_share:
            most = min(MOST_FACES, len(self.models))
            shown = rng.choice(len(self.models), rng.integers(1, most + 1), replace=False).tolist()
        # Other faces lie about too.
        others = [self._textures.face(rng, 200) for _ in range(rng.integers(0, 3))]
        pictures = [*others, *(self._pictures[i] for i in shown)]
        reach = 1.25, 1.45  # from the root of the area, square-on, to the longer side, about
        conditions = replace(
            KINDS[kind], long_side=(self._sizes[0] * reach[0], self._sizes[1] * reach[1])
        )
        seen = render_faces(rng, pictures, self._textures.background, conditions, self._frame_size)
        faces = []
        for i, homography, visible, tilt in zip(
            shown,
            seen.homographies[len(others) :],
            seen.visible[len(others) :],
            seen.tilts[len(others) :],
            strict=True,
        ):
            size = face_size(homography, self.models[i].size)
            faces.append(Face(self.models[i].name, homography, size, tilt, visible))
        return WholeFrame(seen.frame, faces, kind)


def face_size(homography: Array, size: tuple[int, int]) -> float:
    """Root of the area of a face in a frame, pixels."""
    x, y = to_corners(homography, size).T
    return math.sqrt(abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2)


@dataclass(frozen=True)
class Outcome:
    """What came of a frame: for each face whether it was published right; and what was wrong.

    Attributes:
        frame: the frame. right: of its faces, in their order. wrong: names published that are not
            there, or elsewhere.
    """

    frame: WholeFrame
    right: list[bool]
    wrong: list[str]


def judged(frame: WholeFrame, published: Sequence[Sighting]) -> Outcome:
    """Compare what was published for a frame with what is in it."""
    right = [False] * len(frame.faces)
    wrong = []
    for sighting in published:
        for i, face in enumerate(frame.faces):
            bound = max(RIGHT_PX, RIGHT_SHARE * face.size)
            size = sighting.alignment.size
            if face.name == sighting.object_name and (
                corner_error(sighting.homography, face.homography, size) < bound
            ):
                right[i] = True
                break
        else:
            wrong.append(sighting.object_name)
    return Outcome(frame, right, wrong)
