"""The last step: the aligned view is moved until its print lies on the reference's, pixel by pixel.

Lucas-Kanade (Baker & Matthews, "Lucas-Kanade 20 years on", IJCV 2004) on small tiles. Each tile has
a brightness and a contrast of its own, so uneven light cancels out; it counts by how well it then
explains the reference, and less the more it contradicts the others (Cauchy weights), so occluders
and streaks of light fall out. The network's answer enters as a prior with its covariance: where
there is no print to hold on to, it stands. The reference is blurred as the camera blurs the face.

Coordinates are normalised to the face, [-1, 1] with its edges at +-1 (align_corners=False).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.homography import (
    is_visible_face,
    jacobian,
    longest_side,
    normalised_to_pixel,
    to_corners,
)
from stn_ros.runtime.sampling import FrameSampler

Array = NDArray[np.float64]
Picture = NDArray[np.float32]

TILE = 12
"""Side of a tile, patch pixels."""
SIDES = (6, 8, 10, 13, 16)
"""Tiles along the face's longer side: as many as its pixels in the frame fill."""
STEPS = 4
_SETTLED = 0.2  # mean move of the corners, camera pixels, after which no other step is needed
_BLURS = (0.0, 0.5, 1.0, 1.6, 2.4, 3.4)  # of the reference, sigma in patch pixels
_FILLED = 0.9  # patch pixels to a frame pixel, at least, along the longest edge
_SMOOTH = 0.7  # of both pictures, sigma in patch pixels
_EDGE = 2  # patch pixels between the face's edge and the tiles: what filters reach across
_NOISE = 2.0  # grey levels that a tile is never explained better than
_LEAST_NCC = 0.2  # correlation below which a tile says nothing
_CAUCHY = 4.0
_REWEIGHTS = 2
_FARTHEST = 36.0  # chi-square of the whole move under the prior; beyond, another place was found
_CONTRASTS = 0.2, 3.0  # of a tile over the reference's
_LEAST_VARIANCE = 1e-3  # of a tile, grey levels squared
_LEAST_DEVIATION = 1e-3  # of a corner under the prior, camera pixels
_SQUARE = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])


class Refined(NamedTuple):
    """A homography moved by its pixels, or left where it was if they led nowhere better.

    Attributes:
        homography: 3x3, canonical pixels -> ideal camera pixels.
        corner_covariance: (8, 8) of x, y of the face's corners TL TR BR BL, camera pixels squared.
        ncc: median normalised cross-correlation of the seen tiles with the reference's, -1..1.
        blur: of the reference that the frame is most like, sigma as a share of the face's longer
            side.
        settled: the last step hardly moved it, and nothing spoke against the way.
    """

    homography: Array
    corner_covariance: Array
    ncc: float
    blur: float
    settled: bool


class _Raster(NamedTuple):
    """Tiles on the face.

    Attributes:
        size: (width, height) of the patch that holds them and its edge, pixels.
        to_normalised: 3x3, patch pixels -> normalised coordinates.
        places: see `_tile_shifts`.
    """

    size: tuple[int, int]
    to_normalised: Array
    places: Array


class _Appearance(NamedTuple):
    """A grey picture, smoothed, and its tiles.

    Attributes:
        grey, dx, dy: (h, w) within the tiles, grey levels and per pixel.
        mean, variance, valid: (rows, columns) of the tiles; valid is 1 where all is seen, else 0.
    """

    grey: Picture
    dx: Picture
    dy: Picture
    mean: Picture
    variance: Picture
    valid: Picture


class _Tiles(NamedTuple):
    """Normal equations of K tiles for a shift: `curvature` (K, 2, 2) times it is `pull` (K, 2)."""

    curvature: Array
    pull: Array


