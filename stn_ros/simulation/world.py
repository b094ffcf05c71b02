"""A camera's world without GL or physics: flat objects moving before a photo, with exact truth.

Everything is a function of time and seed: `render(t)` gives the same frame whenever it is asked,
in any order, so two runs see the same and truth needs no recording.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.box import Box
from stn_ros.geometry.camera import CameraModel
from stn_ros.geometry.homography import apply, compose, face_corners, to_corners
from stn_ros.geometry.planar_pose import canonical_to_object
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.synthesis import artwork
from stn_ros.synthesis.scene import MipLevel, paste_level
from stn_ros.synthesis.textures import Textures

Array = NDArray[np.float64]

FOCAL_SHARE = 600 / 640
NEAREST = 0.4
MAX_TILT = np.deg2rad(50.0)
# Object frame: y up, z out of the face; camera optical frame: y down, z into the scene (REP-103).
_FACING = np.diag([1.0, -1.0, -1.0])
# Of the photos kept out of training those that can pass for a room or a table.
_BACKDROPS = ("coffee.png", "chelsea.png", "gravel.png", "rocket.jpg", "flower.jpg")
_MASK_SCALE = 0.5
_TEXELS = 1.3
"""Face pixels a frame pixel when drawn: with fewer the print blurs, with more it aliases."""
_STEPS = 4
"""Levels of resolution an octave."""


@dataclass(frozen=True)
class Truth:
    """Where an object is in one frame.

    Attributes:
        object_name: of the `ObjectModel`.
        R, t: 3x3 and (3,), object frame -> camera optical frame, metres.
        homography: 3x3, canonical pixels (of the reference picture) -> camera pixels.
        box: (left, top, width, height) of the face's outline, clipped to the frame, pixels.
        visible: share of the face inside the frame and not behind another object, to about 1 %.
    """

    object_name: str
    R: Array
    t: Array
    homography: Array
    box: Box
    visible: float


@dataclass(frozen=True)
class Detection:
    """What a detector would report: a box (left, top, width, height) in pixels and a score."""

    object_name: str
    box: Box
    score: float


class _Wave:
    """A smooth path between `low` and `high`: two sines with periods of about `period` seconds."""

    def __init__(self, rng: np.random.Generator, low: float, high: float, period: float) -> None:
        self.middle, self.reach = (low + high) / 2, (high - low) / 2
        speeds = 2 * np.pi / (period * rng.uniform(0.8, 1.3, 2) * (1.0, 0.43))
        self.slow, self.fast = zip(speeds.tolist(), rng.uniform(0, 2 * np.pi, 2), strict=True)

    def at(self, t: float) -> float:
        slow, fast = (math.sin(speed * t + phase) for speed, phase in (self.slow, self.fast))
        return float(self.middle + self.reach * (0.8 * slow + 0.2 * fast))


class _Body:
    """One object, its path and its texture at the resolution it is seen at."""

    def __init__(
        self,
        rng: np.random.Generator,
        model: ObjectModel,
        place: tuple[float, float],
        camera: CameraModel,
    ) -> None:
        if model.size_m is None:
            raise ValueError(f"object {model.name!r} has no metric size: teach it with --size")
        self.model = model
        width, height = camera.size
        focal = camera.K[0, 0]
        # Near enough to be of use, far enough to fit into the frame at any turn.
        self.nearest = max(NEAREST, focal * max(model.size_m) / (0.62 * height))
        self.depth = _Wave(rng, self.nearest, 2 * self.nearest, 13.0)
        self.x = _Wave(rng, place[0] - 0.08 * width, place[0] + 0.08 * width, 12.0)
        self.y = _Wave(rng, place[1] - 0.06 * height, place[1] + 0.06 * height, 10.0)
        self.tilt = _Wave(rng, 0.0, MAX_TILT, 9.0)
        self.sway = _Wave(rng, -0.5, 0.5, 8.0)
        self.turns = rng.choice([-1, 1], 2) * 2 * np.pi / rng.uniform(25, 45, 2)
        self.start = rng.uniform(0, 2 * np.pi, 2)
        self.canonical_to_object = canonical_to_object(model.size, model.size_m)
        # The reference at the resolution of its nearest view: nothing finer is ever drawn.
        nearest = _TEXELS * focal / self.nearest * model.size_m[0] / model.size[0]
        self._face = _reduced(model.reference, np.array([nearest, nearest]))
        self._levels: dict[tuple[int, int], MipLevel] = {}

    def level(self, spans: Array) -> MipLevel:
        """The face as drawn where its pixels span `spans` (along x, along y) frame pixels.

        Levels differ by a sixth along either axis, so that a tilted face is smoothed along the
        tilt alone. Each is made when first seen.
        """
        scales = _TEXELS * spans * self.model.size / self._face.shape[1::-1]
        steps = np.minimum(0, np.floor(_STEPS * np.log2(scales)))
        key = (int(steps[0]), int(steps[1]))
        if key not in self._levels:
            reduced = _reduced(self._face, 2.0 ** (steps / _STEPS))
            self._levels[key] = MipLevel.of(reduced, self.model.size)
        return self._levels[key]

    def pose(self, t: float, camera: CameraModel) -> tuple[Array, Array]:
        """R, t: object frame -> camera optical frame."""
        roll, azimuth = self.start + self.turns * t
        tilt = self.tilt.at(t)
        axis = np.array([np.cos(azimuth), np.sin(azimuth), 0.0]) * tilt
        spin = np.array([0.0, 0.0, roll + self.sway.at(t)])
        fx, fy, cx, cy = camera.K[(0, 1, 0, 1), (0, 1, 2, 2)].tolist()
        ray = np.array([(self.x.at(t) - cx) / fx, (self.y.at(t) - cy) / fy, 1.0])
        # Tilt is measured from the line of sight, so that it means the same anywhere in the frame.
        sight = ray / math.sqrt(ray @ ray)
        cross = np.array([-sight[1], sight[0], 0.0])
        sine = math.hypot(sight[0], sight[1])
        facing = cross / max(sine, 1e-12) * math.asin(sine)
        rotation = (
            cv2.Rodrigues(facing)[0] @ cv2.Rodrigues(axis)[0] @ cv2.Rodrigues(spin)[0] @ _FACING
        )
        return rotation, ray * self.depth.at(t)


class World:
    """Flat objects before a camera.

    Attributes:
        camera: the camera, ideal (no distortion).
        backdrop: name of the photo behind the objects, or "drawn" where no photo is installed.
    """

    def __init__(
        self,
        objects: Sequence[ObjectModel],
        size: tuple[int, int] = (640, 480),
        seed: int = 0,
        blur: float = 0.6,
        noise: float = 2.0,
    ) -> None:
        """Set the scene.

        Args:
            objects: with metric sizes. size: (width, height) of the frame, pixels.
            seed: of paths, backdrop and noise.
            blur: Gaussian sigma of the optics, pixels. noise: sigma of the sensor, grey levels.

        Raises:
            ValueError: no object, one without metric size, or two of one name.
        """
        names = [model.name for model in objects]
        if not names:
            raise ValueError("objects is empty: the world needs at least one object")
        if len(set(names)) < len(names):
            raise ValueError(f"objects must have different names; got {', '.join(names)}")
        width, height = size
        focal = FOCAL_SHARE * width
        self.camera = CameraModel(
            size, np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
        )
        self._seed = seed
        rng = np.random.default_rng([seed, 0])
        self._bodies = [
            _Body(rng, model, place, self.camera)
            for model, place in zip(objects, _places(len(names), size), strict=True)
        ]
        self._pan = [_Wave(rng, 0.0, 0.12 * side, 20.0) for side in size]
        self._light = _Wave(rng, 0.88, 1.12, 15.0)
        self.backdrop, self._scenery = _scenery(rng, (int(width * 1.13), int(height * 1.13)))
        self._blur = blur
        grain = rng.normal(128, noise, (height + 64, width + 64, 3))
        self._noise = grain.clip(0, 255).round().astype(np.uint8)

    def truth(self, t: float) -> list[Truth]:
        """Truth at `t` seconds, nearest object first."""
        poses = [(body, *body.pose(t, self.camera)) for body in self._bodies]
        return self._truth(sorted(poses, key=lambda pose: pose[2][2]))

    def render(self, t: float) -> tuple[NDArray[np.uint8], list[Truth]]:
        """The camera's frame (H, W, 3) BGR at `t` seconds, and the truth, nearest object first."""
        rng = np.random.default_rng([self._seed, 1, round(t * 1e6) % 2**63])
        width, height = self.camera.size
        x, y = (round(pan.at(t)) for pan in self._pan)
        frame = self._scenery[y : y + height, x : x + width].copy()
        truths = self.truth(t)
        bodies = {body.model.name: body for body in self._bodies}
        for truth in reversed(truths):
            _draw(frame, bodies[truth.object_name], truth)
        if self._blur > 0:
            cv2.GaussianBlur(frame, (3, 3), self._blur, frame)
        x, y = rng.integers(0, 64, 2)
        noise = self._noise[y : y + height, x : x + width]
        cv2.addWeighted(frame, self._light.at(t), noise, 1.0, -128.0, frame)
        return frame, truths

    def detect(self, t: float, truths: Sequence[Truth], jitter: float = 0.05) -> list[Detection]:
        """Boxes as a detector would give them for `truths` at `t` seconds.

        Each edge is off by a normal error of `jitter` times the box's side; objects hidden by
        three quarters are missed. The same arguments give the same boxes.
        """
        rng = np.random.default_rng([self._seed, 2, round(t * 1e6) % 2**63])
        width, height = self.camera.size
        found = []
        for truth in truths:
            left, top, w, h = truth.box
            error = rng.normal(0, jitter, 4) * (w, h, w, h)
            score = rng.uniform(0.6, 0.99)
            if truth.visible < 0.25:
                continue
            x0, y0 = max(-0.5, left + error[0]), max(-0.5, top + error[1])
            x1 = min(width - 0.5, left + w + error[2])
            y1 = min(height - 0.5, top + h + error[3])
            box = Box(float(x0), float(y0), float(x1 - x0), float(y1 - y0))
            found.append(Detection(truth.object_name, box, score))
        return found

    def _truth(self, poses: list[tuple[_Body, Array, Array]]) -> list[Truth]:
        width, height = self.camera.size
        limit = (width - 0.5, height - 0.5)
        frame = face_corners((width, height)).astype(np.float32)
        covered = np.zeros((int(height * _MASK_SCALE), int(width * _MASK_SCALE)), np.uint8)
        truths = []
        for body, R, t in poses:
            to_camera = self.camera.K @ np.column_stack([R[:, 0], R[:, 1], t])
            homography = compose(to_camera, body.canonical_to_object)
            corners = to_corners(homography, body.model.size)
            low = np.clip(corners.min(0), -0.5, limit)
            high = np.clip(corners.max(0), -0.5, limit)
            own = np.zeros_like(covered)
            outline = ((corners + 0.5) * _MASK_SCALE - 0.5) * 16
            cv2.fillConvexPoly(own, np.round(outline).astype(np.int32), 1, cv2.LINE_8, 4)
            bare = cv2.countNonZero(cv2.subtract(own, covered)) / max(cv2.countNonZero(own), 1)
            inside = 1.0
            if (corners != corners.clip(-0.5, limit)).any():
                face = corners.astype(np.float32)
                inside = cv2.intersectConvexConvex(face, frame)[0] / cv2.contourArea(face)
            cv2.bitwise_or(covered, own, covered)
            truths.append(
                Truth(
                    body.model.name,
                    R,
                    t,
                    homography,
                    Box(*map(float, low), *map(float, high - low)),
                    float(min(bare * inside, 1.0)),
                )
            )
        return truths


