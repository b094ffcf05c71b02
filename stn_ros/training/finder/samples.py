"""Training samples of the finder: pictures of faces among others, and crops of their references.

Pictures are rendered at the size of one level of the pyramid, so that most faces in them are of the
sizes that a level answers for. Crops show a reference as teaching does: near the rotation and size
at which the face is seen (to be alike), or under another rotation, or of a sibling (not to be).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import cv2
import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.homography import apply, jacobian
from stn_ros.localization.finder import BAND, MIDDLE, STRIDE
from stn_ros.runtime.finder.references import GROUND, reference_crop
from stn_ros.synthesis.scene import Conditions, photographed, render_faces
from stn_ros.synthesis.textures import Textures
from stn_ros.training.network.samples import TrainingFace, true_rotation

Array = NDArray[np.float64]

CROP = 72
"""Side of a crop, pixels: 9 cells, the middle one at the reference's centre."""
MOSAIC = (4, 3)
"""Crops across and down that are laid together."""
PICTURE = (MOSAIC[0] * CROP, MOSAIC[1] * CROP)
"""(width, height) of a picture: that of a mosaic, so that both share a batch."""
FACES = (4, 8)
"""Faces in a picture."""
ROTATIONS = 12
"""References are encoded under so many rotations, evenly spaced."""
SIZES = (MIDDLE * 2**-0.25, MIDDLE * 2**0.25)
"""And at these sizes: root of the area, pixels of a level."""
LEAST_VISIBLE = 0.45
"""Share of a face from which it is to be found; below, nothing is asked."""
CONDITIONS = Conditions(
    tilt=(0, 65),
    long_side=(34, 100),
    blur=(0, 1.6),
    motion_blur=5.0,
    noise=(0, 8),
    occluded=(0.05, 0.5),
    occluded_share=0.4,
    cut_share=0.2,
    clutter=3,
)


@dataclass(frozen=True)
class FinderBatch:
    """Pictures, crops, and what is in them.

    Attributes:
        pictures: (P, H, W, 3) uint8 BGR. crops: (M, CROP, CROP, 3) uint8 BGR, M a multiple of those
            in a mosaic.
        crop_face: (M,) number of the face that a crop shows.
        picture, row, column: (K,) where each face to be found has its centre: picture and cell.
        face: (K,) its number. crop: (K,) the crop it is to be alike.
        rivals: (K, M) bool, crops it must not be alike (of the others nothing is asked).
        outline: (K, 5), see `localization.finder.Cells`.
        ignored: (P, h, w) bool, cells of which it is not asked whether a face has its centre there.
    """

    pictures: NDArray[np.uint8]
    crops: NDArray[np.uint8]
    crop_face: NDArray[np.int64]
    picture: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    face: NDArray[np.int64]
    crop: NDArray[np.int64]
    rivals: NDArray[np.bool_]
    outline: NDArray[np.float32]
    ignored: NDArray[np.bool_]


def outline_of(homography: Array, size: tuple[int, int]) -> tuple[Array, Array]:
    """Centre (2,) of a face in a picture, pixels, and the triangle L of its outline's moments.

    L L^T = A A^T, where A takes the unit square about the face's centre to the picture.
    """
    middle = (np.array(size) - 1) / 2
    matrix = jacobian(homography, middle) * np.array(size)
    return apply(homography, middle), np.asarray(np.linalg.cholesky(matrix @ matrix.T), np.float64)


