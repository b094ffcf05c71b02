"""An engine that knows the truth, for frames whose colours say where each pixel lies."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from stn_ros.geometry.homography import apply, from_corners, invert, to_corners
from stn_ros.geometry.patch import patch_to_canonical
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.engines import Motion
from stn_ros.runtime.object_model import ObjectModel

FRAME = (640, 480)
FACE = (80, 60)
CELL = 4  # patch pixels
PATCHES = {"locate": 48, "refine": 64, "track": 112, "polish": 128}
BLUE = {"one": 40, "two": 90, "three": 140}


def coordinate_frame() -> np.ndarray:
    """(480, 640, 3) BGR whose blue and green say x and y, in 256ths of the frame."""
    x, y = np.meshgrid(np.arange(FRAME[0]), np.arange(FRAME[1]))
    shares = [255 * x / FRAME[0], 255 * y / FRAME[1], 0 * x]
    return np.stack(shares, axis=-1).round().astype(np.uint8)


def flat_model(name: str, network: Path | None = None) -> ObjectModel:
    """An object without print, which the engine knows by its blue."""
    return ObjectModel(name, np.full((*FACE[::-1], 3), BLUE[name], np.uint8), network=network)


def bundle(**weights: float) -> NetworkBundle:
    """A network's description; confidence is the logistic of `present` unless said otherwise."""
    nowhere = Path("nowhere.onnx")
    confidence_weights = {"present": 1.0, **weights}
    return NetworkBundle(nowhere, nowhere, nowhere, dict(PATCHES), confidence_weights, 1.0, {})


class Oracle:
    """An engine that answers for frames of `coordinate_frame` where each object truly is.

    Attributes:
        truths: 3x3, canonical -> frame pixels, by object name; who has none is nowhere.
        gain: share of the way to the truth that a step takes.
        reach: the farthest that a face may be off to be seen, mean over its cells, in cells.
        verdict: logit of `present` where a face is seen and the step goes nowhere; less by what it
            moves, in cells.
        noise: standard deviation of every cell's flow, cells; the same pattern at every call.
        calls: (number of patches, side, exact) of every `match`.
    """

    name = "oracle"

    def __init__(self, truths: dict[str, np.ndarray]) -> None:
        self.truths = truths
        self.gain = 1.0
        self.reach = 4.0
        self.verdict = 6.0
        self.noise = 0.0
        self.calls: list[tuple[int, int, bool]] = []

    def features(self, pictures: np.ndarray) -> np.ndarray:
        """One channel: the blue of each picture."""
        side = pictures.shape[1] // CELL
        blue = np.array([each[each[..., 3] > 0][:, 0].mean() for each in pictures])
        return np.broadcast_to(blue[:, None, None, None], (len(blue), 1, side, side)).astype("f4")

    def match(self, reference: np.ndarray, patches: np.ndarray, exact: bool = True) -> Motion:
        """See the class."""
        self.calls.append((len(patches), patches.shape[1], exact))
        answers = [
            self._one(known[0, 0, 0], seen) for known, seen in zip(reference, patches, strict=True)
        ]
        flow, present = zip(*answers, strict=True)
        n, cells = len(patches), patches.shape[1] // CELL
        return Motion(
            np.stack(flow).astype(np.float32),
            np.full((n, cells, cells), -2, np.float32),
            np.array(present, np.float32),
            np.full(n, 6, np.float32),
        )

    def _one(self, blue: float, patch: np.ndarray) -> tuple[np.ndarray, float]:
        side = len(patch)
        centres = CELL * np.arange(side // CELL) + (CELL - 1) / 2
        cells = np.stack(np.meshgrid(centres, centres), axis=-1)
        name = min(BLUE, key=lambda each: abs(BLUE[each] - blue))
        lost = np.zeros((2, *cells.shape[:2])), -12.0
        if name not in self.truths:
            return lost
        rows, columns = np.nonzero(patch[..., 3])
        if len(rows) < side * side // 4:
            return lost
        colours = patch[rows, columns, :2].astype(float)
        places = colours / 255 * np.array(FRAME)
        points = np.column_stack([columns, rows]).astype(float)
        to_frame, _ = cv2.findHomography(points, places)
        if to_frame is None:
            return lost
        truth = self.truths[name] @ patch_to_canonical(side, FACE)
        found = apply(invert(to_frame), apply(truth, cells))
        flow = (found - cells).transpose(2, 0, 1) / CELL
        off = float(np.linalg.norm(flow, axis=0).mean())
        if not np.isfinite(off) or off > self.reach * side / PATCHES["locate"]:
            return lost
        pattern = np.random.default_rng(0).normal(0, 1, flow.shape)
        return self.gain * flow + self.noise * pattern, self.verdict - self.gain * off


def moved(homography: np.ndarray, *shifts: tuple[float, float]) -> np.ndarray:
    """A face's homography with its corners shifted: all by one shift, or each by its own."""
    corners = to_corners(homography, FACE)
    return from_corners(to_corners(np.eye(3), FACE), corners + np.array(shifts))


def square_on(x: float, y: float, scale: float = 2.0) -> np.ndarray:
    """A face seen square-on, its pixel (0, 0) at (x, y)."""
    return np.array([[scale, 0, x], [0, scale, y], [0, 0, 1.0]])


def two_truths() -> dict[str, np.ndarray]:
    """Where the objects are in the frame: `one` tilted, `two` square-on, `three` nowhere."""
    return {
        "one": moved(square_on(120, 100), (3, 4), (-6, 0), (2, 5), (0, -7)),
        "two": square_on(380, 260),
    }