class PhotometricRefiner:
    """Refines homographies of one face.

    Args:
        reference: (h, w, 3) uint8 BGR, the face, square-on.
    """

    def __init__(self, reference: NDArray[np.uint8]) -> None:
        self._sampler = FrameSampler(reference)
        self._size = reference.shape[1], reference.shape[0]
        self._to_canonical = normalised_to_pixel(self._size)
        self._from_canonical = np.linalg.inv(self._to_canonical)
        self._rasters: dict[int, _Raster] = {}
        self._known: dict[tuple[int, float], _Appearance] = {}

    def refine(
        self,
        sampler: FrameSampler,
        homography: Array,
        corner_covariance: Array,
        steps: int = STEPS,
        blur: float | None = None,
        finest: int = SIDES[-1],
    ) -> Refined:
        """Move `homography` until the frame's pixels agree with the reference.

        Args:
            sampler: of the frame. homography: 3x3, canonical -> ideal camera pixels, right to a
                few pixels. corner_covariance: (8, 8), how sure it is, camera pixels squared.
            steps: at most; 0 only compares. blur: if it is known, see `Refined`.
            finest: tiles along the longer side, at most. Coarse ones take less time and catch
                farther; fine ones tell more where there is little print.

        Returns:
            What was given, if the way contradicts it or the NCC does not grow.
        """
        side = self._side(homography, finest)
        raster = self._raster(side)
        to_camera = homography @ self._to_canonical
        spread = _corner_jacobian(to_camera)
        prior = _information(spread, corner_covariance)
        motion, moved, information = np.eye(3), np.zeros(8), prior
        seen = self._seen(sampler, to_camera, raster)
        length = side * TILE  # of the face, patch pixels
        blurs: tuple[float, ...] = _BLURS
        if blur is not None:
            known = blur * length
            blurs = (min(_BLURS, key=lambda sigma: abs(sigma - known)),)
        first, sigma = max((_score(self._reference(side, b), seen), b) for b in blurs)
        reference = self._reference(side, sigma)
        start, blur, settled = seen, sigma / length, False
        for step in range(steps):
            if step:
                seen = self._seen(sampler, to_camera @ motion, raster)
            tiles = _normal_equations(reference, seen, _independent(sigma))
            change, information = _solve(tiles, raster.places, prior, moved)
            motion = motion @ _departed(change)
            motion = motion / motion[2, 2]
            moved = (motion - np.eye(3)).ravel()[:8]
            if np.linalg.norm((spread @ change).reshape(4, 2), axis=1).mean() < _SETTLED:
                settled = True
                break
        else:
            seen = self._seen(sampler, to_camera @ motion, raster)
        refined = to_camera @ motion @ self._from_canonical
        if (
            _score(reference, seen) < first
            or moved @ prior @ moved > _FARTHEST
            or not is_visible_face(refined, self._size)
        ):
            ncc = _median_ncc(reference, start)
            return Refined(homography, corner_covariance, ncc, blur, settled=False)
        covariance = spread @ np.linalg.inv(information) @ spread.T
        ncc = _median_ncc(reference, seen)
        return Refined(refined / refined[2, 2], covariance, ncc, blur, settled)

    def _side(self, homography: Array, finest: int) -> int:
        """Tiles along the longer side that take in every pixel of the frame, if they may."""
        longest = longest_side(to_corners(homography, self._size))
        return next((s for s in SIDES if s * TILE >= _FILLED * longest or s >= finest), SIDES[-1])

    def _raster(self, side: int) -> _Raster:
        if side not in self._rasters:
            width, height = self._size
            longest = max(width, height)
            columns, rows = (max(3, round(side * length / longest)) for length in (width, height))
            size = columns * TILE + 2 * _EDGE, rows * TILE + 2 * _EDGE
            to_normalised = np.linalg.inv(normalised_to_pixel(size)).astype(np.float64)
            self._rasters[side] = _Raster(size, to_normalised, _tile_shifts(columns, rows))
        return self._rasters[side]

    def _reference(self, side: int, blur: float) -> _Appearance:
        if (side, blur) not in self._known:
            raster = self._raster(side)
            patch = self._sampler.sample_grey(
                self._to_canonical @ raster.to_normalised, raster.size
            )
            self._known[side, blur] = _appearance(*patch, blur)
        return self._known[side, blur]

    def _seen(self, sampler: FrameSampler, to_camera: Array, raster: _Raster) -> _Appearance:
        return _appearance(*sampler.sample_grey(to_camera @ raster.to_normalised, raster.size))


