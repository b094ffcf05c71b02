#!/usr/bin/env python3
"""Draws docs/conventions.jpg: frames and corners in a camera image and in its aligned view."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.homography import apply, face_corners, invert, to_corners
from stn_ros.geometry.planar_pose import planar_pose, pose_homography
from stn_ros.geometry.virtual_camera import virtual_camera
from stn_ros.runtime.sampling import FrameSampler
from stn_ros.synthesis.artwork import draw

Array = NDArray[np.float64]

K = np.array([[620.0, 0, 319.5], [0, 620, 239.5], [0, 0, 1]])
SIZE_PX, SIZE_M = (256, 160), (0.20, 0.125)
AXES = 0.06 * np.eye(3)
BGR = [(40, 40, 230), (60, 180, 40), (230, 120, 30)]  # x red, y green, z blue
OFFSET = np.array([12.0, -6.0])  # of a text from what it names
INK = (255, 255, 255)


def main() -> None:
    """Render a face and a pin on it, recover the pose from the corners, draw both pictures."""
    lean = cv2.Rodrigues(np.radians([-38.0, 22.0, 0]))[0]
    roll = cv2.Rodrigues(np.radians([0, 0, -14.0]))[0]
    R, t = lean @ roll @ np.diag([1.0, -1, -1]), np.array([0.0, 0.0, 0.42])
    homography = pose_homography(R, t, SIZE_PX, SIZE_M, K)
    frame = render(homography)
    pin = np.array([[0.06, -0.045, 0.0], [0.06, -0.045, 0.04]])
    cv2.line(frame, *pixels(project(K, pin @ R.T + t)), (20, 20, 20), 4, cv2.LINE_AA)
    view = FrameSampler(frame).sample(homography, SIZE_PX)[..., :3]

    pose = planar_pose(to_corners(homography, SIZE_PX), SIZE_M, K)[0]
    camera = virtual_camera(SIZE_PX, SIZE_M, pose)
    tip = project(camera.K, (pin[1:] - camera.t) @ camera.R)[0]
    axes = project(K, np.vstack([np.zeros(3), AXES]) @ pose.R.T + pose.t)
    for axis, name, colour in zip(axes[1:], "xyz", BGR, strict=True):
        cv2.arrowedLine(frame, *pixels(np.array([axes[0], axis])), colour, 3, cv2.LINE_AA)
        write(frame, name, axis + OFFSET, colour)
    name_corners(frame, to_corners(homography, SIZE_PX))

    scale, border = 2, 40
    shown = cv2.resize(view, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    shown = cv2.copyMakeBorder(shown, 80, 80, border, border, cv2.BORDER_CONSTANT, value=(60,) * 3)
    on_sheet = np.array([[scale, 0, border + 0.5], [0, scale, 80.5], [0, 0, 1]])
    name_corners(shown, apply(on_sheet, face_corners(SIZE_PX)))
    cv2.circle(shown, pixels(apply(on_sheet, tip))[0], 9, (40, 220, 250), 2, cv2.LINE_AA)
    write(
        shown,
        "pin's tip by TF and K",
        apply(on_sheet, tip) + 12 * OFFSET * [-1, 0.3],
        (40, 220, 250),
    )
    write(frame, "camera frame: ideal pixels", np.array([12, 26]), INK)
    write(shown, "aligned view: canonical pixels", np.array([12, 26]), INK)
    cv2.arrowedLine(shown, (160, 450), (40, 450), INK, 2, cv2.LINE_AA)
    write(shown, "T", np.array([12, 456]), INK)
    assert np.allclose(apply(invert(homography), project(K, pin[1:] @ R.T + t)), tip)
    target = Path(__file__).with_suffix("").with_name("conventions.jpg")
    cv2.imwrite(str(target), np.hstack([frame, shown]))
    print(f"wrote {target}")


def render(homography: Array) -> NDArray[np.uint8]:
    """A 640 x 480 picture of a face on a plain table."""
    rng = np.random.default_rng(3)
    table = np.full((960, 1280, 3), (150, 165, 175), np.float32)
    table += cv2.GaussianBlur(rng.normal(0, 8, table.shape).astype(np.float32), (0, 0), 4) * 3
    doubled = np.array([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]]) @ homography
    face = draw(4, SIZE_PX, style="postcard")
    shape = (1280, 960)
    cover = cv2.warpPerspective(np.ones(face.shape, np.float32), doubled, shape)
    print_ = cv2.warpPerspective(face.astype(np.float32), doubled, shape)
    picture = table * (1 - cover) + print_ * cover
    return cv2.resize(picture, (640, 480), interpolation=cv2.INTER_AREA).clip(0, 255).astype("u1")


def project(intrinsics: Array, points: Array) -> Array:
    """Points (N, 3) of an optical frame -> pixels (N, 2)."""
    seen = points @ intrinsics.T
    return seen[:, :2] / seen[:, 2:]


def pixels(points: Array) -> list[tuple[int, int]]:
    """Rounded, as OpenCV's drawing takes them."""
    return [(round(x), round(y)) for x, y in np.atleast_2d(points)]


def write(picture: NDArray[np.uint8], text: str, at: Array, colour: tuple[int, int, int]) -> None:
    """Text on a dark plate."""
    x, y = pixels(at)[0]
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.6, 1)
    cv2.rectangle(picture, (x - 3, y - height - 4), (x + width + 3, y + 6), (40, 40, 40), -1)
    cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, 1, cv2.LINE_AA)


def name_corners(picture: NDArray[np.uint8], corners: Array) -> None:
    """Outline and names TL, TR, BR, BL."""
    cv2.polylines(picture, [np.array(pixels(corners))], True, (40, 220, 250), 2, cv2.LINE_AA)
    middle = corners.mean(axis=0)
    for corner, name in zip(corners, ["TL", "TR", "BR", "BL"], strict=True):
        away = (corner - middle) / np.linalg.norm(corner - middle)
        write(picture, name, corner + 24 * away - OFFSET, (40, 220, 250))


if __name__ == "__main__":
    main()
