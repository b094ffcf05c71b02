"""Pictures, calibrations and stamps: sensor_msgs to plain values and back.

A message's pixels are read where they lie (a strided view, no copy) and converted by OpenCV only
if they are not BGR already. Whatever a message promises and does not keep is a ValueError that
names the field, what it holds and what it should.
"""

import array
import re
import sys

import cv2
import numpy as np
from builtin_interfaces.msg import Time as Stamp
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from stn_ros.geometry.camera import CameraModel

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
_PLANAR = ("nv12", "nv21")
_HALF_WIDTH_CHROMA = ("yuv422", "uyvy", "yuv422_yuy2", "yuyv", *_PLANAR)
_GENERIC = re.compile(r"(8|16|32|64)([USF])C(\d+)")


def _layout(encoding: str) -> tuple[np.dtype, int]:
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


def nanoseconds(stamp: Stamp) -> int:
    """A stamp in nanoseconds; unlike rclpy's Time, any stamp a message can hold."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def image_view(msg: Image) -> np.ndarray:
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


def to_bgr(msg: Image) -> np.ndarray:
    """The picture as (height, width, 3) uint8 BGR; bgr8 is not copied, 16 bits keep the upper 8.

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
        upper = 0 if msg.is_bigendian else 1
        view = np.ascontiguousarray(np.ascontiguousarray(view).view(np.uint8)[..., upper::2])
    return view if code is None else cv2.cvtColor(view, code)


def decode(msg: CompressedImage) -> np.ndarray:
    """The JPEG or PNG picture of a message as (height, width, 3) uint8 BGR.

    The pixels keep their stored order (an EXIF turn would break the calibration).
    Raises ValueError where the data is no picture, or stops short of its end.
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
    picture = None
    if data.size:
        try:
            picture = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        except cv2.error:
            picture = None
    if picture is None:
        raise ValueError(
            f"compressed image of format '{msg.format}' cannot be decoded: {data.size} bytes"
        )
    return picture


def image_message(picture: np.ndarray, header: Header) -> Image:
    """The message of a uint8 picture: (h, w) becomes mono8, (h, w, 3) bgr8."""
    picture = np.ascontiguousarray(picture)
    height, width = picture.shape[:2]
    msg = Image(
        header=header,
        height=height,
        width=width,
        encoding="mono8" if picture.ndim == 2 else "bgr8",
        is_bigendian=sys.byteorder == "big",
        step=picture.strides[0],
    )
    # rclpy checks any other sequence byte by byte, 80-300 ms a picture.
    data = array.array("B")
    data.frombytes(memoryview(picture).cast("B"))
    msg.data = data
    return msg


def camera_model(msg: CameraInfo, rectified: bool) -> CameraModel:
    """The camera a CameraInfo describes; `rectified` says that its images are rectified already.

    Raises ValueError naming what is wrong: uncalibrated, no size, unknown distortion model.
    """
    return CameraModel.from_calibration(
        width=msg.width,
        height=msg.height,
        k=msg.k,
        d=msg.d,
        r=msg.r,
        p=msg.p,
        distortion_model=msg.distortion_model,
        binning_x=msg.binning_x,
        binning_y=msg.binning_y,
        roi=(msg.roi.x_offset, msg.roi.y_offset, msg.roi.width, msg.roi.height),
        rectified=rectified,
    )


def same_calibration(one: CameraInfo, other: CameraInfo) -> bool:
    """True if two messages describe the same camera; their headers may differ."""
    return (
        all(
            np.array_equal(getattr(one, name), getattr(other, name))
            for name in (
                "width",
                "height",
                "distortion_model",
                "d",
                "k",
                "r",
                "p",
                "binning_x",
                "binning_y",
            )
        )
        and one.roi == other.roi
    )


def camera_info_message(K: np.ndarray | None, size: tuple[int, int], header: Header) -> CameraInfo:
    """CameraInfo of a pinhole camera without distortion; K None means uncalibrated (all zero)."""
    msg = CameraInfo(
        header=header, width=size[0], height=size[1], distortion_model="plumb_bob", d=[0.0] * 5
    )
    if K is not None:
        msg.k = K.ravel()
        msg.r = np.eye(3).ravel()
        msg.p = np.hstack([K, np.zeros((3, 1))]).ravel()
    return msg