def _appearance(
    levels: NDArray[np.uint8], alpha: NDArray[np.uint8] | None, blur: float = 0.0
) -> _Appearance:
    sigma = math.hypot(_SMOOTH, blur)
    smooth = cv2.GaussianBlur(levels.astype(np.float32), (0, 0), sigma)
    dx, dy = (
        np.asarray(cv2.Scharr(smooth, cv2.CV_32F, *order, scale=1 / 32), np.float32)
        for order in ((1, 0), (0, 1))
    )
    inner = slice(_EDGE, -_EDGE), slice(_EDGE, -_EDGE)
    grey = np.ascontiguousarray(smooth[inner], np.float32)
    mean = _means(grey)
    valid = np.ones_like(mean)
    if alpha is not None:
        reach = np.ones((2 * _EDGE + 1, 2 * _EDGE + 1), np.uint8)
        inside = np.asarray(cv2.erode(alpha, reach)[inner])
        valid = (_means(inside.astype(np.float32)) > 254.0).astype(np.float32)
    variance = np.maximum(_means(grey * grey) - mean * mean, _LEAST_VARIANCE)
    return _Appearance(grey, dx[inner], dy[inner], mean, variance, valid)


def _means(picture: Picture) -> Picture:
    """Means of tiles."""
    size = picture.shape[1] // TILE, picture.shape[0] // TILE
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)


def _ncc(reference: _Appearance, seen: _Appearance) -> Picture:
    """Correlation of each tile, -1..1; 0 where the frame does not show it."""
    product = _means(reference.grey * seen.grey) - reference.mean * seen.mean
    alike: Picture = seen.valid * product / np.sqrt(reference.variance * seen.variance)
    return alike


def _score(reference: _Appearance, seen: _Appearance) -> float:
    """Mean squared correlation of the tiles, by the contrast they show."""
    weight = np.sqrt(seen.variance) * seen.valid
    alike = np.maximum(_ncc(reference, seen), 0.0)
    return float((alike * alike * weight).sum() / max(float(weight.sum()), 1e-9))


def _independent(blur: float) -> float:
    """Share of the pixels that count as independent: one in the area that the blurs spread."""
    return 1.0 / (4 * math.pi * (_SMOOTH**2 + blur**2))


def _median_ncc(reference: _Appearance, seen: _Appearance) -> float:
    """Median correlation of the tiles: an occluder over less than half of them does not count."""
    alike = _ncc(reference, seen)[seen.valid > 0]
    return float(np.median(alike)) if len(alike) else 0.0


def _normal_equations(reference: _Appearance, seen: _Appearance, independent: float) -> _Tiles:
    """Least squares for the shift of each tile, its brightness and contrast set free.

    The gradient is the mean of both pictures', which converges twice as fast as one's (Benhimane &
    Malis, IROS 2004). Shifts are in normalised coordinates.

    Args:
        independent: share of a tile's pixels that count as independent of each other.
    """
    height, width = seen.grey.shape
    contrast = np.sqrt(seen.variance / reference.variance).clip(*_CONTRASTS)
    gain = _spread(contrast)
    error = gain * reference.grey - seen.grey + _spread(seen.mean - contrast * reference.mean)
    dx = (gain * reference.dx + seen.dx) * (0.25 * (width + 2 * _EDGE))
    dy = (gain * reference.dy + seen.dy) * (0.25 * (height + 2 * _EDGE))
    mean_x, mean_y = _means(dx), _means(dy)
    alike = (_ncc(reference, seen) - _LEAST_NCC) / (1 - _LEAST_NCC)
    weight = independent * TILE**2 * np.maximum(alike, 0.0) / (_means(error * error) + _NOISE**2)
    xx = (_means(dx * dx) - mean_x * mean_x) * weight
    xy = (_means(dx * dy) - mean_x * mean_y) * weight
    yy = (_means(dy * dy) - mean_y * mean_y) * weight
    pull = np.stack([_means(dx * error) * weight, _means(dy * error) * weight], axis=-1)
    curvature = np.stack([xx, xy, xy, yy], axis=-1)
    return _Tiles(curvature.reshape(-1, 2, 2).astype(float), pull.reshape(-1, 2).astype(float))


