"""Training samples rendered by the device that trains, many views at a time.

The counterpart of `samples`: what `SampleMaker` draws view by view with OpenCV, `DeviceSampleMaker`
draws for all views at once: the same stages and rows. Pictures come from a bank on the device that
processes of the CPU renew while the training goes on.

Shapes: V views, K samples from each.
"""

from __future__ import annotations

import math
import multiprocessing
import queue
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stn_ros.geometry.patch import MARGIN
from stn_ros.synthesis.textures import Textures
from stn_ros.training.network.device_pictures import (
    RNG,
    affine,
    atlas_width,
    from_square,
    half_sides,
    inverse,
    mip_atlas,
    pick,
    rotation_2d,
    rotation_3d,
    square,
)
from stn_ros.training.network.device_scene import (
    CANVAS,
    SURFACE,
    Painter,
    Stock,
    Views,
    draw_views,
    read_patches,
)
from stn_ros.training.network.samples import (
    GIVEN_SHARE,
    NO,
    PHOTOS,
    ROTATION_REACH,
    STAGES,
    UNSURE,
    YES,
    Stage,
    TrainingFace,
)
from stn_ros.transformer.grid import target_grid

_SURFACES = 60
_SIBLINGS = 4 / 7
"""Share of the pairs in the bank that are siblings: as many faces as `SampleMaker` holds."""
_GROUPS = 2
"""Views are rendered in this many groups, by size: each on the canvas of its largest."""
_AT_ONCE = 2400
"""Most samples a GPU renders at a time: what starting thousands of kernels costs is shared."""
_SAMPLE_MEMORY = 9_000_000
"""Bytes that rendering takes for each of them."""
_RENEWED = 0.01
"""Most drawings taken into the bank, for each sample."""
_RELATED, _FLIPPED, _FAR, _DISTRACTOR = range(4)
_SHARES = (1.0, 0.7, 0.3, 0.6)
"""Of the refining rows of each kind, how many a view has: related, flipped, far, distractor."""


class _Drawn(NamedTuple):
    """A face, as the bank takes it.

    Attributes:
        picture: (h, w, 3) uint8 BGR, no side longer than `CANVAS`. alike: (4,) bool, whether it
        looks the same rotated by so many quarters (not by none: that is no rotation).
        references: (S, S, 4) uint8 for each patch side S.
    """

    picture: NDArray[np.uint8]
    alike: NDArray[np.bool_]
    references: dict[int, NDArray[np.uint8]]


class _Drawing(NamedTuple):
    """Two faces, whether they are siblings, and a background."""

    faces: tuple[_Drawn, _Drawn]
    siblings: bool
    surface: NDArray[np.uint8]


def _photographed(rng: np.random.Generator, picture: NDArray[Any]) -> _Drawn:
    scale = CANVAS / max(picture.shape[:2])
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    face = TrainingFace(rng, picture)
    alike = np.array([quarter * 90 in face.look_alike_rotations for quarter in range(4)])
    return _Drawn(picture, alike, {s.patch: face.reference(s.patch) for s in STAGES})


def _draw(rng: np.random.Generator, textures: Textures) -> _Drawing:
    siblings = bool(rng.random() < _SIBLINGS)
    sides = rng.integers(256, CANVAS + 1, 2)
    if siblings:
        pictures: Iterable[NDArray[np.uint8]] = textures.siblings(rng, int(sides[0]))
    else:
        pictures = (textures.face(rng, int(side)) for side in sides)
    first, second = (_photographed(rng, picture) for picture in pictures)
    return _Drawing((first, second), siblings, textures.background(rng, SURFACE))


def _keep_drawing(
    drawings: multiprocessing.Queue[_Drawing], seed: np.random.SeedSequence, split: str
) -> None:
    cv2.setNumThreads(1)
    rng, textures = np.random.default_rng(seed), Textures(split)
    while True:
        drawings.put(_draw(rng, textures))