def _reduced(picture: NDArray[np.uint8], scales: Array) -> NDArray[np.uint8]:
    """The picture scaled along x and y; never enlarged."""
    sides = np.rint(picture.shape[1::-1] * np.minimum(1.0, scales)).clip(8).astype(int)
    reduced = cv2.resize(picture, sides.tolist(), interpolation=cv2.INTER_AREA)
    return np.asarray(reduced, np.uint8)


def _draw(frame: NDArray[np.uint8], body: _Body, truth: Truth) -> None:
    """Composite the object into `frame`, darker the more it is turned away."""
    middle = (np.array(body.model.size) - 1) / 2
    ends = apply(truth.homography, middle + np.vstack([np.zeros(2), np.eye(2)]))
    level = body.level(np.linalg.norm(ends[1:] - ends[0], axis=1))
    facing = abs(float(truth.R[:, 2] @ truth.t)) / float(np.linalg.norm(truth.t))
    paste_level(frame, level, truth.homography, light=0.7 + 0.3 * facing)


def _places(count: int, size: tuple[int, int]) -> list[tuple[float, float]]:
    """Where the objects' paths are centred: side by side, every other one lower."""
    width, height = size
    xs = np.linspace(0.23, 0.77, count) if count > 1 else np.array([0.5])
    ys = [0.5] if count == 1 else [0.4 if i % 2 == 0 else 0.6 for i in range(count)]
    return [(float(x) * width, y * height) for x, y in zip(xs, ys, strict=True)]


