#!/usr/bin/env python3
"""How well a face's pose can be known from four corners of a given error.

Draws random poses, moves the exact corners by Gaussian noise, scaled so that their mean error is
the one asked for, and prints the median errors of the pose by tilt: of IPPE alone (OpenCV) and of
stn_ros.geometry.planar_pose. An evaluation compares its poses with these figures at the corner
error it measured.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from stn_ros.geometry.planar_pose import ambiguous, object_corners, planar_pose

Array = NDArray[np.float64]

TILTS = [(0, 15), (15, 35), (35, 50), (50, 65)]
# The mean length of a 2-D Gaussian vector of unit deviation.
MEAN_LENGTH = np.sqrt(np.pi / 2)


@dataclass(frozen=True)
class Errors:
    """Of one estimated pose: normal's direction and whole turn, degrees; distance, percent."""

    tilt: float
    turn: float
    distance: float


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corner-errors", type=float, nargs="+", default=[0.3, 0.7, 1.0, 2.0])
    parser.add_argument("--poses", type=int, default=1000, help="per line of the table")
    parser.add_argument("--size", type=float, nargs=2, default=[0.19, 0.12], help="of the face, m")
    parser.add_argument("--focal", type=float, default=600.0, help="pixels")
    parser.add_argument("--distance", type=float, nargs=2, default=[0.4, 0.8], help="metres")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    K = np.array([[options.focal, 0, 320], [0, options.focal, 240], [0, 0, 1]])
    points = object_corners(tuple(options.size))
    print(
        f"face {options.size[0]} x {options.size[1]} m, f = {options.focal:g} px, distance "
        f"{options.distance[0]:g} to {options.distance[1]:g} m, {options.poses} poses a line, "
        f"seed {options.seed}; medians; flip: normal more than 10 degrees and nearer the other pose"
    )
    print(
        "corner error px | tilt deg | IPPE: tilt deg, turn deg, distance % | "
        "planar_pose: tilt deg, turn deg, distance %, ambiguous %, flips %"
    )
    lines = [(error, tilt) for error in options.corner_errors for tilt in TILTS]
    for line, (corner_error, tilt) in enumerate(tqdm(lines, unit="line", leave=False)):
        rng = np.random.default_rng([options.seed, line])
        deviation = corner_error / MEAN_LENGTH
        ippe, ours, doubts, flips = [], [], 0, 0
        for _ in range(options.poses):
            R, t = draw_pose(rng, tilt, options.distance)
            corners = project(R, t, points, K) + rng.normal(0, deviation, (4, 2))
            ippe.append(errors(*ippe_alone(points, corners, K), R, t))
            solutions = planar_pose(corners, tuple(options.size), K, deviation**2 * np.eye(8))
            ours.append(errors(solutions[0].R, solutions[0].t, R, t))
            doubts += ambiguous(solutions)
            if len(solutions) > 1 and ours[-1].tilt > 10:
                flips += errors(solutions[1].R, solutions[1].t, R, t).tilt < ours[-1].tilt
        print(
            f"{corner_error:15.2f} | {tilt[0]:3d}-{tilt[1]:3d}  | {medians(ippe)} | "
            f"{medians(ours)}, {100 * doubts / options.poses:5.1f}, "
            f"{100 * flips / options.poses:5.1f}"
        )


def draw_pose(
    rng: np.random.Generator, tilt_range: tuple[float, float], distances: tuple[float, float]
) -> tuple[Array, Array]:
    """A pose whose normal leans from the line of sight by an angle in the range, degrees."""
    t = np.array([rng.uniform(-0.15, 0.15), rng.uniform(-0.1, 0.1), 1.0])
    t *= rng.uniform(*distances)
    tilt, azimuth, roll = np.radians([rng.uniform(*tilt_range), *rng.uniform(0, 360, 2)])
    sight = t / np.linalg.norm(t)
    across = np.cross([0.0, 0.0, 1.0], sight)
    sine = np.linalg.norm(across)
    facing = cv2.Rodrigues(across / sine * np.arcsin(sine))[0]
    lean = cv2.Rodrigues(tilt * np.array([np.cos(azimuth), np.sin(azimuth), 0]))[0]
    turn = cv2.Rodrigues(np.array([0, 0, roll]))[0]
    return facing @ lean @ turn @ np.diag([1.0, -1, -1]), t


def project(R: Array, t: Array, points: Array, K: Array) -> Array:
    """Points in the object frame -> pixels."""
    seen = (points @ R.T + t) @ K.T
    return seen[:, :2] / seen[:, 2:]


def ippe_alone(points: Array, corners: Array, K: Array) -> tuple[Array, Array]:
    """OpenCV's IPPE, its better solution."""
    _, turns, shifts, _ = cv2.solvePnPGeneric(points, corners, K, None, flags=cv2.SOLVEPNP_IPPE)
    return cv2.Rodrigues(turns[0])[0], shifts[0].ravel()


def errors(R: Array, t: Array, true_R: Array, true_t: Array) -> Errors:
    """Errors of a pose."""
    cosine = np.clip(R[:, 2] @ true_R[:, 2], -1, 1)
    return Errors(
        tilt=float(np.degrees(np.arccos(cosine))),
        turn=float(np.degrees(np.linalg.norm(cv2.Rodrigues(R @ true_R.T)[0]))),
        distance=float(100 * abs(np.linalg.norm(t) / np.linalg.norm(true_t) - 1)),
    )


def medians(found: list[Errors]) -> str:
    """Medians as columns of the table."""
    return ", ".join(
        f"{np.median([getattr(error, name) for error in found]):5.2f}"
        for name in ("tilt", "turn", "distance")
    )


if __name__ == "__main__":
    main()
