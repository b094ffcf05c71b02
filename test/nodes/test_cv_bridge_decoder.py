"""ROS's own decoder: the oracle of ours where it is installed, and the fallback of the node."""

import array
import sys

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
from sensor_msgs.msg import Image

from stn_ros.nodes.cv_bridge_decoder import cv_bridge_decoder
from stn_ros.recordings.encodings import PICTURE_ENCODINGS, to_bgr
from stn_ros.recordings.image_decoder import ImageDecoder

pytestmark = pytest.mark.ros
ORACLE = cv_bridge_decoder()
needs_cv_bridge = pytest.mark.skipif(
    ORACLE is None, reason="cv_bridge, part of a full ROS 2, is not installed or does not load"
)
# Ours alone: cv_bridge knows no semi-planar YUV and no brightness of the OpenCV types.
OURS = {"nv12", "nv21", "uyvy", "yuyv", "8UC1", "8UC3", "8UC4"}
HEIGHT, WIDTH = 6, 8


def message(encoding: str, padding: int, big: bool = False) -> Image:
    """An image of random bytes; `big` says that the pairs of bytes come the other way round."""
    kind = encoding.split("_")[0].rstrip("0123456789")
    channels = {"mono": 1, "bayer": 1, "yuv": 2, "bgr": 3, "rgb": 3, "bgra": 4, "rgba": 4}[kind]
    size = 2 if encoding.endswith("16") else 1
    row = WIDTH * channels * size
    # cv_bridge takes a step for a number of whole pixels.
    step = row + padding * channels * size
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, step), np.uint8)
    if big:
        pixels = pixels.reshape(HEIGHT, -1, 2)[..., ::-1].reshape(HEIGHT, step)
    return Image(
        height=HEIGHT,
        width=WIDTH,
        encoding=encoding,
        is_bigendian=big,
        step=step,
        data=array.array("B", np.ascontiguousarray(pixels).tobytes()),
    )


@needs_cv_bridge
@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("encoding", sorted(PICTURE_ENCODINGS - OURS))
def test_ours_agrees_with_cv_bridge(encoding: str, padding: int):
    msg = message(encoding, padding)
    theirs = ORACLE(msg).astype(int)
    # Of 16 bits it rounds where we cut, and interpolates a mosaic before that.
    tolerance = 1 if encoding.endswith("16") else 0
    assert np.abs(to_bgr(msg).astype(int) - theirs).max() <= tolerance
    if tolerance:
        # It can not read the other byte order with NumPy 2, so reads the same values in this one.
        assert np.abs(to_bgr(message(encoding, padding, big=True)) - theirs).max() <= tolerance


@needs_cv_bridge
@pytest.mark.parametrize("encoding", ["rgb12", "16UC1", "32FC1", ""])
def test_what_both_do_not_know_is_named_by_us(encoding: str):
    msg = message("mono16", 0)
    msg.encoding = encoding
    with pytest.raises(ValueError, match=f"image encoding '{encoding}'.*cv_bridge"):
        ORACLE(msg)
    with pytest.raises(ValueError, match=f"image encoding '{encoding}' is|image step 16 is wrong"):
        ImageDecoder(pytest.fail, ORACLE).decode(msg)


def test_without_cv_bridge_there_is_no_fallback(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    assert cv_bridge_decoder() is None
