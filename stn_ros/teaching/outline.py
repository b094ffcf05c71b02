"""The outline of a flat face in a photo: four straight edges around it.

Contours propose quadrilaterals; along each side of one, straight lines are then looked for in a
band. Averaged along a side, an edge of a few grey levels stands out of the noise, so the faint
outer edge of a light border on a light table is seen beside the strong inner one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from stn_ros.geometry.homography import Array, from_corners, longest_side

Picture = NDArray[np.uint8]
Strip = NDArray[np.float32]

_COARSE_SIDE = 480
_FINE_SIDE = 1600
# What counts as the outline of a face: its share of the photo, how much of its hull it fills, and
# the share of its sides along which the picture has an edge.
_LEAST_SHARE, _MOST_SHARE = 0.04, 0.985
_SOLIDITY = 0.93
_COARSE_SUPPORT = 0.6
_PROPOSALS = 6
# The band along a side in which lines are looked for, and how far its ends may be apart, in shares
# of the longest side; the pieces a side is cut into, and how far beyond its ends it is followed.
_BAND = 0.04
_SLANT = 0.03
_PIECES = 32
_BEYOND = 6
# A line's edge, in grey levels per pixel, reaches this in all but a quarter of its pieces.
_LEAST_SLOPE = 1.0
_ABOVE_GROUND = 2.5
# A shadow's edge is wider than those of the face by more than this factor.
_SOFT = 1.35
# Photos are taken with focal lengths of so many times their longer side.
_FOCALS = np.geomspace(0.6, 2.5, 9)


@dataclass(frozen=True)
class Outline:
    """An outline in a photo.

    Attributes:
        corners: (4, 2) photo pixels: top left, top right, bottom right, bottom left.
        inner: (4, 2), a second outline just inside, such as the inner edge of a border, or None.
    """

    corners: Array
    inner: Array | None


@dataclass(frozen=True)
class _Line:
    """A straight edge along a side: where, outwards of the side's ends, and how it looks."""

    ends: tuple[float, float]
    strength: float
    width: float

    @property
    def offset(self) -> float:
        return sum(self.ends) / 2


def find_outlines(photo: Picture) -> list[Outline]:
    """The four-sided outlines in a photo, largest first.

    Of parallel edges close together the outermost is taken: beyond it lies the background.

    Args:
        photo: (h, w, 3) BGR uint8.
    """
    h, w = photo.shape[:2]
    scale = min(1.0, _FINE_SIDE / max(w, h))
    fine = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    found: list[Outline] = []
    for proposal in _proposals(photo):
        outline = _settled(np.asarray(fine, np.uint8), _scaled(proposal, scale))
        if outline is None:
            continue
        corners = _scaled(outline.corners, 1 / scale)
        inner = None if outline.inner is None else _scaled(outline.inner, 1 / scale)
        new = all(_apart(corners, other.corners) > 0.01 for other in found)
        if new and area(corners) < _MOST_SHARE * w * h:
            found.append(Outline(corners, inner))
    return sorted(found, key=lambda outline: -area(outline.corners))


def metric_aspects(corners: Array, photo_size: tuple[int, int]) -> Array:
    """Width over height that a rectangle with these corners in a photo may have.

    The perspective of a tilted rectangle gives its aspect away once the focal length is known
    (Zhang & He 2007, whiteboard scanning); so one value for each usual focal length under which
    its sides are square to each other, none for other quadrilaterals.

    Args:
        corners: (4, 2), pixels. photo_size: (width, height) of the whole, uncropped photo.
    """
    centre = (np.array(photo_size) - 1) / 2
    unit = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    homography = from_corners(unit, corners - centre)
    aspects = []
    for focal in _FOCALS * max(photo_size):
        across, down = (homography / [[focal], [focal], [1]])[:, :2].T
        lengths = np.linalg.norm(across), np.linalg.norm(down)
        if abs(across @ down) < 0.1 * lengths[0] * lengths[1]:
            aspects.append(lengths[0] / lengths[1])
    return np.array(aspects)


