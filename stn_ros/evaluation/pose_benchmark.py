"""How good the poses are, beside what corners of the same error allow.

The floor: OpenCV's IPPE on the true corners, moved by independent Gaussian noise whose mean length
is the corner error of the very answer it is compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from stn_ros.evaluation.held_out import FRAME_SIZE, HeldOutFace
from stn_ros.evaluation.trials import jittered
from stn_ros.geometry.homography import corner_error, to_corners
from stn_ros.geometry.planar_pose import angle_between, object_corners, planar_pose
from stn_ros.runtime.alignment import Region
from stn_ros.runtime.canonicalizer import Canonicalizer
from stn_ros.synthesis.scene import SHARP, render_frame
from stn_ros.synthesis.textures import Textures
from stn_ros.teaching.pose_error import pose_of_homography

Array = NDArray[np.float64]

TILTS = ((0, 15), (15, 35), (35, 50))
LONG_SIDE_M = 0.2
FLIPPED_DEG = 10.0
_DRAWS = 5
_MEAN_LENGTH = np.sqrt(np.pi / 2)  # of a 2-D Gaussian vector of unit deviation


@dataclass(frozen=True)
class PoseError:
    """Error of a pose: normal's direction and whole turn, degrees; distance, percent; flipped.

    Flipped: the normal is off by more than 10 degrees and the rival solution is nearer the truth.
    """

    tilt: float
    turn: float
    distance: float
    flipped: bool = False


def measure(
    canonicalizer: Canonicalizer, faces: Sequence[HeldOutFace], views: int, seed: int
) -> dict[str, Any]:
    """Poses of `views` sharp views of every face in each range of tilt.

    Returns:
        By range of tilt: answers, median corner error (px), and for "ours" and "floor" the median
        errors and the share of flips.
    """
    textures = Textures("held_out")
    figures: dict[str, Any] = {}
    bar = tqdm(total=len(TILTS) * len(faces) * views, unit="pose", desc="poses")
    for tilts in TILTS:
        rng = np.random.default_rng([seed, *tilts])
        ours, floor, errors = [], [], []
        for face in list(faces) * views:
            bar.update()
            model = face.model
            conditions = replace(SHARP, tilt=tilts)
            rendered = render_frame(rng, face.picture, textures.background, conditions, FRAME_SIZE)
            box = jittered(rng, rendered.box, FRAME_SIZE)
            found = canonicalizer.process(rendered.frame, [Region(model.name, *box)])
            if not found or not found[0].accepted:
                continue
            error = corner_error(found[0].homography, rendered.homography, rendered.size)
            width, height = (LONG_SIDE_M * side / max(model.size) for side in model.size)
            size_m = (width, height)
            R, t = pose_of_homography(rendered.homography, rendered.size, size_m, rendered.camera)
            solutions = planar_pose(
                found[0].corners, size_m, rendered.camera, found[0].corner_covariance
            )
            errors.append(error)
            poses = [(s.R, s.t) for s in solutions]
            ours.append(pose_error(poses, R, t))
            exact = to_corners(rendered.homography, rendered.size)
            for _ in range(_DRAWS):
                noisy = exact + rng.normal(0, error / _MEAN_LENGTH, (4, 2))
                floor.append(pose_error(_ippe(noisy, size_m, rendered.camera), R, t))
        figures[f"{tilts[0]}-{tilts[1]}"] = {
            "answers": len(ours),
            "corner_error_px": float(np.median(errors)) if errors else float("nan"),
            "ours": _medians(ours),
            "floor": _medians(floor),
        }
    bar.close()
    return figures


def pose_error(poses: Sequence[tuple[Array, Array]], R: Array, t: Array) -> PoseError:
    """Error of the first of `poses` against the truth; the second is its rival."""

    def lean(rotation: Array) -> float:
        return float(np.degrees(np.arccos(np.clip(rotation[:, 2] @ R[:, 2], -1, 1))))

    (first, shift), tilt = poses[0], lean(poses[0][0])
    return PoseError(
        tilt=tilt,
        turn=float(np.degrees(angle_between(first, R))),
        distance=float(100 * abs(np.linalg.norm(shift) / np.linalg.norm(t) - 1)),
        flipped=len(poses) > 1 and tilt > FLIPPED_DEG and lean(poses[1][0]) < tilt,
    )


def markdown(figures: dict[str, Any], notes: Sequence[str]) -> str:
    """The figures as a Markdown page."""
    lines = ["# Benchmark: poses", "", *[f"- {note}" for note in notes], ""]
    lines += [
        "Medians. Floor: IPPE on true corners with independent noise of the same mean error.",
        "",
        "| tilt | answers | corner error | normal, ours | floor | ratio | turn, ours | floor "
        "| distance, ours | floor | ratio | flips, ours | floor |",
        "|---" * 13 + "|",
    ]
    for tilts, figure in figures.items():
        ours, floor = figure["ours"], figure["floor"]
        lines.append(
            f"| {tilts} deg | {figure['answers']} | {figure['corner_error_px']:.2f} px "
            f"| {ours['tilt']:.2f} deg | {floor['tilt']:.2f} deg "
            f"| **{ours['tilt'] / floor['tilt']:.2f}** "
            f"| {ours['turn']:.2f} deg | {floor['turn']:.2f} deg "
            f"| {ours['distance']:.3f} % | {floor['distance']:.3f} % "
            f"| **{ours['distance'] / floor['distance']:.2f}** "
            f"| {100 * ours['flipped']:.1f} % | {100 * floor['flipped']:.1f} % |"
        )
    return "\n".join(lines) + "\n"


def _medians(errors: Sequence[PoseError]) -> dict[str, float]:
    if not errors:
        return dict.fromkeys(("tilt", "turn", "distance", "flipped"), float("nan"))
    return {
        **{
            name: float(np.median([getattr(e, name) for e in errors]))
            for name in ("tilt", "turn", "distance")
        },
        "flipped": float(np.mean([e.flipped for e in errors])),
    }


def _ippe(corners: Array, size_m: tuple[float, float], K: Array) -> list[tuple[Array, Array]]:
    _, turns, shifts, _ = cv2.solvePnPGeneric(
        object_corners(size_m), corners, K, np.zeros(4), flags=cv2.SOLVEPNP_IPPE
    )
    return [
        (np.asarray(cv2.Rodrigues(turn)[0], np.float64), np.asarray(shift, np.float64).ravel())
        for turn, shift in zip(turns, shifts, strict=True)
    ]
