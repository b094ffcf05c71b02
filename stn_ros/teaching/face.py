"""From a photo to the canonical picture: where the face is, and its square-on view."""

from __future__ import annotations

import math
import os
import re
import sys
from pathlib import Path

import cv2
import numpy as np

from stn_ros.geometry.homography import Array, face_corners, from_corners, longest_side
from stn_ros.teaching.outline import Outline, Picture, area, find_outlines, metric_aspects

LONG_SIDE = 256
MIN_FACE_SIDE = 96
SIZE_LIMITS_M = (0.005, 10.0)
# How far, as a logarithm, the aspect of a face may be from that of --size: of a cropped photo, of
# an outline in a photo taken through an unknown lens, of corners that the user vouches for.
_CROPPED_TOLERANCE = 0.04
_OUTLINE_TOLERANCE = 0.06
_GIVEN_TOLERANCE = 0.35
# An outline whose sides keep to the photo's border by this share of their length may be print.
_PARALLEL = 0.006
# Formats and least longer side, in pixels, of photos that nobody cropped.
_CAMERA_FORMATS = (4 / 3, 3 / 2, 16 / 9)
_LEAST_CAMERA_SIDE = 640
# An outline that leaves out more of what is opaque is a shape within it.
_ALL_OF_HULL = 0.97


def read_photo(path: str | Path) -> Picture:
    """Read a photo as (h, w, 3) BGR uint8, turned upright by its EXIF orientation.

    What is transparent is white, whatever colour it hides.

    Raises:
        ValueError: missing, not a picture, smaller than a face may be, or blank.
    """
    content = _content(path)
    decoded = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    if decoded is None:
        raise ValueError(f"photo {path}: not a picture OpenCV can read (use JPEG or PNG)")
    photo = np.asarray(decoded, np.uint8)
    opaque = read_opaque(path)
    if opaque is not None:
        share = cv2.merge([opaque] * 3) / 255.0
        photo = np.rint(share * photo + (1 - share) * 255).astype(np.uint8)
    h, w = photo.shape[:2]
    if max(w, h) < MIN_FACE_SIDE:
        raise ValueError(
            f"photo {path}: {w}x{h} px is too small; the face's longer side needs at least "
            f"{MIN_FACE_SIDE} px (better {LONG_SIDE} or more)"
        )
    check_not_blank(photo, f"photo {path}")
    return photo


def read_opaque(path: str | Path) -> Picture | None:
    """How opaque a picture is, (h, w) uint8, 255 for fully; None for one that is so everywhere."""
    decoded = cv2.imdecode(_content(path), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.ndim != 3 or decoded.shape[2] != 4:
        return None
    opaque = decoded[..., 3] / (255 if decoded.dtype == np.uint8 else 65535)
    return None if (opaque == 1).all() else np.rint(255 * opaque).astype(np.uint8)


def _content(path: str | Path) -> Picture:
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"photo {path}: is a directory; give the picture file itself")
    if not path.is_file():
        raise ValueError(f"photo {path}: no such file")
    return np.frombuffer(path.read_bytes(), np.uint8)


def check_not_blank(picture: Picture, what: str) -> None:
    """Raise ValueError where a picture shows nothing: noise and slow shading do not count."""
    small = cv2.resize(picture, (48, 48), interpolation=cv2.INTER_AREA).astype(np.float32)
    detail = small - cv2.GaussianBlur(small, (0, 0), 8)
    if detail.std(axis=(0, 1)).max() < 2.0:
        raise ValueError(f"{what}: blank; nothing in it can be recognised again")


def parse_size(text: str) -> tuple[float, float]:
    """'0.192x0.123' -> (width, height) in metres.

    Raises:
        ValueError: not two numbers, or no size a face before a camera can have.
    """
    match = re.fullmatch(r"\s*([\d.eE+-]+)\s*[xX,]\s*([\d.eE+-]+)\s*", text)
    try:
        width, height = (float(side) for side in match.groups()) if match else (0.0, None)
    except ValueError:
        height = None
    if height is None:
        raise ValueError(f"size {text!r}: give WIDTHxHEIGHT in metres, such as 0.192x0.123")
    low, high = SIZE_LIMITS_M
    for side in (width, height):
        if not low <= side <= high:
            hint = "; it is meant in metres, not millimetres" if side > high else ""
            raise ValueError(f"size {text!r}: a side must be {low} to {high} m{hint}")
    return width, height


def parse_corners(text: str) -> Array:
    """'x,y x,y x,y x,y' -> (4, 2) pixels: top left, top right, bottom right, bottom left.

    Raises:
        ValueError: not four points.
    """
    try:
        points = [[float(value) for value in point.split(",")] for point in text.split()]
        corners = np.array(points)
    except ValueError:
        corners = np.empty(0)
    if corners.shape != (4, 2) or not np.isfinite(corners).all():
        raise ValueError(
            f"corners {text!r}: give four points 'x,y x,y x,y x,y', clockwise from the face's "
            "top left"
        )
    return corners


