"""Views of one flat face before a camera, rendered with exact truth.

A pinhole camera looks at a face at any roll, tilt and distance; clutter, the body behind the face,
occluders, light, specular streaks, blur, noise and compression come on top. Colours are plain
8-bit; nothing here is photometrically exact, the geometry is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.box import Box
from stn_ros.geometry.homography import Array, apply, face_corners
from stn_ros.synthesis.drawing import Picture

Range = tuple[float, float]
Backdrop = Callable[[np.random.Generator, tuple[int, int]], Picture]
"""(rng, (width, height)) -> BGR picture of that size."""


@dataclass(frozen=True)
class Conditions:
    """What may happen in a view; a pair is the range a value is drawn from.

    Attributes:
        tilt: angle between the face's normal and the line of sight to its centre, degrees.
        roll: rotation of the face about its normal, degrees.
        long_side: length of the face's longer side were it seen square-on, pixels, log-uniform.
        blur: Gaussian sigma, pixels.
        motion_blur: greatest length of a linear motion blur in place of it, pixels.
        motion_share: share of the blurred views that get motion blur.
        noise: sigma, grey levels.
        occluded: share of the face covered by occluders.
        occluded_share: share of the views that have occluders at all.
        cut_share: share of the views where the face may leave the frame (at most 40 % of it).
        harsh_light: share of the views with strong gradients, streaks, shadows and colour casts.
        compressed: share of the views that went through JPEG.
        body_share: share of the views where the face is the front of a thick body.
        clutter: greatest number of other pictures lying around.
    """

    tilt: Range = (0.0, 60.0)
    roll: Range = (-180.0, 180.0)
    long_side: Range = (45.0, 300.0)
    blur: Range = (0.0, 2.5)
    motion_blur: float = 9.0
    motion_share: float = 0.15
    noise: Range = (0.0, 8.0)
    occluded: Range = (0.03, 0.45)
    occluded_share: float = 0.45
    cut_share: float = 0.15
    harsh_light: float = 0.5
    compressed: float = 0.15
    body_share: float = 0.25
    clutter: int = 2


@dataclass(frozen=True)
class LabelledFrame:
    """Where a face is in a frame.

    Attributes:
        frame: (H, W, 3) uint8 BGR, the whole camera frame, or the part of it near the face.
        homography: 3x3, canonical pixels (of the face picture) -> frame pixels.
        box: (left, top, width, height), the face's outline clipped to the frame, frame pixels.
        visible: share of the face that is neither occluded nor out of the frame.
    """

    frame: Picture
    homography: Array
    box: Box
    visible: float


@dataclass(frozen=True)
class RenderedFrame(LabelledFrame):
    """A rendered frame, and what it was rendered with.

    Attributes:
        camera: 3x3, the pinhole camera's matrix for `frame`.
        size: (width, height) of the face picture.
        tilt: degrees. long_side: pixels, see `Conditions`. blur: sigma or length in pixels.
    """

    camera: Array
    size: tuple[int, int]
    tilt: float
    long_side: float
    blur: float


def face_homography(
    size: tuple[int, int],
    centre: tuple[float, float],
    long_side: float,
    roll: float,
    tilt: float,
    azimuth: float,
    focal: float,
    principal: tuple[float, float],
) -> Array:
    """Homography of a face held before a pinhole camera.

    Args:
        size: (width, height) of the face picture. centre: where the face's centre is seen, pixels.
        long_side: see `Conditions`. roll, tilt, azimuth: radians; the face is rotated by `roll`
            about its normal, then tilted by `tilt` about an axis at `azimuth` in the plane that
            is square to the line of sight. focal: pixels. principal: principal point, pixels.

    Returns:
        3x3, canonical pixels -> camera pixels, h33 = 1.
    """
    w, h = size
    to_plane = np.array([[1.0, 0, -(w - 1) / 2], [0, 1.0, -(h - 1) / 2], [0, 0, 1]])
    to_plane[:2] /= max(w, h)
    ray = np.array([(centre[0] - principal[0]) / focal, (centre[1] - principal[1]) / focal, 1.0])
    depth = focal / long_side
    axis = np.array([math.cos(azimuth), math.sin(azimuth), 0.0])
    tilting = cv2.Rodrigues(axis * tilt)[0]
    rolling = cv2.Rodrigues(np.array([0.0, 0.0, roll]))[0]
    sight = ray / np.linalg.norm(ray)
    cross = np.cross([0.0, 0.0, 1.0], sight)
    angle = math.asin(min(1.0, float(np.linalg.norm(cross))))
    facing = cv2.Rodrigues(cross / max(np.linalg.norm(cross), 1e-12) * angle)[0]
    rotation = facing @ tilting @ rolling
    camera = np.array([[focal, 0, principal[0]], [0, focal, principal[1]], [0, 0, 1.0]])
    extrinsic = np.column_stack([rotation[:, 0], rotation[:, 1], ray * depth])
    homography: Array = camera @ extrinsic @ to_plane
    homography /= homography[2, 2]
    return homography


def render_frame(
    rng: np.random.Generator,
    face: Picture,
    backdrop: Backdrop,
    conditions: Conditions,
    frame_size: tuple[int, int] = (640, 480),
    near_only: bool = False,
) -> RenderedFrame:
    """Render a frame that shows `face`, drawn at random within `conditions`.

    Args:
        rng: all randomness comes from here. face: (h, w, 3) uint8 BGR.
        backdrop: makes backgrounds, clutter and occluders. frame_size: of the camera.
        near_only: render only the part of the frame near the face (for training: faster).
    """
    h, w = face.shape[:2]
    size = (w, h)
    tilt, long_side = rng.uniform(*conditions.tilt), _log_uniform(rng, conditions.long_side)
    homography, camera = _placed(rng, size, tilt, long_side, frame_size, conditions)
    corners = apply(homography, face_corners(size))
    window = nearby(corners, frame_size) if near_only else (0, 0, *frame_size)
    shift = np.array([[1.0, 0, -window[0]], [0, 1.0, -window[1]], [0, 0, 1.0]])
    homography = shift @ homography
    extent = (window[2] - window[0], window[3] - window[1])

    frame = np.ascontiguousarray(backdrop(rng, extent))
    for _ in range(rng.integers(0, conditions.clutter + 1)):
        _lay_clutter(rng, frame, backdrop, long_side)
    if rng.random() < conditions.body_share:
        _draw_body(rng, frame, face, homography)
    paste_face(frame, face, homography)
    covered: Picture = np.zeros((32, 32), np.uint8)
    if rng.random() < conditions.occluded_share:
        covered = _occlude(rng, frame, homography, size, backdrop, conditions.occluded)
    _light(rng, frame, homography, size, rng.random() < conditions.harsh_light)
    frame, blur = _blurred(rng, frame, conditions)
    frame = _noisy(rng, frame, rng.uniform(*conditions.noise))
    if rng.random() < conditions.compressed:
        frame = _jpeg(frame, int(rng.integers(40, 95)))

    return RenderedFrame(
        frame=frame,
        homography=homography,
        camera=shift @ camera,
        size=size,
        box=clipped_box(apply(homography, face_corners(size)), extent),
        visible=_visible_share(homography, size, covered, extent),
        tilt=tilt,
        long_side=long_side,
        blur=blur,
    )


def nearby(corners: Array, frame_size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of a frame (left, top, right, bottom) around a face that training reads from.

    Args:
        corners: (4, 2) of the face, frame pixels. frame_size: (width, height).
    """
    low, high = corners.min(axis=0), corners.max(axis=0)
    reach = 0.6 * (high - low).max() + 4
    return (
        max(0, int(low[0] - reach)),
        max(0, int(low[1] - reach)),
        min(frame_size[0], int(high[0] + reach)),
        min(frame_size[1], int(high[1] + reach)),
    )


