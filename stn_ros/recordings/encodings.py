"""Images of messages as pictures: every raw encoding, and compressed ones.

Only the fields of a message are asked for, so those of rclpy and of rosbags are read alike. Pixels
are read where they lie (a strided view, no copy) and converted by OpenCV only if they are not BGR
already. What a message promises and does not keep is a ValueError that names the field, what it
holds and what it should.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from stn_ros.recordings.bit_depth import BitDepth

Picture = NDArray[np.uint8]
"""(h, w, 3) BGR."""


class Image(Protocol):
    """The fields of sensor_msgs/Image."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any  # any buffer of bytes


class CompressedImage(Protocol):
    """The fields of sensor_msgs/CompressedImage."""

    format: str
    data: Any  # any buffer of bytes


# encoding -> (bytes per channel, channels, OpenCV conversion of the 8-bit picture to BGR).
# OpenCV names a Bayer pattern by its second row, ROS by its first.
_COLOUR: dict[str, tuple[int, int, int | None]] = {
    "mono8": (1, 1, cv2.COLOR_GRAY2BGR),
    "8UC1": (1, 1, cv2.COLOR_GRAY2BGR),
    "mono16": (2, 1, cv2.COLOR_GRAY2BGR),
    "bgr8": (1, 3, None),
    "8UC3": (1, 3, None),
    "bgr16": (2, 3, None),
    "rgb8": (1, 3, cv2.COLOR_RGB2BGR),
    "rgb16": (2, 3, cv2.COLOR_RGB2BGR),
    "bgra8": (1, 4, cv2.COLOR_BGRA2BGR),
    "8UC4": (1, 4, cv2.COLOR_BGRA2BGR),
    "bgra16": (2, 4, cv2.COLOR_BGRA2BGR),
    "rgba8": (1, 4, cv2.COLOR_RGBA2BGR),
    "rgba16": (2, 4, cv2.COLOR_RGBA2BGR),
    "yuv422": (1, 2, cv2.COLOR_YUV2BGR_UYVY),
    "uyvy": (1, 2, cv2.COLOR_YUV2BGR_UYVY),
    "yuv422_yuy2": (1, 2, cv2.COLOR_YUV2BGR_YUYV),
    "yuyv": (1, 2, cv2.COLOR_YUV2BGR_YUYV),
    "nv12": (1, 1, cv2.COLOR_YUV2BGR_NV12),
    "nv21": (1, 1, cv2.COLOR_YUV2BGR_NV21),
    **{
        f"bayer_{order}{8 * size}": (size, 1, code)
        for size in (1, 2)
        for order, code in (
            ("rggb", cv2.COLOR_BayerBG2BGR),
            ("bggr", cv2.COLOR_BayerRG2BGR),
            ("gbrg", cv2.COLOR_BayerGR2BGR),
            ("grbg", cv2.COLOR_BayerGB2BGR),
        )
    },
}
PICTURE_ENCODINGS = frozenset(_COLOUR)
"""The raw encodings that `to_bgr` reads."""
_PLANAR = ("nv12", "nv21")
_HALF_WIDTH_CHROMA = ("yuv422", "uyvy", "yuv422_yuy2", "yuyv", *_PLANAR)
_GENERIC = re.compile(r"(8|16|32|64)([USF])C(\d+)")
_STORED_ORDER = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


def image_view(msg: Image) -> NDArray[Any]:
    """The pixels of a message where they lie, as its `step` and byte order say; nothing is copied.

    Returns (height, width) or (height, width, channels) in the encoding's own type; nv12 and nv21
    have height * 3/2 rows. Raises ValueError naming the field that cannot be true.
    """
    dtype, channels = _layout(msg.encoding)
    width, height = msg.width, msg.height
    if width == 0 or height == 0:
        raise ValueError(f"image is empty: width x height = {width} x {height}")
    if msg.encoding in _HALF_WIDTH_CHROMA and width % 2:
        raise ValueError(f"image width {width} is odd: '{msg.encoding}' pairs its columns")
    if msg.encoding in _PLANAR and height % 2:
        raise ValueError(f"image height {height} is odd: '{msg.encoding}' pairs its rows")
    rows = height * 3 // 2 if msg.encoding in _PLANAR else height
    row_bytes = width * channels * dtype.itemsize
    if msg.step < row_bytes:
        raise ValueError(
            f"image step {msg.step} is wrong: a row of {width} px '{msg.encoding}' takes "
            f"{row_bytes} bytes"
        )
    size = len(msg.data)
    if size < msg.step * (rows - 1) + row_bytes:  # the last row may come without its padding
        raise ValueError(
            f"image data is truncated: {size} bytes, {rows} rows of step {msg.step} need "
            f"{msg.step * rows}"
        )
    if size > msg.step * rows:
        raise ValueError(
            f"image step {msg.step} is wrong: {rows} rows of it are {msg.step * rows} bytes, "
            f"data holds {size}"
        )
    shape = (rows, width) if channels == 1 else (rows, width, channels)
    strides = (msg.step, channels * dtype.itemsize, dtype.itemsize)
    return np.ndarray(
        shape,
        dtype.newbyteorder(">" if msg.is_bigendian else "<"),
        buffer=msg.data,
        strides=strides[: len(shape)],
    )


