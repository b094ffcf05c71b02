"""Sampling one camera frame through homographies, without aliasing and with one resampling only.

Bilinear interpolation reads four pixels however far apart the samples are. By the source/patch
ratio r (source pixels a patch pixel spans along the longest edge of the sampled region):
below 1.3 the frame is read plainly; up to 3 each patch pixel is the mean of 2x2 samples; above 3
those samples are read from a pyramid of box averages, built once a frame where it is needed.
"""

from __future__ import annotations

import math
from typing import TypeGuard, TypeVar

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from stn_ros.geometry.camera import CameraModel
from stn_ros.geometry.homography import apply, face_corners

Array = NDArray[np.float64]
Float = TypeVar("Float", np.float32, np.float64)

_PLAIN_BELOW = 1.3
_SUPERSAMPLE_UP_TO = 3.0
_FINE_TO_PATCH = np.array([[0.5, 0.0, -0.25], [0.0, 0.5, -0.25], [0.0, 0.0, 1.0]])
# Border pixels around a cut: no patch pixel that is half inside reads further out.
_MARGIN = 3
# A patch that spans more pixels than this holds nothing to see.
_FARTHEST = 1e6
_EVERY = 4
_REMAP_LIMITS = -1e4, 3e4  # remap counts in 16 bits


class FrameSampler:
    """Reads patches from one frame and holds what they share.

    Args:
        frame: BGR image, uint8, shape (height, width, 3). Not copied: leave it unchanged while the
            sampler is in use.
        camera: the frame's camera. Only a distorted one matters: homographies then end in ideal
            pixels, and the distortion is folded into the sampling.

    Raises:
        ValueError: the frame is not such an image, or the camera is for another size.
    """

    def __init__(self, frame: NDArray[np.uint8], camera: CameraModel | None = None) -> None:
        check_frame(frame)
        height, width = frame.shape[:2]
        if camera is not None and camera.size != (width, height):
            raise ValueError(
                f"frame is {width}x{height} but the camera's calibration is for "
                f"{camera.size[0]}x{camera.size[1]}: use the calibration of this stream"
            )
        self._pyramid = [frame]
        self._grey_levels: dict[int, NDArray[np.uint8]] = {}
        self._camera = camera if camera is not None and camera.distorted else None

    def sample(self, homography: ArrayLike, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Read a patch.

        Args:
            homography: 3x3, patch pixels -> frame pixels (ideal pixels of a distorted camera).
            size: patch size (width, height).

        Returns:
            BGRA uint8 (height, width, 4). Alpha is 255 where at least half of what the pixel is
            read from lies inside the frame; elsewhere all four are 0. A homography that is not
            finite, spans more than a million pixels or reaches behind the camera gives only zeros.
        """
        matrix = np.asarray(homography, np.float64)
        corners = _visible_corners(matrix, size)
        if corners is None:
            return _nothing(size)
        return self._read(matrix, corners, size, *_reading(_source_ratio(corners, size)))

    def sample_grey(
        self, homography: ArrayLike, size: tuple[int, int]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """`sample`, in grey: several times as fast where the patch lies inside the frame.

        Returns:
            Grey levels (height, width), and alpha as `sample` has it, None if it is 255 all over.
        """
        matrix = np.asarray(homography, np.float64)
        corners = _visible_corners(matrix, size)
        if not self._is_plain(corners):
            patch = self.sample(matrix, size)
            return np.asarray(cv2.cvtColor(patch, cv2.COLOR_BGRA2GRAY), np.uint8), patch[..., 3]
        level, fine = _reading(_source_ratio(corners, size))
        image, step = self._level(level)
        if level not in self._grey_levels:
            grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
            self._grey_levels[level] = np.asarray(grey, np.uint8)
        return _warped(self._grey_levels[level], step, matrix, size, fine), None

    def sample_bgr(self, homography: ArrayLike, size: tuple[int, int]) -> NDArray[np.uint8]:
        """`sample` without alpha, faster where the patch lies inside the frame."""
        matrix = np.asarray(homography, np.float64)
        corners = _visible_corners(matrix, size)
        if not self._is_plain(corners):
            patch = cv2.cvtColor(self.sample(matrix, size), cv2.COLOR_BGRA2BGR)
            return np.asarray(patch, np.uint8)
        level, fine = _reading(_source_ratio(corners, size))
        return _warped(*self._level(level), matrix, size, fine)

    def _is_plain(self, corners: Array | None) -> TypeGuard[Array]:
        """Whether a patch with these corners lies inside the frame of a camera without bend."""
        if corners is None or self._camera is not None:
            return False
        height, width = self._pyramid[0].shape[:2]
        (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
        return bool(left >= 1 and top >= 1 and right <= width - 2 and bottom <= height - 2)

    def _read(
        self,
        matrix: Array,
        corners: Array,
        size: tuple[int, int],
        level: int,
        fine: bool,
    ) -> NDArray[np.uint8]:
        image, step = self._level(level)
        if fine:
            matrix = matrix @ _FINE_TO_PATCH
        read_size = (2 * size[0], 2 * size[1]) if fine else size
        outline, bend = corners, None
        if self._camera is not None:
            nodes = _node_grid(matrix, read_size)
            outline = self._camera.distort_points(nodes)
            bend = (outline - nodes) * step
        cut = _cut_out(image, outline * step + (step / 2 - 0.5))
        if cut is None:
            return _nothing(size)
        pixels, left_top, inside = cut
        x, y = step / 2 - 0.5 - left_top
        matrix = np.array([[step, 0, x], [0, step, y], [0, 0, 1]]) @ matrix
        if bend is None:
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            patch = cv2.warpPerspective(pixels, matrix, read_size, flags=flags)
        else:
            across, down = _bent_maps(matrix, bend, read_size)
            if not inside:
                across, down = (
                    np.nan_to_num(each, nan=_REMAP_LIMITS[0]).clip(*_REMAP_LIMITS)
                    for each in (across, down)
                )
            patch = cv2.remap(pixels, across, down, cv2.INTER_LINEAR)
        if fine:
            patch = cv2.resize(patch, size, interpolation=cv2.INTER_AREA)
        read = np.asarray(patch, np.uint8)
        return read if inside else _with_binary_alpha(read)

    def _level(self, level: int) -> tuple[NDArray[np.uint8], float]:
        """The frame averaged over boxes of 2^level pixels, and one over their side."""
        while len(self._pyramid) <= level and min(self._pyramid[-1].shape[:2]) > 1:
            finer = self._pyramid[-1]
            height, width = finer.shape[0] // 2, finer.shape[1] // 2
            even = finer[: 2 * height, : 2 * width]
            coarser = cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA)
            self._pyramid.append(np.asarray(coarser, np.uint8))
        level = min(level, len(self._pyramid) - 1)
        return self._pyramid[level], 0.5**level


def check_frame(frame: NDArray[np.uint8]) -> None:
    """Raise ValueError unless `frame` is a BGR image, uint8 of shape (height, width, 3)."""
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or not frame.size:
        raise ValueError(
            "frame must be a BGR image, uint8 of shape (height, width, 3); "
            f"got {frame.dtype} of shape {frame.shape}"
        )


def _warped(
    image: NDArray[np.uint8], step: float, matrix: Array, size: tuple[int, int], fine: bool
) -> NDArray[np.uint8]:
    """Read a patch that lies inside a level of the pyramid, with `step` pixels to a frame pixel."""
    at = step / 2 - 0.5
    matrix = np.array([[step, 0, at], [0, step, at], [0, 0, 1]]) @ matrix
    if fine:
        matrix = matrix @ _FINE_TO_PATCH
    read_size = (2 * size[0], 2 * size[1]) if fine else size
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    patch = cv2.warpPerspective(
        image, matrix, read_size, flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    if fine:
        patch = cv2.resize(patch, size, interpolation=cv2.INTER_AREA)
    return np.asarray(patch, np.uint8)


def _visible_corners(matrix: Array, size: tuple[int, int]) -> Array | None:
    """Corners (4, 2) of the patch in the frame; None if they cannot all be seen."""
    if not np.isfinite(matrix).all():
        return None
    corners = face_corners(size)
    depth = corners @ matrix[2, :2] + matrix[2, 2]
    if not (depth.min() > 0 or depth.max() < 0):
        return None
    mapped = apply(matrix, corners)
    return mapped if np.abs(mapped).max() < _FARTHEST else None


def _source_ratio(corners: Array, size: tuple[int, int]) -> float:
    """Frame pixels that one patch pixel spans, along the most stretched edge of the patch."""
    edges = corners[[1, 2, 3, 0]] - corners
    return float((np.hypot(edges[:, 0], edges[:, 1]) / (size * 2)).max())


def _reading(ratio: float) -> tuple[int, bool]:
    """Level of the pyramid to read, and whether 2x2 samples a pixel are."""
    if ratio < _PLAIN_BELOW:
        return 0, False
    return max(0, math.ceil(math.log2(ratio / _SUPERSAMPLE_UP_TO))), True


def _node_grid(matrix: Array, size: tuple[int, int]) -> Array:
    """Images (rows, columns, 2) of every fourth pixel of a patch and of a frame of nodes around.

    The nodes lie where `cv2.resize` interpolates between when it enlarges four times. Those
    behind the camera are nan.
    """
    columns, rows = (
        _EVERY * (np.arange(-(-side // _EVERY) + 2, dtype=np.float64) - 0.5) - 0.5 for side in size
    )
    x, y, depth = _planes(matrix, columns, rows)
    depth = np.where(depth * (matrix[2] @ [columns[1], rows[1], 1]) > 0, depth, np.nan)
    return np.stack([x / depth, y / depth], axis=-1)


def _bent_maps(
    matrix: Array, bend: Array, size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Maps x, y for `cv2.remap`: a homography, and the bend of the lens interpolated from nodes.

    The bend is so smooth that interpolating it costs about 0.01 pixels.
    """
    width, height = size
    fine = cv2.resize(bend.astype(np.float32), None, fx=_EVERY, fy=_EVERY)
    fine = fine[_EVERY : _EVERY + height, _EVERY : _EVERY + width]
    x, y, depth = _planes(
        matrix.astype(np.float32), *(np.arange(n, dtype=np.float32) for n in size)
    )
    return x / depth + fine[..., 0], y / depth + fine[..., 1]


def _planes(
    matrix: NDArray[Float], columns: NDArray[Float], rows: NDArray[Float]
) -> NDArray[Float]:
    """Homogeneous images (3, rows, columns) of a lattice of points."""
    across, down = matrix[:, :1] * columns, matrix[:, 1:2] * rows + matrix[:, 2:]
    planes: NDArray[Float] = across[:, None, :] + down[:, :, None]
    return planes


def _cut_out(
    image: NDArray[np.uint8], points: Array
) -> tuple[NDArray[np.uint8], Array, bool] | None:
    """BGRA of the image where points (..., 2) fall, its first pixel, and whether all are inside.

    None if no point is near the image. If some are outside, the cut is framed by its own border
    pixels with alpha 0: bilinear reading then gives undarkened colours up to the image's edge, and
    alpha as the part of each reading that lies inside.
    """
    points = points.reshape(-1, 2)
    known = ~np.isnan(points[:, 0])
    if not known.any():
        return None
    low, high = points[known].min(axis=0), points[known].max(axis=0)
    last = np.array([image.shape[1] - 1, image.shape[0] - 1])
    left, top = np.maximum(np.floor(low) - 1, 0).astype(int)
    right, bottom = np.minimum(np.ceil(high) + 1, last).astype(int)
    if left > right or top > bottom:
        return None
    cut = cv2.cvtColor(image[top : bottom + 1, left : right + 1], cv2.COLOR_BGR2BGRA)
    pixels = np.asarray(cut, np.uint8)
    inside = bool(known.all() and (low >= 0).all() and (high <= last).all())
    if not inside:
        framed = cv2.copyMakeBorder(
            pixels, _MARGIN, _MARGIN, _MARGIN, _MARGIN, cv2.BORDER_REPLICATE
        )
        pixels = np.asarray(framed, np.uint8)
        pixels[..., 3] = 0
        pixels[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN, 3] = 255
        left, top = left - _MARGIN, top - _MARGIN
    return pixels, np.array([left, top]), inside


def _with_binary_alpha(patch: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Keep the pixels that are at least half inside, and clear the others."""
    _, mask = cv2.threshold(cv2.extractChannel(patch, 3), 127, 255, cv2.THRESH_BINARY)
    kept = cv2.bitwise_and(patch, cv2.merge([mask] * 4))
    return np.asarray(cv2.insertChannel(mask, kept, 3), np.uint8)


def _nothing(size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.zeros((size[1], size[0], 4), np.uint8)
