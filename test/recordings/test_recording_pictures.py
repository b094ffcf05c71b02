"""Films, folders and pictures, frame by frame, in stored order."""

import struct
import time
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_ros.geometry.camera import CameraModel
from stn_ros.recordings.pictures import Device, Film, Pictures
from stn_ros.recordings.recording import Frame

SIZE = (64, 48)
CAMERA = CameraModel(SIZE, np.array([[60.0, 0, 31.5], [0, 60, 23.5], [0, 0, 1]]))


def shade(index: int) -> np.ndarray:
    return np.full((SIZE[1], SIZE[0], 3), 40 * index + 20, np.uint8)


def shades(frames: Iterable[Frame]) -> list[int]:
    return [round((float(frame.picture.mean()) - 20) / 40) for frame in frames]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), shade(index))
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def written_film(path: Path, pictures: list[np.ndarray]) -> Path:
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25.0, (width, height))
    for picture in pictures:
        writer.write(picture)
    writer.release()
    return path


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return written_film(tmp_path / "film.mp4", [shade(index) for index in range(5)])


def test_a_folder_in_order_and_again(folder: Path):
    pictures = Pictures(str(folder))
    assert (pictures.count, pictures.rate) == (3, None)
    for _ in range(2):
        frames = list(pictures)
        assert shades(frames) == [0, 1, 2]
        np.testing.assert_allclose([frame.stamp for frame in frames], np.arange(3) / 30)


def test_a_film_in_order_and_again(film: Path):
    recording = Film(str(film))
    assert (recording.count, recording.rate) == (5, pytest.approx(25))
    for _ in range(2):
        frames = list(recording)
        assert shades(frames) == [0, 1, 2, 3, 4]
        np.testing.assert_allclose([frame.stamp for frame in frames], np.arange(5) / 25)


def test_one_picture(folder: Path):
    assert shades(Pictures(str(folder / "1.png"))) == [1]


def test_a_camera_given_comes_with_every_frame(folder: Path, film: Path):
    other = CameraModel((64, 64), CAMERA.K)
    for recording in (Pictures, Film):
        source = str(film if recording is Film else folder)
        assert all(frame.camera is None for frame in recording(source))
        assert all(frame.camera is CAMERA for frame in recording(source, CAMERA))
        with pytest.raises(ValueError, match=r"camera is of a 64x64 picture, this one has 64x48"):
            next(iter(recording(source, other)))


def test_reading_goes_on_behind_a_broken_picture(folder: Path):
    (folder / "1.png").write_bytes(b"no picture")
    frames = iter(Pictures(str(folder)))
    assert shades([next(frames)]) == [0]
    with pytest.raises(ValueError, match=r"1\.png cannot be read as a picture"):
        next(frames)
    assert shades(frames) == [2]


def test_pictures_of_twelve_bits_in_sixteen_are_scaled_alike(folder: Path, caplog):
    for index, value in enumerate((4000, 160, 1600)):
        cv2.imwrite(str(folder / f"{index}.png"), np.full((48, 64), value, np.uint16))
    assert [int(frame.picture.max()) for frame in Pictures(str(folder))] == [250, 10, 100]
    (record,) = caplog.records
    assert "'16-bit png': the largest of its 16-bit values is 4000, so 12 bits" in record.message


LEFT_DARK = np.repeat(np.linspace(20, 230, 64, dtype=np.uint8)[None, :, None], 48, axis=0)


def is_left_dark(picture: np.ndarray) -> bool:
    return picture.shape == (48, 64, 3) and picture[:, :8].mean() + 100 < picture[:, -8:].mean()


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_pictures_keep_their_stored_order(tmp_path: Path, with_exif, orientation: int):
    jpeg = cv2.imencode(".jpg", np.repeat(LEFT_DARK, 3, axis=2))[1].tobytes()
    (tmp_path / "turned.jpg").write_bytes(with_exif(jpeg, orientation))
    assert not is_left_dark(cv2.imread(str(tmp_path / "turned.jpg")))  # whoever heeds the tag
    (frame,) = Pictures(str(tmp_path))
    assert is_left_dark(frame.picture)


def test_films_keep_their_stored_order(tmp_path: Path):
    path = written_film(tmp_path / "film.mp4", [np.repeat(LEFT_DARK, 3, axis=2)] * 3)
    content = path.read_bytes()
    matrix = content.index(b"tkhd") + 4 + 40  # of the track header, version 0
    half_turn = struct.pack(">9i", -(1 << 16), 0, 0, 0, -(1 << 16), 0, 64 << 16, 48 << 16, 1 << 30)
    path.write_bytes(content[:matrix] + half_turn + content[matrix + 36 :])
    assert not is_left_dark(cv2.VideoCapture(str(path)).read()[1])  # whoever heeds the tag
    assert all(is_left_dark(frame.picture) for frame in Film(str(path)))


def test_what_cannot_be_read_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match="no picture in this folder"):
        Pictures(str(tmp_path))
    text = tmp_path / "notes.txt"
    text.write_text("no film")
    with pytest.raises(ValueError, match=r"notes\.txt' cannot be opened"):
        Film(str(text))
    with pytest.raises(ValueError, match=r"topic /image: source '.*' is no bag"):
        Film(str(text), topic="/image")
    with pytest.raises(ValueError, match="'/dev/null' cannot be opened as a film or camera"):
        Device("/dev/null")


def test_a_film_without_a_picture_is_named(film: Path):
    content = film.read_bytes()
    start, end = content.index(b"mdat") + 4, content.index(b"moov") - 4
    film.write_bytes(content[:start] + bytes(end - start) + content[end:])
    with pytest.raises(ValueError, match=r"film\.mp4' holds no picture that can be decoded"):
        list(Film(str(film)))


def test_devices_are_told_by_number_or_path(folder: Path):
    assert Device.recognises("0")
    assert Device.recognises("/dev/null")
    assert not Device.recognises(str(folder))


def test_a_device_gives_what_its_capture_reads_as_it_comes(film: Path):
    device, before = Device(str(film)), time.time()  # any capture; no camera is here
    frames = list(device)
    assert shades(frames) == [0, 1, 2, 3, 4]
    stamps = [frame.stamp for frame in frames]
    assert stamps == sorted(stamps)
    assert before <= stamps[0] <= stamps[-1] <= time.time()
    assert device.rate == pytest.approx(25)