def to_bgr(msg: Image, depth: BitDepth | None = None) -> Picture:
    """The picture of a raw image; bgr8 is not copied.

    16-bit values become 8 by `depth`, that of the stream; without it their upper 8 bits remain.

    Raises ValueError as `image_view` does, and for encodings that are no picture (depth, floats).
    """
    view = image_view(msg)
    if msg.encoding not in _COLOUR:
        raise ValueError(
            f"image encoding '{msg.encoding}' is no picture: it has no known colours or "
            "brightness range; publish mono8, mono16, bgr8 or another colour encoding"
        )
    code = _COLOUR[msg.encoding][2]
    if view.dtype.itemsize == 2:
        view = depth.to_8_bits(view, msg.encoding) if depth else (view >> 8).astype(np.uint8)
    return view if code is None else np.asarray(cv2.cvtColor(view, code), np.uint8)


def decode(msg: CompressedImage, depth: BitDepth | None = None) -> Picture:
    """The picture of a compressed image (JPEG, PNG), its pixels in stored order.

    16-bit values as in `to_bgr`. Raises ValueError where the data is no picture, or stops short.
    """
    if "compressedDepth" in msg.format:
        raise ValueError(f"compressed image format '{msg.format}' is depth, not a picture")
    data = np.frombuffer(msg.data, np.uint8)
    tail = data[-64:].tobytes().rstrip(b"\0")
    # OpenCV paints what is missing of a cut-off JPEG grey and reports nothing.
    if (data[:2].tobytes() == b"\xff\xd8" and not tail.endswith(b"\xff\xd9")) or (
        data[:4].tobytes() == b"\x89PNG" and b"IEND" not in tail
    ):
        raise ValueError(f"compressed image is truncated: its {data.size} bytes have no end mark")
    picture = decode_file(data, msg.format, depth)
    if picture is None:
        raise ValueError(
            f"compressed image of format '{msg.format}' cannot be decoded: {data.size} bytes"
        )
    return picture


def decode_file(
    content: NDArray[np.uint8], kind: str, depth: BitDepth | None = None
) -> Picture | None:
    """The picture of a file's bytes in stored order, None if they are none.

    16-bit values as in `to_bgr`; `kind` is the encoding's name there.
    """
    if not content.size:
        return None
    try:
        if depth is not None:
            deep = cv2.imdecode(content, _STORED_ORDER | cv2.IMREAD_ANYDEPTH)
            if deep is not None and deep.dtype == np.uint16:
                return depth.to_8_bits(deep, kind)
        picture = cv2.imdecode(content, _STORED_ORDER)
    except cv2.error:
        return None
    return None if picture is None else np.asarray(picture, np.uint8)


def _layout(encoding: str) -> tuple[np.dtype[Any], int]:
    """Pixel type (in native byte order) and channels of an encoding."""
    if encoding in _COLOUR:
        size, channels, _ = _COLOUR[encoding]
        return np.dtype(f"u{size}"), channels
    if match := _GENERIC.fullmatch(encoding):
        bits, kind, channels = int(match[1]), match[2], int(match[3])
        if channels and (kind, bits) not in (("F", 8), ("U", 64), ("S", 64)):
            return np.dtype({"U": "u", "S": "i", "F": "f"}[kind] + str(bits // 8)), channels
    raise ValueError(
        f"image encoding '{encoding}' is unknown: known are {', '.join(sorted(_COLOUR))} "
        "and OpenCV types such as 32FC1"
    )