def clipped_box(corners: Array, frame_size: tuple[int, int]) -> Box:
    """The box around corners (4, 2), clipped to the frame. Raises ValueError if none is inside."""
    box = Box.around(corners).clipped(frame_size)
    if box is None:
        raise ValueError(f"corners {corners.tolist()} lie outside a frame of {frame_size}")
    return box


def photographed(rng: np.random.Generator, picture: Picture) -> Picture:
    """A good photo of a face, as one teaches with: not quite its sharpness, tones and colours."""
    photo: NDArray[Any] = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 0.8))
    photo = photo.astype(np.float32)
    photo = 255 * (photo / 255) ** rng.uniform(0.85, 1.2) * rng.uniform(0.85, 1.05)
    photo = photo * (1 + 0.06 * rng.uniform(-1, 1, 3)) + rng.normal(0, 1.5, photo.shape)
    return _jpeg(photo.clip(0, 255).astype(np.uint8), 92)


def _jpeg(picture: Picture, quality: int) -> Picture:
    """What JPEG of `quality`, 1..100, leaves of a picture."""
    encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))


@dataclass(frozen=True)
class MipLevel:
    """A face's picture at one resolution, ready to be drawn.

    Attributes:
        pixels: (h, w, 4) uint8 BGRA.
        size: (width, height) of the face picture it was made of.
    """

    pixels: Picture
    size: tuple[int, int]

    @classmethod
    def of(cls, face: Picture, size: tuple[int, int] | None = None) -> MipLevel:
        """The level of `face` (h, w, 3), which may itself be a reduction of one of `size`."""
        pixels = cv2.cvtColor(face, cv2.COLOR_BGR2BGRA)
        return cls(pixels, size or (face.shape[1], face.shape[0]))

    @property
    def to_face(self) -> Array:
        """3x3, pixels of this level -> canonical pixels of the face picture."""
        x, y = self.size[0] / self.pixels.shape[1], self.size[1] / self.pixels.shape[0]
        return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1.0]])


