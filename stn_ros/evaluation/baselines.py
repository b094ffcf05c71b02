"""The rival: SIFT features and a robust homography, tuned, with optional ECC refinement."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.box import Box
from stn_ros.geometry.homography import Array, apply, compose, face_corners, is_visible_face
from stn_ros.synthesis.drawing import Picture

_NO_MASK = np.empty((0, 0), np.uint8)


@dataclass(frozen=True)
class SiftSettings:
    """Settings of `SiftHomography`; the defaults are the tuned ones (docs/benchmarks.md).

    Attributes:
        working_side: the region is resized so that its longer side has this many pixels.
        margin: what is looked at around the region, as a share of its sides.
        contrast, edge, layers: SIFT's contrastThreshold, edgeThreshold and nOctaveLayers.
        ratio: Lowe's ratio test on the two nearest reference features.
        root: compare square roots of L1-normalised descriptors (Arandjelovic & Zisserman 2012).
        reprojection: inlier distance in working pixels.
        min_inliers: fewer inliers are no answer.
        ecc: refine by `cv2.findTransformECC`.
    """

    working_side: int = 384
    margin: float = 0.1
    contrast: float = 0.01
    edge: float = 20.0
    layers: int = 4
    ratio: float = 0.85
    root: bool = True
    reprojection: float = 3.0
    min_inliers: int = 8
    ecc: bool = False


class SiftHomography:
    """Finds one object in a region of a frame; the reference's features are computed once.

    reference: (h, w, 3) BGR uint8, the canonical picture.
    """

    def __init__(self, reference: Picture, settings: SiftSettings | None = None) -> None:
        self.settings = settings or SiftSettings()
        self.size = (reference.shape[1], reference.shape[0])
        self._reference = cv2.cvtColor(reference, cv2.COLOR_BGR2GRAY)
        self._sift = cv2.SIFT.create(
            nOctaveLayers=self.settings.layers,
            contrastThreshold=self.settings.contrast,
            edgeThreshold=self.settings.edge,
            enable_precise_upscale=True,
        )
        self._matcher = cv2.BFMatcher(cv2.NORM_L2)
        self._points, self._descriptors = self._features(self._reference)

    def align(self, frame: Picture, box: Box) -> Array | None:
        """The homography canonical -> frame pixels (3x3), or None for no answer.

        Args:
            frame: (H, W, 3) BGR uint8. box: where the object was detected.
        """
        settings = self.settings
        cut = _cut_out(frame, box, settings.margin, settings.working_side)
        if cut is None:
            return None
        picture, to_frame = cut
        points, descriptors = self._features(picture)
        if len(self._points) < 4 or len(points) < 4:
            return None
        pairs = self._matcher.knnMatch(descriptors, self._descriptors, k=2)
        good = [best for best, second in pairs if best.distance < settings.ratio * second.distance]
        if len(good) < max(4, settings.min_inliers):
            return None
        source = self._points[[match.trainIdx for match in good]]
        target = points[[match.queryIdx for match in good]]
        cv2.setRNGSeed(0)
        found, inliers = cv2.findHomography(
            source, target, cv2.USAC_MAGSAC, settings.reprojection, maxIters=5000, confidence=0.999
        )
        if found is None or int(inliers.sum()) < settings.min_inliers:
            return None
        homography = np.asarray(found, np.float64)
        if not plausible(homography, self.size):
            return None
        if settings.ecc:
            homography = refine_ecc(self._reference, picture, homography)
        return compose(to_frame, homography)

    def _features(self, picture: Picture) -> tuple[Array, NDArray[np.float32]]:
        keypoints, descriptors = self._sift.detectAndCompute(picture, _NO_MASK)
        if descriptors is None:
            return np.empty((0, 2)), np.empty((0, 128), np.float32)
        if self.settings.root:
            descriptors = np.sqrt(descriptors / (descriptors.sum(axis=1, keepdims=True) + 1e-7))
        return np.array([keypoint.pt for keypoint in keypoints]), np.asarray(
            descriptors, np.float32
        )


def refine_ecc(reference: Picture, picture: Picture, homography: Array) -> Array:
    """Refine by enhanced correlation (Evangelidis & Psarakis 2008); keeps the start if it fails.

    Args:
        reference, picture: grey uint8. homography: reference -> picture pixels.
    """
    start = (homography / homography[2, 2]).astype(np.float32)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-4)
    try:
        _, refined = cv2.findTransformECC(
            reference, picture, start, cv2.MOTION_HOMOGRAPHY, criteria, _NO_MASK, 5
        )
    except cv2.error:
        return homography
    return np.asarray(refined, np.float64)


def _cut_out(
    frame: Picture, box: Box, margin: float, working_side: int
) -> tuple[Picture, Array] | None:
    """The grey region at working size, and the homography from its pixels to the frame's."""
    left, top, width, height = box
    low = np.floor([left - margin * width, top - margin * height]).astype(int)
    high = np.ceil([left + (1 + margin) * width, top + (1 + margin) * height]).astype(int)
    low, high = np.maximum(low, 0), np.minimum(high, [frame.shape[1], frame.shape[0]])
    if (high - low).min() < 8:
        return None
    region = cv2.cvtColor(frame[low[1] : high[1], low[0] : high[0]], cv2.COLOR_BGR2GRAY)
    scale = working_side / max(width, height)
    size = np.maximum(1, np.round((high - low) * scale)).astype(int)
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    picture = cv2.resize(region, tuple(size.tolist()), interpolation=interpolation)
    x, y = (high - low) / size
    to_frame = np.array([[x, 0, (x - 1) / 2 + low[0]], [0, y, (y - 1) / 2 + low[1]], [0, 0, 1.0]])
    return picture, to_frame


def plausible(homography: Array, size: tuple[int, int]) -> bool:
    """Whether the face comes out convex, not mirrored, and not absurdly small or slanted."""
    if not is_visible_face(homography, size):
        return False
    corners = apply(homography, face_corners(size))
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1)
    return bool(sides.min() > 8 and sides.max() < 20 * sides.min())