def _proposals(photo: Picture) -> list[Array]:
    """Quadrilaterals (4, 2) in photo pixels that may be roughly an outline, likeliest first."""
    h, w = photo.shape[:2]
    scale = min(1.0, _COARSE_SIDE / max(w, h))
    resized = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    small = np.asarray(resized, np.uint8)
    whole = float(small.shape[0] * small.shape[1])
    slope = _slope(small)
    scored: list[tuple[float, Array]] = []
    for mask in _silhouettes(small):
        for contour in cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)[0]:
            area = cv2.contourArea(contour)
            if not _LEAST_SHARE * whole < area < _MOST_SHARE * whole:
                continue
            hull = cv2.convexHull(contour)
            if area < _SOLIDITY * cv2.contourArea(hull):
                continue
            quad = _as_quadrilateral(hull)
            if quad is not None:
                support = _edge_support(slope, quad)
                if support > _COARSE_SUPPORT:
                    scored.append((support * area, from_top_left(quad)))
    kept: list[Array] = []
    for _, quad in sorted(scored, key=lambda pair: -pair[0]):
        if all(_apart(quad, other) > 0.015 for other in kept):
            kept.append(quad)
        if len(kept) == _PROPOSALS:
            break
    return [_scaled(quad, 1 / scale) for quad in kept]


def _settled(picture: Picture, quad: Array) -> Outline | None:
    """Move the sides of a quadrilateral to the outermost lines along them; None if one has none."""
    for _ in range(2):
        lines = [_lines(picture, quad, side) for side in range(4)]
        if not all(lines):
            return None
        widths = sorted(max(side, key=lambda line: line.strength).width for side in lines)
        lines = [[a for a in side if a.width <= _SOFT * widths[1]] or side for side in lines]
        outer = _moved(quad, [side[0] for side in lines])
        if outer is None:
            return None
        inner = None
        if all(len(side) > 1 for side in lines):
            inner = _moved(quad, [side[1] for side in lines])
        quad = outer
    return Outline(quad, inner)


def _lines(picture: Picture, quad: Array, side: int) -> list[_Line]:
    """The straight edges along a side of a quadrilateral that end with it, outermost first."""
    start, end = quad[side], quad[(side + 1) % 4]
    length = float(np.linalg.norm(end - start))
    reach = max(8, round(_BAND * longest_side(quad)))
    slopes = _slopes(picture, start, end, reach)
    along, beyond = slopes[_BEYOND:-_BEYOND], (slopes[:_BEYOND], slopes[-_BEYOND:])
    least = max(_LEAST_SLOPE, _ABOVE_GROUND * float(np.median(along[:, reach:])))
    piece, offset = _ridges(along)
    height = along[piece, np.rint(offset).astype(int)]
    # Half pixels: a ridge counts for the lines that pass it by no more than that.
    count = 2 * reach + 1
    seen = np.zeros((_PIECES, 2 * count), np.float32)
    for shift in (-1, 0, 1):
        np.maximum.at(seen, (piece, np.rint(2 * offset).astype(int) + shift), height)
    # Every line through the band, by its offsets at the two ends of the side.
    at = (np.arange(_PIECES) + 0.5) / _PIECES
    first, last = np.meshgrid(np.arange(count), np.arange(count), indexing="ij")
    index = np.rint(2 * (first[..., None] + (last - first)[..., None] * at)).astype(int)
    strength = np.quantile(seen[np.arange(_PIECES), index], 0.25, axis=2).astype(np.float32)
    strength[np.abs(first - last) > max(6.0, _SLANT * longest_side(quad))] = 0
    peak = (strength == cv2.dilate(strength, np.ones((5, 5), np.uint8))) & (strength > least)
    lines: list[_Line] = []
    for i, j in sorted(np.argwhere(peak).tolist(), key=lambda ij: -strength[ij[0], ij[1]]):
        near = np.abs(offset - (i + (j - i) * at[piece])) < 1.5
        points = np.column_stack([length * at[piece], offset])[near].astype(np.float32)
        vx, vy, x, y = cv2.fitLine(points, cv2.DIST_HUBER, 0, 0.01, 0.01).ravel().tolist()
        ends = (y - x * vy / vx, y + (length - x) * vy / vx)
        if any(abs(sum(ends) / 2 - reach - line.offset) < 2 for line in lines):
            continue
        if _continues(beyond, ends, 0.5 * float(strength[i, j])):
            continue
        width = _width(along, np.rint(ends[0] + (ends[1] - ends[0]) * at).astype(int))
        lines.append(_Line((ends[0] - reach, ends[1] - reach), float(strength[i, j]), width))
    return sorted(lines, key=lambda line: -line.offset)


