"""Poses of the objects in view, each kept continuous from frame to frame."""

import numpy as np

from stn_ros.geometry.planar_pose import PoseSolution, ambiguous, planar_pose, prefer_continuity
from stn_ros.runtime.canonicalizer import Alignment


class Poses:
    """Estimates poses and remembers the last one of each object, to stay with its tilt."""

    def __init__(self) -> None:
        self._last: dict[str, PoseSolution] = {}
        self._ambiguous: dict[str, bool] = {}

    def clear(self) -> None:
        """Forget all (stamps jumped back, a new start)."""
        self._last.clear()
        self._ambiguous.clear()

    def ambiguous(self, identity: str) -> bool:
        """Whether the last pose of this object had a rival that fits nearly as well."""
        return self._ambiguous.get(identity, False)

    def estimate(
        self, identity: str, alignment: Alignment, size_m: tuple[float, float], K: np.ndarray
    ) -> PoseSolution:
        """Pose of an aligned object, object frame -> camera's optical frame.

        `size_m` is the face's (width, height) in metres, `K` the ideal camera's intrinsics.
        Raises ValueError where the corners show no face.
        """
        solutions = planar_pose(alignment.corners, size_m, K, alignment.corner_covariance)
        self._ambiguous[identity] = ambiguous(solutions)
        best = prefer_continuity(solutions, self._last.get(identity))
        self._last[identity] = best
        return best
