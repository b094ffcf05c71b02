"""The figures of the whole-frame benchmark as a Markdown page, and some frames as a picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from stn_ros.evaluation.whole_frame import (
    LEAST_VISIBLE,
    RIGHT_PX,
    RIGHT_SHARE,
    Answer,
    WholeFrame,
    judged,
)
from stn_ros.evaluation.whole_frame_benchmark import ROWS
from stn_ros.geometry.homography import Array, to_corners
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.synthesis.drawing import Picture

GREEN, YELLOW, RED = (60, 200, 40), (0, 220, 255), (50, 50, 240)
"""BGR of faces published right, of those missed, and of what else was published."""


def markdown(measured: Sequence[Mapping[str, Any]], notes: Sequence[str]) -> str:
    """A page on `whole_frame_benchmark.figures`, one for each number of taught objects."""
    lines = ["# Benchmark: whole-frame", "", *[f"- {note}" for note in notes], ""]
    lines += [
        f"Share of the faces of which at least {100 * LEAST_VISIBLE:.0f} % are visible that were "
        f"published with a corner error below {RIGHT_PX:g} px or {100 * RIGHT_SHARE:g} % of the "
        "face's size, and its 95 % interval. Size: root of the face's area in the frame. Wrong: "
        "names what is not there, or is elsewhere; inexact: at its place, but not right. Times: "
        "CPU time a frame.",
        "",
    ]
    for figures in measured:
        lines += [f"## {figures['taught']} taught", ""]
        lines += [*_found(figures["contestants"]), *_published(figures["contestants"]), ""]
        lines += [_cost(figures), ""]
    return "\n".join(lines)


def _found(contestants: Mapping[str, Any]) -> list[str]:
    names = list(contestants)
    most = contestants[names[0]]["faces"]
    if not most:
        return []
    lines = ["| faces | | " + " | ".join(names) + " |", "|---" * (2 + len(names)) + "|"]
    for row in (row for row in ROWS if row in most):
        cells = []
        for name in names:
            figure = contestants[name]["faces"].get(row)
            if figure is None:
                cells.append("-")
                continue
            low, high = 100 * figure["right_low"], 100 * figure["right_high"]
            of = f" of {figure['faces']}" if figure["faces"] < most[row]["faces"] else ""
            cells.append(f"{100 * figure['right']:.1f} % ({low:.0f}-{high:.0f}){of}")
        lines.append(f"| {row} | {most[row]['faces']} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _published(contestants: Mapping[str, Any]) -> list[str]:
    lines = [
        "| | frames | wrong | a frame | inexact | median | p90 | inliers asked for |",
        "|---" * 8 + "|",
    ]
    for name, figure in contestants.items():
        frames = figure["frames"]
        lines.append(
            f"| {name} | {frames} | {figure['wrong']} | {figure['wrong'] / frames:.4f} "
            f"| {figure['inexact']} | {figure['median_ms']:.0f} ms | {figure['p90_ms']:.0f} ms "
            f"| {figure.get('min_inliers', '-')} |"
        )
    return lines


def _cost(figures: Mapping[str, Any]) -> str:
    search = (
        f"Of our first frame, the pass takes {figures['pass_ms']:.1f} ms and the confirmation "
        f"{figures['confirmation_ms']:.1f} ms."
    )
    tag = figures["april_tag_ms"]
    if math.isnan(tag):
        return f"{search} The AprilTag library is not installed: pip install 'stn_ros[bench]'."
    return (
        f"{search} The AprilTag library (decimated by 2, one thread) takes {tag:.1f} ms on the "
        f"same frames: the pass takes {figures['pass_ms'] / tag:.2f} times that."
    )


def drawn(frame: WholeFrame, answers: Sequence[Answer], models: Iterable[ObjectModel]) -> Picture:
    """The frame with outlines and names: green where right, yellow where missed, else red."""
    sizes = {model.name: model.size for model in models}
    picture = frame.picture.copy()
    outcome = judged(frame, answers)
    for face, right in zip(frame.faces, outcome.right, strict=True):
        corners = to_corners(face.homography, face.model.size)
        _outline(picture, corners, face.model.name, GREEN if right else YELLOW)
    for answer in [*outcome.inexact, *outcome.wrong]:
        corners = to_corners(answer.homography, sizes[answer.object_name])
        _outline(picture, corners, answer.object_name, RED)
    return picture


def contact_sheet(rows: Sequence[tuple[str, Sequence[Picture]]], width: int = 480) -> Picture:
    """Rows of equally many pictures of one size, each with a title; `width` of a picture, pixels.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    sheet = []
    for title, pictures in rows:
        height = round(width * pictures[0].shape[0] / pictures[0].shape[1])
        small = [cv2.resize(one, (width, height), interpolation=cv2.INTER_AREA) for one in pictures]
        head = np.full((28, width * len(pictures), 3), 255, np.uint8)
        cv2.putText(head, title, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (30, 30, 30), 1, 16)
        sheet += [head, np.hstack(small)]
    return np.vstack(sheet)


def _outline(picture: Picture, corners: Array, name: str, colour: tuple[int, int, int]) -> None:
    points = np.round(corners.clip(-2000, 4000)).astype(np.int32)
    cv2.polylines(picture, [points], True, colour, 2, cv2.LINE_AA)
    left, bottom = points[np.argmax(points[:, 1])].tolist()
    at = min(max(0, left - 30), picture.shape[1] - 80), min(bottom + 18, picture.shape[0] - 5)
    for shade, thickness in (((0, 0, 0), 4), (colour, 1)):
        cv2.putText(picture, name, at, cv2.FONT_HERSHEY_SIMPLEX, 0.55, shade, thickness, 16)