def paste_face(frame: Picture, face: Picture, homography: Array) -> None:
    """Draw `face` into `frame` in place through `homography`, smoothed to the frame's sampling."""
    size = (face.shape[1], face.shape[0])
    corners = apply(homography, face_corners(size))
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1)
    seen = max(min(sides[1], sides[3]), min(sides[0], sides[2]), 1.0)
    reduced = face
    while max(reduced.shape[:2]) / seen > 2.0:
        # By its size, not by a factor: OpenCV would scale by exactly that and cut odd sides off.
        half = (max(1, round(reduced.shape[1] / 2)), max(1, round(reduced.shape[0] / 2)))
        reduced = cv2.resize(reduced, half, interpolation=cv2.INTER_AREA)
    left, top, right, bottom = _region(corners, frame)
    over = 2 if (right - left) * (bottom - top) < 200 * 200 else 1
    paste_level(frame, MipLevel.of(reduced, size), homography, over)


def paste_level(
    frame: Picture,
    level: MipLevel,
    homography: Array,
    oversampling: int = 1,
    light: float = 1.0,
) -> None:
    """Draw a face into `frame` (H, W, 3) in place.

    Args:
        level: of about the frame's resolution, or up to `oversampling` times as fine.
        homography: 3x3, canonical pixels of the face picture -> frame pixels.
        oversampling: samples a pixel, along each axis. light: factor on the face's grey levels.
    """
    left, top, right, bottom = _region(apply(homography, face_corners(level.size)), frame)
    if right <= left or bottom <= top:
        return
    over = oversampling
    to_region = np.array(
        [
            [over, 0, -left * over + (over - 1) / 2],
            [0, over, -top * over + (over - 1) / 2],
            [0, 0, 1.0],
        ]
    )
    patch = cv2.warpPerspective(
        level.pixels,
        to_region @ homography @ level.to_face,
        ((right - left) * over, (bottom - top) * over),
        flags=cv2.INTER_LINEAR,
    )
    if over > 1:
        patch = cv2.resize(patch, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    colour = cv2.cvtColor(patch, cv2.COLOR_BGRA2BGR)
    if light != 1.0:
        colour = cv2.convertScaleAbs(colour, alpha=light)
    alpha = cv2.extractChannel(patch, 3)
    _blend(frame[top:bottom, left:right], colour, alpha, premultiplied=True)


def _region(corners: Array, frame: Picture) -> tuple[int, int, int, int]:
    """The part of the frame (left, top, right, bottom) that a face with these corners touches."""
    left, top = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 1, 0)
    right, bottom = np.minimum(
        np.ceil(corners.max(axis=0)).astype(int) + 2, [frame.shape[1], frame.shape[0]]
    )
    return int(left), int(top), int(right), int(bottom)


def _blend(region: Picture, colour: Picture, alpha: Picture, premultiplied: bool = False) -> None:
    """Region <- colour over region, in place, uint8."""
    alpha3 = cv2.merge([alpha, alpha, alpha])
    if not premultiplied:
        colour = cv2.multiply(colour, alpha3, scale=1 / 255)
    kept = cv2.multiply(region, cv2.bitwise_not(alpha3), scale=1 / 255)
    cv2.add(kept, colour, dst=kept)
    region[:] = kept


