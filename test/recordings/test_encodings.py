"""Every encoding, size, padding and byte order against a slow reader and OpenCV; broken fields.

The reader below takes one byte after the other with struct and knows the encodings by their
definition (sensor_msgs/image_encodings.hpp, ITU-R BT.601), not by OpenCV's names.
"""

import array
import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stn_ros.recordings.encodings import PICTURE_ENCODINGS, decode, image_view, to_bgr

PLAIN = {
    **dict.fromkeys(("mono8", "8UC1", "mono16"), "y"),
    **dict.fromkeys(("bgr8", "8UC3", "bgr16"), "bgr"),
    **dict.fromkeys(("rgb8", "rgb16"), "rgb"),
    **dict.fromkeys(("bgra8", "8UC4", "bgra16"), "bgra"),
    **dict.fromkeys(("rgba8", "rgba16"), "rgba"),
}
"""Channels in the order they are stored."""
PACKED = {"yuv422": "uyvy", "uyvy": "uyvy", "yuv422_yuy2": "yuyv", "yuyv": "yuyv"}
PLANAR = {"nv12": "uv", "nv21": "vu"}
BAYER = {
    f"bayer_{order}{bits}": order for order in ("rggb", "bggr", "gbrg", "grbg") for bits in (8, 16)
}
OPENCV = {
    "yuv422": cv2.COLOR_YUV2BGR_Y422,
    "uyvy": cv2.COLOR_YUV2BGR_UYNV,
    "yuv422_yuy2": cv2.COLOR_YUV2BGR_YUNV,
    "yuyv": cv2.COLOR_YUV2BGR_YUY2,
    "nv12": cv2.COLOR_YUV2BGR_NV12,
    "nv21": cv2.COLOR_YUV2BGR_NV21,
    **{name: getattr(cv2, f"COLOR_Bayer{order.upper()}2BGR") for name, order in BAYER.items()},
}


def wide(encoding: str) -> bool:
    return encoding.endswith("16")


def row_bytes(encoding: str, width: int) -> int:
    if encoding in PACKED:
        return 2 * width
    return width * len(PLAIN.get(encoding, "y")) * (2 if wide(encoding) else 1)


@st.composite
def images(draw: st.DrawFn) -> SimpleNamespace:
    """The fields of an Image with random bytes, the padding's as well."""
    encoding = draw(st.sampled_from(sorted(PICTURE_ENCODINGS)))
    width, height = draw(st.integers(1, 9)), draw(st.integers(1, 7))
    if encoding in PACKED or encoding in PLANAR:
        width += width % 2
    if encoding in PLANAR:
        height += height % 2
    rows = height * 3 // 2 if encoding in PLANAR else height
    step = row_bytes(encoding, width) + draw(st.integers(0, 9))
    size = step * rows
    if draw(st.booleans()):  # the last row may lack its padding
        size -= step - row_bytes(encoding, width)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return SimpleNamespace(
        encoding=encoding,
        width=width,
        height=height,
        step=step,
        is_bigendian=draw(st.sampled_from([0, 1])),
        data=array.array("B", rng.integers(0, 256, size, np.uint8).tobytes()),
    )


def eight_bits(msg: SimpleNamespace, row: int, index: int) -> int:
    """Value `index` of a row; of 16-bit values their upper byte."""
    if not wide(msg.encoding):
        return struct.unpack_from("B", msg.data, row * msg.step + index)[0]
    order = ">H" if msg.is_bigendian else "<H"
    return struct.unpack_from(order, msg.data, row * msg.step + 2 * index)[0] // 256


def from_yuv(y: int, u: int, v: int) -> list[float]:
    """BGR of studio-swing ITU-R BT.601; there is nothing darker than black."""
    luma = 255 / 219 * max(y - 16, 0)
    red = luma + 255 / 112 * 0.701 * (v - 128)
    blue = luma + 255 / 112 * 0.886 * (u - 128)
    green = luma - 255 / 112 * (
        0.886 * 0.114 / 0.587 * (u - 128) + 0.701 * 0.299 / 0.587 * (v - 128)
    )
    return [min(max(value, 0.0), 255.0) for value in (blue, green, red)]


