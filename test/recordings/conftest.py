"""Bags written by rosbags, message by message; JPEGs that say how they are to be turned."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def with_exif() -> Callable[[bytes, int], bytes]:
    """Gives a JPEG the EXIF tag of an orientation."""

    def tagged(jpeg: bytes, orientation: int) -> bytes:
        entry = struct.pack("<HHIHH", 0x112, 3, 1, orientation, 0)
        tiff = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 1) + entry + bytes(4)
        body = b"Exif\0\0" + tiff
        return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]

    return tagged


@pytest.fixture
def write_bag(tmp_path: Path):
    """Writes (topic, type, stamp, fields but the header) as a bag, its records a second apart.

    Of a CameraInfo the fields are a dict of those that differ from those of an uncalibrated camera.
    """
    pytest.importorskip("rosbags", reason="rosbags is not installed: pip install 'stn_ros[bags]'")
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    types = store.types

    def header(stamp: float) -> object:
        seconds, rest = divmod(round(stamp * 1e9), 1_000_000_000)
        return types["std_msgs/msg/Header"](
            types["builtin_interfaces/msg/Time"](seconds, rest), "lens"
        )

    def camera_info(stamp: float, **changes: object) -> object:
        fields = {
            "height": 2,
            "width": 2,
            "distortion_model": "plumb_bob",
            "d": np.zeros(5),
            "k": np.zeros(9),
            "r": np.zeros(9),
            "p": np.zeros(12),
            "binning_x": 0,
            "binning_y": 0,
            "roi": types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False),
        }
        for name, value in changes.items():
            fields[name] = np.array(value, float) if isinstance(value, list) else value
        return types["sensor_msgs/msg/CameraInfo"](header(stamp), **fields)

    def write(*messages: tuple, plugin: str = "MCAP", name: str = "bag") -> Path:
        bag = tmp_path / name
        with Writer(bag, version=9, storage_plugin=StoragePlugin[plugin]) as writer:
            open_ones = {}
            for second, (topic, kind, stamp, *fields) in enumerate(messages):
                if topic not in open_ones:
                    open_ones[topic] = writer.add_connection(topic, kind, typestore=store)
                if kind == "sensor_msgs/msg/CameraInfo":
                    message = camera_info(stamp, **fields[0])
                else:
                    message = types[kind](header(stamp), *fields)
                content = store.serialize_cdr(message, kind)
                writer.write(open_ones[topic], second * 1_000_000_000, content)
        return bag

    return write