def _log_uniform(rng: np.random.Generator, bounds: Range) -> float:
    return float(math.exp(rng.uniform(math.log(bounds[0]), math.log(bounds[1]))))


def _placed(
    rng: np.random.Generator,
    size: tuple[int, int],
    tilt: float,
    long_side: float,
    frame_size: tuple[int, int],
    conditions: Conditions,
) -> tuple[Array, Array]:
    """Homography and camera, with the face in the frame or, where that may be, partly out of it."""
    width, height = frame_size
    principal = ((width - 1) / 2, (height - 1) / 2)
    may_leave = rng.random() < conditions.cut_share
    for attempt in range(30):
        # A face too large for the frame at any place is moved away from the camera.
        length = long_side * (1.0 if attempt < 10 else 0.97 ** (attempt - 9))
        focal = width * rng.uniform(0.7, 1.8)
        homography = face_homography(
            size,
            (rng.uniform(0.08, 0.92) * width, rng.uniform(0.08, 0.92) * height),
            length,
            math.radians(rng.uniform(*conditions.roll)),
            math.radians(tilt),
            rng.uniform(-math.pi, math.pi),
            focal,
            principal,
        )
        corners = apply(homography, face_corners(size))
        inside = (corners > -0.5) & (corners < np.array(frame_size) - 0.5)
        if inside.all() or (
            may_leave
            and _visible_share(homography, size, np.zeros((32, 32), np.uint8), frame_size) > 0.6
        ):
            break
    return homography, np.array([[focal, 0, principal[0]], [0, focal, principal[1]], [0, 0, 1.0]])