def _ridges(slopes: Strip) -> tuple[NDArray[np.int_], Array]:
    """Where in each piece the slope is greatest: piece, and offset to a fraction of a pixel."""
    before, peak, after = slopes[:, :-2], slopes[:, 1:-1], slopes[:, 2:]
    piece, at = np.nonzero((peak >= before) & (peak > after))
    before, peak, after = before[piece, at], peak[piece, at], after[piece, at]
    shift = (after - before) / (2 * (2 * peak - before - after))
    return piece, np.asarray(at + 1 + shift, np.float64)


def _slopes(picture: Picture, start: Array, end: Array, reach: int) -> Strip:
    """Slope across a side, grey levels per pixel, of the channel where it is steepest.

    Returns:
        (pieces, 2 reach + 1): the pieces of the side and of its continuation at both ends, each
        averaged along its length; from `reach` pixels inside to as many outside.
    """
    length = float(np.linalg.norm(end - start))
    along = (end - start) / length
    normal = np.array([along[1], -along[0]])
    samples = max(2, math.ceil(length / _PIECES))
    pieces = _PIECES + 2 * _BEYOND
    t = (np.arange(pieces * samples) + 0.5) / (_PIECES * samples) - _BEYOND / _PIECES
    offsets = np.arange(-reach, reach + 1)
    grid = (start + (end - start) * t[:, None, None] + offsets[None, :, None] * normal).astype(
        np.float32
    )
    strip = cv2.remap(
        picture, grid[..., 0], grid[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    mean = strip.reshape(pieces, samples, len(offsets), 3).mean(axis=1, dtype=np.float32)
    smooth = cv2.GaussianBlur(mean, (0, 0), sigmaX=1.0, sigmaY=0.01)
    steepest: Strip = np.abs(np.gradient(smooth, axis=1)).max(axis=2).astype(np.float32)
    return steepest


def _width(slopes: Strip, index: NDArray[np.int_]) -> float:
    """How many pixels outwards of a line its slope has fallen to half."""
    outwards = (index[:, None] + np.arange(-1, 16)).clip(0, slopes.shape[1] - 1)
    profile = np.median(slopes[np.arange(len(index))[:, None], outwards], axis=0)
    peak = int(profile[:3].argmax())
    half = profile[peak] / 2
    below = np.flatnonzero(profile[peak:] < half)
    if not below.size:
        return math.inf
    step = int(below[0])
    before, after = profile[peak + step - 1 : peak + step + 1]
    return step - 1 + float((before - half) / (before - after))


def _continues(beyond: tuple[Strip, Strip], ends: tuple[float, float], least: float) -> bool:
    """Whether a line goes on beyond an end of the side, as the edge of a table does."""
    step = (ends[1] - ends[0]) / _PIECES
    for sign, strip, end in ((-1, beyond[0][::-1], ends[0]), (1, beyond[1], ends[1])):
        # Two pieces may be the face's own corner, which is not where it was thought.
        at = np.arange(2, _BEYOND)
        index = np.rint(end + sign * step * (at + 0.5)).astype(int)
        inside = (index > 0) & (index < strip.shape[1] - 1)
        if not inside.all():
            continue
        if np.max([strip[at, index + d] for d in (-1, 0, 1)], axis=0).min() > least:
            return True
    return False


def _moved(quad: Array, lines: list[_Line]) -> Array | None:
    """The quadrilateral whose sides are these lines; None if they cross out of order."""
    sides = []
    for start, end, line in zip(quad, np.roll(quad, -1, axis=0), lines, strict=True):
        along = (end - start) / np.linalg.norm(end - start)
        normal = np.array([along[1], -along[0]])
        first, last = start + line.ends[0] * normal, end + line.ends[1] * normal
        sides.append(np.cross([*first, 1.0], [*last, 1.0]))
    crossings = [
        np.cross(before, after)
        for before, after in zip([sides[-1], *sides[:-1]], sides, strict=True)
    ]
    corners = np.array([crossing[:2] / crossing[2] for crossing in crossings])
    far = np.linalg.norm(corners - quad, axis=1).max() > 3 * _BAND * longest_side(quad)
    return None if far or not np.isfinite(corners).all() else corners


def _silhouettes(picture: Picture) -> list[MatLike]:
    """Binary pictures in which the outline of the face may be a contour."""
    masks = []
    lab = cv2.cvtColor(picture, cv2.COLOR_BGR2LAB)
    tint = (3.0 * lab[..., 1:] - 256).clip(0, 255).astype(np.uint8)
    for channel in (*cv2.split(picture), lab[..., 0], *cv2.split(tint)):
        smooth = cv2.GaussianBlur(channel, (0, 0), 1.5)
        for low in (20, 60):
            edges = cv2.Canny(smooth, low, 3 * low)
            masks.append(cv2.dilate(edges, np.ones((3, 3), np.uint8)))
        otsu, _ = cv2.threshold(smooth, 0, 255, cv2.THRESH_OTSU)
        for level in (0.5 * otsu, otsu, 255 - 0.5 * (255 - otsu)):
            masks.append(cv2.threshold(smooth, level, 255, cv2.THRESH_BINARY)[1])
            masks.append(cv2.bitwise_not(masks[-1]))
    return masks


def _as_quadrilateral(hull: MatLike) -> Array | None:
    """Four corners (4, 2) of a hull that is nearly a quadrilateral, else None."""
    for share in (0.01, 0.02, 0.04, 0.06):
        corners = cv2.approxPolyDP(hull, share * cv2.arcLength(hull, True), True)[:, 0]
        if len(corners) == 4:
            quad = corners.astype(float)
            return quad if _fills(hull, quad) else None
    return None


def _fills(hull: MatLike, quad: Array) -> bool:
    """Whether a hull keeps to its four sides (a disc does not) and is no sliver."""
    side = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    if side.min() < 0.12 * side.max():
        return False
    outline = quad.astype(np.float32)
    distances = [
        abs(cv2.pointPolygonTest(outline, tuple(map(float, point)), True)) for point in hull[:, 0]
    ]
    return max(distances) < 0.03 * float(side.max())


def _slope(picture: Picture) -> Strip:
    """Gradient magnitude of the strongest channel, grown by a pixel, grey levels per pixel."""
    smooth = cv2.GaussianBlur(picture, (0, 0), 1.0)
    dx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8)
    dy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8)
    steepest = cv2.magnitude(dx, dy).max(axis=2)
    return np.asarray(cv2.dilate(steepest, np.ones((5, 5), np.uint8)), np.float32)