def _spread(tiles: Picture) -> Picture:
    """Each tile's value on all of its pixels."""
    size = tiles.shape[1] * TILE, tiles.shape[0] * TILE
    return np.asarray(cv2.resize(tiles, size, interpolation=cv2.INTER_NEAREST), np.float32)


def _tile_shifts(columns: int, rows: int) -> Array:
    """(K, 2, 8) derivative of the tiles' centres by the motion's entries, at the identity."""
    xs, ys = (
        ((np.arange(count) + 0.5) * TILE + _EDGE) / (count * TILE / 2 + _EDGE) - 1
        for count in (columns, rows)
    )
    return _entry_derivative(np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2))


def _entry_derivative(points: Array) -> Array:
    """(K, 2, 8) derivative of points (K, 2) moved by the entries m11 .. m32, at the identity."""
    x, y = points.T
    one, zero = np.ones_like(x), np.zeros_like(x)
    return np.stack(
        [
            np.stack([x, y, one, zero, zero, zero, -x * x, -x * y], axis=1),
            np.stack([zero, zero, zero, x, y, one, -x * y, -y * y], axis=1),
        ],
        axis=1,
    )


def _solve(tiles: _Tiles, places: Array, prior: Array, moved: Array) -> tuple[Array, Array]:
    """The next change of the motion's entries (8,), and the information (8, 8) it rests on.

    Args:
        places: see `_tile_shifts`. prior: (8, 8) information of the entries. moved: so far.
    """
    (xx, xy), (_, yy) = tiles.curvature.transpose(1, 2, 0)
    across, down = places[:, 0], places[:, 1]
    by_entry = np.stack(
        [
            xx[:, None] * across + xy[:, None] * down,
            xy[:, None] * across + yy[:, None] * down,
        ],
        axis=1,
    )
    loose = 1e-3 * (xx + yy).mean() + 1e-9
    volume = (xx + loose) * (yy + loose) - xy * xy
    flat = places.reshape(-1, 8)
    weight: Array = np.ones(len(volume))
    change: Array = np.zeros(8)
    for _ in range(_REWEIGHTS):
        information = flat.T @ (by_entry * weight[:, None, None]).reshape(-1, 8) + prior
        pull = flat.T @ (tiles.pull * weight[:, None]).ravel() - prior @ moved
        change = np.asarray(np.linalg.solve(information, pull), np.float64)
        x, y = (tiles.pull - by_entry @ change).T
        # Squared distance of what is left from nothing, in deviations of the tile.
        left = ((yy + loose) * x * x - 2 * xy * x * y + (xx + loose) * y * y) / volume
        weight = 1.0 / (1.0 + left / _CAUCHY**2)
    return change, information


def _information(spread: Array, corner_covariance: Array) -> Array:
    """(8, 8) of the motion's entries, from the covariance of the corners they `spread` to."""
    least = _LEAST_DEVIATION**2 * np.eye(8)
    information: Array = spread.T @ np.linalg.inv(corner_covariance + least) @ spread
    return information


def _corner_jacobian(to_camera: Array) -> Array:
    """(8, 8) derivative of the corners in the camera by the motion's entries.

    Args:
        to_camera: 3x3, normalised face coordinates -> camera pixels.
    """
    return (jacobian(to_camera, _SQUARE) @ _entry_derivative(_SQUARE)).reshape(8, 8)


def _departed(change: Array) -> Array:
    """The 3x3 motion whose first eight entries are off the identity's by `change`."""
    motion: Array = np.eye(3) + np.append(change, 0.0).reshape(3, 3)
    return motion