def check_corners(corners: Array, photo: Picture) -> None:
    """Raise ValueError unless the corners (4, 2) bound a convex face, clockwise, in the photo."""
    h, w = photo.shape[:2]
    edges = np.roll(corners, -1, axis=0) - corners
    following = np.roll(edges, -1, axis=0)
    turns = edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0]
    if not (turns > 0).all():
        raise ValueError(
            f"corners {listed(corners)}: must go clockwise around the face from its top left, "
            "without crossing"
        )
    if (corners < -1.5).any() or (corners > [w + 0.5, h + 0.5]).any():
        raise ValueError(f"corners {listed(corners)}: outside the photo of {w}x{h} px")
    if np.linalg.norm(edges, axis=1).max() < MIN_FACE_SIDE:
        raise ValueError(
            f"corners {listed(corners)}: the face is too small in the photo; its longer side "
            f"needs at least {MIN_FACE_SIDE} px"
        )


def locate_face(photo: Picture, size_m: tuple[float, float] | None) -> tuple[Array, str]:
    """Decide where the face is when the user did not say.

    An outline of the face's aspect wins. Only where there is none, the photo has that aspect and
    not the format of a camera, it is taken as cropped to the face. An outline that runs along the
    border of a photo of that aspect may be the face, or a frame printed on it: the user decides.

    Returns:
        corners (4, 2) in photo pixels, and what was decided, in words.

    Raises:
        ValueError: no outline of that aspect, or more than one thing may be the face.
    """
    h, w = photo.shape[:2]
    whole = face_corners((w, h))
    outlines = find_outlines(photo)
    found = next((each for each in outlines if _outline_fits(each.corners, size_m, (w, h))), None)
    cropped = size_m is None or _log_aspect(whole, size_m) < _CROPPED_TOLERANCE
    if found is None:
        if cropped and not _camera_format(w, h):
            return whole, "the whole photo"
        raise ValueError(_no_outline(outlines, size_m, (w, h), cropped))
    if cropped and _runs_along_border(found.corners):
        raise ValueError(
            "the face may be the whole photo, or the outline found in it, which runs along the "
            f"photo's border: give --cropped or --corners '{listed(found.corners)}'"
        )
    decision = "the outline found in the photo"
    if found.inner is not None:
        inner = listed(found.inner)
        decision += f" (if the face is the outline just inside: --corners '{inner}')"
    return found.corners, decision


def find_face(photo: Picture, size_m: tuple[float, float] | None = None) -> Array | None:
    """The largest four-sided outline in a photo.

    Args:
        photo: (h, w, 3) BGR uint8. size_m: (width, height); outlines of another aspect are passed
            over.

    Returns:
        corners (4, 2): top left, top right, bottom right, bottom left; None where none is found.
    """
    size = (photo.shape[1], photo.shape[0])
    corners = (outline.corners for outline in find_outlines(photo))
    return next((each for each in corners if _outline_fits(each, size_m, size)), None)


def opaque_face(opaque: Picture) -> Array:
    """The corners (4, 2) of what is opaque in a picture: of its outline, else of its bounding box.

    Args:
        opaque: (h, w), see `read_opaque`.
    """
    mask = cv2.inRange(opaque, np.array(128), np.array(255))
    left, top, width, height = cv2.boundingRect(mask)
    hull = cv2.convexHull(cv2.findNonZero(mask))
    found = find_face(np.dstack([opaque] * 3))
    if found is not None and area(found) > _ALL_OF_HULL * cv2.contourArea(hull):
        return found
    box: Array = np.add(face_corners((width, height)), (left, top))
    return box


def click_corners(photo: Picture) -> Array:
    """Let the user click the four corners in a window; Backspace takes one back, Enter accepts.

    Returns:
        corners (4, 2) in photo pixels, in the order clicked.

    Raises:
        ValueError: there is no display, or the window was closed.
    """
    no_display = (
        "no display to click on, or OpenCV without windows (opencv-python has them, "
        "opencv-python-headless has not): give the corners with --corners"
    )
    # OpenCV's windows end the whole process where there is no display.
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        raise ValueError(no_display)
    title = "click top left, top right, bottom right, bottom left; then Enter"
    scale = min(1.0, 900 / max(photo.shape[:2]))
    shown = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    clicked: list[tuple[int, int]] = []

    def on_mouse(event: int, x: int, y: int, *_: object) -> None:
        if event == cv2.EVENT_LBUTTONDOWN and len(clicked) < 4:
            clicked.append((x, y))

    try:
        cv2.namedWindow(title)
        cv2.setMouseCallback(title, on_mouse)
    except cv2.error:
        raise ValueError(no_display) from None
    try:
        while True:
            canvas = shown.copy()
            if len(clicked) > 1:
                outline = np.array(clicked, np.int32)
                cv2.polylines(canvas, [outline], len(clicked) == 4, (0, 255, 0), 1, cv2.LINE_AA)
            for point in clicked:
                cv2.drawMarker(canvas, point, (0, 0, 255), cv2.MARKER_CROSS, 15)
            cv2.imshow(title, canvas)
            key = cv2.waitKey(30) & 0xFF
            if key == 8 and clicked:
                clicked.pop()
            if key in (10, 13) and len(clicked) == 4:
                return (np.array(clicked, float) + 0.5) / scale - 0.5
            if key == 27 or cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) < 1:
                raise ValueError("the window was closed before four corners were accepted")
    finally:
        cv2.destroyAllWindows()


