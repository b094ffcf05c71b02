"""What came of a run from camera to poses: figures, a verdict, a contact sheet."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stn_ros.runtime.object_model import ObjectModel

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]

IN_VIEW = 0.75
"""Share of an object's face that must be visible for it to be owed a view and a pose."""
ANSWERED_WELL = 0.8
"""Share of an object's answered images, of those it is in view in, that must give view and pose.
The node is built to keep silent where it is not sure: at most it does so in a tenth of them."""
LIMITS = {
    "corner_error_px": (1.0, 3.0),
    "translation_error_mm": (2.0, 5.0),
    "rotation_error_deg": (1.0, 4.0),
}
"""Largest median and 90th percentile of an object's errors against the truth.

Corners a third of a pixel off give 1.3 degrees square-on, 0.4 tilted, and 0.12 % of the distance:
0.7 mm at 0.6 m. The node's are ten times as good where there is print. So a median at its limit
tells that something is wrong, poses that are 5 mm off never pass, and the second limit leaves room
for single frames, blurred by motion or half covered."""
MOST_SURPLUS = 0.02
"""Share of the poses that may be those of second instances that are not there."""
_CELL, _GAP, _LINE = 150, 8, 18
_INK, _PAPER = (30, 30, 30), (255, 255, 255)
_AXES = ((60, 60, 230), (80, 200, 60), (230, 120, 40))  # x red, y green, z blue


@dataclass(frozen=True)
class Pose:
    """Where an object is: R 3x3, t (3,), object frame -> camera optical frame, metres.

    `score` is the confidence of a published pose; of a true one, the visible share of the face.
    """

    R: Array
    t: Array
    score: float


@dataclass(frozen=True)
class Observation:
    """What was received of the images stamped within `seconds`. Stamps are nanoseconds.

    Attributes:
        seconds: length of the time looked at.
        inputs: stamps of the images published.
        received: when the poses of an image came, by its stamp, on the clock of the stamps.
        views: stamps of the aligned views, by object.
        poses: by stamp and object; an image answered with no object has an empty entry.
        truth: likewise, in a simulated world; empty where there is none.
        K: 3x3 of the camera, None if it published no image.
    """

    seconds: float
    inputs: Sequence[int]
    received: Mapping[int, int]
    views: Mapping[str, set[int]]
    poses: Mapping[int, Mapping[str, Pose]]
    truth: Mapping[int, Mapping[str, Pose]]
    K: Array | None


@dataclass(frozen=True)
class Snapshot:
    """Pictures of one frame: as published, with overlay, aligned (by object); poses and truth."""

    frame: Picture
    overlay: Picture
    views: Mapping[str, Picture]
    poses: Mapping[str, Pose]
    truth: Mapping[str, Pose]
    K: Array | None


def face_in_camera(pose: Pose, size_m: tuple[float, float], K: Array) -> Array:
    """The face's corners (4, 2), TL TR BR BL, in ideal camera pixels; `size_m` in metres."""
    right, top = size_m[0] / 2, size_m[1] / 2
    corners = np.array([[-right, top, 0], [right, top, 0], [right, -top, 0], [-right, -top, 0]])
    return _project(corners, pose, K)


def pose_errors(
    pose: Pose, truth: Pose, size_m: tuple[float, float], K: Array
) -> tuple[float, float, float]:
    """Corner error in camera pixels, translation error in mm, rotation error in degrees.

    The corner error is the mean distance of the four corners, seen through both poses.
    """
    apart = face_in_camera(pose, size_m, K) - face_in_camera(truth, size_m, K)
    turn = cv2.Rodrigues(pose.R.T @ truth.R)[0]
    return (
        float(np.linalg.norm(apart, axis=1).mean()),
        1000 * float(np.linalg.norm(pose.t - truth.t)),
        math.degrees(float(np.linalg.norm(turn))),
    )


