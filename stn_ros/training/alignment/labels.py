"""Labels that nobody gave: answers moved by their pixels, matched features; and checks of labels.

Corners are (N, 4, 2): where the face's corners TL, TR, BR, BL lie in a picture, normalised.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from stn_ros.geometry.homography import (
    apply,
    face_corners,
    invert,
    is_visible_face,
    normalised_to_pixel,
)
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.training.alignment.data import Views
from stn_ros.transformer.families import Projective
from stn_ros.transformer.sampler import sample

_BLURS = (9, 5, 3, 1)  # sides of the box that smooths both pictures, twice; one step with each
_WINDOW = 17  # side of the neighbourhood whose brightness and contrast are taken out, pixels
_FAINT = 1e-3  # variance below which a neighbourhood shows nothing; pictures are 0..1
_OFF = 0.7  # difference, in deviations of the neighbourhood, from which a pixel pulls less
_DAMPING = 1e-2  # of the mean curvature
_LONGEST = 0.25  # move of a corner in one step, normalised
_BATCH = 64

_ENLARGED = 2  # times, before features are looked for
_RATIO = 0.85  # of the nearest to the second nearest feature (Lowe 2004)
_INLIER = 3.0  # pixels of the enlarged picture
_LEAST_INLIERS = 8
_CYCLE = 0.1  # of the reference's longer side, by which there and back may miss


class Refined(NamedTuple):
    """Corners (N, 4, 2) after refinement, and (N,) `mean_weight`."""

    corners: Tensor
    mean_weight: Tensor


class Refiner(nn.Module):
    """Moves corners until a picture, read through them, looks like the reference.

    Gauss-Newton on the template, inverse compositional (Baker & Matthews, IJCV 2004), from coarse
    to fine: the curvature is that of the reference and computed once. Grey pictures, brightness and
    contrast of each neighbourhood taken out; pixels that do not fit are weighted down (Geman &
    McClure 1987), so occluders fall out. The gradient of a photometric loss hardly feels how far
    corners are off along the reference's weak directions; a Gauss-Newton step does.

    Args:
        reference: (C, S, S) 0..1, the face, square-on.
    """

    def __init__(self, reference: Tensor) -> None:
        super().__init__()
        self._family = Projective()
        self._size = (reference.shape[1], reference.shape[2])
        for blur in _BLURS:
            plain = self._plain(reference.mean(dim=0)[None, None], blur)[0, 0]
            moves = self._moves(plain)
            outer = moves[:, :, None] * moves[:, None, :]
            for name, value in (("plain", plain), ("moves", moves), ("outer", outer.flatten(1))):
                self.register_buffer(f"_{name}_{blur}", value, persistent=False)

    @torch.no_grad()
    def forward(self, pictures: Tensor, corners: Tensor) -> Refined:
        """Refine corners (N, 4, 2) in pictures (N, C, H, W), 0..1; those that get lost stay."""
        square = _square(corners)
        grey = pictures.mean(dim=1, keepdim=True)
        shifts = (corners - square).flatten(1).float()
        for blur in _BLURS:
            error, weight = self._compare(grey, shifts, blur)
            curvature = (weight @ self.get_buffer(f"_outer_{blur}")).reshape(-1, 8, 8)
            mean = curvature.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None]
            damped = curvature + (_DAMPING * mean + 1e-6) * torch.eye(8, device=grey.device)
            pull = (weight * error) @ self.get_buffer(f"_moves_{blur}")
            step = torch.linalg.solve_ex(damped, pull[..., None]).result[..., 0]
            shifts = self._family.compose(shifts, -step.clamp(-_LONGEST, _LONGEST))
        moved = square + shifts.reshape(-1, 4, 2)
        sound = moved.isfinite().all(dim=2).all(dim=1)
        moved = torch.where(sound[:, None, None], moved, corners.to(moved.dtype))
        return Refined(moved, self.mean_weight(pictures, moved))

    def mean_weight(self, pictures: Tensor, corners: Tensor) -> Tensor:
        """(N,) mean weight of the pixels: near 1 where all fits, less under an occluder."""
        shifts = (corners - _square(corners)).flatten(1).float()
        with torch.no_grad():
            _, weight = self._compare(pictures.mean(dim=1, keepdim=True), shifts, _BLURS[-1])
        return weight.mean(dim=1).nan_to_num(0.0)

    def _compare(self, grey: Tensor, shifts: Tensor, blur: int) -> tuple[Tensor, Tensor]:
        """(N, S * S) difference from the reference, and the pixels' weights."""
        output = sample(grey, self._family.grid(shifts, self._size))
        error = (self._plain(output, blur)[:, 0] - self.get_buffer(f"_plain_{blur}")).flatten(1)
        return error, 1 / (1 + (error / _OFF).square()).square()

    def _plain(self, grey: Tensor, blur: int) -> Tensor:
        """(N, 1, S, S) smoothed, each neighbourhood's mean 0 and deviation 1."""
        if blur > 1:
            grey = _box_mean(_box_mean(grey, blur), blur)
        middle = _box_mean(grey, _WINDOW)
        power = _box_mean(grey * grey, _WINDOW) - middle * middle
        return (grey - middle) / (power.clamp_min(0) + _FAINT).sqrt()

    def _moves(self, plain: Tensor) -> Tensor:
        """(S * S, 8): change of each pixel with shifts of the corners, normalised."""
        zero = torch.zeros(8, device=plain.device)
        moves: Tensor = torch.func.jacfwd(lambda s: self._family.grid(s[None], self._size))(zero)[0]
        down, across = torch.gradient(plain)
        slope = torch.stack([across * self._size[1] / 2, down * self._size[0] / 2], dim=-1)
        changes: Tensor = (slope[..., None] * moves).sum(dim=2)
        return changes.flatten(0, 1)


