"""Rivals that find taught faces anywhere in a frame: ORB, SIFT, and a sweep over windows.

ORB and SIFT differ in their features alone: those of all references lie in one index, each feature
of the frame votes for the object whose feature is nearest, and of each object with enough votes a
robust homography is fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from stn_ros.evaluation.baselines import plausible
from stn_ros.evaluation.sweep import Sweep
from stn_ros.evaluation.whole_frame import Answer, WholeFrame, judged
from stn_ros.geometry.homography import to_corners
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.canonicalizer import Canonicalizer, CanonicalizerSettings
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.tracker import distinct
from stn_ros.synthesis.drawing import Picture

Array = NDArray[np.float64]
Descriptors = NDArray[np.uint8] | NDArray[np.float32]
Extract = Callable[[Picture], tuple[Array, Descriptors]]
"""Grey picture -> points (N, 2) in its pixels, and their descriptors (N, D)."""

NEIGHBOURS = 8
"""Nearest reference features among which one of another object is looked for."""
CANDIDATES = 20
"""Objects of a frame that a homography is fitted to, those with the most votes."""
LEAST_INLIERS = 6
"""Fewer can be an accident of any four points that fit."""
RARE = 100
"""Frames in which a rival may be wrong once."""
SEARCHES = 80
"""Windows of a frame that the sweep searches: all of one object's at 640x480."""

_NO_MASK = np.empty((0, 0), np.uint8)
_HAMMING = 9  # cvflann::FLANN_DIST_HAMMING
_L2 = 1  # cvflann::FLANN_DIST_L2, which is squared


@dataclass(frozen=True)
class Features:
    """What kind of features are compared, and how.

    Attributes:
        of_reference, of_frame: extract them. empty: no descriptors at all, (0, D).
        index: FLANN's parameters. distance: FLANN's number of it. squared: whether it gives
            squares. ratio: of the distances to the nearest feature and to the nearest of another
            object (or, where one object alone is taught, to the second nearest), at most.
    """

    of_reference: Extract
    of_frame: Extract
    empty: Descriptors
    index: Mapping[str, int]
    distance: int
    squared: bool
    ratio: float


class Supported(NamedTuple):
    """An answer and how many inliers speak for it."""

    answer: Answer
    inliers: int


class FeatureMatching:
    """Features in one index, votes, and a MAGSAC++ homography for each object.

    Args:
        features: what is compared. reprojection: inlier distance, frame pixels.

    Attributes:
        min_inliers: fewer inliers are no answer; see `tune`.
    """

    def __init__(self, features: Features, reprojection: float = 3.0) -> None:
        self.min_inliers = LEAST_INLIERS
        self._features = features
        self._reprojection = reprojection

    def teach(self, models: Sequence[ObjectModel]) -> None:
        """See `Contestant`."""
        features = self._features
        found = [
            features.of_reference(cv2.cvtColor(model.reference, cv2.COLOR_BGR2GRAY))
            for model in models
        ]
        self._models = models
        self._points = np.concatenate([points for points, _ in found])
        self._descriptors = np.concatenate([features.empty, *(each for _, each in found)])
        self._owners = np.repeat(np.arange(len(models)), [len(points) for points, _ in found])
        self._index: cv2.flann.Index | None = None
        if len(self._points) >= NEIGHBOURS:
            cv2.setRNGSeed(0)
            self._index = cv2.flann.Index(
                self._descriptors, dict(features.index), features.distance
            )

    def find(self, frame: Picture) -> list[Answer]:
        """See `Contestant`."""
        return [one.answer for one in self.supported(frame) if one.inliers >= self.min_inliers]

    def supported(self, frame: Picture) -> list[Supported]:
        """Answers from `LEAST_INLIERS` on, the best first; at one place only the best."""
        cv2.setRNGSeed(0)
        points, nearest = self._votes(frame)
        owners = self._owners[nearest]
        votes = np.bincount(owners, minlength=len(self._models))
        found = []
        for index in np.argsort(-votes, kind="stable")[:CANDIDATES]:
            if votes[index] < LEAST_INLIERS:
                break
            chosen = owners == index
            model = self._models[index]
            fitted = self._fitted(self._points[nearest[chosen]], points[chosen], model.size)
            if fitted is not None:
                homography, inliers = fitted
                found.append((Supported(Answer(model.name, homography), inliers), model.size))
        kept: list[Supported] = []
        outlines: list[NDArray[np.float32]] = []
        for one, size in sorted(found, key=lambda each: -each[0].inliers):
            outline = to_corners(one.answer.homography, size).astype(np.float32)
            centre = outline.mean(axis=0).tolist()
            if all(cv2.pointPolygonTest(other, centre, False) < 0 for other in outlines):
                kept.append(one)
                outlines.append(outline)
        return kept

    def _votes(self, frame: Picture) -> tuple[Array, NDArray[np.intp]]:
        """Points (K, 2) of the frame that vote, and the reference feature each is nearest to."""
        features = self._features
        points, descriptors = features.of_frame(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY))
        if self._index is None or not len(points):
            return np.empty((0, 2)), np.empty(0, np.intp)
        indices, raw = self._index.knnSearch(descriptors, NEIGHBOURS, params={"checks": 64})
        # Hashing finds less than was asked for: the rest is marked by -1 and infinitely far.
        missing = indices < 0
        distances = np.where(missing, np.inf, np.asarray(raw, np.float64))
        owners = np.where(missing, -1, self._owners[indices])
        if len(self._models) == 1:
            other = distances[:, 1]
        else:
            # If all of them are of one object, another's is farther still than the last.
            others = owners != owners[:, :1]
            others[:, -1] = True
            other = distances[np.arange(len(others)), others.argmax(axis=1)]
        ratio = features.ratio**2 if features.squared else features.ratio
        clear = (~missing[:, 0]) & (distances[:, 0] < ratio * other)
        return points[clear], indices[clear, 0].astype(np.intp)

    def _fitted(
        self, source: Array, target: Array, size: tuple[int, int]
    ) -> tuple[Array, int] | None:
        """Homography of an object and its inliers; None if there is none that a camera can see."""
        found, inliers = cv2.findHomography(
            source,
            target,
            cv2.USAC_MAGSAC,
            self._reprojection,
            maxIters=5000,
            confidence=0.999,
        )
        if found is None or int(inliers.sum()) < LEAST_INLIERS:
            return None
        homography = np.asarray(found, np.float64)
        return (homography, int(inliers.sum())) if plausible(homography, size) else None