def _edge_support(slope: Strip, quad: Array) -> float:
    """Share of the weakest side of a quadrilateral along which there is an edge."""
    shares = []
    for start, end in zip(quad, np.roll(quad, -1, axis=0), strict=True):
        stations = start + (end - start) * np.linspace(0.05, 0.95, 50)[:, None]
        x, y = np.round(stations).astype(int).T
        y, x = y.clip(0, slope.shape[0] - 1), x.clip(0, slope.shape[1] - 1)
        shares.append((slope[y, x] > 4.0).mean())
    return float(min(shares))


def from_top_left(quad: Array) -> Array:
    """The corners clockwise, starting at the one nearest the photo's top left."""
    centre = quad.mean(axis=0)
    order = np.argsort(np.arctan2(quad[:, 1] - centre[1], quad[:, 0] - centre[0]))
    clockwise = quad[order]
    return np.roll(clockwise, -int(clockwise.sum(axis=1).argmin()), axis=0)


def area(corners: Array) -> float:
    """Of a quadrilateral (4, 2)."""
    return float(cv2.contourArea(corners.astype(np.float32)))


def _scaled(points: Array, scale: float) -> Array:
    """Pixel points of a picture in the same picture made `scale` times as large."""
    return (points + 0.5) * scale - 0.5


def _apart(first: Array, second: Array) -> float:
    """The largest distance of corners, in shares of the longest side."""
    return float(np.linalg.norm(first - second, axis=1).max()) / longest_side(second)
