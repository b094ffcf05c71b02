"""Films, folders, pictures and bags, picture by picture."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_ros.runtime.frames import Recording, Source

SIZE = (64, 48)


def shade(index: int) -> np.ndarray:
    return np.full((SIZE[1], SIZE[0], 3), 40 * index + 20, np.uint8)


def number(picture: np.ndarray) -> int:
    return round((float(picture.mean()) - 20) / 40)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), shade(index))
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25.0, SIZE)
    for index in range(5):
        writer.write(shade(index))
    writer.release()
    return path


def shades(source: Source) -> list[int]:
    found = []
    while (picture := source.read()) is not None:
        found.append(number(picture))
    return found


def test_folder_in_order_and_again(folder: Path):
    source = Source(str(folder))
    assert source.rate is None
    assert source.count == 3
    assert shades(source) == [0, 1, 2]
    source.rewind()
    assert shades(source) == [0, 1, 2]


def test_film_in_order_and_again(film: Path):
    source = Source(str(film))
    assert source.rate == pytest.approx(25)
    assert source.count == 5
    assert shades(source) == [0, 1, 2, 3, 4]
    source.rewind()
    assert shades(source) == [0, 1, 2, 3, 4]


def test_one_picture(folder: Path):
    assert shades(Source(str(folder / "1.png"))) == [1]


def test_what_cannot_be_played_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r"nowhere\.mp4': no such film"):
        Source(str(tmp_path / "nowhere.mp4"))
    with pytest.raises(ValueError, match="no picture in this folder"):
        Source(str(tmp_path))
    text = tmp_path / "notes.txt"
    text.write_text("no film")
    with pytest.raises(ValueError, match="cannot be opened"):
        Source(str(text))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"broken\.png cannot be read"):
        Source(str(tmp_path)).read()


def test_recordings_have_times_and_may_be_read_again(folder: Path, film: Path):
    for source, rate, count in ((folder, 30, 3), (film, 25, 5)):
        recording = Recording(str(source))
        assert recording.count == count
        for _ in range(2):
            read = list(recording)
            assert [number(picture) for _, picture in read] == list(range(count))
            np.testing.assert_allclose([t for t, _ in read], np.arange(count) / rate)


NONE = {"0": "never ends", "": "source is empty", "nowhere/bag": "no such bag"}


@pytest.mark.parametrize(("source", "cause"), NONE.items())
def test_what_is_no_recording_is_named(source: str, cause: str):
    with pytest.raises(ValueError, match=cause):
        Recording(source)


@pytest.fixture
def write_bag(tmp_path: Path):
    """Writes (topic, type, fields but the header) as a bag; its messages are a second apart."""
    pytest.importorskip("rosbags", reason="rosbags is not installed: pip install 'stn_ros[bags]'")
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    types = get_typestore(Stores.ROS2_JAZZY)
    header = types.types["std_msgs/msg/Header"](
        types.types["builtin_interfaces/msg/Time"](1, 2), ""
    )

    def write(*messages: tuple) -> Path:
        bag = tmp_path / "bag"
        with Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            open_ones = {}
            for second, (topic, kind, *fields) in enumerate(messages):
                if topic not in open_ones:
                    open_ones[topic] = writer.add_connection(topic, kind, typestore=types)
                content = types.serialize_cdr(types.types[kind](header, *fields), kind)
                writer.write(open_ones[topic], second * 1_000_000_000, content)
        return bag

    return write


IMAGE, JPEG = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
# Two rows of two pixels; a row of bgr8 may be padded.
BGR = np.array([[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]], np.uint8)
PADDED = np.pad(BGR.reshape(2, 6), ((0, 0), (0, 2))).ravel()
GREY = np.array([[5, 6], [7, 8]], np.uint8)


def test_images_of_a_bag_are_bgr(write_bag):
    bag = write_bag(
        ("/a", IMAGE, 2, 2, "bgr8", 0, 8, PADDED),
        ("/other", "sensor_msgs/msg/Temperature", 20.0, 0.1),
        ("/a", IMAGE, 2, 2, "rgb8", 0, 6, BGR[..., ::-1].ravel()),
        ("/a", IMAGE, 2, 2, "mono8", 0, 2, GREY.ravel()),
    )
    for source in (bag, next(bag.glob("*.mcap"))):
        recording = Recording(str(source))
        assert recording.count == 3
        (first, second, third) = list(recording)
        assert [first[0], second[0], third[0]] == [0, 2, 3]
        np.testing.assert_array_equal(first[1], BGR)
        np.testing.assert_array_equal(second[1], BGR)
        np.testing.assert_array_equal(third[1], np.repeat(GREY[..., None], 3, axis=2))


def test_compressed_images_are_decoded(write_bag):
    png = cv2.imencode(".png", BGR)[1]
    ((_, picture),) = Recording(str(write_bag(("/a", JPEG, "png", png.ravel()))))
    np.testing.assert_array_equal(picture, BGR)


BAD = {
    "no image": ([("/warm", "sensor_msgs/msg/Temperature", 20.0, 0.1)], "no image topic.*/warm"),
    "two cameras": (
        [(topic, IMAGE, 2, 2, "mono8", 0, 2, GREY.ravel()) for topic in ("/left", "/right")],
        "several image topics, /left, /right",
    ),
    "unknown encoding": ([("/a", IMAGE, 2, 2, "jpegxl", 0, 2, GREY.ravel())], "'jpegxl'.*bgr8"),
    "truncated": ([("/a", IMAGE, 2, 2, "mono8", 0, 2, GREY.ravel()[:3])], "image 0 of /a.*3 bytes"),
    "no picture": ([("/a", JPEG, "jpeg", GREY.ravel())], "'jpeg' can not be decoded"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_a_bag_lacks_is_named(case, write_bag):
    messages, cause = BAD[case]
    with pytest.raises(ValueError, match=f"bag.*{cause}"):
        list(Recording(str(write_bag(*messages))))


def test_a_broken_bag_is_named(tmp_path):
    pytest.importorskip("rosbags", reason="rosbags is not installed: pip install 'stn_ros[bags]'")
    (tmp_path / "metadata.yaml").write_text("nothing: here")
    with pytest.raises(ValueError, match="can not be read"):
        Recording(str(tmp_path))


def test_a_missing_reader_of_bags_is_named(tmp_path, monkeypatch):
    (tmp_path / "metadata.yaml").touch()
    for name in [name for name in sys.modules if name.partition(".")[0] == "rosbags"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rosbags", None)  # as where it is not installed
    with pytest.raises(ValueError, match=r"pip install 'stn_ros\[bags\]'"):
        Recording(str(tmp_path))
