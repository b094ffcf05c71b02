"""Messages to pictures and back: every encoding, any padding and byte order, every broken field."""

import array
import sys

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header

from stn_ros.nodes import messages

pytestmark = pytest.mark.ros
HEIGHT, WIDTH = 24, 36


def picture() -> np.ndarray:
    """A smooth BGR picture whose three channels and four quarters all differ."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    blue = 40 + 4 * x + y
    green = 220 - 3 * x - 2 * y
    red = 30 + 2 * x + 6 * y
    return np.stack([blue, green, red], axis=-1).astype(np.uint8)


def grey() -> np.ndarray:
    return cv2.cvtColor(picture(), cv2.COLOR_BGR2GRAY)


def luma_chroma() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Y, U, V of the picture by ITU-R BT.601 with studio swing, written out."""
    b, g, r = (picture()[..., i].astype(float) for i in range(3))
    y = 16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255
    u = 128 + (-37.797 * r - 74.203 * g + 112.0 * b) / 255
    v = 128 + (112.0 * r - 93.786 * g - 18.214 * b) / 255
    return tuple(np.rint(plane).astype(np.uint8) for plane in (y, u, v))


def packed_yuv(order: str) -> np.ndarray:
    y, u, v = luma_chroma()
    pixels = np.empty((HEIGHT, WIDTH, 2), np.uint8)
    luma, chroma = (1, 0) if order == "uyvy" else (0, 1)
    pixels[..., luma] = y
    pixels[:, 0::2, chroma] = u[:, 0::2]
    pixels[:, 1::2, chroma] = v[:, 0::2]
    return pixels


def planar_yuv(order: str) -> np.ndarray:
    y, u, v = luma_chroma()
    chroma = np.empty((HEIGHT // 2, WIDTH), np.uint8)
    half = [plane[0::2, 0::2] for plane in (u, v)]
    chroma[:, 0::2], chroma[:, 1::2] = half if order == "uv" else half[::-1]
    return np.vstack([y, chroma])


def mosaic(order: str) -> np.ndarray:
    pixels = np.empty((HEIGHT, WIDTH), np.uint8)
    for index, colour in enumerate(order):
        row, column = divmod(index, 2)
        pixels[row::2, column::2] = picture()[row::2, column::2, "bgr".index(colour)]
    return pixels


def with_alpha(pixels: np.ndarray) -> np.ndarray:
    return np.dstack([pixels, np.full((HEIGHT, WIDTH), 7, np.uint8)])


def wide(pixels: np.ndarray) -> np.ndarray:
    """16-bit pixels whose lower byte is noise that must not matter."""
    noise = np.random.default_rng(0).integers(0, 256, pixels.shape, np.uint16)
    return pixels.astype(np.uint16) * 256 + noise


BGR, RGB = picture(), picture()[..., ::-1]
GREY3 = np.dstack([grey()] * 3)
# encoding: (pixels as the camera stores them, the BGR picture they are of, tolerance)
CASES = {
    "mono8": (grey(), GREY3, 0),
    "8UC1": (grey(), GREY3, 0),
    "mono16": (wide(grey()), GREY3, 0),
    "bgr8": (BGR, BGR, 0),
    "8UC3": (BGR, BGR, 0),
    "bgr16": (wide(BGR), BGR, 0),
    "rgb8": (RGB, BGR, 0),
    "rgb16": (wide(RGB), BGR, 0),
    "bgra8": (with_alpha(BGR), BGR, 0),
    "8UC4": (with_alpha(BGR), BGR, 0),
    "bgra16": (wide(with_alpha(BGR)), BGR, 0),
    "rgba8": (with_alpha(RGB), BGR, 0),
    "rgba16": (wide(with_alpha(RGB)), BGR, 0),
    "yuv422": (packed_yuv("uyvy"), BGR, 8),
    "uyvy": (packed_yuv("uyvy"), BGR, 8),
    "yuv422_yuy2": (packed_yuv("yuyv"), BGR, 8),
    "yuyv": (packed_yuv("yuyv"), BGR, 8),
    "nv12": (planar_yuv("uv"), BGR, 14),
    "nv21": (planar_yuv("vu"), BGR, 14),
    **{f"bayer_{order}8": (mosaic(order), BGR, 8) for order in ("rggb", "bggr", "gbrg", "grbg")},
    **{
        f"bayer_{order}16": (wide(mosaic(order)), BGR, 8)
        for order in ("rggb", "bggr", "gbrg", "grbg")
    },
}


def message(pixels: np.ndarray, encoding: str, padding: int = 0, big: bool = False) -> Image:
    """A message of these pixels, each row followed by `padding` bytes of rubbish."""
    pixels = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder(">" if big else "<")))
    rows = pixels.reshape(pixels.shape[0], -1).view(np.uint8)
    rubbish = np.full((rows.shape[0], padding), 0xA5, np.uint8)
    data = np.hstack([rows, rubbish])
    return Image(
        height=HEIGHT,
        width=WIDTH,
        encoding=encoding,
        is_bigendian=big,
        step=data.shape[1],
        data=array.array("B", data.tobytes()),
    )


