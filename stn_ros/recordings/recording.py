"""What every kind of recording is: frames with their stamps and cameras."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from stn_ros.geometry.camera import CameraModel
from stn_ros.recordings.encodings import Picture


class Frame(NamedTuple):
    """One picture of a recording.

    Attributes:
        stamp: when it was taken, seconds.
        picture: (h, w, 3) BGR uint8; it may lie in memory that is not to be written to.
        camera: None if unknown.
    """

    stamp: float
    picture: Picture
    camera: CameraModel | None


class Recording(Protocol):
    """Frames that can be read from the start as often as wanted.

    Attributes:
        count: how many frames there are, as the source says; 0 if it does not.
        rate: the source's own, in frames a second; None if it has none (pictures, bags).
    """

    count: int
    rate: float | None

    def __init__(self, source: str, camera: CameraModel | None = None, topic: str = "") -> None:
        """Open it. Raises ValueError naming the source and what is wrong with it."""

    @staticmethod
    def recognises(source: str) -> bool:
        """Whether a source is of this kind, whole or damaged."""

    def __iter__(self) -> Iterator[Frame]:
        """The frames in order. Raises ValueError naming one that can not be read."""


def check_no_topic(source: str, topic: str) -> None:
    """Raise ValueError if a topic of something that is no bag is asked for."""
    if topic:
        raise ValueError(f"topic {topic}: source '{source}' is no bag, it has no topics")


def checked(picture: Picture, camera: CameraModel | None) -> CameraModel | None:
    """The camera given for a whole recording. Raises ValueError if it is of another size."""
    height, width = picture.shape[:2]
    if camera is not None and camera.size != (width, height):
        raise ValueError(
            f"camera is of a {camera.size[0]}x{camera.size[1]} picture, this one has "
            f"{width}x{height}"
        )
    return camera
