"""The kinds of recordings there are, and the one of a source."""

from __future__ import annotations

from pathlib import Path

from stn_ros.geometry.camera import CameraModel
from stn_ros.recordings.bags import Bag
from stn_ros.recordings.pictures import Device, Film, Pictures
from stn_ros.recordings.recording import Recording

KINDS: tuple[type[Recording], ...] = (Bag, Pictures, Film)
"""A source is of the first kind that recognises it."""


def open_recording(source: str, camera: CameraModel | None = None, topic: str = "") -> Recording:
    """The frames of a bag of ROS 2, a folder of pictures, a picture or a film.

    Args:
        source: path of its file or folder.
        camera: of every frame; without it bags say theirs, and other frames have none.
        topic: of the images in a bag that has several.

    Raises:
        ValueError: naming the source and what is wrong with it.
    """
    if not source:
        raise ValueError("source is empty: give a bag, film, folder or picture")
    if Device.recognises(source):
        raise ValueError(f"source '{source}' is a camera, which never ends: record a film")
    if not Path(source).exists():
        raise ValueError(f"source '{source}': no such bag, film, folder or picture")
    kind = next((kind for kind in KINDS if kind.recognises(source)), None)
    if kind is None:
        raise ValueError(f"source '{source}' is no bag, film, folder or picture")
    return kind(source, camera, topic)
