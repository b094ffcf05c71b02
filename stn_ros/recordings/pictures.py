"""Films, folders of pictures, single pictures and camera devices, their pixels in stored order."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from stn_ros.geometry.camera import CameraModel
from stn_ros.recordings.bit_depth import BitDepth
from stn_ros.recordings.encodings import Picture, decode_file
from stn_ros.recordings.recording import Frame, check_no_topic, checked

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
RATE = 30.0
"""Frames a second where the source has no rate of its own."""
_LOG = logging.getLogger(__name__)


class Pictures:
    """A folder of pictures in the order of their names, or one picture; `RATE` a second.

    A `Recording`. Reading goes on behind a picture that can not be read.
    """

    rate: float | None = None

    def __init__(self, source: str, camera: CameraModel | None = None, topic: str = "") -> None:
        check_no_topic(source, topic)
        path = Path(source)
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        self._files = [file for file in files if file.suffix.lower() in SUFFIXES]
        if not self._files:
            raise ValueError(f"source '{source}': no picture in this folder")
        self._camera = camera
        self.count = len(self._files)

    @staticmethod
    def recognises(source: str) -> bool:
        """Whether it is a folder or the file of a picture."""
        path = Path(source)
        return path.is_dir() or (path.suffix.lower() in SUFFIXES and path.is_file())

    def __iter__(self) -> Iterator[Frame]:
        depth = BitDepth(_LOG.warning)

        def read(index: int) -> Frame:
            file = self._files[index]
            content = np.frombuffer(file.read_bytes(), np.uint8)
            picture = decode_file(content, f"16-bit {file.suffix[1:]}", depth)
            if picture is None:
                raise ValueError(f"{file} cannot be read as a picture")
            return Frame(index / RATE, picture, _camera_of(str(file), picture, self._camera))

        return map(read, range(self.count))  # unlike a generator's, its end is not an error's


class Film:
    """A film; a `Recording`."""

    def __init__(self, source: str, camera: CameraModel | None = None, topic: str = "") -> None:
        check_no_topic(source, topic)
        self._source, self._camera = source, camera
        capture = _opened(source, source)
        self.rate = _rate(capture)
        self.count = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        capture.release()

    @staticmethod
    def recognises(source: str) -> bool:
        """Whether it is a file."""
        return Path(source).is_file()

    def __iter__(self) -> Iterator[Frame]:
        capture = _opened(self._source, self._source)
        index = 0
        try:
            while (picture := _read(capture)) is not None:
                camera = _camera_of(self._source, picture, self._camera)
                yield Frame(index / (self.rate or RATE), picture, camera)
                index += 1
        finally:
            capture.release()
        if not index:
            raise ValueError(f"film '{self._source}' holds no picture that can be decoded")


class Device:
    """A camera device, by number or path (0, /dev/video0); it never ends, so is no `Recording`.

    Stamps are when a picture was read, in seconds since the epoch.
    """

    def __init__(self, source: str) -> None:
        self._capture = _opened(source, int(source) if source.isdigit() else source)
        self.rate = _rate(self._capture)

    @staticmethod
    def recognises(source: str) -> bool:
        """Whether it is a number or a character device."""
        return source.isdigit() or Path(source).is_char_device()

    def __iter__(self) -> Iterator[Frame]:
        while (picture := _read(self._capture)) is not None:
            yield Frame(time.time(), picture, None)


def _opened(name: str, source: str | int) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(source)
    if not capture.isOpened():
        raise ValueError(f"source '{name}' cannot be opened as a film or camera")
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
    return capture


def _rate(capture: cv2.VideoCapture) -> float | None:
    rate = capture.get(cv2.CAP_PROP_FPS)
    return rate if 0 < rate < 1000 else None


def _read(capture: cv2.VideoCapture) -> Picture | None:
    read, picture = capture.read()
    return np.asarray(picture, np.uint8) if read else None


def _camera_of(name: str, picture: Picture, camera: CameraModel | None) -> CameraModel | None:
    try:
        return checked(picture, camera)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