def tune(rival: FeatureMatching, frames: Iterable[WholeFrame]) -> None:
    """Ask for as few inliers as leave a wrong answer in no more than one of `RARE` frames.

    The frames are others of the same objects, drawn from another random stream. That is more often
    than our own answers may be wrong: were none allowed, a single look-alike among the frames would
    silence a rival.
    """
    count, wrong = 0, []
    for frame in frames:
        count += 1
        wrong += [
            one.inliers
            for one in rival.supported(frame.picture)
            if judged(frame, [one.answer]).wrong
        ]
    refused = sorted(wrong, reverse=True)[count // RARE :]
    rival.min_inliers = max([LEAST_INLIERS, *(inliers + 1 for inliers in refused)])


def orb() -> FeatureMatching:
    """ORB, and FLANN's locality-sensitive hashing (LSH) of all references.

    The frame is enlarged: its features cover 31 pixels, a small face's whole side.
    """
    return FeatureMatching(
        Features(
            of_reference=_orb(600, levels=12),
            of_frame=_orb(5000, levels=10, enlarged=2.0),
            empty=np.empty((0, 32), np.uint8),
            index={"algorithm": 6, "table_number": 12, "key_size": 20, "multi_probe_level": 1},
            distance=_HAMMING,
            squared=False,
            ratio=0.85,
        )
    )


def sift() -> FeatureMatching:
    """SIFT of the full frame as RootSIFT, and FLANN's kd-trees of all references."""
    return FeatureMatching(
        Features(
            of_reference=_root_sift(500),
            of_frame=_root_sift(0),
            empty=np.empty((0, 128), np.float32),
            index={"algorithm": 1, "trees": 4},
            distance=_L2,
            squared=True,
            ratio=0.9,
        )
    )


class SweepingWindows:
    """Our own search of regions, over windows all over the image, the likeliest first.

    Args:
        bundle, settings: of the `Canonicalizer`. searches: windows of a frame.
    """

    def __init__(
        self, bundle: NetworkBundle, settings: CanonicalizerSettings, searches: int = SEARCHES
    ) -> None:
        self._bundle = bundle
        self._settings = settings
        self._searches = searches

    def teach(self, models: Sequence[ObjectModel]) -> None:
        """See `Contestant`."""
        self._sweep = Sweep(models)
        self._canonicalizer = Canonicalizer(self._bundle, models, self._settings)

    def find(self, frame: Picture) -> list[Answer]:
        """See `Contestant`."""
        regions = self._sweep.regions(frame, self._searches)
        return [
            Answer(one.object_name, one.homography)
            for one in distinct(self._canonicalizer.process(frame, regions))
            if one.accepted
        ]


def _orb(count: int, levels: int, enlarged: float = 1.0) -> Extract:
    detector = cv2.ORB.create(nfeatures=count, nlevels=levels, edgeThreshold=12, fastThreshold=7)

    def extract(picture: Picture) -> tuple[Array, Descriptors]:
        if enlarged != 1.0:
            picture = cv2.resize(
                picture, None, fx=enlarged, fy=enlarged, interpolation=cv2.INTER_LINEAR
            )
        found, descriptors = detector.detectAndCompute(picture, _NO_MASK)
        if descriptors is None:
            return np.empty((0, 2)), np.empty((0, 32), np.uint8)
        points = (np.array([keypoint.pt for keypoint in found]) + 0.5) / enlarged - 0.5
        return points, np.asarray(descriptors, np.uint8)

    return extract


def _root_sift(count: int) -> Extract:
    detector = cv2.SIFT.create(
        nfeatures=count,
        nOctaveLayers=4,
        contrastThreshold=0.01,
        edgeThreshold=20.0,
        enable_precise_upscale=True,
    )

    def extract(picture: Picture) -> tuple[Array, Descriptors]:
        found, descriptors = detector.detectAndCompute(picture, _NO_MASK)
        if descriptors is None:
            return np.empty((0, 2)), np.empty((0, 128), np.float32)
        root = np.sqrt(descriptors / (descriptors.sum(axis=1, keepdims=True) + 1e-7))
        points = np.array([keypoint.pt for keypoint in found])
        return points, np.asarray(root, np.float32)

    return extract
