"""Pictures one after the other: of a film, a folder, a picture, a camera device or a rosbag.

No ROS is needed, for a bag the package rosbags. Pictures are (h, w, 3) BGR uint8.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rosbags.highlevel import AnyReader

Picture = NDArray[np.uint8]

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
RATE = 30.0
"""Pictures a second where the source has no rate of its own."""
_IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
# encoding -> (channels, OpenCV's conversion to BGR)
_ENCODINGS = {
    "bgr8": (3, None),
    "rgb8": (3, cv2.COLOR_RGB2BGR),
    "mono8": (1, cv2.COLOR_GRAY2BGR),
}


class Source:
    """Pictures one after the other, from a film, a folder, one picture or a camera device.

    `rate` is the source's own in frames a second, None if it has none (pictures); `count` how many
    pictures there are, as a film's header says, 0 if unknown.
    Raises ValueError naming the source where it does not exist or holds no picture.
    """

    def __init__(self, source: str) -> None:
        if not source:
            raise ValueError("source is empty: give a film, folder, picture or camera device")
        self._name = source
        path = Path(source)
        self._capture: cv2.VideoCapture | None = None
        self._files: list[Path] = []
        self._next = 0
        self.rate: float | None = None
        self.is_device = _is_device(source)
        if path.is_dir():
            self._files = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURES)
            if not self._files:
                raise ValueError(f"source '{source}': no picture in this folder")
        elif path.suffix.lower() in PICTURES and path.is_file():
            self._files = [path]
        elif self.is_device or path.is_file():
            self._capture = cv2.VideoCapture(int(source) if source.isdigit() else source)
            if not self._capture.isOpened():
                raise ValueError(f"source '{source}' cannot be opened as a film or camera")
            rate = self._capture.get(cv2.CAP_PROP_FPS)
            self.rate = rate if 0 < rate < 1000 else None
        else:
            raise ValueError(f"source '{source}': no such film, folder, picture or camera")
        self.count = len(self._files)
        if self._capture is not None and not self.is_device:
            self.count = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def read(self) -> Picture | None:
        """The next picture; None at the end. Unreadable pictures raise."""
        if self._capture is not None:
            read, picture = self._capture.read()
            return picture if read else None
        if self._next == len(self._files):
            return None
        file = self._files[self._next]
        self._next += 1
        picture = cv2.imread(str(file), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if picture is None:
            raise ValueError(f"{file} cannot be read as a picture")
        return picture

    def rewind(self) -> None:
        """Start again at the first picture (not for a camera device)."""
        self._next = 0
        if self._capture is not None:
            self._capture.release()
            self._capture = cv2.VideoCapture(self._name)


class Recording:
    """The pictures of a recording with their times: (seconds, picture), as often as iterated.

    Args:
        source: a bag of ROS 2 (its folder, or an mcap file) with one image topic, or what `Source`
            takes but a camera device. Pictures without times are `RATE` a second.

    Attributes:
        count: how many pictures there are, as the source says; 0 if it does not.

    Raises:
        ValueError: the source does not exist, can not be read, or is a bag with no or several image
            topics. While iterating: a picture that can not be read is named.
    """

    def __init__(self, source: str) -> None:
        self._name = source
        path = Path(source)
        self._is_bag = path.suffix == ".mcap" or (path / "metadata.yaml").is_file()
        if self._is_bag:
            reader = _opened(path)
            try:
                self.count = self._connection(reader).msgcount
            finally:
                reader.close()
        elif _is_device(source):
            raise ValueError(f"source '{source}' is a camera, which never ends: record a film")
        elif source and not path.exists():
            raise ValueError(f"source '{source}': no such bag, film, folder or picture")
        else:
            self.count = Source(source).count

    def __iter__(self) -> Iterator[tuple[float, Picture]]:
        return self._of_bag() if self._is_bag else self._of_source()

    def _of_source(self) -> Iterator[tuple[float, Picture]]:
        source, index = Source(self._name), 0
        while (picture := source.read()) is not None:
            yield index / (source.rate or RATE), picture
            index += 1

    def _of_bag(self) -> Iterator[tuple[float, Picture]]:
        reader = _opened(Path(self._name))
        try:
            connection = self._connection(reader)
            for index, (_, stamp, content) in enumerate(reader.messages([connection])):
                message = reader.deserialize(content, connection.msgtype)
                try:
                    yield stamp * 1e-9, _picture(message)
                except ValueError as error:
                    raise ValueError(
                        f"bag {self._name}, image {index} of {connection.topic}: {error}"
                    ) from None
        finally:
            reader.close()

    def _connection(self, reader: AnyReader) -> Any:  # noqa: ANN401 (rosbags' own)
        """That of the one image topic."""
        images = [each for each in reader.connections if each.msgtype in _IMAGES]
        topics = sorted({each.topic for each in images})
        if not topics:
            held = ", ".join(sorted({each.topic for each in reader.connections})) or "nothing"
            raise ValueError(f"bag {self._name}: no image topic; it holds {held}")
        if len(topics) > 1:
            raise ValueError(
                f"bag {self._name}: several image topics, {', '.join(topics)}: keep one, "
                "with `ros2 bag convert` or by recording it alone"
            )
        return images[0]


def _is_device(source: str) -> bool:
    return source.isdigit() or Path(source).is_char_device()


def _opened(bag: Path) -> AnyReader:
    try:
        from rosbags.highlevel import AnyReader
        from rosbags.typesys import Stores, get_typestore
    except ModuleNotFoundError:
        raise ValueError(
            f"bag {bag}: to read it rosbags is needed: pip install 'stn_ros[bags]'"
        ) from None
    try:
        # Bags of older recorders do not say what their types look like.
        reader = AnyReader([bag], default_typestore=get_typestore(Stores.ROS2_JAZZY))
        reader.open()
    except Exception as error:
        # rosbags' readers raise many kinds, by storage.
        raise ValueError(f"bag {bag}: can not be read: {error}") from None
    return reader


def _picture(message: Any) -> Picture:  # noqa: ANN401 (made by rosbags)
    """BGR of an Image or CompressedImage."""
    if not hasattr(message, "encoding"):
        picture = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            raise ValueError(f"format '{message.format}' can not be decoded")
        return np.asarray(picture, np.uint8)
    if message.encoding not in _ENCODINGS:
        raise ValueError(
            f"encoding '{message.encoding}' can not be read; known are {', '.join(_ENCODINGS)}"
        )
    channels, conversion = _ENCODINGS[message.encoding]
    height, width, step = message.height, message.width, message.step
    size = len(message.data)
    if not height or step < width * channels or size != height * step:
        raise ValueError(f"{height} rows of step {step}, {width} px wide, are not {size} bytes")
    rows = message.data.reshape(height, step)[:, : width * channels]
    picture = np.ascontiguousarray(rows.reshape(height, width, channels))
    if conversion is not None:
        picture = np.asarray(cv2.cvtColor(picture, conversion), np.uint8)
    return picture