def canonical_size(
    corners: Array, size_m: tuple[float, float] | None, long_side: int = LONG_SIDE
) -> tuple[int, int]:
    """(width, height) in pixels of the canonical picture: metric aspect where it is known."""
    if size_m is not None:
        width, height = size_m
    else:
        sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
        width, height = sides[0] + sides[2], sides[1] + sides[3]
    scale = long_side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def rectify(photo: Picture, corners: Array, size: tuple[int, int]) -> Picture:
    """The face seen square-on.

    Args:
        photo: (h, w, 3) BGR uint8. corners: (4, 2) of the face in it, clockwise from top left.
        size: (width, height) of the result.

    Returns:
        (height, width, 3) BGR uint8; where the photo has more pixels, each is their mean.
    """
    sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    over = max(1, math.ceil(max(sides[[0, 2]].max() / size[0], sides[[1, 3]].max() / size[1])))
    fine = (size[0] * over, size[1] * over)
    homography = from_corners(face_corners(fine), corners)
    picture = cv2.warpPerspective(
        photo,
        homography,
        fine,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if over > 1:
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.asarray(picture, np.uint8)


def check_aspect(corners: Array, size_m: tuple[float, float] | None) -> None:
    """Raise ValueError where the corners' shape can not be that of a face of `size_m`."""
    if size_m is None or _log_aspect(corners, size_m) < _GIVEN_TOLERANCE:
        return
    width, height = canonical_size(corners, None)
    message = (
        f"the face is {width}:{height} in the photo but --size says {size_m[0]} x {size_m[1]} m"
    )
    if _log_aspect(corners, (size_m[1], size_m[0])) < _GIVEN_TOLERANCE:
        message += ": swap --size (it is WIDTHxHEIGHT as the photo shows it) or turn the photo"
    raise ValueError(message + "; check --size and the corners")


def _log_aspect(corners: Array, size_m: tuple[float, float]) -> float:
    """How far the aspect of the sides is from that of the size, as a logarithm."""
    sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    aspect = (sides[0] + sides[2]) / (sides[1] + sides[3])
    return abs(math.log(aspect * size_m[1] / size_m[0]))


def _outline_fits(
    corners: Array, size_m: tuple[float, float] | None, photo_size: tuple[int, int]
) -> bool:
    if size_m is None:
        return True
    off = np.abs(np.log(metric_aspects(corners, photo_size) * size_m[1] / size_m[0]))
    return bool((off < _OUTLINE_TOLERANCE).any())


def _camera_format(width: int, height: int) -> bool:
    long, short = max(width, height), min(width, height)
    formats = np.array(_CAMERA_FORMATS)
    return long >= _LEAST_CAMERA_SIDE and bool((abs(long / short / formats - 1) < 0.005).any())


def _runs_along_border(corners: Array) -> bool:
    """Whether all sides of an outline are parallel to the photo's border."""
    across = corners - np.roll(corners, -1, axis=0)
    aside = abs(across[[0, 1, 2, 3], [1, 0, 1, 0]])
    return bool(aside.max() < max(1.0, _PARALLEL * longest_side(corners)))


def _no_outline(
    outlines: list[Outline],
    size_m: tuple[float, float] | None,
    photo_size: tuple[int, int],
    cropped: bool,
) -> str:
    """What to do when no outline is the face's."""
    width, height = photo_size
    if size_m is None:
        return (
            f"no outline of a face found in the photo of {width}x{height} px: give --cropped if it "
            "shows the face alone, else its four corners (--corners), or click them (--click)"
        )
    what = f"no outline of a face of {size_m[0]} x {size_m[1]} m found in the photo of "
    what += f"{width}x{height} px"
    swapped = (size_m[1], size_m[0])
    turned = any(_outline_fits(each.corners, swapped, photo_size) for each in outlines)
    if turned or _log_aspect(face_corners(photo_size), swapped) < _CROPPED_TOLERANCE:
        return (
            f"{what}, but one of {swapped[0]} x {swapped[1]} m: swap --size (it is WIDTHxHEIGHT as "
            "the photo shows it) or turn the photo"
        )
    alone = "give --cropped if it shows the face alone" if cropped else "crop it to the face"
    return f"{what}: {alone}, or give its four corners (--corners), or click them (--click)"


def listed(corners: Array) -> str:
    """Corners as --corners takes them, to a tenth of a pixel."""
    # Adding zero makes a negative zero positive.
    return " ".join(f"{x:g},{y:g}" for x, y in np.round(corners, 1) + 0.0)
