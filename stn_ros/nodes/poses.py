"""Poses of the objects in view, each kept continuous from frame to frame."""

from typing import NamedTuple

import numpy as np

from stn_ros.geometry.planar_pose import PoseSolution, ambiguous, planar_pose, prefer_continuity

MEMORY = 0.5
"""Seconds for which the last pose of an object helps to choose the next."""


class Estimate(NamedTuple):
    """A pose, object frame -> camera's optical frame, and whether a second one fits as well."""

    pose: PoseSolution
    ambiguous: bool


class Poses:
    """Estimates poses and remembers the last one of each object, to stay with its tilt."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, PoseSolution]] = {}

    def clear(self) -> None:
        """Forget all (stamps jumped back, a new start)."""
        self._last.clear()

    def estimate(
        self,
        identity: str,
        stamp: float,
        corners: np.ndarray,
        corner_covariance: np.ndarray,
        size_m: tuple[float, float],
        K: np.ndarray,
    ) -> Estimate:
        """Pose of an object seen at `stamp` seconds.

        `corners` (4, 2) are TL TR BR BL in ideal camera pixels with their 8x8 covariance, `size_m`
        is the face's (width, height) in metres, `K` the ideal camera's 3x3 intrinsics.
        Raises ValueError where the corners show no face.
        """
        solutions = planar_pose(corners, size_m, K, corner_covariance)
        seen, previous = self._last.get(identity, (-np.inf, None))
        if not 0 <= stamp - seen <= MEMORY:
            previous = None
        pose = prefer_continuity(solutions, previous)
        self._last[identity] = stamp, pose
        return Estimate(pose, ambiguous(solutions))
