"""Which object may be where in a frame: one pass, however many objects are known."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from stn_ros.runtime.alignment import Region
from stn_ros.runtime.finder.bundle import FinderBundle
from stn_ros.runtime.finder.outline import face_homography
from stn_ros.runtime.finder.references import GROUND, encode, fits
from stn_ros.runtime.finder.session import FinderSession, neighbourhoods
from stn_ros.runtime.object_model import ObjectModel

Array = NDArray[np.float64]

SHORT_SIDE = 360
"""Of the largest level of the pyramid, pixels; each further level halves it."""
LEVELS = 4
BORDER = 3
"""Cells of plain ground around the last level: a face may fill the frame."""
CELLS = 200
"""Cells of a frame that are compared with the references: the likeliest centres of faces."""
PAIRS = 256
"""Pairs of a cell and an object that are looked at further, at most."""
SAME_PLACE = 0.35
"""Proposals whose centres are nearer than this, in sizes of the smaller, are at one place."""
RIVALS = 3
"""Objects proposed at one place, at most."""
TURNS = 2
"""Rotations proposed of an object at a place, at most."""
TURN_MARGIN = 0.25
"""A second rotation is proposed if it is less alike than the best by no more than this."""
CENTRED_WEIGHT = 0.04
"""Of the logit that a cell is a face's centre, against the likeness (a cosine)."""


class Proposal(NamedTuple):
    """An object that may be in a frame.

    Attributes:
        model: index of the object. homography: 3x3, canonical -> frame pixels, an affine map.
        centre: (2,) of the face, frame pixels. size: root of its area there, pixels.
        score: how likely, only for comparison with others of the same frame.
        likeness: of the cell and the reference, a cosine.
    """

    model: int
    homography: Array
    centre: Array
    size: float
    score: float
    likeness: float

    def is_near(self, other: Proposal) -> bool:
        """Whether both are at one place."""
        apart = float(np.linalg.norm(self.centre - other.centre))
        return apart < SAME_PLACE * min(self.size, other.size)


class Level(NamedTuple):
    """A level of the pyramid.

    Attributes:
        picture: (h, w, 3) BGR. ratio: (x, y), pixels of it to those of the frame.
        border: of plain ground around what it shows of the frame, pixels.
    """

    picture: NDArray[np.uint8]
    ratio: Array
    border: int


class _Cells(NamedTuple):
    """The likeliest cells of a frame.

    Attributes:
        embedding: (K, C). centred: (K,) logit. centre: (K, 2) of the face there, frame pixels.
        moments: (K, 2, 2) of its outline, frame pixels squared.
    """

    embedding: NDArray[np.float32]
    centred: NDArray[np.float32]
    centre: Array
    moments: Array


