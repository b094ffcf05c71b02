"""The benchmark on faces, photos and backgrounds that training never saw."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from stn_ros.evaluation.trials import Trial, jittered
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.synthesis import artwork
from stn_ros.synthesis.drawing import Picture
from stn_ros.synthesis.scene import (
    HELD_OUT_CONDITIONS,
    SHARP,
    Conditions,
    photographed,
    render_frame,
)
from stn_ros.synthesis.textures import Textures
from stn_ros.teaching.texture import corner_deviation, look_alike_rotations

FRAME_SIZE = (640, 480)
LONG_SIDE = 256
LOW_TEXTURE = "low texture"
FAINT = "faint print"
HARD = "beyond limits"
ABSENT = "absent"
# Where answers are often wrong: what is published here tests the confidence, not the accuracy.
_HARD_CONDITIONS = replace(
    SHARP,
    long_side=(25, 110),
    blur=(2.0, 5.0),
    occluded_share=0.8,
    occluded=(0.4, 0.7),
    harsh_light=0.7,
)
_CONDITIONS: dict[str, Conditions] = {
    **HELD_OUT_CONDITIONS,
    LOW_TEXTURE: SHARP,
    FAINT: SHARP,
    HARD: _HARD_CONDITIONS,
}
ROWS = (*_CONDITIONS, ABSENT)
"""The rows of the table."""
_DEVIATION_OF_A_USEFUL_CROP = 0.004


@dataclass(frozen=True)
class HeldOutFace:
    """A held-out object.

    Attributes:
        model: the object as it would be taught: its reference is a photograph of the face.
        picture: (h, w, 3) BGR uint8, the face itself, which is rendered.
        source: where it comes from, an artwork style or a photo's file name.
        row: the one row of the table it is for, "" for all the others.
    """

    model: ObjectModel
    picture: Picture
    source: str
    row: str = ""


def make_faces(count: int, seed: int) -> list[HeldOutFace]:
    """Held-out faces: half of them drawn, in every held-out style, half cut from held-out photos.

    Among the photos are those of real print that opencv-doc brings, where it is at hand. A further
    fifth of `count` is drawn in the held-out styles of little texture, and a further fifth is
    faces of the first kind with 10 to 25 % of their contrast left.
    """
    rng = np.random.default_rng(seed)
    photos = Textures("held_out").photos
    poor = [style for style in artwork.LOW_TEXTURE_STYLES if style in artwork.HELD_OUT_STYLES]
    rich = [style for style in artwork.HELD_OUT_STYLES if style not in poor]
    few = max(len(poor), count // 5)
    sources = [(rich[i % len(rich)], "") for i in range((count + 1) // 2)]
    sources += [(photos[i % len(photos)][0], "") for i in range(count // 2)]
    # Both kinds in turn, whatever their number.
    sources += [(sources[i * count // few][0], FAINT) for i in range(few)]
    sources += [(poor[i % len(poor)], LOW_TEXTURE) for i in range(few)]
    pictures = dict(photos)
    faces = []
    for index, (source, row) in enumerate(sources):
        size = artwork.face_size(rng, LONG_SIDE)
        if source in pictures:
            picture = _useful_crop(rng, pictures[source], size)
        else:
            picture = artwork.draw(int(rng.integers(2**62)), size, source, "held_out")
        if row == FAINT:
            ground = picture.mean(axis=(0, 1))
            faded = ground + rng.uniform(0.1, 0.25) * (picture - ground)
            picture = faded.round().astype(np.uint8)
        model = ObjectModel(
            f"held_out_{index}",
            photographed(rng, picture),
            symmetry=look_alike_rotations(picture),
        )
        faces.append(HeldOutFace(model, picture, source, row))
    return faces


def trial_count(faces: list[HeldOutFace], views: int, rows: Sequence[str]) -> int:
    """How many trials `make_trials` will yield."""
    return len(rows) * sum(not face.row for face in faces) * views


def make_trials(
    faces: list[HeldOutFace], views: int, seed: int, rows: Sequence[str]
) -> Iterator[Trial]:
    """Render the trials of some of `ROWS`: as many in each as there are `views` of plain faces.

    Each row has its own random stream, so its figures do not depend on the others. In an absent
    trial the region shows another face, or none: a background without the object's photo.
    """
    plain = [face for face in faces if not face.row]
    textures = Textures("held_out")
    for name in rows:
        rng = _stream(seed, name)
        shown = [face for face in faces if face.row == name] or plain
        for index in range(len(plain) * views):
            face = shown[index % len(shown)]
            if name == ABSENT:
                yield _absent_trial(rng, face, faces, textures)
                continue
            rendered = render_frame(
                rng, face.picture, textures.background, _CONDITIONS[name], FRAME_SIZE
            )
            box = jittered(rng, rendered.box, FRAME_SIZE)
            yield Trial(name, face.model, rendered.frame, box, rendered.homography)


def _absent_trial(
    rng: np.random.Generator, asked: HeldOutFace, faces: list[HeldOutFace], textures: Textures
) -> Trial:
    others = [face for face in faces if face.source != asked.source]
    other = others[rng.integers(len(others))]
    photos = [photo for name, photo in textures.photos if name != asked.source]

    def backdrop(rng: np.random.Generator, size: tuple[int, int]) -> Picture:
        return _crop(rng, photos[rng.integers(len(photos))], size)

    rendered = render_frame(rng, other.picture, backdrop, SHARP, FRAME_SIZE)
    frame = rendered.frame if rng.random() < 0.5 else backdrop(rng, FRAME_SIZE)
    return Trial(ABSENT, asked.model, frame, jittered(rng, rendered.box, FRAME_SIZE), None)


def _useful_crop(rng: np.random.Generator, photo: Picture, size: tuple[int, int]) -> Picture:
    """A crop with enough in it to be placed at all; else the best of a few."""
    crops: list[tuple[float, int, Picture]] = []
    for _ in range(8):
        crop = _crop(rng, photo, size)
        deviation = corner_deviation(crop)
        if deviation < _DEVIATION_OF_A_USEFUL_CROP:
            return crop
        crops.append((deviation, len(crops), crop))
    return min(crops)[2]


def _crop(rng: np.random.Generator, photo: Picture, size: tuple[int, int]) -> Picture:
    """A part of a photo, at most magnified twice."""
    height, width = photo.shape[:2]
    fit = min(width / size[0], height / size[1])
    scale = max(fit * rng.uniform(0.4, 1.0), min(0.5, fit))
    part = (max(1, int(size[0] * scale)), max(1, int(size[1] * scale)))
    left = int(rng.integers(0, width - part[0] + 1))
    top = int(rng.integers(0, height - part[1] + 1))
    cut = photo[top : top + part[1], left : left + part[0]]
    return cv2.resize(cut, size, interpolation=cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC)


def _stream(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])