def _scenery(rng: np.random.Generator, size: tuple[int, int]) -> tuple[str, NDArray[np.uint8]]:
    """A photo no network was trained on, with two strange faces lying in it."""
    try:
        photos = [photo for photo in Textures("held_out").photos if photo[0] in _BACKDROPS]
    except FileNotFoundError:
        photos = []
    if photos:
        name, photo = photos[rng.integers(len(photos))]
        scale = max(size[0] / photo.shape[1], size[1] / photo.shape[0])
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        grown = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=way)
        y, x = (grown.shape[0] - size[1]) // 2, (grown.shape[1] - size[0]) // 2
        cut = np.ascontiguousarray(grown[y : y + size[1], x : x + size[0]])
        scenery = np.asarray(cut, np.uint8)
    else:
        name = "drawn"
        scenery = artwork.draw(int(rng.integers(2**32)), size, "wood", "held_out")
    for _ in range(2):
        face_size = artwork.face_size(rng, int(size[1] * rng.uniform(0.25, 0.4)))
        face = artwork.draw(int(rng.integers(2**32)), face_size, split="held_out")
        middle = face_size[0] / 2, face_size[1] / 2
        rotation = cv2.getRotationMatrix2D(middle, rng.uniform(0, 360), 1)
        matrix = np.asarray(rotation, np.float64)
        matrix[:, 2] += rng.uniform(0.1, 0.9, 2) * size - np.array(face_size) / 2
        cv2.warpAffine(face, matrix, size, scenery, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)
    return name, scenery