def slow_pixel(msg: SimpleNamespace, row: int, column: int) -> list[float]:
    """BGR of one pixel."""
    if order := PLAIN.get(msg.encoding):
        values = {
            name: eight_bits(msg, row, len(order) * column + index)
            for index, name in enumerate(order)
        }
        return [values.get(name, values.get("y")) for name in "bgr"]
    if order := PACKED.get(msg.encoding):
        pair = [eight_bits(msg, row, 4 * (column // 2) + index) for index in range(4)]
        luma = [value for value, name in zip(pair, order, strict=True) if name == "y"]
        chroma = dict(zip(order, pair, strict=True))
        return from_yuv(luma[column % 2], chroma["u"], chroma["v"])
    if order := PLANAR.get(msg.encoding):
        pair = [
            eight_bits(msg, msg.height + row // 2, 2 * (column // 2) + index) for index in (0, 1)
        ]
        chroma = dict(zip(order, pair, strict=True))
        return from_yuv(eight_bits(msg, row, column), chroma["u"], chroma["v"])
    order = BAYER[msg.encoding]
    seen: dict[str, list[int]] = {"b": [], "g": [], "r": []}
    for y in (row - 1, row, row + 1):
        for x in (column - 1, column, column + 1):
            seen[order[2 * (y % 2) + x % 2]].append(eight_bits(msg, y, x))
    seen[order[2 * (row % 2) + column % 2]] = [eight_bits(msg, row, column)]
    return [sum(values) / len(values) for values in seen.values()]


def test_the_reader_knows_every_encoding():
    assert {*PLAIN, *PACKED, *PLANAR, *BAYER} == PICTURE_ENCODINGS


@settings(deadline=None)
@given(images())
def test_to_bgr_is_what_the_slow_reader_reads(msg: SimpleNamespace):
    found = to_bgr(msg)
    assert found.dtype == np.uint8
    assert found.shape == (msg.height, msg.width, 3)
    edge = 1 if msg.encoding in BAYER else 0  # where neighbours of a mosaic are missing
    tolerance = 0 if msg.encoding in PLAIN else 1
    for row in range(edge, msg.height - edge):
        for column in range(edge, msg.width - edge):
            expected = slow_pixel(msg, row, column)
            assert found[row, column].tolist() == pytest.approx(expected, abs=tolerance)


@settings(deadline=None)
@given(images())
def test_to_bgr_is_what_opencv_makes_of_the_packed_pixels(msg: SimpleNamespace):
    assume(msg.encoding in OPENCV)
    rows = msg.height * 3 // 2 if msg.encoding in PLANAR else msg.height
    values = row_bytes(msg.encoding, msg.width) // (2 if wide(msg.encoding) else 1)
    packed = [[eight_bits(msg, row, index) for index in range(values)] for row in range(rows)]
    shape = (rows, msg.width, 2) if msg.encoding in PACKED else (rows, msg.width)
    expected = cv2.cvtColor(np.array(packed, np.uint8).reshape(shape), OPENCV[msg.encoding])
    np.testing.assert_array_equal(to_bgr(msg), expected)


@pytest.fixture(scope="module")
def through_rosbags():
    """What rosbags makes of the bytes of an rclpy message."""
    pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
    typesys = pytest.importorskip("rosbags.typesys", reason="rosbags is not installed")
    from rclpy.serialization import serialize_message

    types = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
    return lambda msg: types.deserialize_cdr(serialize_message(msg), "sensor_msgs/msg/Image")


@pytest.mark.ros
@settings(deadline=None)
@given(msg=images())
def test_rclpy_and_rosbags_messages_give_the_same_picture(through_rosbags, msg):
    from sensor_msgs.msg import Image

    ours = Image(**vars(msg))
    np.testing.assert_array_equal(to_bgr(ours), to_bgr(through_rosbags(ours)))
    np.testing.assert_array_equal(to_bgr(ours), to_bgr(msg))


HEIGHT, WIDTH = 24, 36
Y, X = np.mgrid[0:HEIGHT, 0:WIDTH]
BGR = np.dstack([40 + 4 * X + Y, 220 - 3 * X - 2 * Y, 30 + 2 * X + 6 * Y]).astype(np.uint8)


def message(pixels: np.ndarray, encoding: str, padding: int = 0, big: bool = False):
    """A message of these pixels, each row followed by `padding` bytes of rubbish."""
    pixels = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder(">" if big else "<")))
    rows = pixels.reshape(pixels.shape[0], -1).view(np.uint8)
    rubbish = np.full((rows.shape[0], padding), 0xA5, np.uint8)
    data = np.hstack([rows, rubbish])
    return SimpleNamespace(
        height=HEIGHT,
        width=WIDTH,
        encoding=encoding,
        is_bigendian=big,
        step=data.shape[1],
        data=array.array("B", data.tobytes()),
    )


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    ("encoding", "dtype"),
    [("16UC1", "u2"), ("32FC1", "f4"), ("64FC3", "f8"), ("16SC2", "i2"), ("8SC1", "i1")],
)
def test_view_reads_any_opencv_type(encoding: str, dtype: str, big: bool):
    channels = int(encoding[-1])
    shape = (HEIGHT, WIDTH, channels)[: 2 if channels == 1 else 3]
    values = (np.random.default_rng(1).normal(size=shape) * 50).astype(dtype)
    found = image_view(message(values, encoding, padding=5, big=big))
    np.testing.assert_array_equal(found, values)


def test_view_and_bgr8_do_not_copy():
    msg = message(BGR, "bgr8", padding=4)
    found = to_bgr(msg)
    msg.data[0] = (int(found[0, 0, 0]) + 1) % 256
    assert found[0, 0, 0] == msg.data[0]


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        (
            {"data": array.array("B", bytes(HEIGHT * WIDTH * 3 - 1))},
            "truncated: 2591 bytes, 24 rows",
        ),
        ({"data": array.array("B")}, "truncated: 0 bytes"),
        ({"step": WIDTH * 3 - 1}, "step 107 is wrong: a row of 36 px 'bgr8' takes 108 bytes"),
        ({"step": WIDTH * 3 + 1}, "truncated"),
        ({"step": 0}, "step 0 is wrong"),
        (
            {"height": HEIGHT - 1},
            "step 108 is wrong: 23 rows of it are 2484 bytes, data holds 2592",
        ),
        ({"width": 0}, "image is empty: width x height = 0 x 24"),
        ({"height": 0}, "image is empty"),
        ({"encoding": "bgr9"}, "encoding 'bgr9' is unknown: known are .*bgr8"),
        ({"encoding": ""}, "encoding '' is unknown"),
        ({"encoding": "8FC1"}, "encoding '8FC1' is unknown"),
        ({"encoding": "8UC0"}, "encoding '8UC0' is unknown"),
        ({"encoding": "16UC1"}, "encoding '16UC1' is no picture"),
        ({"encoding": "32FC1", "width": 27}, "encoding '32FC1' is no picture"),
        ({"encoding": "yuv422", "width": 35}, "width 35 is odd"),
        ({"encoding": "nv12", "height": 23}, "height 23 is odd"),
    ],
)
def test_broken_fields_are_named(changes: dict[str, object], cause: str):
    msg = message(BGR, "bgr8")
    for name, value in changes.items():
        setattr(msg, name, value)
    with pytest.raises(ValueError, match=cause):
        to_bgr(msg)