def test_every_known_encoding_has_a_case():
    assert set(CASES) == set(messages._COLOUR)


@pytest.mark.parametrize("big", [False, True], ids=["little", "big"])
@pytest.mark.parametrize("padding", [0, 4, 13])
@pytest.mark.parametrize("encoding", CASES)
def test_to_bgr(encoding: str, padding: int, big: bool):
    pixels, expected, tolerance = CASES[encoding]
    found = messages.to_bgr(message(pixels, encoding, padding, big))
    assert found.dtype == np.uint8
    assert found.shape == (HEIGHT, WIDTH, 3)
    # Chroma and mosaics are interpolated differently along the border.
    edge = 2 if tolerance else 0
    inner = np.s_[edge : HEIGHT - edge, edge : WIDTH - edge]
    difference = np.abs(found[inner].astype(int) - expected[inner].astype(int))
    assert difference.max() <= tolerance


@pytest.mark.parametrize("encoding", ["bgr8", "mono8", "mono16", "bgra8", "yuv422", "bayer_rggb8"])
def test_to_bgr_agrees_with_cv_bridge(encoding: str):
    bridge = pytest.importorskip("cv_bridge", reason="cv_bridge is part of a full ROS 2").CvBridge()
    msg = message(CASES[encoding][0], encoding)
    theirs = bridge.imgmsg_to_cv2(msg, "bgr8").astype(int)
    assert np.abs(messages.to_bgr(msg).astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    ("encoding", "dtype"),
    [("16UC1", "u2"), ("32FC1", "f4"), ("64FC3", "f8"), ("16SC2", "i2"), ("8SC1", "i1")],
)
def test_view_reads_any_opencv_type(encoding: str, dtype: str, big: bool):
    channels = int(encoding[-1])
    shape = (HEIGHT, WIDTH, channels)[: 2 if channels == 1 else 3]
    values = (np.random.default_rng(1).normal(size=shape) * 50).astype(dtype)
    found = messages.image_view(message(values, encoding, padding=5, big=big))
    np.testing.assert_array_equal(found, values)


def test_view_and_bgr8_do_not_copy():
    msg = message(BGR, "bgr8", padding=4)
    found = messages.to_bgr(msg)
    msg.data[0] = found[0, 0, 0] + 1
    assert found[0, 0, 0] == msg.data[0]


def test_last_row_may_lack_its_padding():
    msg = message(BGR, "bgr8", padding=4)
    msg.data = msg.data[:-4]
    np.testing.assert_array_equal(messages.to_bgr(msg), BGR)


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
        messages.to_bgr(msg)


def compressed(suffix: str) -> bytes:
    return cv2.imencode(suffix, BGR)[1].tobytes()


