"""From a photo to the canonical picture: where the face is, and its square-on view."""

from __future__ import annotations

import math
import os
import re
import sys
from pathlib import Path

import cv2
import numpy as np

from stn_ros.geometry.homography import face_corners, from_corners

LONG_SIDE = 256
MIN_FACE_SIDE = 96
SIZE_LIMITS_M = (0.005, 10.0)
_ASPECT_TOLERANCE = 0.08
_FOUND_ASPECT_TOLERANCE = 0.35
_SEARCH_SIDE = 480
# What counts as a face's outline: its share of the photo, how much of its hull it fills, and the
# share of its sides along which the picture has an edge.
_LEAST_SHARE = 0.04
_SOLIDITY = 0.93
_LEAST_SUPPORT = 0.75


def read_photo(path: str | Path) -> np.ndarray:
    """Read a photo as (h, w, 3) BGR uint8, turned upright by its EXIF orientation.

    Raises:
        ValueError: missing, not a picture, smaller than a face may be, or blank.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"photo {path}: no such file")
    content = np.frombuffer(path.read_bytes(), np.uint8)
    photo = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    if photo is None:
        raise ValueError(f"photo {path}: not a picture OpenCV can read (use JPEG or PNG)")
    h, w = photo.shape[:2]
    if max(w, h) < MIN_FACE_SIDE:
        raise ValueError(
            f"photo {path}: {w}x{h} px is too small; the face's longer side needs at least "
            f"{MIN_FACE_SIDE} px (better {LONG_SIDE} or more)"
        )
    check_not_blank(photo, f"photo {path}")
    return photo


def check_not_blank(picture: np.ndarray, what: str) -> None:
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


def parse_corners(text: str) -> np.ndarray:
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


def check_corners(corners: np.ndarray, photo: np.ndarray) -> None:
    """Raise ValueError unless the corners (4, 2) bound a convex face, clockwise, in the photo."""
    h, w = photo.shape[:2]
    edges = np.roll(corners, -1, axis=0) - corners
    following = np.roll(edges, -1, axis=0)
    turns = edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0]
    if not (turns > 0).all():
        raise ValueError(
            f"corners {_listed(corners)}: must go clockwise around the face from its top left, "
            "without crossing"
        )
    if (corners < -1.5).any() or (corners > [w + 0.5, h + 0.5]).any():
        raise ValueError(f"corners {_listed(corners)}: outside the photo of {w}x{h} px")
    if np.linalg.norm(edges, axis=1).max() < MIN_FACE_SIDE:
        raise ValueError(
            f"corners {_listed(corners)}: the face is too small in the photo; its longer side "
            f"needs at least {MIN_FACE_SIDE} px"
        )


def locate_face(photo: np.ndarray, size_m: tuple[float, float] | None) -> tuple[np.ndarray, str]:
    """Decide where the face is when the user did not say.

    A photo of the face's own aspect is taken as cropped, unless an outline just inside its border
    shows that some surroundings are left; any other photo must show the face's outline.

    Returns:
        corners (4, 2) in photo pixels, and what was decided, in words.

    Raises:
        ValueError: no outline of that aspect found.
    """
    h, w = photo.shape[:2]
    whole = face_corners((w, h))
    found = find_face(photo, size_m)
    if size_m is None or abs(math.log(size_m[0] / size_m[1] * h / w)) < _ASPECT_TOLERANCE:
        nearly_whole = found is not None and _area(found) > 0.75 * w * h
        if nearly_whole:
            return found, "the outline found just inside the photo's border"
        if size_m is not None or found is None:
            return whole, "the whole photo"
    if found is None:
        raise ValueError(
            f"no outline of a face of {size_m[0]} x {size_m[1]} m found in the photo of {w}x{h} "
            "px: crop the photo to the face, or give its four corners (--corners), or click them "
            "(--click)"
        )
    return found, "the outline found in the photo"


def find_face(photo: np.ndarray, size_m: tuple[float, float] | None = None) -> np.ndarray | None:
    """The largest four-sided outline in a photo.

    Args:
        photo: (h, w, 3) BGR uint8. size_m: (width, height); outlines of a clearly different
            aspect are passed over.

    Returns:
        corners (4, 2): top left, top right, bottom right, bottom left; None where none is found.
    """
    h, w = photo.shape[:2]
    scale = min(1.0, _SEARCH_SIDE / max(w, h))
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    whole = float(small.shape[0] * small.shape[1])
    slope = _slope(small)
    best, best_score = None, 0.0
    for mask in _silhouettes(small):
        for contour in cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)[0]:
            area = cv2.contourArea(contour)
            if not _LEAST_SHARE * whole < area < 0.985 * whole:
                continue
            hull = cv2.convexHull(contour)
            if area < _SOLIDITY * cv2.contourArea(hull):
                continue
            quad = _as_quadrilateral(hull)
            if quad is None or not _fits_aspect(_from_top_left(quad), size_m):
                continue
            support = _edge_support(slope, quad)
            if support > _LEAST_SUPPORT and support * area > best_score:
                best, best_score = quad, support * area
    if best is None:
        return None
    grey = cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY)
    return _from_top_left(_refined(grey, (best + 0.5) / scale - 0.5))


def click_corners(photo: np.ndarray) -> np.ndarray:
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
    corners: np.ndarray, size_m: tuple[float, float] | None, long_side: int = LONG_SIDE
) -> tuple[int, int]:
    """(width, height) in pixels of the canonical picture: metric aspect where it is known."""
    if size_m is not None:
        width, height = size_m
    else:
        sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
        width, height = sides[0] + sides[2], sides[1] + sides[3]
    scale = long_side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def rectify(photo: np.ndarray, corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
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
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if over > 1 else picture


def check_aspect(corners: np.ndarray, size_m: tuple[float, float] | None) -> None:
    """Raise ValueError where the corners' shape can not be that of a face of `size_m`."""
    if size_m is None or _fits_aspect(corners, size_m):
        return
    width, height = canonical_size(corners, None)
    message = (
        f"the face is {width}:{height} in the photo but --size says {size_m[0]} x {size_m[1]} m"
    )
    if _fits_aspect(corners, (size_m[1], size_m[0])):
        message += ": swap --size (it is WIDTHxHEIGHT as the photo shows it) or turn the photo"
    raise ValueError(message + "; check --size and the corners")


