"""What was found, drawn into the camera's picture."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.camera import CameraModel
from stn_ros.runtime.alignment import Alignment

FOUND, REFUSED, BORDER = (80, 220, 60), (60, 60, 230), (0, 0, 0)
_POINTS_PER_EDGE = 8  # a distorted edge is a curve


def draw(
    frame: NDArray[np.uint8], alignments: Sequence[Alignment], camera: CameraModel | None
) -> NDArray[np.uint8]:
    """A copy of a BGR frame with each object's outline, name, number (from #2 on) and confidence.

    The thick edge is the face's top. What was refused shows its region, in red, and the reason.
    """
    picture = frame.copy()
    for alignment in alignments:
        number = f" #{alignment.instance}" if alignment.instance > 1 else ""
        label = f"{alignment.object_name}{number} {alignment.confidence:.2f}"
        if alignment.accepted:
            outline = _outline(alignment.corners, camera)
            _line(picture, outline, FOUND, 1)
            _line(picture, outline[: _POINTS_PER_EDGE + 1], FOUND, 3)
            _text(picture, label, outline.min(axis=0), FOUND)
        elif alignment.region is not None:
            region = alignment.region
            right, bottom = region.left + region.width, region.top + region.height
            corners = np.array(
                [
                    (region.left, region.top),
                    (right, region.top),
                    (right, bottom),
                    (region.left, bottom),
                    (region.left, region.top),
                ]
            )
            _line(picture, corners, REFUSED, 1)
            _text(picture, f"{label}: {alignment.reason}", corners[0], REFUSED)
    return picture


def _outline(corners: NDArray[np.float64], camera: CameraModel | None) -> NDArray[np.float64]:
    """The face's closed outline in raw pixels, from its corners (4, 2) in ideal ones."""
    steps = np.arange(_POINTS_PER_EDGE)[:, None] / _POINTS_PER_EDGE
    edges = [corners[i] + steps * (corners[(i + 1) % 4] - corners[i]) for i in range(4)]
    points = np.vstack([*edges, corners[:1]])
    return points if camera is None else camera.distort_points(points)


def _line(
    picture: NDArray[np.uint8],
    points: NDArray[np.float64],
    colour: tuple[int, int, int],
    thickness: int,
) -> None:
    points = points[np.isfinite(points).all(axis=1)]
    scaled = np.rint(np.clip(points, -1e4, 1e4) * 16).astype(np.int32)
    cv2.polylines(picture, [scaled], False, colour, thickness, cv2.LINE_AA, shift=4)


def _text(
    picture: NDArray[np.uint8], text: str, at: NDArray[np.float64], colour: tuple[int, int, int]
) -> None:
    height, width = picture.shape[:2]
    x, y = np.clip(np.nan_to_num(at) - [0, 6], (2, 14), (width - 40, height - 4)).astype(int)
    for thickness, ink in ((3, BORDER), (1, colour)):
        cv2.putText(
            picture,
            text,
            (int(x), int(y)),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.45,
            ink,
            thickness,
            cv2.LINE_AA,
        )
