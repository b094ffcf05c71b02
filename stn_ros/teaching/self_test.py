"""What to expect of a taught object: the network's answers to rendered views of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from stn_ros.geometry.homography import (
    Array,
    compose,
    corner_error,
    is_visible_face,
    to_corners,
)
from stn_ros.geometry.planar_pose import planar_pose
from stn_ros.runtime.alignment import Alignment, Region
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.canonicalizer import Canonicalizer, CanonicalizerSettings
from stn_ros.runtime.confidence import RIGHT_PX
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.synthesis import artwork
from stn_ros.synthesis.scene import face_homography, paste_face
from stn_ros.teaching.outline import Picture
from stn_ros.teaching.pose_error import pose_error, pose_of_homography
from stn_ros.teaching.texture import (
    corner_deviation,
    look_alike_rotations,
    rotated_ncc,
    symmetry_homographies,
)

FRAME_SIZE = (640, 480)
FOCAL = 600.0
TILTS = ((0, 15), (15, 35), (35, 55))
LONG_SIDES = ((60, 100), (100, 180), (180, 260))
CELLS = tuple((tilt, side) for tilt in range(len(TILTS)) for side in range(len(LONG_SIDES)))
VIEWS_PER_CELL = 4
DISTRACTORS = 54
# Least deviation of a corner, in shares of the long side, from which a texture is called so.
POOR_TEXTURE, FAIR_TEXTURE = 0.02, 0.005
_CONFUSED_SHARE = 0.1
_CAMERA = np.array(
    [
        [FOCAL, 0, (FRAME_SIZE[0] - 1) / 2],
        [0, FOCAL, (FRAME_SIZE[1] - 1) / 2],
        [0, 0, 1.0],
    ]
)
_TILE = 150


@dataclass(frozen=True)
class SelfTest:
    """The outcome of a self-test.

    Attributes:
        report: figures as plain YAML values, see `self_test`.
        symmetry: rotations under which the object is to be treated as looking alike.
        warnings: what the user should know, a sentence each.
        picture: BGR uint8, sixteen views: the frame around the object and what was made of it.
    """

    report: dict[str, Any]
    symmetry: tuple[int, ...]
    warnings: tuple[str, ...]
    picture: Picture


@dataclass(frozen=True)
class _View:
    frame: Picture
    homography: Array
    cell: tuple[int, int]
    found: Alignment | None


def self_test(bundle: NetworkBundle, model: ObjectModel, seed: int = 0) -> SelfTest:
    """Align the object in 36 rendered views and sum up by tilt and distance.

    The camera has 640x480 px and a focal length of 600 px; the views differ in roll, place, light,
    blur and noise. The report holds, for each of 3 x 3 cells of tilt (degrees) and seen length
    (pixels): the share of right answers (corner error below 3 px, look-alike rotations allowed),
    the share published, the median corner error, and for an object of known size the distance in
    metres and the median error of the pose (degrees, and per cent of the distance). The share of
    right answers and the median corner error are given of all views together, too.

    An object with a network of its own is tested with that, any other with `bundle`.
    """
    rng = np.random.default_rng(seed)
    canonicalizer = Canonicalizer(bundle, [model], CanonicalizerSettings(threads=0))
    views = []
    for index in tqdm(range(len(CELLS) * VIEWS_PER_CELL), desc="self-test", unit="view"):
        cell = CELLS[index % len(CELLS)]
        views.append(_seen(rng, canonicalizer, model, model.reference, cell))
    symmetry, look_alike = _find_look_alikes(model, views)
    texture = _assess_texture(model)
    rows = [
        _row(model, symmetry, cell, [view for view in views if view.cell == cell]) for cell in CELLS
    ]
    warnings = [*look_alike["warnings"], *texture["warnings"]]
    errors = [_error(model, symmetry, view) for view in views]
    silent = [row for row in rows if row["published"] < 0.5]
    if silent:
        places = ", ".join(
            f"tilt {row['tilt_deg'][0]}-{row['tilt_deg'][1]} at {row['long_side_px'][0]}-"
            f"{row['long_side_px'][1]} px"
            for row in silent
        )
        warnings.append(f"often not recognised: {places}")
    report = {
        "camera": {"size": list(FRAME_SIZE), "focal_px": FOCAL},
        "texture": texture["verdict"],
        "least_corner_deviation_percent": texture["percent"],
        "ncc_under_rotations": look_alike["ncc"],
        "confused_rotations_share": look_alike["confused"],
        "right": round(sum(error < RIGHT_PX for error in errors) / len(errors), 3),
        "corner_error_px": _median(errors),
        "cells": rows,
    }
    return SelfTest(report, symmetry, tuple(warnings), _picture(model, symmetry, views))


def mistaken_distractors(bundle: NetworkBundle, model: ObjectModel, seed: int = 0) -> int:
    """In how many of `DISTRACTORS` views of other faces the object is published.

    The faces are drawn by seed, in the object's size, and shown as in the self-test.
    """
    rng = np.random.default_rng(seed)
    canonicalizer = Canonicalizer(bundle, [model], CanonicalizerSettings(threads=0))
    mistaken = 0
    for index in tqdm(range(DISTRACTORS), desc="distractors", unit="view"):
        distractor = artwork.draw(index, model.size, split="held_out")
        view = _seen(rng, canonicalizer, model, distractor, CELLS[index % len(CELLS)])
        mistaken += bool(view.found and view.found.accepted)
    return mistaken


def table(report: dict[str, Any]) -> str:
    """The cells of a report as lines of text, a row for each seen length."""
    rows = report["cells"]
    metric = "distance_m" in rows[0]
    lines = [
        f"expected error (640x480, focal length 600 px), median of {VIEWS_PER_CELL} views each:"
    ]
    head = " " * 26 + "".join(f"tilt {low}-{high} deg".ljust(30) for low, high in TILTS)
    lines.append(head.rstrip())
    for low, high in LONG_SIDES:
        cells = [row for row in rows if row["long_side_px"] == [low, high]]
        label = f"{low}-{high} px"
        if metric:
            near, far = cells[0]["distance_m"]
            label += f" ({near:.2g}-{far:.2g} m)"
        lines.append(label.ljust(26) + "".join(_cell_text(row).ljust(30) for row in cells).rstrip())
    return "\n".join(lines)


def _cell_text(row: dict[str, Any]) -> str:
    if row["corner_error_px"] is None:
        return "not found"
    text = f"{row['corner_error_px']:.1f} px"
    if row.get("rotation_error_deg") is not None:
        text += f", {row['rotation_error_deg']:.1f} deg, {row['position_error_percent']:.1f} %"
    return text if row["right"] == 1 else f"{text} ({row['right']:.0%} right)"


def _seen(
    rng: np.random.Generator,
    canonicalizer: Canonicalizer,
    model: ObjectModel,
    shown: Picture,
    cell: tuple[int, int],
) -> _View:
    """Render a face in a cell and look for the object there, in a jittered region."""
    homography = _placed(rng, model.size, TILTS[cell[0]], LONG_SIDES[cell[1]])
    frame = _rendered(rng, shown, homography)
    corners = to_corners(homography, model.size)
    low, high = corners.min(axis=0), corners.max(axis=0)
    low = low + rng.uniform(-0.07, 0.07, 2) * (high - low)
    high = high + rng.uniform(-0.07, 0.07, 2) * (high - low)
    found = canonicalizer.process(frame, [Region(model.name, *low, *(high - low))])
    return _View(frame, homography, cell, found[0] if found else None)


def _placed(
    rng: np.random.Generator, size: tuple[int, int], tilt: tuple[int, int], side: tuple[int, int]
) -> Array:
    """A pose with the whole face in the frame; the middle of the frame always has room."""
    for attempt in range(20):
        spread = 0.4 * (1 - attempt / 19)
        centre = (np.array(FRAME_SIZE) - 1) / 2 + rng.uniform(-spread, spread, 2) * FRAME_SIZE
        homography = face_homography(
            size,
            tuple(centre.tolist()),
            rng.uniform(*side),
            rng.uniform(-math.pi, math.pi),
            math.radians(rng.uniform(*tilt)),
            rng.uniform(-math.pi, math.pi),
            FOCAL,
            ((FRAME_SIZE[0] - 1) / 2, (FRAME_SIZE[1] - 1) / 2),
        )
        corners = to_corners(homography, size)
        if ((corners > 4) & (corners < np.array(FRAME_SIZE) - 5)).all():
            break
    return homography


def _rendered(rng: np.random.Generator, face: Picture, homography: Array) -> Picture:
    """A frame of the face on a strewn table, with uneven light, some blur and sensor noise."""
    coarse = rng.integers(30, 220, (5, 6, 3), dtype=np.uint8)
    frame = cv2.resize(coarse, FRAME_SIZE, interpolation=cv2.INTER_CUBIC)
    for _ in range(12):
        centre, reach = rng.uniform(0, 1, 2) * FRAME_SIZE, rng.uniform(20, 120)
        outline = centre + rng.uniform(-reach, reach, (4, 2))
        colour = rng.integers(0, 255, 3).tolist()
        cv2.fillConvexPoly(frame, cv2.convexHull(outline.astype(np.int32)), colour, cv2.LINE_AA)
    paste_face(frame, face, homography)
    light = cv2.resize(rng.uniform(0.7, 1.2, (2, 2)).astype(np.float32), FRAME_SIZE)
    frame = cv2.multiply(frame, cv2.merge([light] * 3), dtype=cv2.CV_8U)
    frame = cv2.GaussianBlur(frame, (0, 0), rng.uniform(0.3, 1.2))
    noise = np.asarray(rng.standard_normal(frame.shape, np.float32))
    noise *= np.float32(rng.uniform(1, 4))
    return np.asarray(cv2.add(frame, noise, dtype=cv2.CV_8U), np.uint8)


def _error(model: ObjectModel, symmetry: tuple[int, ...], view: _View) -> float:
    """Corner error in pixels, the least over look-alike rotations; infinite if not found."""
    if view.found is None:
        return math.inf
    return min(
        corner_error(view.found.homography, compose(view.homography, rotation), model.size)
        for rotation in symmetry_homographies(model.size, symmetry)
    )


def _row(
    model: ObjectModel, symmetry: tuple[int, ...], cell: tuple[int, int], views: Sequence[_View]
) -> dict[str, Any]:
    errors = np.array([_error(model, symmetry, view) for view in views])
    row: dict[str, Any] = {
        "tilt_deg": list(TILTS[cell[0]]),
        "long_side_px": list(LONG_SIDES[cell[1]]),
        "right": float((errors < RIGHT_PX).mean()),
        "published": float(np.mean([bool(view.found and view.found.accepted) for view in views])),
        "corner_error_px": _median(errors),
    }
    if model.size_m is not None:
        longest = max(model.size_m)
        row["distance_m"] = [round(FOCAL * longest / side, 3) for side in LONG_SIDES[cell[1]][::-1]]
        poses = [_pose_error(model, symmetry, view) for view in views]
        known = [pose for pose in poses if pose is not None]
        rotation, position = np.median(known, axis=0) if known else (None, None)
        row["rotation_error_deg"] = None if rotation is None else round(float(rotation), 2)
        row["position_error_percent"] = None if position is None else round(float(position), 2)
    return row


def _median(errors: Sequence[float] | Array) -> float | None:
    """Median in pixels; None if it is infinite, so if most views have no answer."""
    median = float(np.median(errors))
    return round(median, 2) if math.isfinite(median) else None


def _pose_error(
    model: ObjectModel, symmetry: tuple[int, ...], view: _View
) -> tuple[float, float] | None:
    """Error of the pose of an answer: degrees, per cent of the distance; None without a pose."""
    assert model.size_m is not None
    if view.found is None or not is_visible_face(view.found.homography, model.size):
        return None
    pose = planar_pose(view.found.corners, model.size_m, _CAMERA, view.found.corner_covariance)[0]
    rotated = [compose(view.homography, t) for t in symmetry_homographies(model.size, symmetry)]
    truths = [pose_of_homography(each, model.size, model.size_m, _CAMERA) for each in rotated]
    return min(pose_error(pose, *truth) for truth in truths)


def _find_look_alikes(
    model: ObjectModel, views: Sequence[_View]
) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Rotations that look alike: by the picture alone, or because the network mixes them up.

    A face whose halves differ by a small mark only is told apart by neither at a distance.
    """
    symmetry = look_alike_rotations(model.reference)
    alike = {rotation: round(rotated_ncc(model.reference, rotation), 3) for rotation in (90, 180)}
    wrong = [view for view in views if view.found and _error(model, (), view) >= RIGHT_PX]
    w, h = model.size
    groups = [(180,)] + ([(90, 180, 270)] if max(w, h) < 1.05 * min(w, h) else [])
    confused = {}
    for group in groups:
        explained = sum(_error(model, group, view) < RIGHT_PX for view in wrong)
        confused[group] = explained / len(views)
    warnings = []
    for group in groups:
        extra = confused[group] - (confused[(180,)] if len(group) > 1 else 0)
        if set(group) <= set(symmetry):
            warnings.append(
                f"looks alike when rotated by {_degrees(group)}: poses are given up to that"
            )
        elif extra > _CONFUSED_SHARE:
            symmetry = group
            warnings.append(
                f"rotated by {_degrees(group)} it is mixed up in {extra:.0%} of the views, so it "
                "is treated as looking alike: poses are given up to that; a mark on one side "
                "of the face would help"
            )
    return symmetry, {
        "ncc": alike,
        "confused": round(max(confused.values()), 3),
        "warnings": warnings,
    }


