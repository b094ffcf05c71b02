"""Poses of the objects in view, each kept continuous from frame to frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.planar_pose import PoseSolution, ambiguous, planar_pose, prefer_continuity
from stn_ros.runtime.alignment import Alignment

MEMORY = 0.5
"""Seconds for which the last pose of an instance helps to choose the next."""


class Poses:
    """Estimates poses and remembers the last one of each instance, to stay with its tilt."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, int], tuple[float, PoseSolution]] = {}

    def clear(self) -> None:
        """Forget all (stamps jumped back, a new start)."""
        self._last.clear()

    def estimate(
        self,
        alignment: Alignment,
        stamp: float,
        size_m: tuple[float, float],
        K: NDArray[np.float64],
    ) -> PoseSolution:
        """Pose of an instance: object frame -> the camera's optical frame.

        Args:
            alignment: of a frame seen at `stamp` seconds. size_m: (width, height) of the face,
                metres. K: 3x3 intrinsics of the ideal camera.

        Raises:
            ValueError: the corners show no face.
        """
        solutions = planar_pose(alignment.corners, size_m, K, alignment.corner_covariance)
        instance = alignment.object_name, alignment.instance
        seen, previous = self._last.get(instance, (-np.inf, None))
        if not 0 <= stamp - seen <= MEMORY:
            previous = None
        pose = prefer_continuity(solutions, previous)
        self._last[instance] = stamp, pose
        return replace(pose, ambiguous=ambiguous(solutions))
