"""Node `bag_player`: a rosbag published again, byte for byte, without rosbag2.

With a full ROS 2, `ros2 bag play` does the same.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import rclpy
from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile

from stn_ros.nodes import process
from stn_ros.nodes.declaration import declare
from stn_ros.recordings.bags import raw_messages

_TICK = 0.005


class BagPlayer(Node):
    """Plays a bag at its own pace; ends with it, or starts again.

    Raises ValueError naming the bag where it can not be read.
    """

    def __init__(self, **arguments: Any) -> None:  # noqa: ANN401
        super().__init__("bag_player", **arguments)
        describe = ParameterDescriptor
        bag = declare(
            self, "bag", "", describe(read_only=True, description="Folder of a rosbag of ROS 2.")
        )
        self._rate = declare(
            self,
            "rate",
            1.0,
            describe(
                read_only=True,
                description="How many times as fast as it was recorded.",
                floating_point_range=[FloatingPointRange(from_value=0.01, to_value=100.0)],
            ),
        )
        self._loop = declare(
            self, "loop", False, describe(read_only=True, description="Start again at the end.")
        )
        self._bag = Path(bag)
        self._steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._publishers_of: dict[str, Publisher[Any]] = {}
        self._rewind()
        self.get_logger().info(f"playing '{bag}' at {self._rate:g} times its pace")
        self._timer = self.create_timer(_TICK, self._play, clock=self._steady_clock)

    def _rewind(self) -> None:
        """Start at the first message. Raises ValueError if there is none."""
        self._messages: Iterator[tuple[str, str, int, bytes]] = raw_messages(self._bag)
        self._next = next(self._messages, None)
        if self._next is None:
            raise ValueError(f"bag {self._bag}: there is no message in it")
        self._first, self._start = self._next[2], self._steady_clock.now().nanoseconds

    def _play(self) -> None:
        """Publish what is due."""
        now = (self._steady_clock.now().nanoseconds - self._start) * self._rate
        while self._next is not None and self._next[2] - self._first <= now:
            topic, kind, _, content = self._next
            self._publisher(topic, kind).publish(content)
            self._next = next(self._messages, None)
        if self._next is None and self._loop:
            self._rewind()
        elif self._next is None:
            self.get_logger().info("the bag has ended")
            self._timer.cancel()
            rclpy.try_shutdown(context=self.context)

    def _publisher(self, topic: str, kind: str) -> Publisher[Any]:
        if topic not in self._publishers_of:
            package, _, name = kind.split("/")
            message = getattr(importlib.import_module(f"{package}.msg"), name)
            # Relative, so that a namespace and remappings count.
            self._publishers_of[topic] = self.create_publisher(
                message, topic.lstrip("/"), QoSProfile(depth=10)
            )
        return self._publishers_of[topic]


def main(args: Sequence[str] | None = None) -> int:
    """Run the node as a process; returns its exit status."""
    return process.run(BagPlayer, args)
