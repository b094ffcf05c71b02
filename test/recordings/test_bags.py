"""Images of a bag with their stamps and cameras; what is wrong with a bag is named."""

import struct
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_ros.geometry.camera import CameraModel
from stn_ros.recordings.bags import Bag, raw_messages

IMAGE, JPEG = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
INFO, WARM = "sensor_msgs/msg/CameraInfo", "sensor_msgs/msg/Temperature"
# Two rows of two pixels; a row of bgr8 may be padded.
BGR = np.array([[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]], np.uint8)
PADDED = np.pad(BGR.reshape(2, 6), ((0, 0), (0, 2))).ravel()
GREY = np.array([[5, 6], [7, 8]], np.uint8)


def grey(stamp: float, topic: str = "/a/image_raw") -> tuple:
    return topic, IMAGE, stamp, 2, 2, "mono8", 0, 2, GREY.ravel()


def info(stamp: float, focal: float, topic: str = "/a/camera_info", **fields: object) -> tuple:
    k = [focal, 0, 0.5, 0, focal, 0.5, 0, 0, 1]
    return topic, INFO, stamp, {"k": k, **fields}


def focals(bag: Path, **options: object) -> list[float | None]:
    return [frame.camera and frame.camera.K[0, 0] for frame in Bag(str(bag), **options)]


@pytest.mark.parametrize("plugin", ["MCAP", "SQLITE3"])
def test_images_of_a_bag_are_bgr_with_the_stamps_of_their_headers(write_bag, plugin: str):
    bag = write_bag(
        ("/a", IMAGE, 7.5, 2, 2, "bgr8", 0, 8, PADDED),
        ("/other", WARM, 0.0, 20.0, 0.1),
        ("/a", IMAGE, 8.25, 2, 2, "rgb8", 0, 6, BGR[..., ::-1].ravel()),
        ("/a", IMAGE, 0.0, 2, 2, "mono8", 0, 2, GREY.ravel()),  # never stamped: recorded at 3 s
        plugin=plugin,
    )
    file = next(path for path in bag.iterdir() if path.suffix != ".yaml")
    for source in (bag, file):
        recording = Bag(str(source))
        assert (recording.count, recording.topic, recording.rate) == (3, "/a", None)
        for _ in range(2):
            first, second, third = recording
            assert [first.stamp, second.stamp, third.stamp] == [7.5, 8.25, 3.0]
            np.testing.assert_array_equal(first.picture, BGR)
            np.testing.assert_array_equal(second.picture, BGR)
            np.testing.assert_array_equal(third.picture, np.repeat(GREY[..., None], 3, axis=2))
            assert {first.camera, second.camera, third.camera} == {None}
    (first, *_) = Bag(str(bag)).images()
    assert (first.stamp, first.frame_id) == (7_500_000_000, "lens")


def test_compressed_images_are_decoded_and_have_the_camera_of_the_raw_ones(write_bag):
    png = cv2.imencode(".png", BGR)[1]
    bag = write_bag(
        info(1, 5.0), ("/a/image_raw/compressed", JPEG, 1, "png", png.ravel()), info(2, 9.0)
    )
    (frame,) = Bag(str(bag))
    np.testing.assert_array_equal(frame.picture, BGR)
    assert frame.camera.K[0, 0] == 5


def test_the_camera_is_that_of_the_topic(write_bag):
    bag = write_bag(
        info(1, 3.0, "/b/camera_info"), info(1, 5.0, d=[0.1, 0, 0, 0, 0]), grey(1), grey(2)
    )
    for frame in Bag(str(bag)):
        assert frame.camera.size == (2, 2)
        np.testing.assert_array_equal(frame.camera.K, [[5, 0, 0.5], [0, 5, 0.5], [0, 0, 1]])
        np.testing.assert_array_equal(frame.camera.D[:5], [0.1, 0, 0, 0, 0])


def test_a_zoom_counts_for_the_image_of_its_own_stamp_in_either_order(write_bag):
    before = write_bag(info(1, 5.0), grey(1), info(2, 6.0), grey(2), grey(3), name="before")
    after = write_bag(grey(1), info(1, 5.0), grey(2), info(2, 6.0), grey(3), name="after")
    assert focals(before) == focals(after) == [5, 6, 6]


def test_the_first_calibration_counts_for_the_images_before_it(write_bag):
    assert focals(write_bag(grey(1), grey(2), info(3, 5.0), grey(3), grey(4))) == [5, 5, 5, 5]


def test_rectified_images_take_p(write_bag):
    p = [4, 0, 0.5, 0, 0, 4, 0.5, 0, 0, 0, 1, 0]
    calibration = info(1, 5.0, d=[0.1, 0, 0, 0, 0], p=p)
    bag = write_bag(calibration, grey(1, "/a/image_rect"), grey(1))
    assert focals(bag, topic="/a/image_rect") == [4]
    assert focals(bag, topic="/a/image_raw") == [5]


def test_a_camera_given_replaces_that_of_the_bag(write_bag):
    bag = write_bag(info(1, 5.0), grey(1))
    camera = CameraModel((2, 2), np.diag([8.0, 8, 1]))
    (frame,) = Bag(str(bag), camera)
    assert frame.camera is camera
    with pytest.raises(ValueError, match=r"image 0 of /a/image_raw: camera is of a 3x2 picture"):
        list(Bag(str(bag), CameraModel((3, 2), np.diag([8.0, 8, 1]))))


@pytest.mark.parametrize(
    ("calibration", "cause"),
    [
        (info(1, 0.0), "camera is uncalibrated"),
        (info(1, 5.0, height=480, width=640), "of a 640x480 image, the image has 2x2"),
    ],
)
def test_a_calibration_that_can_not_be_used_is_told_once(write_bag, caplog, calibration, cause):
    bag = write_bag(calibration, grey(1), grey(2))
    assert focals(bag) == [None, None]
    (record,) = caplog.records
    assert f"{bag}, /a/camera_info: " in record.message
    assert cause in record.message