@pytest.mark.parametrize(("suffix", "tolerance"), [(".png", 0), (".jpg", 12)])
def test_decode(suffix: str, tolerance: int):
    found = messages.decode(CompressedImage(format=suffix[1:], data=compressed(suffix)))
    assert found.shape == BGR.shape
    assert np.abs(found.astype(int) - BGR.astype(int)).max() <= tolerance


def test_decode_makes_colour_of_grey():
    data = cv2.imencode(".png", grey())[1].tobytes()
    np.testing.assert_array_equal(messages.decode(CompressedImage(data=data)), GREY3)


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
        messages.decode(CompressedImage(format=format_, data=data))


@pytest.mark.parametrize("pixels", [BGR, grey(), BGR[:, ::2], BGR[3:9, 5:11]])
def test_image_message_round_trip(pixels: np.ndarray):
    header = Header(frame_id="camera")
    header.stamp.sec = 12
    msg = messages.image_message(pixels, header)
    assert (msg.header.stamp.sec, msg.header.frame_id) == (12, "camera")
    np.testing.assert_array_equal(messages.image_view(msg), pixels)


def test_image_message_is_filled_as_a_whole():
    """Plain assignment of a numpy array looks at each value: 80 ms for an HD image."""
    calls = []
    before = sys.getprofile()
    sys.setprofile(lambda *event: calls.append(event[1]))
    try:
        messages.image_message(np.zeros((36, 64, 3), np.uint8), Header())
    finally:
        sys.setprofile(before)
    assert len(calls) < 36 * 64


def calibration() -> CameraInfo:
    return CameraInfo(
        width=640,
        height=480,
        distortion_model="plumb_bob",
        d=[0.1, -0.2, 0.0, 0.0, 0.0],
        k=[600.0, 0, 320, 0, 610, 240, 0, 0, 1],
        r=np.eye(3).ravel(),
        p=[500.0, 0, 310, 0, 0, 505, 235, 0, 0, 0, 1, 0],
    )


def test_camera_model_raw_and_rectified():
    raw = messages.camera_model(calibration(), rectified=False)
    assert raw.size == (640, 480)
    assert raw.distorted
    assert raw.K[0, 0] == 600
    rectified = messages.camera_model(calibration(), rectified=True)
    assert not rectified.distorted
    assert rectified.K[1, 1] == 505


def test_camera_model_takes_roi_and_binning():
    info = calibration()
    info.binning_x = info.binning_y = 2
    info.roi = RegionOfInterest(x_offset=100, y_offset=40, width=320, height=240)
    model = messages.camera_model(info, rectified=False)
    assert model.size == (160, 120)
    np.testing.assert_allclose(model.K[0], [300, 0, (320 - 100 + 0.5) / 2 - 0.5])


def test_uncalibrated_camera_is_named():
    with pytest.raises(ValueError, match="uncalibrated"):
        messages.camera_model(CameraInfo(width=640, height=480), rectified=False)


def test_same_calibration_ignores_the_header_only():
    one, other = calibration(), calibration()
    other.header.stamp.sec = 99
    assert messages.same_calibration(one, other)
    for name, value in (
        ("width", 641),
        ("d", [0.0]),
        ("binning_x", 2),
        ("roi", RegionOfInterest(width=3, height=3)),
    ):
        other = calibration()
        setattr(other, name, value)
        assert not messages.same_calibration(one, other)


def test_camera_info_message_reads_back():
    K = np.array([[700.0, 0, 99.5], [0, 700, 63.5], [0, 0, 1]])
    info = messages.camera_info_message(K, (200, 128), Header(frame_id="box/view"))
    model = messages.camera_model(info, rectified=False)
    assert (model.size, model.distorted) == ((200, 128), False)
    np.testing.assert_array_equal(model.K, K)
    np.testing.assert_array_equal(messages.camera_model(info, rectified=True).K, K)


def test_camera_info_without_pose_says_uncalibrated():
    info = messages.camera_info_message(None, (200, 128), Header())
    assert (info.width, info.height) == (200, 128)
    assert not np.any(info.k)