def figures(observation: Observation, objects: Sequence[ObjectModel]) -> dict[str, Any]:
    """The run in figures; None stands for what cannot be said.

    Rates of an object are those of the frames it is in view in (`IN_VIEW`), so they reach the
    camera's rate if each of these gives a view and a pose; without truth, of all frames.
    """
    inputs, seconds = observation.inputs, observation.seconds
    posed = [stamp for stamp in observation.received if observation.poses[stamp]]
    delays = [(observation.received[stamp] - stamp) * 1e-6 for stamp in posed]
    every: list[tuple[float, float, float]] = []
    by_object: dict[str, Any] = {}
    due = given = 0
    for model in objects:
        name = model.name
        in_view = [stamp for stamp in inputs if _in_view(observation, stamp, name)]
        poses = [stamp for stamp in in_view if name in observation.poses.get(stamp, ())]
        views = [stamp for stamp in in_view if stamp in observation.views[name]]
        answered = [stamp for stamp in in_view if stamp in observation.received]
        owed = {*views} if model.size_m is None else {*views} & {*poses}
        errors = []
        for stamp, found in observation.poses.items():
            truth = observation.truth.get(stamp, {}).get(name)
            if name not in found or truth is None or model.size_m is None or observation.K is None:
                continue
            errors.append(pose_errors(found[name], truth, model.size_m, observation.K))
        every += errors
        due, given = due + len(in_view), given + len(poses)
        scale = len(inputs) / seconds / len(in_view) if in_view else 0.0
        by_object[name] = {
            "frames_in_view": len(in_view),
            "views_hz": scale * len(views),
            "poses_hz": scale * len(poses),
            "answered_well": len(owed.intersection(answered)) / len(answered) if answered else None,
            "has_size": model.size_m is not None,
            **_spread(errors),
        }
    known = set(by_object)
    names = [name for poses in observation.poses.values() for name in poses]
    return {
        "seconds": seconds,
        "input_hz": len(inputs) / seconds,
        "output_hz": len(observation.received) / seconds,
        "frames": len(inputs),
        "dropped": len(inputs) - len(observation.received),
        "latency_p50_ms": _quantile(delays, 0.5),
        "latency_p95_ms": _quantile(delays, 0.95),
        "posed_share": given / due if due else None,
        "poses": len(names),
        "surplus_poses": sum(name not in known for name in names),
        "has_truth": bool(observation.truth),
        **_spread(every),
        "objects": by_object,
    }


def shortfalls(run: Mapping[str, Any], demanded_hz: float) -> list[str]:
    """Why a run of `figures` is not good enough, plainly, a line each; empty if it is.

    Every object in view must give views, and poses if its size is known, at `demanded_hz` or
    more, in nearly all answers (`ANSWERED_WELL`), with small errors (`LIMITS`). Without truth
    nobody knows what is in view, so some object must have been found.
    """
    reasons = []
    if run["input_hz"] < demanded_hz:
        reasons.append(
            f"the camera published {run['input_hz']:.1f} images a second, {demanded_hz:g} are "
            "demanded: the machine is too slow or busy with other work"
        )
    if run["dropped"] and run["output_hz"] < demanded_hz:
        reasons.append(f"{run['dropped']} of {run['frames']} images were dropped by the node")
    if not run["has_truth"]:
        if not any(one["views_hz"] for one in run["objects"].values()):
            reasons.append(f"none of {', '.join(run['objects'])} was found in any image")
        return reasons
    for name, one in run["objects"].items():
        reasons += _object_shortfalls(name, one, demanded_hz)
    if not any(one["frames_in_view"] for one in run["objects"].values()):
        reasons.append("no object was in view")
    surplus, poses = run["surplus_poses"], run["poses"]
    if surplus > MOST_SURPLUS * poses:
        reasons.append(f"{surplus} of {poses} poses are of second instances that are not there")
    return reasons