def checked(views: Views, refiner: Refiner, trust: float) -> Views:
    """Views whose labels were held against their pixels.

    Each label is refined. Where the mean weight then is `trust` or more, the refined
    label takes its place; elsewhere the view loses it.

    Args:
        trust: least mean weight, 0..1.
    """
    parts = zip(views.pictures.split(_BATCH), views.labels.split(_BATCH), strict=True)
    refined = [refiner(pictures.float() / 255, labels) for pictures, labels in parts]
    corners = torch.cat([part.corners for part in refined])
    mean_weight = torch.cat([part.mean_weight for part in refined])
    return views._replace(labels=corners, labelled=views.labelled & (mean_weight >= trust))


def matched(views: Views, model: ObjectModel, progress: bool = True) -> Views:
    """Views with labels from SIFT features in place of any given ones; most may have none.

    Features of picture and reference are matched in both directions, each gives a homography
    (MAGSAC), and there and back must lead to where one came from.
    """
    sift = cv2.SIFT.create(contrastThreshold=0.01, edgeThreshold=20, enable_precise_upscale=True)
    known = _features(sift, cv2.cvtColor(model.reference, cv2.COLOR_BGR2GRAY))
    side = views.pictures.shape[-1]
    larger = _ENLARGED * side
    to_normalised = invert(normalised_to_pixel((larger, larger)))
    corners = face_corners(model.size)
    labels = np.zeros((len(views.pictures), 4, 2))
    found = np.zeros(len(views.pictures), bool)
    pictures = views.pictures.permute(0, 2, 3, 1).numpy()
    for i, picture in enumerate(tqdm(pictures, desc="match", unit="view", disable=not progress)):
        grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_BGR2GRAY)
        grey = cv2.resize(grey, (larger, larger), interpolation=cv2.INTER_CUBIC)
        seen = _features(sift, grey)
        there, back = _homography(known, seen), _homography(seen, known)
        if there is None or back is None or not is_visible_face(there, model.size):
            continue
        miss = np.linalg.norm(apply(back, apply(there, corners)) - corners, axis=1).mean()
        if miss <= _CYCLE * max(model.size):
            labels[i], found[i] = apply(to_normalised, apply(there, corners)), True
    return views._replace(labels=torch.from_numpy(labels).float(), labelled=torch.from_numpy(found))


class _Features(NamedTuple):
    """(K, 2) pixels and (K, 128) descriptors, square roots (Arandjelovic & Zisserman 2012)."""

    points: NDArray[np.float64]
    descriptors: NDArray[np.float32]


def _features(sift: cv2.SIFT, grey: cv2.typing.MatLike) -> _Features:
    points, descriptors = sift.detectAndCompute(grey, np.ones_like(grey))
    if not points:
        return _Features(np.empty((0, 2)), np.empty((0, 128), np.float32))
    values = np.asarray(descriptors, np.float32)
    root = np.sqrt(values / values.sum(axis=1, keepdims=True).clip(1e-7))
    return _Features(np.array([point.pt for point in points]), root)


def _homography(first: _Features, second: _Features) -> NDArray[np.float64] | None:
    """3x3, pixels of the first picture -> second; None if too few features say the same."""
    if len(second.points) < 2:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(first.descriptors, second.descriptors, k=2)
    good = [best for best, other in pairs if best.distance < _RATIO * other.distance]
    if len(good) < _LEAST_INLIERS:
        return None
    source = first.points[[match.queryIdx for match in good]]
    target = second.points[[match.trainIdx for match in good]]
    cv2.setRNGSeed(0)
    homography, inliers = cv2.findHomography(source, target, cv2.USAC_MAGSAC, _INLIER)
    if homography is None or int(inliers.sum()) < _LEAST_INLIERS:
        return None
    return homography.astype(np.float64)


def _square(like: Tensor) -> Tensor:
    return like.new_tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])


def _box_mean(pictures: Tensor, side: int) -> Tensor:
    """Mean of (side x side) neighbourhoods, cut off at the edges; costs the same for every side."""
    for dim in (-2, -1):
        length = pictures.shape[dim]
        at = torch.arange(length, device=pictures.device)
        low, high = (at - side // 2).clamp_min(0), (at + side // 2 + 1).clamp_max(length)
        sums = functional.pad(pictures.cumsum(dim), (1, 0) if dim == -1 else (0, 0, 1, 0))
        total = sums.index_select(dim, high) - sums.index_select(dim, low)
        pictures = total / (high - low).reshape(-1, *[1] * (-1 - dim))
    return pictures
