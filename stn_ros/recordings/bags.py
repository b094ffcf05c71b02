"""Bags of ROS 2 (mcap, sqlite3) read without ROS, by the package rosbags."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from stn_ros.geometry.camera import CameraModel
from stn_ros.recordings.camera_info import Calibration
from stn_ros.recordings.encodings import Picture
from stn_ros.recordings.image_decoder import ImageDecoder
from stn_ros.recordings.recording import Frame, checked

if TYPE_CHECKING:
    from rosbags.highlevel import AnyReader
    from rosbags.interfaces import Connection

IMAGE, COMPRESSED_IMAGE = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
_STORAGES = (".mcap", ".db3")
_METADATA = "metadata.yaml"
_LOG = logging.getLogger(__name__)


class BagImage(NamedTuple):
    """One image of a bag.

    Attributes:
        stamp: that of its header, nanoseconds; of its record if the header has none (0).
        frame_id: of its header.
        picture: (h, w, 3) BGR uint8. camera: None if unknown.
    """

    stamp: int
    frame_id: str
    picture: Picture
    camera: CameraModel | None


class Bag:
    """The images of one topic of a bag, with the cameras that its CameraInfo describes.

    A `Recording`. The CameraInfo of `ns/image_raw` (and of `ns/image_raw/compressed`) is that of
    `ns/camera_info`; topics named `image_rect...` hold rectified images. A CameraInfo counts for
    the image of its own stamp and those after it; the first one for all before it, too. A
    calibration that can not be used is logged once, and its frames come without a camera.

    Args:
        source: the bag's folder, or one file of it.
        camera: of every image, in place of the CameraInfo in the bag.
        topic: of the images; empty for the only one.

    Attributes:
        topic: that of the images.

    Raises:
        ValueError: the bag is missing, cut off or damaged, the topic is not in it, or there is
            none or several to choose from; all are named. While iterating: an image that can not
            be decoded, a camera of another size, or where the bag is damaged.
    """

    rate: float | None = None

    def __init__(self, source: str, camera: CameraModel | None = None, topic: str = "") -> None:
        self._path, self._camera = Path(source), camera
        with _opened(self._path) as reader:
            self.topic = _image_topic(self._path, reader.connections, topic)
            self.count = sum(each.msgcount for each in reader.connections if self._is_image(each))
        if not self.count:
            raise ValueError(f"bag {source}: topic {self.topic} holds no image")

    @staticmethod
    def recognises(source: str) -> bool:
        """Whether it is a bag's file, or a folder that holds one or a bag's metadata."""
        path = Path(source)
        if path.suffix in _STORAGES:
            return path.is_file()
        return path.is_dir() and any(
            file.name == _METADATA or file.suffix in _STORAGES for file in path.iterdir()
        )

    def __iter__(self) -> Iterator[Frame]:
        for image in self.images():
            yield Frame(image.stamp / 1e9, image.picture, image.camera)

    def images(self) -> Iterator[BagImage]:
        """The images in the order they were recorded."""
        told: set[str] = set()

        def warn(topic: str, text: str) -> None:
            if text not in told:
                told.add(text)
                _LOG.warning("bag %s, %s: %s", self._path, topic, text)

        decoder = ImageDecoder(warn=partial(warn, self.topic))
        for index, (stamp, message, calibration) in enumerate(self._with_calibration()):
            where = f"bag {self._path}, image {index} of {self.topic}"
            try:
                picture = decoder.decode(message)
                camera = checked(picture, self._camera)
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from None
            if camera is None:
                try:
                    camera = calibration.camera((picture.shape[1], picture.shape[0]))
                except ValueError as error:
                    warn(self._info_topic, f"{error}; frames come without a camera")
            yield BagImage(stamp, message.header.frame_id, picture, camera)

    def _with_calibration(self) -> Iterator[tuple[int, Any, Calibration]]:
        """Stamp and message of each image, and the calibration as it stands for it."""
        name = self.topic.removesuffix("/compressed").rpartition("/")[2]
        calibration = Calibration(rectified=name.startswith("image_rect"))
        with _opened(self._path) as reader:
            infos = [each for each in reader.connections if self._is_info(each)]
            wanted = [*infos, *(each for each in reader.connections if self._is_image(each))]
            if infos and (first := next(_messages(self._path, reader, infos), None)):
                calibration.update(first[2])
            # An image waits for the record after it, which may be the CameraInfo of its stamp.
            waiting: tuple[int, Any] | None = None
            for connection, recorded, message in _messages(self._path, reader, wanted):
                stamp = _nanoseconds(message.header.stamp) or recorded
                if self._is_image(connection):
                    if waiting is not None:
                        yield *waiting, calibration
                    waiting = stamp, message
                    continue
                if waiting is not None and stamp != waiting[0]:
                    yield *waiting, calibration
                    waiting = None
                calibration.update(message)
            if waiting is not None:
                yield *waiting, calibration

    @property
    def _info_topic(self) -> str:
        return self.topic.removesuffix("/compressed").rpartition("/")[0] + "/camera_info"

    def _is_image(self, connection: Connection) -> bool:
        return connection.topic == self.topic and connection.msgtype in (IMAGE, COMPRESSED_IMAGE)

    def _is_info(self, connection: Connection) -> bool:
        return connection.topic == self._info_topic and connection.msgtype == CAMERA_INFO


def raw_messages(bag: Path) -> Iterator[tuple[str, str, int, bytes]]:
    """Every message of a bag in order: topic, type, record stamp (ns), serialized content.

    Raises:
        ValueError: the bag is missing, cut off or damaged.
    """
    with _opened(bag) as reader:
        for connection, stamp, content in _records(bag, reader, ()):
            yield connection.topic, connection.msgtype, stamp, bytes(content)


@contextmanager
def _opened(bag: Path) -> Iterator[AnyReader]:
    try:
        from rosbags.highlevel import AnyReader
        from rosbags.typesys import Stores, get_typestore
    except ModuleNotFoundError:
        raise ValueError(
            f"bag {bag}: to read it rosbags is needed: pip install 'stn_ros[bags]'"
        ) from None
    if not bag.exists():
        raise ValueError(f"bag {bag}: no such file or folder")
    if bag.is_dir() and not (bag / _METADATA).is_file():
        raise ValueError(
            f"bag {bag}: {_METADATA} is missing, as if the recorder had not ended: "
            f"`ros2 bag reindex {bag}` makes it anew"
        )
    try:
        # Bags of older recorders do not say what their types look like.
        reader = AnyReader([bag], default_typestore=get_typestore(Stores.ROS2_JAZZY))
        reader.open()
    except Exception as error:
        # rosbags' readers raise many kinds, by storage.
        raise ValueError(
            f"bag {bag}: can not be read: {_reason(error)}; if it was cut off, `ros2 bag reindex` "
            "(or, for mcap, `mcap recover`) saves what is there"
        ) from None
    with closing(reader):
        yield reader


def _records(
    bag: Path, reader: AnyReader, connections: Collection[Connection]
) -> Iterator[tuple[Connection, int, bytes]]:
    """The records of some connections; of all if there are none."""
    count = 0
    try:
        for record in reader.messages(connections):
            yield record
            count += 1
    except Exception as error:  # rosbags' and those of its storages and compressors
        raise ValueError(
            f"bag {bag}: is damaged behind {count} messages: {_reason(error)}"
        ) from None


def _messages(
    bag: Path, reader: AnyReader, connections: Collection[Connection]
) -> Iterator[tuple[Connection, int, Any]]:
    for index, (connection, stamp, content) in enumerate(_records(bag, reader, connections)):
        try:
            yield connection, stamp, reader.deserialize(content, connection.msgtype)
        except Exception as error:
            raise ValueError(
                f"bag {bag}: message {index} ({connection.topic}) is damaged: {_reason(error)}"
            ) from None


def _image_topic(bag: Path, connections: Collection[Connection], wanted: str) -> str:
    images = {each.topic for each in connections if each.msgtype in (IMAGE, COMPRESSED_IMAGE)}
    listed = ", ".join(sorted(images))
    if wanted:
        if wanted not in images:
            raise ValueError(
                f"bag {bag}: topic {wanted} holds no images; of these are {listed or 'none'}"
            )
        return wanted
    if not images:
        held = ", ".join(sorted({each.topic for each in connections})) or "nothing"
        raise ValueError(f"bag {bag}: no image topic; it holds {held}")
    if len(images) > 1:
        raise ValueError(f"bag {bag}: several image topics, {listed}: choose one (topic)")
    return images.pop()


def _nanoseconds(stamp: Any) -> int:  # noqa: ANN401 (builtin_interfaces/Time, made by rosbags)
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
