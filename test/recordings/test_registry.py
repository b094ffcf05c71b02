"""Every kind of recording is found by what its source is."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_ros.geometry.camera import CameraModel
from stn_ros.recordings.bags import Bag
from stn_ros.recordings.pictures import Film, Pictures
from stn_ros.recordings.registry import KINDS, open_recording

CAMERA = CameraModel((64, 48), np.array([[60.0, 0, 31.5], [0, 60, 23.5], [0, 0, 1]]))
PICTURE = np.zeros((48, 64, 3), np.uint8)


def source(kind: type, folder: Path, write_bag) -> Path:
    """A source of a kind with one black frame."""
    if kind is Bag:
        data = PICTURE.ravel()
        return write_bag(("/image", "sensor_msgs/msg/Image", 1, 48, 64, "bgr8", 0, 192, data))
    if kind is Pictures:
        cv2.imwrite(str(folder / "0.png"), PICTURE)
        return folder / "0.png"
    film = folder / "film.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (64, 48))
    writer.write(PICTURE)
    writer.release()
    return film


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_opened_and_gives_frames(kind: type, tmp_path: Path, write_bag):
    path = source(kind, tmp_path, write_bag)
    for camera in (None, CAMERA):
        recording = open_recording(str(path), camera)
        assert type(recording) is kind
        assert recording.count == 1
        (frame,) = recording
        assert isinstance(frame.stamp, float)
        assert frame.picture.shape == (48, 64, 3)
        assert frame.camera is camera


def test_a_folder_of_pictures_is_no_bag_and_a_bag_no_folder_of_pictures(tmp_path: Path, write_bag):
    bag = source(Bag, tmp_path, write_bag)
    cv2.imwrite(str(bag / "thumbnail.png"), PICTURE)
    assert isinstance(open_recording(str(bag)), Bag)
    source(Pictures, tmp_path, write_bag)
    assert isinstance(open_recording(str(tmp_path)), Pictures)


def test_the_topic_goes_to_the_bag_and_nowhere_else(tmp_path: Path, write_bag):
    bag = source(Bag, tmp_path, write_bag)
    assert open_recording(str(bag), topic="/image").count == 1
    with pytest.raises(ValueError, match="topic /other holds no images"):
        open_recording(str(bag), topic="/other")
    for kind in (Pictures, Film):
        with pytest.raises(ValueError, match=r"topic /image: source .* is no bag"):
            open_recording(str(source(kind, tmp_path, write_bag)), topic="/image")


def test_neither_ros_nor_torch_nor_rosbags_is_needed_to_import_it():
    code = (
        "import sys, stn_ros.recordings.registry\n"
        "print(*{'rclpy', 'torch', 'rosbags', 'onnxruntime'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


NONE = {
    "0": "never ends",
    "/dev/null": "never ends",
    "": "source is empty",
    "nowhere/bag": "'nowhere/bag': no such bag",
}


@pytest.mark.parametrize(("name", "cause"), NONE.items())
def test_what_is_no_recording_is_named(name: str, cause: str):
    with pytest.raises(ValueError, match=cause):
        open_recording(name)


def test_what_is_no_file_and_no_folder_is_named(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe' is no bag, film, folder or picture"):
        open_recording(str(tmp_path / "pipe"))