def _visible_share(
    homography: Array, size: tuple[int, int], covered: Picture, extent: tuple[int, int]
) -> float:
    """Share of the face inside the frame and not covered; `covered` is a mask over the face."""
    rows, columns = covered.shape
    xs, ys = np.meshgrid((np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows)
    points = np.column_stack([xs.ravel() * size[0] - 0.5, ys.ravel() * size[1] - 0.5])
    seen = apply(homography, points)
    inside = ((seen > -0.5) & (seen < np.array(extent) - 0.5)).all(axis=1)
    return float((inside & (covered.ravel() == 0)).mean())


def _hidden(homography: Array, size: tuple[int, int], corners: Array) -> NDArray[np.bool_]:
    """(32, 32) over a face: where the convex `corners` (4, 2) of another, in the frame, hide it."""
    xs, ys = np.meshgrid((np.arange(32) + 0.5) / 32, (np.arange(32) + 0.5) / 32)
    points = np.column_stack([xs.ravel() * size[0] - 0.5, ys.ravel() * size[1] - 0.5])
    ways = apply(homography, points)[:, None] - corners
    edges = np.roll(corners, -1, axis=0) - corners
    sides = edges[:, 0] * ways[..., 1] - edges[:, 1] * ways[..., 0]
    inside = (sides > 0).all(axis=1) | (sides < 0).all(axis=1)
    return np.asarray(inside, np.bool_).reshape(32, 32)


def _lay_clutter(
    rng: np.random.Generator, frame: Picture, backdrop: Backdrop, long_side: float
) -> None:
    """Another picture lying about, anywhere."""
    extent = rng.uniform(0.4, 1.3, 2) * long_side
    side = (max(8, int(extent[0] / 2)), max(8, int(extent[1] / 2)))
    picture = backdrop(rng, side)
    homography = face_homography(
        side,
        (rng.uniform(0, frame.shape[1]), rng.uniform(0, frame.shape[0])),
        max(extent),
        rng.uniform(-math.pi, math.pi),
        rng.uniform(0, 1.0),
        rng.uniform(-math.pi, math.pi),
        600.0,
        ((frame.shape[1] - 1) / 2, (frame.shape[0] - 1) / 2),
    )
    paste_face(frame, picture, homography)


def _draw_body(rng: np.random.Generator, frame: Picture, face: Picture, homography: Array) -> None:
    """The sides of a box whose front is the face: the hull of the face and its shifted copy."""
    corners = apply(homography, face_corners((face.shape[1], face.shape[0])))
    reach = np.linalg.norm(corners[0] - corners[2]) * rng.uniform(0.05, 0.35)
    direction = rng.uniform(-math.pi, math.pi)
    behind = corners + reach * np.array([math.cos(direction), math.sin(direction)])
    colour = np.array(cv2.mean(face))[:3] * rng.uniform(0.3, 1.1) + rng.uniform(-20, 20, 3)
    for first in range(4):
        second = (first + 1) % 4
        quad = np.array([corners[first], corners[second], behind[second], behind[first]])
        shade = np.clip(colour * rng.uniform(0.6, 1.2), 0, 255)
        cv2.fillConvexPoly(
            frame,
            cv2.convexHull((quad * 16).astype(np.int32)),
            shade.tolist(),
            cv2.LINE_AA,
            shift=4,
        )


def _occluder_outline(rng: np.random.Generator, kind: int) -> list[Array]:
    """Closed outlines in face units, the face spanning [0, 1] x [0, 1]."""
    if kind == 0:
        angle, push = rng.uniform(-math.pi, math.pi), rng.uniform(0.1, 0.5)
        normal = np.array([math.cos(angle), math.sin(angle)])
        along = np.array([-normal[1], normal[0]])
        start = 0.5 + normal * push
        return [
            np.array(
                [
                    start - 2 * along,
                    start + 2 * along,
                    start + 2 * along + 2 * normal,
                    start - 2 * along + 2 * normal,
                ]
            )
        ]
    if kind == 1:
        angles = np.linspace(0, 2 * math.pi, 24, endpoint=False)
        modulation = 1 + 0.25 * np.sin(angles * rng.integers(2, 5) + rng.uniform(0, 6))
        radii = rng.uniform(0.08, 0.4, 2)
        return [
            rng.uniform(0, 1, 2)
            + np.column_stack([np.cos(angles), np.sin(angles)]) * radii * modulation[:, None]
        ]
    if kind == 2:
        centre, half, angle = rng.uniform(0, 1, 2), rng.uniform(0.06, 0.35, 2), rng.uniform(0, 3.2)
        rotation = np.array(
            [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        )
        return [centre + (np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half) @ rotation.T]
    angle = rng.uniform(-math.pi, math.pi)
    inward = -np.array([math.cos(angle), math.sin(angle)])
    across = np.array([-inward[1], inward[0]])
    width = rng.uniform(0.06, 0.13)
    fingers = []
    for index in range(rng.integers(1, 5)):
        base = 0.5 - inward * 0.9 + across * (index - 1.5) * width * 1.25
        length = rng.uniform(0.5, 1.0)
        arc = np.linspace(-math.pi / 2, math.pi / 2, 7)
        tip = base + inward * length
        round_tip = tip + width / 2 * (
            np.outer(np.cos(arc), inward) + np.outer(np.sin(arc), across)
        )
        fingers.append(np.vstack([base - across * width / 2, round_tip, base + across * width / 2]))
    return fingers


def _occlude(
    rng: np.random.Generator,
    frame: Picture,
    homography: Array,
    size: tuple[int, int],
    backdrop: Backdrop,
    share: Range,
) -> Picture:
    """Cover a share of the face in place; returns the covered mask, 32 x 32 over the face."""
    outlines: list[Array] = []
    mask = np.zeros((32, 32), np.uint8)
    for _ in range(25):
        outlines = _occluder_outline(rng, int(rng.integers(0, 4)))
        mask = np.zeros((32, 32), np.uint8)
        for outline in outlines:
            cv2.fillPoly(mask, [np.round(outline * 32 - 0.5).astype(np.int32)], 1)
        if share[0] <= mask.mean() <= share[1]:
            break
    else:
        return np.zeros((32, 32), np.uint8)
    stencil = np.zeros(frame.shape[:2], np.uint8)
    for outline in outlines:
        seen = _clipped_polygon(homography, outline * np.array(size) - 0.5)
        cv2.fillPoly(stencil, [np.round(seen * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    left, top, width, height = cv2.boundingRect(stencil)
    if width == 0:
        return mask
    region = frame[top : top + height, left : left + width]
    if rng.random() < 0.5:
        colour = np.empty_like(region)
        colour[:] = rng.uniform(0, 255, 3)
        colour = cv2.add(
            colour, cv2.resize(rng.integers(0, 50, (4, 4, 3), dtype=np.uint8), (width, height))
        )
    else:
        colour = backdrop(rng, (width, height))
    _blend(region, colour, stencil[top : top + height, left : left + width])
    return mask


def _clipped_polygon(homography: Array, points: Array) -> Array:
    """Points through a homography, kept before the camera and within drawing range."""
    mapped = np.column_stack([points, np.ones(len(points))]) @ homography.T
    seen: Array = mapped[:, :2] / np.maximum(mapped[:, 2:], 0.05)
    return seen.clip(-2000, 4000)


def _light(
    rng: np.random.Generator,
    frame: Picture,
    homography: Array,
    size: tuple[int, int],
    harsh: bool,
) -> None:
    """Gain, gradients, shadows, colour casts and specular streaks, in place."""
    height, width = frame.shape[:2]
    spread = 0.35 if harsh else 0.1
    coarse = (
        128
        * rng.uniform(0.55 if harsh else 0.8, 1.15)
        * (1 + spread * rng.uniform(-1, 1, (rng.integers(2, 4), rng.integers(2, 4), 1)))
    )
    cast = 1 + (0.15 if harsh else 0.04) * rng.uniform(-1, 1, 3)
    grid = np.clip(coarse * cast, 0, 255).astype(np.uint8)
    light = cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR)
    if harsh and rng.random() < 0.3:
        edge = _occluder_outline(rng, int(rng.integers(0, 3)))[0]
        seen = _clipped_polygon(homography, edge * np.array(size) - 0.5)
        shadow = np.full((height, width), 255, np.uint8)
        cv2.fillPoly(shadow, [np.round(seen).astype(np.int32)], int(rng.integers(110, 210)))
        soft = cv2.blur(shadow, (int(rng.integers(3, 13)),) * 2)
        light = cv2.multiply(light, cv2.merge([soft] * 3), scale=1 / 255)
    cv2.multiply(frame, light, dst=frame, scale=1 / 128)
    if harsh and rng.random() < 0.4:
        glare: Picture = np.zeros((64, 64), np.uint8)
        centre = rng.uniform(0, 64, 2)
        axes = (rng.uniform(2, 30), rng.uniform(1, 6))
        cv2.ellipse(
            glare,
            (tuple(centre), (2 * axes[0], 2 * axes[1]), rng.uniform(0, 180)),
            int(rng.integers(60, 256)),
            -1,
        )
        glare = cv2.GaussianBlur(glare, (0, 0), rng.uniform(1.5, 4))
        corners = apply(homography, face_corners(size))
        to_frame = cv2.getPerspectiveTransform(
            np.array([[0, 0], [64, 0], [64, 64], [0, 64]], np.float32), corners.astype(np.float32)
        )
        wide = cv2.warpPerspective(glare, to_frame, (width, height))
        cv2.add(frame, cv2.merge([wide] * 3), dst=frame)


def _blurred(
    rng: np.random.Generator, frame: Picture, conditions: Conditions
) -> tuple[Picture, float]:
    if rng.random() < conditions.motion_share:
        length = rng.uniform(2, max(2.1, conditions.motion_blur))
        side = int(length) // 2 * 2 + 3
        kernel = np.zeros((side, side), np.float32)
        angle, middle = rng.uniform(0, math.pi), side // 2
        reach = np.array([math.cos(angle), math.sin(angle)]) * length / 2
        ends = [tuple(round((middle + sign * r) * 16) for r in reach) for sign in (-1, 1)]
        cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA, shift=4)
        return cv2.filter2D(frame, -1, kernel / kernel.sum()), length
    sigma = rng.uniform(*conditions.blur)
    if sigma < 0.3:
        return frame, sigma
    return cv2.GaussianBlur(frame, (0, 0), sigma), sigma


@cache
def _noise_bank() -> NDArray[np.float32]:
    """Unit Gaussian noise to cut pieces from: drawing fresh noise would cost more than all else."""
    return np.random.default_rng(20260101).normal(size=(1200, 1200, 3)).astype(np.float32)


def _noisy(rng: np.random.Generator, frame: Picture, sigma: float) -> Picture:
    if sigma < 0.3:
        return frame
    bank: Picture = _noise_bank()
    height, width = frame.shape[:2]
    lacking = max(0, height - bank.shape[0]), max(0, width - bank.shape[1])
    if any(lacking):
        bank = cv2.copyMakeBorder(bank, 0, lacking[0], 0, lacking[1], cv2.BORDER_WRAP)
    top = int(rng.integers(0, max(1, bank.shape[0] - height)))
    left = int(rng.integers(0, max(1, bank.shape[1] - width)))
    piece = cv2.multiply(bank[top : top + height, left : left + width], np.full(3, sigma))
    return cv2.add(frame, piece, dtype=cv2.CV_8U)


SHARP = Conditions(
    tilt=(0, 45),
    long_side=(150, 250),
    blur=(0, 0.6),
    motion_share=0.0,
    noise=(0, 4),
    occluded_share=0.0,
    cut_share=0.0,
    harsh_light=0.3,
)
"""The plain held-out condition; the others differ from it in one thing each."""
HELD_OUT_CONDITIONS = {
    "sharp": SHARP,
    "blurred": replace(SHARP, blur=(1.5, 2.5)),
    "small": replace(SHARP, long_side=(60, 100)),
    "occluded": replace(SHARP, occluded_share=1.0, occluded=(0.09, 0.25)),
    "tilted": replace(SHARP, tilt=(45, 60)),
}


@dataclass(frozen=True)
class FacesFrame:
    """Several faces in a frame.

    Attributes:
        frame: (H, W, 3) uint8 BGR.
        homographies: of each face, 3x3, canonical pixels (of the face picture) -> frame pixels.
        visible: of each, the share that is neither hidden nor out of the frame.
        tilts: of each, degrees.
    """

    frame: Picture
    homographies: list[Array]
    visible: list[float]
    tilts: list[float]


def render_faces(
    rng: np.random.Generator,
    faces: Sequence[Picture],
    backdrop: Backdrop,
    conditions: Conditions,
    frame_size: tuple[int, int] = (640, 480),
) -> FacesFrame:
    """Render a frame that shows all of `faces`, each drawn at random within `conditions`.

    Faces are laid where they hide nothing of each other as far as there is room, later ones upon
    earlier ones where not. See `render_frame` for the arguments.
    """
    frame = np.ascontiguousarray(backdrop(rng, frame_size))
    for _ in range(rng.integers(0, conditions.clutter + 1)):
        _lay_clutter(rng, frame, backdrop, _log_uniform(rng, conditions.long_side))
    taken = np.zeros((frame_size[1] // 4, frame_size[0] // 4), np.uint8)
    homographies: list[Array] = []
    tilts: list[float] = []
    masks: list[NDArray[np.bool_]] = []
    for face in faces:
        size = (face.shape[1], face.shape[0])
        tilt = rng.uniform(*conditions.tilt)
        own = np.zeros_like(taken)
        for _ in range(8):
            long_side = _log_uniform(rng, conditions.long_side)
            homography, _ = _placed(rng, size, tilt, long_side, frame_size, conditions)
            corners = apply(homography, face_corners(size))
            own = np.zeros_like(taken)
            outline = np.round(((corners + 0.5) / 4 - 0.5) * 16).astype(np.int32)
            cv2.fillConvexPoly(own, outline, 1, cv2.LINE_8, 4)
            if not (own & taken).any():
                break
        taken |= own
        if rng.random() < conditions.body_share:
            _draw_body(rng, frame, face, homography)
        paste_face(frame, face, homography)
        covered: Picture = np.zeros((32, 32), np.uint8)
        if rng.random() < conditions.occluded_share:
            covered = _occlude(rng, frame, homography, size, backdrop, conditions.occluded)
        # Of those before, what this one lies upon is hidden.
        for below, other, mask in zip(faces, homographies, masks, strict=False):
            mask |= _hidden(other, (below.shape[1], below.shape[0]), corners)
        homographies.append(homography)
        tilts.append(tilt)
        masks.append(covered > 0)
    if faces:
        nearest = int(rng.integers(len(faces)))
        size = (faces[nearest].shape[1], faces[nearest].shape[0])
        harsh = rng.random() < conditions.harsh_light
        _light(rng, frame, homographies[nearest], size, harsh)
    frame, _ = _blurred(rng, frame, conditions)
    frame = _noisy(rng, frame, rng.uniform(*conditions.noise))
    if rng.random() < conditions.compressed:
        frame = _jpeg(frame, int(rng.integers(40, 95)))
    visible = [
        _visible_share(h, (f.shape[1], f.shape[0]), mask.astype(np.uint8), frame_size)
        for f, h, mask in zip(faces, homographies, masks, strict=True)
    ]
    return FacesFrame(frame, homographies, visible, tilts)
