"""Bags hold what was put in, as ROS messages; views tell where they were taken from."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags", reason="rosbags is not installed: pip install 'stn_ros[bags]'")
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from stn_ros.evaluation import bags
from stn_ros.evaluation.bag_command import BAG, OBJECTS, START, TRUTH, write_bag
from stn_ros.evaluation.bags import BagWriter, raw_messages
from stn_ros.evaluation.trials import Trial
from stn_ros.evaluation.views import view_error, view_homography
from stn_ros.geometry.homography import corner_error
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.sampling import FrameSampler
from stn_ros.synthesis import artwork
from stn_ros.synthesis.scene import face_homography, paste_face

ART = artwork.draw(11, (256, 180), "magazine")
HOMOGRAPHY = face_homography((256, 180), (300, 240), 220, 0.7, 0.5, 1.0, 600, (319.5, 239.5))


@pytest.fixture
def frame() -> np.ndarray:
    picture = cv2.resize(artwork.draw(12, (320, 240), "marble"), (640, 480))
    paste_face(picture, ART, HOMOGRAPHY)
    return picture


@pytest.fixture
def typestore():
    store = get_typestore(Stores.ROS2_JAZZY)
    for name, fields in bags._VISION_MSGS.items():
        store.register(get_types_from_msg(fields, f"vision_msgs/msg/{name}"))
    return store


def test_messages_come_back_as_they_were_written(
    tmp_path: Path, frame: np.ndarray, typestore
) -> None:
    K = np.array([[500, 0, 320], [0, 510, 240], [0, 0, 1.0]])
    with BagWriter(tmp_path / "bag") as bag:
        bag.write(5_000_000_007, frame, K, [("box", (10.0, 20.0, 30.0, 40.0))])
        bag.write(5_100_000_000, frame, K, [])
    assert [path.suffix for path in (tmp_path / "bag").iterdir() if path.suffix != ".yaml"] == [
        ".mcap"
    ]
    with AnyReader([tmp_path / "bag"], default_typestore=typestore) as reader:
        read = [
            (connection.topic, stamp, reader.deserialize(content, connection.msgtype))
            for connection, stamp, content in reader.messages()
        ]
    topics = [topic for topic, _, _ in read]
    assert topics == 2 * [bags.CAMERA_INFO, bags.IMAGE, bags.DETECTIONS]
    info, image, found = (message for _, _, message in read[:3])
    assert {stamp for _, stamp, _ in read[:3]} == {5_000_000_007}
    for message in (info, image, found):
        assert (message.header.stamp.sec, message.header.stamp.nanosec) == (5, 7)
        assert message.header.frame_id == "camera_optical_frame"
    assert (image.width, image.height, image.step, image.encoding) == (640, 480, 1920, "bgr8")
    np.testing.assert_array_equal(image.data.reshape(480, 640, 3), frame)
    np.testing.assert_array_equal(info.k.reshape(3, 3), K)
    np.testing.assert_array_equal(info.p.reshape(3, 4)[:, :3], K)
    (detection,) = found.detections
    assert detection.results[0].hypothesis.class_id == "box"
    assert (detection.bbox.center.position.x, detection.bbox.center.position.y) == (25, 40)
    assert (detection.bbox.size_x, detection.bbox.size_y) == (30, 40)
    assert not read[5][2].detections


def test_raw_messages_are_in_order_and_a_missing_bag_is_named(
    tmp_path: Path, frame: np.ndarray
) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        for stamp in (30, 60):
            bag.write(stamp, frame, np.eye(3), [])
    stamps = [stamp for _, _, stamp, _ in raw_messages(tmp_path / "bag")]
    assert stamps == [30, 30, 30, 60, 60, 60]
    with pytest.raises(ValueError, match="absent"):
        next(raw_messages(tmp_path / "absent"))
    with pytest.raises(ValueError, match="exists"):
        BagWriter(tmp_path / "bag")


def test_a_bag_folder_holds_objects_and_truth(tmp_path: Path, frame: np.ndarray) -> None:
    model = ObjectModel("book", ART)
    trial = Trial("box_in_scene", model, frame, (180, 120, 240, 240), HOMOGRAPHY)
    write_bag(tmp_path / "out", [trial], frames=4, rate=10, seed=0)
    read = ObjectModel.load(tmp_path / "out" / OBJECTS / "book")
    assert read.size_m == pytest.approx((0.19, 0.19 * 180 / 256))
    truth = json.loads((tmp_path / "out" / TRUTH).read_text())
    np.testing.assert_allclose(truth["book"], HOMOGRAPHY)
    stamps = sorted({stamp for _, _, stamp, _ in raw_messages(tmp_path / "out" / BAG)})
    assert stamps == [START + index * 100_000_000 for index in range(4)]


def test_a_view_tells_where_it_was_taken_from(frame: np.ndarray) -> None:
    taken = HOMOGRAPHY @ np.array([[1.01, 0.005, 1.5], [-0.004, 0.99, -2.0], [1e-5, 0, 1]])
    view = FrameSampler(frame).sample(taken, (256, 180))[..., :3]
    found, correlation = view_homography(frame, view, HOMOGRAPHY)
    assert correlation > 0.99
    assert corner_error(found, taken, (256, 180)) < 0.1
    expected = corner_error(taken, HOMOGRAPHY, (256, 180))
    assert expected > 1
    assert view_error(frame, view, HOMOGRAPHY) == pytest.approx(expected, abs=0.1)


def test_a_view_of_something_else_is_off(frame: np.ndarray) -> None:
    other = artwork.draw(13, (256, 180), "comic")
    assert view_error(frame, other, HOMOGRAPHY) == float("inf")
    upside_down = FrameSampler(frame).sample(HOMOGRAPHY, (256, 180))[::-1, ::-1, :3]
    assert view_error(frame, np.ascontiguousarray(upside_down), HOMOGRAPHY) == float("inf")
