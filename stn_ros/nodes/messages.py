"""Messages made of plain values: pictures, calibrations; and stamps as numbers.

How they are read: `stn_ros.recordings`.
"""

import array
import sys

import numpy as np
from builtin_interfaces.msg import Time as Stamp
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header


def nanoseconds(stamp: Stamp) -> int:
    """A stamp in nanoseconds; unlike rclpy's Time, any stamp a message can hold."""
    total: int = stamp.sec * 1_000_000_000 + stamp.nanosec
    return total


def image_message(picture: NDArray[np.uint8], header: Header) -> Image:
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
    data.frombytes(picture.data.cast("B"))
    msg.data = data
    return msg


def camera_info_message(
    K: NDArray[np.float64] | None, size: tuple[int, int], header: Header
) -> CameraInfo:
    """CameraInfo of a pinhole camera without distortion; K None means uncalibrated (all zero)."""
    msg = CameraInfo(
        header=header, width=size[0], height=size[1], distortion_model="plumb_bob", d=[0.0] * 5
    )
    if K is not None:
        msg.k = K.ravel()
        msg.r = np.eye(3).ravel()
        msg.p = np.hstack([K, np.zeros((3, 1))]).ravel()
    return msg
