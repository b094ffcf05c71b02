"""Bags hold what was put in, as ROS messages of the published types."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="rosbags is not installed: pip install 'stn_ros[bags]'")
from rosbags.highlevel import AnyReader

from stn_ros.recordings import bag_writer
from stn_ros.recordings.bag_writer import BagWriter, typestore
from stn_ros.recordings.bags import Bag, raw_messages

FRAME = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
K = np.array([[500, 0, 320], [0, 510, 240], [0, 0, 1.0]])


def test_messages_come_back_as_they_were_written(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        bag.write(5_000_000_007, FRAME, K, [("box", (10.0, 20.0, 30.0, 40.0))])
        bag.write(5_100_000_000, FRAME, K, [])
    assert [path.suffix for path in (tmp_path / "bag").iterdir() if path.suffix != ".yaml"] == [
        ".mcap"
    ]
    with AnyReader([tmp_path / "bag"], default_typestore=typestore()) as reader:
        read = [
            (connection.topic, stamp, reader.deserialize(content, connection.msgtype))
            for connection, stamp, content in reader.messages()
        ]
    topics = [topic for topic, _, _ in read]
    assert topics == 2 * ["/camera_info", "/image", "/detections"]
    info, image, found = (message for _, _, message in read[:3])
    assert {stamp for _, stamp, _ in read[:3]} == {5_000_000_007}
    for message in (info, image, found):
        assert (message.header.stamp.sec, message.header.stamp.nanosec) == (5, 7)
        assert message.header.frame_id == "camera_optical_frame"
    assert (image.width, image.height, image.step, image.encoding) == (64, 48, 192, "bgr8")
    np.testing.assert_array_equal(image.data.reshape(48, 64, 3), FRAME)
    np.testing.assert_array_equal(info.k.reshape(3, 3), K)
    np.testing.assert_array_equal(info.p.reshape(3, 4)[:, :3], K)
    assert (info.distortion_model, info.d.tolist()) == ("plumb_bob", [0.0] * 5)
    (detection,) = found.detections
    assert detection.results[0].hypothesis.class_id == "box"
    assert (detection.bbox.center.position.x, detection.bbox.center.position.y) == (25, 40)
    assert (detection.bbox.size_x, detection.bbox.size_y) == (30, 40)
    assert not read[5][2].detections


def test_a_bag_written_is_read_with_its_camera(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        for stamp in (30, 60):
            bag.write(stamp, FRAME, K, [])
    read = list(Bag(str(tmp_path / "bag")).images())
    assert [image.stamp for image in read] == [30, 60]
    for image in read:
        np.testing.assert_array_equal(image.picture, FRAME)
        np.testing.assert_array_equal(image.camera.K, K)
        assert not image.camera.distorted
    stamps = [stamp for _, _, stamp, _ in raw_messages(tmp_path / "bag")]
    assert stamps == [30, 30, 30, 60, 60, 60]
    with pytest.raises(ValueError, match="exists"):
        BagWriter(tmp_path / "bag")


def test_definitions_are_those_installed_where_there_is_no_source_tree(
    tmp_path: Path, monkeypatch
) -> None:
    source_tree = Path(bag_writer.__file__).parents[2] / "interfaces"
    expected = {
        name: typestore().hash_rihs01(name)
        for name in typestore().types
        if name.startswith("vision_msgs/")
    }
    assert len(expected) == 10
    monkeypatch.setattr(bag_writer, "__file__", str(tmp_path / "a/stn_ros/recordings/x.py"))
    monkeypatch.setattr(bag_writer.sys, "prefix", str(tmp_path / "python"))
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path / 'one'}:{tmp_path / 'two'}")
    with pytest.raises(
        FileNotFoundError, match=r"vision_msgs are not here; looked in .*/one/share"
    ):
        typestore()
    shutil.copytree(source_tree / "vision_msgs/msg", tmp_path / "two/share/vision_msgs/msg")
    store = typestore()
    assert {name: store.hash_rihs01(name) for name in expected} == expected
