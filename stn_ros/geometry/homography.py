"""Homographies between pixel planes.

Convention: an integer coordinate is a pixel centre, x points right, y down; an image of
size (w, h) spans [-0.5, w - 0.5] x [-0.5, h - 0.5]. A homography is a 3x3 float64 matrix acting on
column vectors (x, y, 1) and scaled so that its last entry is 1. Unless said otherwise it maps
canonical pixels to camera pixels: the direction in which an image is sampled
(Jaderberg et al. 2015, eq. 1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_DEGENERATE = 1e-12
_COLLINEAR = 1e-9


def compose(*homographies: ArrayLike) -> Array:
    """Chain homographies like matrices: `compose(A, B)` applies B first, then A."""
    product = np.eye(3)
    for homography in homographies:
        product = product @ _matrix(homography)
    return _scaled(product)


def invert(homography: ArrayLike) -> Array:
    """The homography of the opposite direction.

    Raises:
        ValueError: the matrix is singular (it squashes the plane onto a line).
    """
    matrix = _matrix(homography)
    volume = np.prod(np.linalg.norm(matrix, axis=1))
    if not (np.isfinite(volume) and abs(np.linalg.det(matrix)) > _DEGENERATE * volume):
        raise ValueError("homography is singular: it cannot be inverted")
    return _scaled(_inverse(matrix))


def apply(homography: ArrayLike, points: ArrayLike) -> Array:
    """Map pixel points (..., 2); a point on the horizon comes out as inf or nan."""
    matrix = _matrix(homography)
    mapped = np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return mapped[..., :2] / mapped[..., 2:]


def from_corners(source: ArrayLike, target: ArrayLike) -> Array:
    """The homography that carries four source points (4, 2) onto four target points (4, 2).

    Raises:
        ValueError: shapes differ from (4, 2), a value is not finite, or three of the points of
            one side lie on a line.
    """
    return _scaled(_basis(target, "target") @ _inverse(_basis(source, "source")))


def face_corners(size: tuple[int, int]) -> Array:
    """Outer corners (4, 2) of an image of size (width, height): TL, TR, BR, BL pixel edges."""
    width, height = size
    if width < 1 or height < 1:
        raise ValueError(f"size is (width, height) in pixels, each at least 1; got {size}")
    right, bottom = width - 0.5, height - 0.5
    return np.array([[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]])


def to_corners(homography: ArrayLike, size: tuple[int, int]) -> Array:
    """Where the outer corners (4, 2) of a canonical picture of `size` (width, height) land."""
    return apply(homography, face_corners(size))


def quarter_rotation(size: tuple[int, int], degrees: int) -> Array:
    """Canonical -> canonical homography of a picture put down rotated, its outline kept.

    Args:
        size: (width, height), pixels. degrees: a multiple of 90, clockwise as seen (y down). By 90
            or 270 the picture is stretched to its outline unless it is square.

    Raises:
        ValueError: degrees is not a multiple of 90.
    """
    if degrees % 90:
        raise ValueError(f"only multiples of 90 degrees keep an outline; got {degrees}")
    corners = face_corners(size)
    return from_corners(corners, np.roll(corners, -degrees // 90, axis=0))


def longest_side(corners: Array) -> float:
    """Length of the longest edge of a quadrilateral (4, 2)."""
    edges = corners - corners[[3, 0, 1, 2]]
    return float(np.hypot(edges[:, 0], edges[:, 1]).max())


def corner_error(first: ArrayLike, second: ArrayLike, size: tuple[int, int]) -> float:
    """Mean distance, in target pixels, between the four corners as two homographies place them."""
    return float(np.linalg.norm(to_corners(first, size) - to_corners(second, size), axis=1).mean())


def normalised_to_pixel(size: tuple[int, int]) -> Array:
    """Affine map from normalised coordinates [-1, 1]^2 to pixels of an image (width, height).

    Follows `align_corners=False`: -1 and 1 are the outer edges of the border pixels, so
    x_normalised = (2 x + 1) / width - 1.
    """
    width, height = size
    if width < 1 or height < 1:
        raise ValueError(f"size is (width, height) in pixels, each at least 1; got {size}")
    return np.array(
        [
            [width / 2, 0.0, (width - 1) / 2],
            [0.0, height / 2, (height - 1) / 2],
            [0.0, 0.0, 1.0],
        ]
    )


def jacobian(homography: ArrayLike, points: ArrayLike) -> Array:
    """Derivative (..., 2, 2) of the mapped point by the source point, at points (..., 2)."""
    matrix = _matrix(homography)
    points = np.asarray(points, np.float64)
    depth = (points @ matrix[2, :2] + matrix[2, 2])[..., None, None]
    mapped = apply(matrix, points)
    derivative: Array = (matrix[:2, :2] - mapped[..., :, None] * matrix[2, :2]) / depth
    return derivative


def is_visible_face(homography: ArrayLike, size: tuple[int, int]) -> bool:
    """Whether a picture of `size` (width, height) is mapped as a camera can see a face.

    True when every value is finite, no part of the picture lies on or behind the horizon, and the
    picture is not mirrored; its image is then a convex quadrilateral.
    """
    matrix = _matrix(homography)
    if not np.isfinite(matrix).all():
        return False
    depth = face_corners(size) @ matrix[2, :2] + matrix[2, 2]
    if not (depth.min() > 0 or depth.max() < 0):
        return False
    return bool(np.linalg.det(matrix) * depth[0] > 0)


def _matrix(homography: ArrayLike) -> Array:
    matrix = np.asarray(homography, np.float64)
    if matrix.shape != (3, 3):
        raise ValueError(f"a homography is a 3x3 matrix; got shape {matrix.shape}")
    return matrix


def _inverse(matrix: Array) -> Array:
    return np.asarray(np.linalg.inv(matrix), np.float64)


def _scaled(matrix: Array) -> Array:
    """Last entry 1; where canonical pixel (0, 0) is on the horizon, the largest entry instead."""
    largest = matrix.flat[np.abs(matrix).argmax()]
    last = matrix[2, 2]
    return matrix / (last if abs(last) > _DEGENERATE * abs(largest) else largest)


def _basis(points: ArrayLike, name: str) -> Array:
    """Matrix that carries the projective unit basis onto four points (Heckbert 1989, sec. 2.2)."""
    corners = np.asarray(points, np.float64)
    if corners.shape != (4, 2):
        raise ValueError(f"{name} must be four points, shape (4, 2); got {corners.shape}")
    if not np.isfinite(corners).all():
        raise ValueError(f"{name} points must be finite; got {corners.tolist()}")
    # Twice the signed area of the triangle without each of the four points (Cramer's rule).
    a, b, c, d = corners.tolist()
    without = [_area(b, c, d), _area(a, c, d), _area(a, b, d), _area(a, b, c)]
    x, y = zip(a, b, c, d, strict=True)
    width, height = max(x) - min(x), max(y) - min(y)
    if min(map(abs, without)) <= _COLLINEAR * (width * width + height * height):
        raise ValueError(f"three of the {name} points lie on a line: {corners.tolist()}")
    u, v, w = without[0] / without[3], -without[1] / without[3], without[2] / without[3]
    return np.array(
        [
            [u * a[0], v * b[0], w * c[0]],
            [u * a[1], v * b[1], w * c[1]],
            [u, v, w],
        ]
    )


def _area(a: list[float], b: list[float], c: list[float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