def _degrees(group: tuple[int, ...]) -> str:
    return " or ".join(str(rotation) for rotation in group) + " degrees"


def _assess_texture(model: ObjectModel) -> dict[str, Any]:
    deviation = corner_deviation(model.reference)
    warnings: list[str] = []
    if deviation < FAIR_TEXTURE:
        verdict = "rich"
    elif deviation < POOR_TEXTURE:
        verdict = "fair"
    else:
        verdict = "poor"
        warnings = [
            "too little texture: at a noise of 8 grey levels no method places its corners better "
            f"than {_percent(deviation)} of its length; expect a loose pose"
        ]
    percent = round(100 * deviation, 2) if math.isfinite(deviation) else None
    return {"verdict": verdict, "percent": percent, "warnings": warnings}


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if math.isfinite(share) else "any share"


def _picture(model: ObjectModel, symmetry: tuple[int, ...], views: Sequence[_View]) -> Picture:
    """Sixteen views, four a row: the frame around the object with its outline, and the view."""
    order = np.linspace(0, len(views) - 1, 16).round().astype(int)
    tiles = [_tile(model, symmetry, views[index]) for index in order]
    rows = [np.hstack(tiles[start : start + 4]) for start in range(0, 16, 4)]
    return np.vstack(rows)


def _tile(model: ObjectModel, symmetry: tuple[int, ...], view: _View) -> Picture:
    corners = to_corners(view.homography, model.size)
    centre, reach = corners.mean(axis=0), 0.6 * float(np.ptp(corners, axis=0).max())
    scale = (_TILE - 1) / (2 * reach)
    to_tile = np.array(
        [
            [scale, 0, (_TILE - 1) / 2 - scale * centre[0]],
            [0, scale, (_TILE - 1) / 2 - scale * centre[1]],
        ]
    )
    before = cv2.warpAffine(view.frame, to_tile, (_TILE, _TILE), flags=cv2.INTER_AREA)
    after = np.zeros((_TILE, _TILE, 3), np.uint8)
    colour = (0, 0, 255)
    if view.found is not None:
        right = _error(model, symmetry, view) < RIGHT_PX
        colour = (0, 200, 0) if right and view.found.accepted else (0, 200, 255)
        colour = colour if right else (0, 0, 255)
        outline = view.found.corners @ to_tile[:, :2].T + to_tile[:, 2]
        cv2.polylines(
            before, [np.round(outline * 16).astype(np.int32)], True, colour, 2, cv2.LINE_AA, shift=4
        )
        shrink = (_TILE - 8) / max(model.size)
        small = cv2.resize(
            view.found.view, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA
        )
        top, left = (_TILE - small.shape[0]) // 2, (_TILE - small.shape[1]) // 2
        after[top : top + small.shape[0], left : left + small.shape[1]] = small
    tile = np.hstack([before, after])
    cv2.rectangle(tile, (0, 0), (2 * _TILE - 1, _TILE - 1), colour, 2)
    return tile