def _object_shortfalls(name: str, one: Mapping[str, Any], demanded_hz: float) -> list[str]:
    reasons = []
    kinds = ("views", "poses") if one["has_size"] else ("views",)
    if one["frames_in_view"] and min(one[f"{kind}_hz"] for kind in kinds) < demanded_hz:
        rates = " and ".join(f"{one[f'{kind}_hz']:.1f} {kind}" for kind in kinds)
        reasons.append(f"{name} gave {rates} a second while in view, {demanded_hz:g} are demanded")
    share = one["answered_well"]
    if share is not None and share < ANSWERED_WELL:
        reasons.append(
            f"{name} gave {' and '.join(kinds)} in {share:.0%} of the answered images it is in "
            f"view in; {ANSWERED_WELL:.0%} are owed"
        )
    for kind, limits in LIMITS.items():
        what, _, unit = kind.rpartition("_")
        for label, limit in zip(("median", "p90"), limits, strict=True):
            error = one[f"{kind}_{label}"]
            if error is not None and error > limit:
                reasons.append(
                    f"{name} is off: {what.replace('_', ' ')} {error:.2f} {unit} ({label}), "
                    f"at most {limit:g} is right"
                )
    return reasons


def text(run: Mapping[str, Any]) -> str:
    """The figures for reading."""
    lines = [
        f"images in   {run['input_hz']:5.1f} Hz   answers out {run['output_hz']:5.1f} Hz   "
        f"dropped {run['dropped']} of {run['frames']}",
        f"latency     {_number(run['latency_p50_ms'], 1)} ms p50   "
        f"{_number(run['latency_p95_ms'], 1)} ms p95   (image's stamp to received pose)",
        "",
        f"{'':12} {'views':>9} {'poses':>9}",
    ]
    if run["has_truth"]:
        lines[-1] += f"   {'corner error':>13} {'translation':>13} {'rotation':>13}  median / p90"
    for name, one in run["objects"].items():
        lines.append(f"{name:12} {one['views_hz']:6.1f} Hz {one['poses_hz']:6.1f} Hz")
        if run["has_truth"]:
            lines[-1] += f"   {_errors(one)}"
    if run["has_truth"]:
        share = "no object in view"
        if run["posed_share"] is not None:
            share = f"{100 * run['posed_share']:.1f} % posed"
        lines.append(f"{'all':12} {share:>19}   {_errors(run)}")
        if run["surplus_poses"]:
            lines.append(f"{run['surplus_poses']} poses of second instances that are not there")
    return "\n".join(lines)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write figures as JSON, with None for what is not finite."""
    text = json.dumps(_finite(content), indent=2, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def contact_sheet(snapshot: Snapshot, objects: Sequence[ObjectModel], title: str) -> Picture:
    """Camera frame with overlay and axes; of each object in it before, aligned and reference."""
    overlay = snapshot.overlay.copy()
    shown = [model for model in objects if model.name in snapshot.views]
    for model in shown:
        _draw_axes(overlay, snapshot, model)
    columns = ("before", "aligned", "reference")
    width = overlay.shape[1] + _GAP + len(columns) * (_CELL + _GAP)
    row_height = _LINE + _CELL + _GAP
    top = 2 * _LINE + _GAP
    height = top + max(overlay.shape[0] + _GAP, len(shown) * row_height)
    sheet = np.full((height, width, 3), _PAPER, np.uint8)
    _write(sheet, title, (_GAP, _LINE - 4))
    _write(sheet, "camera", (_GAP, 2 * _LINE))
    sheet[top : top + overlay.shape[0], : overlay.shape[1]] = overlay
    left = overlay.shape[1] + _GAP
    for i, column in enumerate(columns):
        _write(sheet, column, (left + i * (_CELL + _GAP), 2 * _LINE))
    for row, model in enumerate(shown):
        y = top + row * row_height
        _write(sheet, _caption(snapshot, model), (left, y + _LINE - 6))
        pictures = (_before(snapshot, model), snapshot.views[model.name], model.reference)
        for i, picture in enumerate(pictures):
            x = left + i * (_CELL + _GAP)
            _paste(sheet[y + _LINE : y + _LINE + _CELL, x : x + _CELL], picture)
    return sheet


def _project(points: Array, pose: Pose, K: Array) -> Array:
    seen = (points @ pose.R.T + pose.t) @ K.T
    return seen[:, :2] / seen[:, 2:]


def _in_view(observation: Observation, stamp: int, name: str) -> bool:
    if not observation.truth:
        return True
    truth = observation.truth.get(stamp, {}).get(name)
    return truth is not None and truth.score >= IN_VIEW


def _spread(errors: Sequence[tuple[float, float, float]]) -> dict[str, float | None]:
    """Median and 90th percentile of each kind of error."""
    kinds = ("corner_error_px", "translation_error_mm", "rotation_error_deg")
    columns = list(zip(*errors, strict=True)) if errors else [()] * len(kinds)
    return {
        f"{kind}_{label}": _quantile(column, q)
        for kind, column in zip(kinds, columns, strict=True)
        for label, q in (("median", 0.5), ("p90", 0.9))
    }


def _quantile(values: Sequence[float], q: float) -> float | None:
    return float(np.quantile(values, q)) if len(values) else None


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _errors(of: Mapping[str, Any]) -> str:
    cells = []
    for kind, unit, digits in (
        ("corner_error_px", "px", 2),
        ("translation_error_mm", "mm", 1),
        ("rotation_error_deg", "deg", 2),
    ):
        median, p90 = (_number(of[f"{kind}_{label}"], digits) for label in ("median", "p90"))
        cells.append(f"{median} / {p90} {unit}".rjust(13))
    return " ".join(cells)


def _finite(value: Any) -> Any:  # noqa: ANN401 (JSON)
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _draw_axes(picture: Picture, snapshot: Snapshot, model: ObjectModel) -> None:
    pose = snapshot.poses.get(model.name)
    if pose is None or snapshot.K is None or model.size_m is None:
        return
    length = 0.4 * min(model.size_m)
    ends = _project(np.vstack([np.zeros(3), length * np.eye(3)]), pose, snapshot.K)
    origin, *tips = (np.rint(ends * 16).astype(int)).tolist()
    for tip, colour in zip(tips, _AXES, strict=True):
        cv2.line(picture, origin, tip, colour, 2, cv2.LINE_AA, 4)


def _before(snapshot: Snapshot, model: ObjectModel) -> Picture:
    """The frame around the object; the whole frame where no pose says where it is."""
    pose = snapshot.poses.get(model.name)
    if pose is None or snapshot.K is None or model.size_m is None:
        return snapshot.frame
    corners = face_in_camera(pose, model.size_m, snapshot.K)
    height, width = snapshot.frame.shape[:2]
    low = np.clip(np.floor(corners.min(0)) - 4, 0, (width - 1, height - 1)).astype(int)
    high = np.clip(np.ceil(corners.max(0)) + 5, low + 1, (width, height)).astype(int)
    return snapshot.frame[low[1] : high[1], low[0] : high[0]]


def _caption(snapshot: Snapshot, model: ObjectModel) -> str:
    pose, truth = snapshot.poses.get(model.name), snapshot.truth.get(model.name)
    if pose is None:
        return f"{model.name}: no pose"
    if truth is None or snapshot.K is None or model.size_m is None:
        x, y, z = pose.t
        return f"{model.name}: x {x:.3f}  y {y:.3f}  z {z:.3f} m"
    corner, translation, rotation = pose_errors(pose, truth, model.size_m, snapshot.K)
    return f"{model.name}: off by {corner:.2f} px, {translation:.2f} mm, {rotation:.2f} deg"


def _paste(cell: Picture, picture: Picture) -> None:
    """Scale a picture to fit into the cell, in its middle."""
    scale = min(cell.shape[1] / picture.shape[1], cell.shape[0] / picture.shape[0])
    size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    x, y = (cell.shape[1] - size[0]) // 2, (cell.shape[0] - size[1]) // 2
    cell[y : y + size[1], x : x + size[0]] = cv2.resize(picture, size, interpolation=way)


def _write(sheet: Picture, words: str, at: tuple[int, int]) -> None:
    cv2.putText(sheet, words, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, _INK, 1, cv2.LINE_AA)