class Finder:
    """Proposes where objects may be.

    Args:
        objects: to look for. bundle: the network. threads: of it; 0 lets ONNX Runtime choose.
    """

    def __init__(
        self, objects: Sequence[ObjectModel], bundle: FinderBundle, threads: int = 1
    ) -> None:
        self._bundle = bundle
        self._network = FinderSession(bundle, threads)
        self._objects = tuple(objects)
        known = [
            model.embeddings
            if model.embeddings is not None and fits(model.embeddings, bundle)
            else encode(self._network, model.reference)
            for model in objects
        ]
        # (sizes, rotations, N, C): the best of each object's is found along contiguous memory.
        references = np.stack([each.values for each in known], axis=2)
        self._references = np.ascontiguousarray(references, np.float32)

    def propose(self, frame: NDArray[np.uint8], count: int, scale: float = 1.0) -> list[Proposal]:
        """The `count` likeliest proposals for a frame, the best first.

        Args:
            frame: (H, W, 3) uint8 BGR.
            scale: of the pyramid, 0.5..1. Faces are seen larger or smaller in their level's band,
                so what one scale misses another may not.
        """
        cells = self._cells(frame, scale)
        sizes, rotations, models, width = self._references.shape
        alike = cells.embedding @ self._references.reshape(-1, width).T
        alike = alike.reshape(len(cells.embedding), sizes, rotations, models)
        likeness = alike.max(axis=(1, 2))
        score = (likeness + CENTRED_WEIGHT * cells.centred[:, None]).ravel()
        most = min(PAIRS, score.size)
        best = np.argpartition(-score, most - 1)[:most]
        best = best[np.argsort(-score[best])]
        extent = np.linalg.det(cells.moments) ** 0.25
        apart = np.linalg.norm(cells.centre[:, None] - cells.centre, axis=2)
        near = apart < SAME_PLACE * np.minimum(extent[:, None], extent)
        found: list[Proposal] = []
        taken: list[tuple[int, int]] = []
        for index in best:
            cell, model = divmod(int(index), models)
            rivals = [other for place, other in taken if near[cell, place]]
            if model in rivals or len(rivals) >= RIVALS:
                continue
            taken.append((cell, model))
            of_turns = alike[cell, :, :, model].max(axis=0)
            size = self._objects[model].size
            for turn, likely in _peaks(of_turns)[:TURNS]:
                if likely < likeness[cell, model] - TURN_MARGIN:
                    break
                found.append(
                    Proposal(
                        model,
                        face_homography(
                            cells.centre[cell], cells.moments[cell], turn * 360 / rotations, size
                        ),
                        cells.centre[cell],
                        float(extent[cell]),
                        likely + CENTRED_WEIGHT * float(cells.centred[cell]),
                        likely,
                    )
                )
            if len(taken) == count:
                break
        return sorted(found, key=lambda proposal: -proposal.score)[:count]

    @cached_property
    def names(self) -> frozenset[str]:
        """Of the objects it knows."""
        return frozenset(model.name for model in self._objects)

    def region(self, proposal: Proposal) -> Region:
        """Where a proposal asks to look."""
        model = self._objects[proposal.model]
        return Region.of_face(model.name, proposal.homography, model.size)

    def _cells(self, frame: NDArray[np.uint8], scale: float) -> _Cells:
        """The `CELLS` cells of all levels that most look like the centre of a face."""
        stride = self._bundle.stride
        levels = [
            (*self._network.cells(level.picture[None]), level)
            for level in pyramid(frame, stride, scale)
        ]
        centred = np.concatenate([level[1].ravel() for level in levels])
        most = min(CELLS, len(centred))
        # In the order of the levels, as their neighbourhoods are gathered.
        best = np.sort(np.argpartition(-centred, most - 1)[:most])
        around, place, ratios = [], [], []
        first = 0
        for features, likely, level in levels:
            own = best[(best >= first) & (best < first + likely.size)] - first
            first += likely.size
            row, column = np.divmod(own, likely.shape[2])
            around.append(neighbourhoods(features[0], row, column, self._bundle.neighbourhood))
            place.append(np.stack([column, row], axis=1) - level.border / stride)
            ratios.append(np.broadcast_to(level.ratio, (len(own), 2)))
        embedding, outline = self._network.describe(np.concatenate(around))
        way, ratio = outline.astype(np.float64), np.concatenate(ratios)
        triangle = np.zeros((most, 2, 2))
        triangle[:, 0, 0], triangle[:, 1, 1] = np.exp(way[:, [2, 4]].clip(-4, 4)).T
        triangle[:, 1, 0] = way[:, 3] * triangle[:, 0, 0]
        triangle *= self._bundle.middle / ratio[:, :, None]
        return _Cells(
            embedding,
            centred[best],
            (np.concatenate(place) + 0.5 + way[:, :2]) * stride / ratio - 0.5,
            triangle @ triangle.transpose(0, 2, 1),
        )


def pyramid(frame: NDArray[np.uint8], stride: int, scale: float = 1.0) -> list[Level]:
    """The levels of a frame, largest first.

    Sides are multiples of `stride`; a frame smaller than the largest level is not enlarged.
    """
    height, width = frame.shape[:2]
    first = scale * min(1.0, SHORT_SIDE / min(height, width))
    levels = []
    picture = frame
    for level in range(LEVELS):
        sides = [
            max(1, round(side * first * 0.5**level / stride)) * stride for side in (width, height)
        ]
        if level and min(sides) < 2 * stride:
            break
        picture = np.asarray(cv2.resize(picture, sides, interpolation=cv2.INTER_AREA), np.uint8)
        border = BORDER * stride if level == LEVELS - 1 else 0
        shown = cv2.copyMakeBorder(
            picture, border, border, border, border, cv2.BORDER_CONSTANT, value=GROUND
        )
        ratio = np.array(sides) / (width, height)
        levels.append(Level(np.asarray(shown, np.uint8), ratio, border))
    return levels


def _peaks(values: NDArray[np.float32]) -> list[tuple[float, float]]:
    """The maxima of a periodic function, the highest first: where, in samples, and how high.

    Each is that of the parabola through a sample and its neighbours; its height is the sample's.
    """
    before, after = np.roll(values, 1), np.roll(values, -1)
    curve = before - 2 * values + after
    (highest,) = np.nonzero((values >= before) & (values > after))
    peaks = []
    for i in highest[np.argsort(-values[highest])]:
        offset = 0.5 * (before[i] - after[i]) / curve[i] if curve[i] < -1e-9 else 0.0
        peaks.append((float(i + offset), float(values[i])))
    return peaks or [(float(np.argmax(values)), float(values.max()))]
