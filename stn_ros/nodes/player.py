"""Node `player`: a film, a folder of pictures or a camera device as image and camera_info."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import rclpy
from numpy.typing import NDArray
from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from stn_ros.nodes import process
from stn_ros.nodes.declaration import declare
from stn_ros.nodes.messages import camera_info_message, image_message
from stn_ros.recordings.bags import Bag
from stn_ros.recordings.pictures import RATE, Device
from stn_ros.recordings.recording import Frame
from stn_ros.recordings.registry import open_recording


def intrinsics(
    k: Sequence[float], field_of_view: float, size: tuple[int, int]
) -> NDArray[np.float64]:
    """3x3 K from (fx, fy, cx, cy), or, if that is all zero, from a horizontal field of view.

    The field of view is in degrees, the principal point then the middle of the picture.
    """
    if any(k):
        fx, fy, cx, cy = k
    else:
        width, height = size
        fx = fy = width / 2 / math.tan(math.radians(field_of_view) / 2)
        cx, cy = (width - 1) / 2, (height - 1) / 2
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])


class Player(Node):
    """Plays a source in real time. Raises ValueError naming what is wrong with a parameter."""

    def __init__(self, **arguments: Any) -> None:  # noqa: ANN401
        super().__init__("player", **arguments)
        describe = ParameterDescriptor
        source = declare(
            self,
            "source",
            "",
            describe(
                read_only=True,
                description="A film, a folder of pictures, a picture or a camera (0, /dev/video0).",
            ),
        )
        rate = declare(
            self,
            "rate",
            0.0,
            describe(
                read_only=True,
                description="Pictures a second; 0 for the source's own, else 30.",
                floating_point_range=[FloatingPointRange(from_value=0.0, to_value=1000.0)],
            ),
        )
        self._loop = declare(
            self,
            "loop",
            True,
            describe(read_only=True, description="Start again at the end of a film or folder."),
        )
        self._frame = declare(
            self,
            "frame_id",
            "camera_optical_frame",
            describe(read_only=True, description="TF frame of the camera, in the headers."),
        )
        self._k = declare(
            self,
            "k",
            [0.0] * 4,
            describe(
                read_only=True, description="Intrinsics fx, fy, cx, cy in pixels; zeros if unknown."
            ),
        )
        if len(self._k) != 4 or (any(self._k) and min(self._k[:2]) <= 0):
            raise ValueError(f"k is {list(self._k)}: must be fx, fy, cx, cy in pixels")
        self._field_of_view = declare(
            self,
            "field_of_view",
            60.0,
            describe(
                read_only=True,
                description="Horizontal field of view in degrees, assumed without k.",
                floating_point_range=[FloatingPointRange(from_value=1.0, to_value=179.0)],
            ),
        )
        self._source = Device(source) if Device.recognises(source) else open_recording(source)
        if isinstance(self._source, Bag):
            raise ValueError(f"source '{source}' is a bag: `ros2 bag play` plays it")
        self._frames = iter(self._source)
        self._K: NDArray[np.float64] | None = None
        self._size = (0, 0)
        options = QoSOverridingOptions.with_default_policies()
        self._image = self.create_publisher(
            Image, "image", QoSProfile(depth=2), qos_overriding_options=options
        )
        self._info = self.create_publisher(
            CameraInfo, "camera_info", QoSProfile(depth=2), qos_overriding_options=options
        )
        pace = rate or self._source.rate or RATE
        self.get_logger().info(f"playing '{source}' at {pace:g} Hz on '{self._image.topic_name}'")
        self._timer = self.create_timer(
            1 / pace, self._play, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def _play(self) -> None:
        try:
            frame = self._next()
        except ValueError as error:
            self.get_logger().warning(f"{error}: left out")
            return
        if frame is None:
            self.get_logger().info("the source has ended")
            self._timer.cancel()
            rclpy.try_shutdown(context=self.context)
            return
        picture = frame.picture
        size = picture.shape[1], picture.shape[0]
        if size != self._size:
            self._size = size
            self._K = intrinsics(self._k, self._field_of_view, size)
            if not any(self._k):
                self.get_logger().warning(
                    f"no intrinsics given: a field of view of {self._field_of_view:g} degrees is "
                    "ASSUMED, and poses are only as good as that; give k for true ones"
                )
        header = Header(frame_id=self._frame, stamp=self.get_clock().now().to_msg())
        self._info.publish(camera_info_message(self._K, size, header))
        self._image.publish(image_message(picture, header))

    def _next(self) -> Frame | None:
        """The next frame, None at the end. Raises ValueError where it can not be read."""
        frame = next(self._frames, None)
        if frame is None and self._loop and not isinstance(self._source, Device):
            self._frames = iter(self._source)
            frame = next(self._frames, None)
        return frame


def main(args: Sequence[str] | None = None) -> int:
    """Run the node as a process; returns its exit status."""
    return process.run(Player, args)