def compressed(suffix: str, picture: np.ndarray = BGR) -> bytes:
    return cv2.imencode(suffix, picture)[1].tobytes()


def compressed_message(format_: str, data: bytes) -> SimpleNamespace:
    return SimpleNamespace(format=format_, data=array.array("B", data))


@pytest.mark.parametrize(("suffix", "tolerance"), [(".png", 0), (".jpg", 12)])
def test_decode(suffix: str, tolerance: int):
    found = decode(compressed_message(suffix[1:], compressed(suffix)))
    assert found.shape == BGR.shape
    assert np.abs(found.astype(int) - BGR.astype(int)).max() <= tolerance


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_decode_keeps_the_stored_order(with_exif, orientation: int):
    plain = compressed(".jpg")
    found = decode(compressed_message("jpeg", with_exif(plain, orientation)))
    np.testing.assert_array_equal(found, decode(compressed_message("jpeg", plain)))


def test_decode_makes_colour_of_grey():
    grey = BGR[..., 1]
    found = decode(compressed_message("png", compressed(".png", grey)))
    np.testing.assert_array_equal(found, np.dstack([grey] * 3))


@pytest.mark.parametrize(
    ("format_", "data", "cause"),
    [
        ("jpeg", compressed(".jpg")[:-300], "truncated"),
        ("png", compressed(".png")[:-300], "truncated"),
        ("jpeg", b"", "cannot be decoded: 0 bytes"),
        ("jpeg", b"no picture at all", "format 'jpeg' cannot be decoded: 17 bytes"),
        ("16UC1; compressedDepth png", compressed(".png"), "is depth"),
    ],
)
def test_broken_compressed_images_are_named(format_: str, data: bytes, cause: str):
    with pytest.raises(ValueError, match=cause):
        decode(compressed_message(format_, data))