def test_twelve_bits_in_sixteen_are_scaled_alike_and_told_once(write_bag, caplog):
    dark, bright = (np.array([value] * 4, np.uint16).view(np.uint8) for value in (160, 4000))
    bag = write_bag(
        *(
            ("/a", IMAGE, index + 1, 2, 2, "mono16", 0, 4, data)
            for index, data in enumerate((bright, dark, bright, dark))
        )
    )
    assert [int(frame.picture.max()) for frame in Bag(str(bag))] == [250, 10, 250, 10]
    (record,) = caplog.records
    assert f"bag {bag}, /a: image encoding 'mono16'" in record.message
    assert "12 bits" in record.message


BAD = {
    "no image": ([("/warm", WARM, 1, 20.0, 0.1)], {}, "no image topic; it holds /warm"),
    "two cameras": (
        [grey(1, "/right"), grey(1, "/left")],
        {},
        "several image topics, /left, /right: choose one",
    ),
    "no such topic": (
        [grey(1, "/left")],
        {"topic": "/right"},
        "topic /right holds no images; of these are /left",
    ),
    "a topic of another type": (
        [("/warm", WARM, 1, 20.0, 0.1)],
        {"topic": "/warm"},
        "topic /warm holds no images; of these are none",
    ),
    "unknown encoding": (
        [("/a", IMAGE, 1, 2, 2, "jpegxl", 0, 2, GREY.ravel())],
        {},
        "image 0 of /a: .*'jpegxl'.*bgr8",
    ),
    "truncated image": (
        [grey(1, "/a"), ("/a", IMAGE, 2, 2, 2, "mono8", 0, 2, GREY.ravel()[:3])],
        {},
        "image 1 of /a: image data is truncated: 3 bytes",
    ),
    "no picture": (
        [("/a", JPEG, 1, "jpeg", GREY.ravel())],
        {},
        "image 0 of /a: .*'jpeg' cannot be decoded",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_a_bag_lacks_is_named(case: str, write_bag):
    messages, options, cause = BAD[case]
    bag = write_bag(*messages)
    with pytest.raises(ValueError, match=f"bag {bag}.*{cause}"):
        list(Bag(str(bag), **options))


def cut(file: Path, share: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: round(share * len(content))])


@pytest.mark.parametrize(("plugin", "suffix"), [("MCAP", "mcap"), ("SQLITE3", "db3")])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9])
def test_a_bag_that_was_cut_off_is_named(write_bag, plugin: str, suffix: str, share: float):
    noise = np.random.default_rng(0).integers(0, 256, 30_000, np.uint8)
    images = [("/a", IMAGE, i + 1, 100, 100, "bgr8", 0, 300, noise) for i in range(8)]
    bag = write_bag(*images, plugin=plugin)
    (file,) = bag.glob(f"*.{suffix}")
    cut(file, share)
    for source in (bag, file):
        with pytest.raises(ValueError, match=f"bag {source}: (can not be read|is damaged|message)"):
            list(Bag(str(source)))
        with pytest.raises(ValueError, match=f"bag {source}: (can not be read|is damaged)"):
            list(raw_messages(source))


def test_damage_in_the_middle_is_named_behind_what_could_be_read(write_bag):
    noise = np.random.default_rng(0).integers(0, 256, 750_000, np.uint8)
    images = [("/a", IMAGE, i + 1, 500, 500, "bgr8", 0, 1500, noise) for i in range(12)]
    bag = write_bag(*images)
    (file,) = bag.glob("*.mcap")
    content = bytearray(file.read_bytes())
    record = content.rindex(b"\x05" + struct.pack("<Q", 22 + len(next(raw_messages(bag))[3])))
    content[record + 1 : record + 9] = struct.pack("<Q", 1 << 40)  # the last record's length
    file.write_bytes(content)
    read = []
    frames = (read.append(frame.stamp) for frame in Bag(str(bag)))
    with pytest.raises(ValueError, match=rf"bag {bag}: is damaged behind \d+ messages: Truncated"):
        list(frames)
    assert read == list(range(1, 1 + len(read)))
    assert 5 < len(read) < 12


def test_a_recorder_that_was_killed_leaves_no_metadata(write_bag):
    bag = write_bag(grey(1))
    (bag / "metadata.yaml").unlink()
    assert Bag.recognises(str(bag))
    with pytest.raises(ValueError, match=rf"metadata\.yaml is missing.*ros2 bag reindex {bag}"):
        Bag(str(bag))


def test_a_broken_or_missing_bag_is_named(tmp_path: Path):
    pytest.importorskip("rosbags", reason="rosbags is not installed: pip install 'stn_ros[bags]'")
    (tmp_path / "metadata.yaml").write_text("nothing: here")
    with pytest.raises(ValueError, match="can not be read: A metadata key is missing"):
        Bag(str(tmp_path))
    with pytest.raises(ValueError, match="absent: no such file"):
        Bag(str(tmp_path / "absent"))
    with pytest.raises(ValueError, match="absent: no such file"):
        next(raw_messages(tmp_path / "absent"))


def test_a_missing_reader_of_bags_is_named(tmp_path: Path, monkeypatch):
    (tmp_path / "metadata.yaml").touch()
    for name in [name for name in sys.modules if name.partition(".")[0] == "rosbags"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rosbags", None)  # as where it is not installed
    with pytest.raises(ValueError, match=r"pip install 'stn_ros\[bags\]'"):
        Bag(str(tmp_path))