class FinderSamples:
    """An endless source of batches.

    Args:
        seed: of all randomness. split: "train" or "held_out", see `Textures`.
        faces: how many are held at a time; about one in eight that is shown is new.
    """

    def __init__(self, seed: int, split: str = "train", faces: int = 1500) -> None:
        self._rng = np.random.default_rng(seed)
        self._textures = Textures(split)
        self._capacity = faces
        self._faces: list[tuple[int, TrainingFace]] = []
        self._photos: WeakKeyDictionary[TrainingFace, NDArray[np.uint8]] = WeakKeyDictionary()
        self._numbers = 0
        self._surfaces: list[NDArray[np.uint8]] = []

    def batch(self, pictures: int, crops: int) -> FinderBatch:
        """A new batch of so many pictures, and of `crops` crops (whole mosaics)."""
        rng = self._rng
        shown: list[NDArray[np.uint8]] = []
        crop_list: list[NDArray[np.uint8]] = []
        crop_face: list[int] = []
        rows: list[tuple[int, int, int, int, int, Array]] = []
        rivals: list[list[int]] = []
        cells = (PICTURE[1] // STRIDE, PICTURE[0] // STRIDE)
        ignored = np.zeros((pictures, *cells), np.bool_)
        for index in range(pictures):
            faces = [self._face() for _ in range(int(rng.integers(FACES[0], FACES[1] + 1)))]
            seen = render_faces(
                rng, [face.picture for _, face in faces], self._surface, CONDITIONS, PICTURE
            )
            shown.append(seen.frame)
            for (number, face), homography, visible in zip(
                faces, seen.homographies, seen.visible, strict=True
            ):
                centre, triangle = outline_of(homography, face.size)
                size = math.sqrt(triangle[0, 0] * triangle[1, 1])
                column, row = np.floor((centre + 0.5) / STRIDE).astype(int)
                if not (0 <= row < cells[0] and 0 <= column < cells[1]):
                    continue
                near = max(1, round(0.2 * size / STRIDE))
                ignored[
                    index,
                    max(0, row - near) : row + near + 1,
                    max(0, column - near) : column + near + 1,
                ] = True
                within = BAND[0] * 0.85 < size < BAND[1] * 1.17
                if visible < LEAST_VISIBLE or not within or len(crop_list) + 3 > crops:
                    continue
                rotation = true_rotation(homography, face.size)
                own, other = self._crops(face, rotation, size)
                first = len(crop_list)
                crop_list += [own, *other]
                # Crops of siblings are of no face that is shown.
                crop_face += [number, *([-number - 1] * len(other))]
                rivals.append(list(range(first + 1, first + 1 + len(other))))
                offset = (centre + 0.5) / STRIDE - (column + 0.5, row + 0.5)
                outline = np.array(
                    [
                        *offset,
                        math.log(triangle[0, 0] / MIDDLE),
                        triangle[1, 0] / triangle[0, 0],
                        math.log(triangle[1, 1] / MIDDLE),
                    ]
                )
                rows.append((index, int(row), int(column), number, first, outline))
        while len(crop_list) < crops:
            number, face = self._face()
            crop_list.append(self._crop(face, rng.uniform(0, 360), float(rng.uniform(*SIZES))))
            crop_face.append(number)
        of = np.array(crop_face)
        numbers = np.array([row[3] for row in rows], np.int64)
        against = np.abs(of)[None] != numbers[:, None]
        against &= (-of - 1)[None] != numbers[:, None]
        for i, own_rivals in enumerate(rivals):
            against[i, own_rivals] = True
        return FinderBatch(
            pictures=np.stack(shown),
            crops=np.stack(crop_list),
            crop_face=of,
            picture=np.array([row[0] for row in rows], np.int64),
            row=np.array([row[1] for row in rows], np.int64),
            column=np.array([row[2] for row in rows], np.int64),
            face=numbers,
            crop=np.array([row[4] for row in rows], np.int64),
            rivals=against,
            outline=np.array([row[5] for row in rows], np.float32).reshape(-1, 5),
            ignored=ignored,
        )

    def _crops(
        self, face: TrainingFace, rotation: float, size: float
    ) -> tuple[NDArray[np.uint8], list[NDArray[np.uint8]]]:
        """The crop a face is to be alike, and up to two that it must not be."""
        rng = self._rng
        apart = 360 / ROTATIONS
        at = rotation + rng.uniform(-apart / 2, apart / 2)
        seen_as = float(np.clip(size * 2 ** rng.uniform(-0.25, 0.25), *SIZES))
        own = self._crop(face, at, seen_as)
        others = []
        turns = [t for t in (180, 180, 90, 270) if t not in face.look_alike_rotations]
        if turns and rng.random() < 0.7:
            turn = float(rng.choice(turns))
            if rng.random() < 0.4:
                turn = float(rng.choice([-1, 1]) * rng.uniform(45, 135))
            others.append(self._crop(face, at + turn, seen_as))
        if rng.random() < 0.4:
            picture = self._sibling(face)
            if picture is not None:
                others.append(self._crop(TrainingFace(rng, picture), at, seen_as))
        return own, others

    def _sibling(self, face: TrainingFace) -> NDArray[np.uint8] | None:
        """A face much like another: of its layout, or itself in other hues, or changed in part."""
        rng = self._rng
        kind = rng.random()
        if face.sibling is not None and kind < 0.5:
            return face.sibling.picture
        picture = face.picture
        if kind < 0.7:
            hsv = cv2.cvtColor(picture, cv2.COLOR_BGR2HSV)
            if hsv[..., 1].mean() < 60:
                return None
            hsv[..., 0] = (hsv[..., 0].astype(int) + int(rng.integers(45, 136))) % 180
            return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), np.uint8)
        if kind < 0.85 and not face.look_alike_rotations:
            return np.ascontiguousarray(picture[:, ::-1])
        _, other = self._face()
        height, width = picture.shape[:2]
        changed = picture.copy()
        piece = cv2.resize(other.picture, (width, height), interpolation=cv2.INTER_AREA)
        if rng.random() < 0.5:
            changed[height // 2 :] = piece[height // 2 :]
        else:
            changed[:, width // 2 :] = piece[:, width // 2 :]
        return changed

    def _crop(self, face: TrainingFace, rotation: float, size: float) -> NDArray[np.uint8]:
        """A reference as teaching photographs it, on some ground."""
        rng = self._rng
        photo = self._photos.get(face)
        if photo is None or rng.random() < 0.1:
            photo = self._photos[face] = photographed(rng, face.picture)
        ground: Array = np.array(GROUND)
        if rng.random() < 0.5:
            ground = rng.uniform(0, 255) + rng.uniform(-30, 30, 3)
        return reference_crop(photo, CROP, rotation, size, ground.clip(0, 255).tolist())

    def _face(self) -> tuple[int, TrainingFace]:
        rng = self._rng
        if len(self._faces) >= 60 and rng.random() > 0.12:
            return self._faces[rng.integers(len(self._faces))]
        long_side = int(rng.integers(120, 200))
        if rng.random() < 0.4:
            first, second = (TrainingFace(rng, p) for p in self._textures.siblings(rng, long_side))
            first.sibling, second.sibling = second, first
            fresh = [first, second]
        else:
            fresh = [TrainingFace(rng, self._textures.face(rng, long_side))]
        numbered = []
        for face in fresh:
            self._numbers += 1
            numbered.append((self._numbers, face))
            if len(self._faces) < self._capacity:
                self._faces.append(numbered[-1])
            else:
                self._faces[rng.integers(self._capacity)] = numbered[-1]
        return numbered[0]

    def _surface(self, rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.uint8]:
        """A piece of one of the backgrounds at hand; now and then a new one is made."""
        if len(self._surfaces) < 12 or rng.random() < 0.03:
            fresh = self._textures.background(rng, (480, 360))
            if len(self._surfaces) < 60:
                self._surfaces.append(fresh)
            else:
                self._surfaces[rng.integers(60)] = fresh
        surface = self._surfaces[rng.integers(len(self._surfaces))]
        height, width = surface.shape[:2]
        cut = min(1.0, max(max(size[0] / width, size[1] / height), rng.uniform(0.3, 1.0)))
        cut_width, cut_height = int(max(2, cut * width)), int(max(2, cut * height))
        left = int(rng.integers(0, width - cut_width + 1))
        top = int(rng.integers(0, height - cut_height + 1))
        piece = surface[top : top + cut_height, left : left + cut_width]
        piece = np.asarray(cv2.resize(piece, size, interpolation=cv2.INTER_AREA), np.uint8)
        return np.ascontiguousarray(piece[:, ::-1]) if rng.random() < 0.5 else piece