class _Artists:
    """Processes that draw in the background, as far ahead as a short queue lets them.

    Not threads: those would hold the interpreter that has to start the kernels.
    """

    def __init__(self, seed: int, split: str, count: int) -> None:
        # Spawned: a fork of a process that holds CUDA or threads of OpenCV may hang.
        context = multiprocessing.get_context("spawn")
        self._drawings = context.Queue(4)
        self._processes = [
            context.Process(
                target=_keep_drawing, args=(self._drawings, own_seed, split), daemon=True
            )
            for own_seed in np.random.SeedSequence(seed).spawn(count)
        ]
        for process in self._processes:
            process.start()

    def take(self, most: int) -> Iterator[_Drawing]:
        """What is finished, up to `most`; never waits for more."""
        for process in self._processes:
            if process.exitcode is not None:
                raise RuntimeError(
                    f"a process that draws faces ended with exit code {process.exitcode}; its "
                    "output says why; --workers 0 trains without one, always on the same faces"
                )
        with suppress(queue.Empty):
            for _ in range(most if self._processes else 0):
                yield self._drawings.get_nowait()

    def close(self) -> None:
        """End them."""
        for process in self._processes:
            process.terminate()
            process.join()
        self._processes.clear()


class _Bank:
    """Faces and backgrounds on a device.

    The given faces come first, then pairs: the sibling of face i, if any, is face i ^ 1.

    Attributes:
        given: how many faces are given ones.
        stock: the pictures. alike: (F, 4), see `_Drawn`. siblings: (F,) bool.
        references: (F, S, S, 4) uint8 for each patch side S.
    """

    def __init__(self, capacity: int, given: int, device: torch.device) -> None:
        count = given + capacity

        def empty(*shape: int, dtype: torch.dtype = torch.uint8) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        self.given = given
        width, height = SURFACE
        self.stock = Stock(
            faces=empty(count, 4, CANVAS, atlas_width(CANVAS)),
            sizes=empty(count, 2, dtype=torch.float64),
            colours=empty(count, 3, dtype=torch.float32),
            surfaces=empty(min(_SURFACES, capacity // 2), 3, height, atlas_width(width)),
        )
        self.alike = empty(count, 4, dtype=torch.bool)
        self.siblings = empty(count, dtype=torch.bool)
        self.references = {s.patch: empty(count, s.patch, s.patch, 4) for s in STAGES}

    def __len__(self) -> int:
        return len(self.stock.faces)

    def put_face(self, index: int, drawn: _Drawn, sibling: bool) -> None:
        """Replace a face."""
        height, width = drawn.picture.shape[:2]
        canvas = np.zeros((CANVAS, CANVAS, 4), np.uint8)
        canvas[:height, :width, :3], canvas[:height, :width, 3] = drawn.picture, 255
        self.stock.faces[index] = self._atlas(canvas)
        self.stock.sizes[index] = torch.tensor([width, height])
        self.alike[index] = torch.from_numpy(drawn.alike)
        self.siblings[index] = sibling
        self.stock.colours[index] = torch.from_numpy(drawn.picture.mean(axis=(0, 1)))
        for side, reference in drawn.references.items():
            self.references[side][index] = torch.from_numpy(reference)

    def put(self, pair: int, surface: int, drawing: _Drawing) -> None:
        """Replace pair number `pair` and a background."""
        for place, face in enumerate(drawing.faces):
            self.put_face(self.given + 2 * pair + place, face, drawing.siblings)
        self.stock.surfaces[surface] = self._atlas(drawing.surface)

    def _atlas(self, picture: NDArray[np.uint8]) -> Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(picture)).to(self.stock.faces.device)
        return mip_atlas(pixels.permute(2, 0, 1)[None].float())[0].round().byte()


class _Rows(NamedTuple):
    """Up to K samples from each of V views.

    Attributes:
        start: (V, K, 3, 3) float64, normalised face -> frame pixels, where a patch is read.
        face: (V, K) bank index, whose reference it is held against. kind: (V, K). kept: (V, K)
        bool, whether there is such a sample. bare: (V, K) bool, read from a background instead.
    """

    start: Tensor
    face: Tensor
    kind: Tensor
    kept: Tensor
    bare: Tensor


class DeviceSampleMaker:
    """An endless source of batches, as `samples.SampleMaker`.

    Args:
        seed: of all randomness; the same samples come again where `artists` is 0. device: renders.
        split: "train" or "held_out", see `Textures`. faces: how many are held at a time.
        given: BGR pictures of faces to be known above all, as in `SampleMaker`.
        artists: processes that draw new faces and backgrounds all the while. `close` ends them.
    """

    def __init__(
        self,
        seed: int,
        device: torch.device | str,
        split: str = "train",
        faces: int = 300,
        given: Sequence[NDArray[np.uint8]] = (),
        artists: int = 0,
    ) -> None:
        device = torch.device(device)
        self._rng = np.random.default_rng(seed)
        self._pairs = -(-faces // 2)
        photos = [picture for picture in given for _ in range(PHOTOS)]
        self._bank = _Bank(2 * self._pairs, len(photos), device)
        for index, picture in enumerate(photos):
            self._bank.put_face(index, _photographed(self._rng, picture), sibling=False)
        textures = Textures(split)
        for pair in range(self._pairs):
            surface = pair % len(self._bank.stock.surfaces)
            self._bank.put(pair, surface, _draw(self._rng, textures))
        self._device_rng = RNG(seed, device)
        self._painter = Painter(self._device_rng, self._bank.stock)
        self._artists = _Artists(seed, split, artists)

    def close(self) -> None:
        """End the processes that draw."""
        self._artists.close()

    def batch(self, stage: Stage, count: int) -> list[Tensor]:
        """`count` new samples of a stage: the fields of `samples.Batch`, in their order."""
        for drawing in self._artists.take(math.ceil(_RENEWED * count)):
            pair = int(self._rng.integers(self._pairs))
            self._bank.put(pair, int(self._rng.integers(len(self._bank.stock.surfaces))), drawing)
        parts: list[list[Tensor]] = []
        lacking = count
        while lacking > 0:
            views = self._views(stage, math.ceil(lacking / _rows_a_view(stage)) + 2)
            for part in views.extent.amax(dim=1).argsort().chunk(_GROUPS):
                parts.append(self._samples(stage, pick(views, part)))
                lacking -= len(parts[-1][0])
        fields = [torch.cat(field) for field in zip(*parts, strict=True)]
        rng = self._device_rng
        chosen = torch.randperm(len(fields[0]), generator=rng.generator, device=rng.device)
        return [field[chosen[:count]] for field in fields]

    def _views(self, stage: Stage, count: int) -> Views:
        face = self._faces(count)
        return draw_views(self._device_rng, face, self._bank.stock.sizes[face], stage.conditions)

    def _faces(self, count: int) -> Tensor:
        """(count,) bank indices of the faces that views show."""
        rng, given = self._device_rng, self._bank.given
        drawn = rng.integers(given, len(self._bank), count)
        if not given:
            return drawn
        return torch.where(rng.chance(GIVEN_SHARE, count), rng.integers(0, given, count), drawn)

    def _distractors(self, face: Tensor) -> Tensor:
        """(V,) other faces, often ones much like `face`; at times, by chance, the same."""
        rng, given, n = self._device_rng, self._bank.given, len(face)
        others = rng.integers(given, len(self._bank), n)
        if given:
            others = torch.where(face >= given, rng.integers(0, given, n), others)
        return torch.where(self._bank.siblings[face] & rng.chance(0.7, n), face ^ 1, others)

    def _samples(self, stage: Stage, views: Views) -> list[Tensor]:
        """The fields of what a group of views gives."""
        rows = self._locate_rows(views) if stage.offset is None else self._refine_rows(stage, views)
        frames = self._painter.render(views, stage.conditions)
        from_patch = views.pose.new_tensor([MARGIN, MARGIN, 1]).diag()
        at = rows.start @ from_patch
        patch = read_patches(frames, views.extent, at, stage.patch)
        if rows.bare.any():
            patch = torch.where(rows.bare[..., None, None, None], self._bare(stage, patch), patch)
        related = rows.kind == _RELATED
        motion = inverse(at) @ (views.pose @ from_patch)[:, None]
        motion = motion / motion[..., 2:, 2:]
        still = torch.eye(3, dtype=motion.dtype, device=motion.device)
        motion = torch.where(related[..., None, None], motion, still).float()
        present = torch.where(views.visible > 0.45, YES, UNSURE)[:, None]
        present = torch.where(related, present, torch.where(rows.kind == _FAR, UNSURE, NO))
        reference = self._bank.references[stage.patch][rows.face]
        fields = (reference, patch, motion, related, present.to(torch.int8))
        return [field[rows.kept] for field in fields]

    def _bare(self, stage: Stage, like: Tensor) -> Tensor:
        """(V, 1, S, S, 4) uint8: patches of a background alone."""
        v, side = len(like), stage.patch
        piece = self._painter.piece(torch.full((v, 2), float(side), device=like.device))
        everywhere = target_grid((side, side), piece.scale).expand(v, -1, -1, -1)
        colour = self._painter.surface(piece, everywhere)
        valid = torch.full_like(colour[:, :1], 255.0)
        return torch.cat([colour.round(), valid], dim=1).permute(0, 2, 3, 1).byte()[:, None]

    def _locate_rows(self, views: Views) -> _Rows:
        """Regions under nearly right rotations and under wrong ones, and another face's region."""
        rng, v = self._device_rng, len(views.face)
        kind = torch.tensor([_RELATED] * 3 + [_FLIPPED] * 2 + [_DISTRACTOR], device=rng.device)
        k = len(kind)
        kind = kind.expand(v, k)
        distractor = self._distractors(views.face)[:, None]
        shown = torch.where(kind == _DISTRACTOR, distractor, views.face[:, None])
        quarters, can_flip = self._quarters(views.face, k)
        rotation = _true_rotation(views.pose, views.half)[:, None] * (180 / math.pi)
        nearly = rotation + rng.uniform(-ROTATION_REACH, ROTATION_REACH, v, k)
        about = rotation + rng.uniform(-15, 15, v, k)
        spun = rotation + rng.sign(v, k) * rng.uniform(50, 180, v, k)
        spun = torch.where(self._bank.alike[views.face][:, 2:3], rotation + 60, spun)
        wrong = torch.where(rng.chance(0.4, v, k), spun, about + 90 * quarters)
        any_rotation = torch.where(rng.chance(0.5, v, k), rng.uniform(0, 360, v, k), about)
        angle = torch.where(kind == _FLIPPED, wrong, any_rotation)
        angle = torch.where(kind == _RELATED, nearly, angle) * (math.pi / 180)
        low, span = self._jittered(views.low[:, None], views.span[:, None], k)
        bare = (kind == _DISTRACTOR) & rng.chance(0.25, v, k)
        return _Rows(
            start=_regions(low, span, angle, half_sides(self._bank.stock.sizes[shown])),
            face=torch.where(bare, views.face[:, None], shown),
            kind=kind,
            kept=_kept(kind, can_flip[:, None], distractor != views.face[:, None]),
            bare=bare,
        )

    def _refine_rows(self, stage: Stage, views: Views) -> _Rows:
        """Transforms a little off, off by a rotation, far off, and right ones of another face."""
        assert stage.offset is not None
        rng, v = self._device_rng, len(views.face)
        kinds = [_RELATED] * _near_rows(stage) + [_FLIPPED, _FAR, _DISTRACTOR]
        kind = torch.tensor(kinds, device=rng.device).expand(v, len(kinds))
        k = len(kinds)
        far = (0.5, 1.2) if stage.patch <= 64 else (0.25, 0.9)
        reach = torch.where(
            kind == _FAR, rng.log_uniform(*far, v, k), rng.log_uniform(*stage.offset, v, k)
        )
        quarters, can_flip = self._quarters(views.face, k)
        flip = _quarter_rotations(torch.where(kind == _FLIPPED, quarters, 0))
        distractor = self._distractors(views.face)[:, None]
        share = torch.tensor(_SHARES, device=rng.device)[kind]
        drawn = rng.chance(share, v, k)
        return _Rows(
            start=views.pose[:, None] @ flip @ self._perturbations(reach),
            face=torch.where(kind == _DISTRACTOR, distractor, views.face[:, None]),
            kind=kind,
            kept=drawn & _kept(kind, can_flip[:, None], distractor != views.face[:, None]),
            bare=torch.zeros_like(drawn),
        )

    def _quarters(self, face: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """(V, count) quarters that can be told from none, two most often, and (V,) if any."""
        weights = torch.tensor([0.0, 1, 2, 1], device=face.device) * ~self._bank.alike[face]
        any_left = weights.sum(dim=1) > 0
        weights = weights + (~any_left).float()[:, None]
        chosen = weights.multinomial(count, replacement=True, generator=self._device_rng.generator)
        return chosen, any_left

    def _jittered(self, low: Tensor, span: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Boxes (V, count, 2) as a detector would give them, see `samples.jittered_box`."""
        v = len(low)
        middle = low + span / 2 + span * self._device_rng.uniform(-0.08, 0.08, v, count, 2)
        span = span * self._device_rng.uniform(-0.12, 0.12, v, count, 2).exp()
        return middle - span / 2, span

    def _perturbations(self, reach: Tensor) -> Tensor:
        """(V, K) in face half-widths -> (V, K, 3, 3): a similarity and free corners."""
        rng, shape = self._device_rng, reach.shape
        rotation = rotation_2d(rng.normal(*shape) * 0.4 * reach)
        rotation = (rng.normal(*shape) * 0.5 * reach).exp()[..., None, None] * rotation
        moved = square(reach) @ rotation.transpose(-1, -2)
        moved = moved + reach[..., None, None] * (
            0.6 * rng.normal(*shape, 1, 2) + 0.5 * rng.normal(*shape, 4, 2)
        )
        return from_square(moved)


def _near_rows(stage: Stage) -> int:
    return 3 if stage.batch >= 32 else 2


def _rows_a_view(stage: Stage) -> float:
    return 6.0 if stage.offset is None else _near_rows(stage) + sum(_SHARES[1:])


def _kept(kind: Tensor, can_flip: Tensor, is_other: Tensor) -> Tensor:
    """Which rows (V, K) there can be: a face may have no wrong rotation, or no distractor."""
    possible = torch.where(kind == _FLIPPED, can_flip, True)
    return torch.where(kind == _DISTRACTOR, is_other, possible)


def _true_rotation(pose: Tensor, half: Tensor) -> Tensor:
    """(V,) radians, in-plane rotation of a face, as `samples.true_rotation` has it; w = 1 amid."""
    local = (pose[:, :2, :2] - pose[:, :2, 2:] * pose[:, 2:, :2]) / half[:, None]
    return torch.atan2(local[:, 1, 0] - local[:, 0, 1], local[:, 0, 0] + local[:, 1, 1])


def _regions(low: Tensor, span: Tensor, rotation: Tensor, half: Tensor) -> Tensor:
    """(..., 3, 3), normalised face -> frame pixels, see `geometry.patch.region_homography`.

    Args:
        low, span: (..., 2) boxes. rotation: (...) radians. half: (..., 2), sides over the longer.
    """
    rotated = rotation_2d(rotation).double()
    cosine, sine = rotated[..., 0, 0], rotated[..., 1, 0]
    width, height = half.unbind(dim=-1)
    bound = (width * cosine).abs() + (height * sine).abs()
    bound = bound * ((width * sine).abs() + (height * cosine).abs())
    scale = (span.prod(dim=-1) / bound).sqrt() / 2
    matrix = affine(torch.ones_like(span), low + span / 2)
    matrix[..., :2, :2] = scale[..., None, None] * rotated * half[..., None, :]
    return matrix


def _quarter_rotations(quarters: Tensor) -> Tensor:
    """(...) -> (..., 3, 3), normalised: see `geometry.homography.quarter_rotation`."""
    angle = quarters.double() * (math.pi / 2)
    axis = torch.zeros(*quarters.shape, 3, dtype=angle.dtype, device=angle.device)
    axis[..., 2] = 1
    return rotation_3d(axis, angle)


def device_batches(
    seed: int,
    device: torch.device,
    faces: Sequence[NDArray[np.uint8]],
    artists: int,
    batch_factor: int = 1,
) -> Iterator[tuple[int, list[Tensor]]]:
    """Batches of all stages in turn, with the index of the stage; see `DeviceSampleMaker`."""
    at_once = 0.0
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
        at_once = min(_AT_ONCE, memory / 4 / _SAMPLE_MEMORY)
    with closing(DeviceSampleMaker(seed, device, given=faces, artists=artists)) as maker:
        streams = [
            (index, _stream(maker, stage, batch_factor * stage.batch, at_once))
            for index, stage in enumerate(STAGES)
            for _ in range(stage.weight)
        ]
        while True:
            for index, stream in streams:
                yield index, next(stream)


def _stream(
    maker: DeviceSampleMaker, stage: Stage, count: int, at_once: float
) -> Iterator[list[Tensor]]:
    ahead = max(1, int(at_once / count))
    while True:
        fields = maker.batch(stage, ahead * count)
        parts = (field.split(count) for field in fields)
        yield from (list(part) for part in zip(*parts, strict=True))