def _silhouettes(picture: np.ndarray) -> list[np.ndarray]:
    """Binary pictures in which the outline of the face may be a contour."""
    masks = []
    for channel in (*cv2.split(picture), cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)):
        smooth = cv2.GaussianBlur(channel, (0, 0), 1.5)
        for low in (20, 60):
            edges = cv2.Canny(smooth, low, 3 * low)
            masks.append(cv2.dilate(edges, np.ones((3, 3), np.uint8)))
        otsu, _ = cv2.threshold(smooth, 0, 255, cv2.THRESH_OTSU)
        for level in (0.5 * otsu, otsu, 255 - 0.5 * (255 - otsu)):
            masks.append(cv2.threshold(smooth, level, 255, cv2.THRESH_BINARY)[1])
            masks.append(cv2.bitwise_not(masks[-1]))
    return masks


def _as_quadrilateral(hull: np.ndarray) -> np.ndarray | None:
    """Four corners (4, 2) of a hull that is nearly a quadrilateral, else None."""
    for share in (0.01, 0.02, 0.04, 0.06):
        corners = cv2.approxPolyDP(hull, share * cv2.arcLength(hull, True), True)[:, 0]
        if len(corners) == 4:
            quad = corners.astype(float)
            return quad if _fills(hull, quad) else None
    return None


def _fills(hull: np.ndarray, quad: np.ndarray) -> bool:
    """Whether a hull keeps to its four sides (a disc does not) and is no sliver."""
    side = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    if side.min() < 0.12 * side.max():
        return False
    outline = quad.astype(np.float32)
    distances = [
        abs(cv2.pointPolygonTest(outline, tuple(map(float, point)), True)) for point in hull[:, 0]
    ]
    return max(distances) < 0.03 * side.max()


def _slope(picture: np.ndarray) -> np.ndarray:
    """Gradient magnitude of the strongest channel, grown by a pixel, grey levels per pixel."""
    smooth = cv2.GaussianBlur(picture, (0, 0), 1.0)
    dx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8)
    dy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8)
    return cv2.dilate(cv2.magnitude(dx, dy).max(axis=2), np.ones((5, 5), np.uint8))


def _edge_support(slope: np.ndarray, quad: np.ndarray) -> float:
    """Share of the weakest side of a quadrilateral along which there is an edge."""
    shares = []
    for start, end in zip(quad, np.roll(quad, -1, axis=0), strict=True):
        stations = start + (end - start) * np.linspace(0.05, 0.95, 50)[:, None]
        x, y = np.round(stations).astype(int).T
        y, x = y.clip(0, slope.shape[0] - 1), x.clip(0, slope.shape[1] - 1)
        shares.append((slope[y, x] > 4.0).mean())
    return float(min(shares))


def _fits_aspect(corners: np.ndarray, size_m: tuple[float, float] | None) -> bool:
    if size_m is None:
        return True
    sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    aspect = (sides[0] + sides[2]) / (sides[1] + sides[3])
    return abs(math.log(aspect * size_m[1] / size_m[0])) < _FOUND_ASPECT_TOLERANCE


def _refined(grey: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Fit a line to the strongest edge along each side and cross the lines."""
    reach = max(3, round(0.012 * max(grey.shape)))
    smooth = cv2.GaussianBlur(grey, (0, 0), max(0.8, reach / 5)).astype(np.float32)
    lines = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        along = (end - start) / np.linalg.norm(end - start)
        normal = np.array([along[1], -along[0]])
        offsets = np.arange(-reach, reach + 0.25, 0.5)
        stations = start + (end - start) * np.linspace(0.08, 0.92, 60)[:, None]
        grid = (stations[:, None] + offsets[None, :, None] * normal).astype(np.float32)
        profile = cv2.remap(
            smooth, grid[..., 0], grid[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        slope = np.abs(np.gradient(profile, axis=1))
        peaks = offsets[slope.argmax(axis=1)]
        strong = slope.max(axis=1) > 0.3 * np.median(slope.max(axis=1))
        edge = stations[strong] + peaks[strong][:, None] * normal
        if len(edge) < 8:
            edge = stations
        vx, vy, x, y = cv2.fitLine(edge.astype(np.float32), cv2.DIST_HUBER, 0, 0.01, 0.01).ravel()
        lines.append(np.cross([x, y, 1.0], [x + vx, y + vy, 1.0]))
    crossings = []
    for before, after in zip([lines[-1], *lines[:-1]], lines, strict=True):
        crossing = np.cross(before, after)
        crossings.append(crossing[:2] / crossing[2])
    refined = np.array(crossings)
    moved = np.linalg.norm(refined - corners, axis=1).max()
    return refined if np.isfinite(moved) and moved < 3 * reach else corners


def _from_top_left(quad: np.ndarray) -> np.ndarray:
    """The corners clockwise, starting at the one nearest the photo's top left."""
    centre = quad.mean(axis=0)
    order = np.argsort(np.arctan2(quad[:, 1] - centre[1], quad[:, 0] - centre[0]))
    clockwise = quad[order]
    return np.roll(clockwise, -int(clockwise.sum(axis=1).argmin()), axis=0)


def _area(corners: np.ndarray) -> float:
    return float(cv2.contourArea(corners.astype(np.float32)))


def _listed(corners: np.ndarray) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in np.round(corners, 1))
