"""Subscriptions that follow their publishers' QoS."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from stn_ros.environment import child_environment
from stn_ros.nodes.inputs import (
    BEST_EFFORT,
    LATCHED,
    RELIABLE,
    VOLATILE,
    Input,
)
from stn_ros.nodes.messages import camera_info_message
from stn_ros.nodes.process import make_executor

pytestmark = pytest.mark.ros
K = np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]])


def info() -> CameraInfo:
    return camera_info_message(K, (640, 480), Header())


class Graph:
    """A node that listens and one that sends, on one executor."""

    def __init__(self, **overrides: object) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = Node(
            "listener",
            context=self.context,
            parameter_overrides=[Parameter(name, value=value) for name, value in overrides.items()],
        )
        self.camera = Node("camera", context=self.context)
        self.executor = make_executor(self.context)
        for each in (self.node, self.camera):
            self.executor.add_node(each)
        self.received: list[object] = []

    def listen(self, kind: type = CameraInfo, *, latched: bool = False) -> Input:
        return Input(self.node, kind, "topic", self.received.append, 5, latched=latched)

    def publisher(self, reliability=RELIABLE, durability=VOLATILE, kind: type = CameraInfo):
        profile = QoSProfile(depth=5, reliability=reliability, durability=durability)
        return self.camera.create_publisher(kind, "topic", profile)

    def wait(self, happened: Callable[[], object], seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < deadline, "it did not happen"
            self.executor.spin_once(timeout_sec=0.05)

    def seen(self, publishers: int) -> None:
        """Wait until the listener knows so many publishers."""
        self.wait(lambda: self.node.count_publishers("topic") == publishers)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.camera.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def graphs() -> Iterator[Callable[..., Graph]]:
    made = []

    def make(**overrides: object) -> Graph:
        made.append(Graph(**overrides))
        return made[-1]

    yield make
    for graph in made:
        graph.close()


def asked(subscription: Input):
    return subscription.qos_profile.reliability, subscription.qos_profile.durability


def lose(subscription: Input, lost: int, received: int) -> None:
    """What DDS and the executor do where so many messages are lost and come."""
    subscription._note_lost(lost)
    for _ in range(received):
        subscription._take(CameraInfo())


def test_a_camera_info_that_was_sent_once_before_is_received(graphs):
    graph = graphs()
    sender = graph.publisher(RELIABLE, LATCHED)
    sender.publish(info())
    subscription = graph.listen(latched=True)
    graph.seen(publishers=1)
    assert subscription.review() == ""
    assert asked(subscription) == (RELIABLE, LATCHED)
    assert "set qos_overrides" not in subscription.why_silent()
    graph.wait(lambda: graph.received)
    assert graph.received == [info()]


def test_a_volatile_publisher_beside_a_latched_one_is_received_too(graphs):
    graph = graphs()
    graph.publisher(RELIABLE, LATCHED)
    subscription = graph.listen(latched=True)
    graph.seen(publishers=1)
    subscription.review()
    other = graph.publisher(BEST_EFFORT, VOLATILE)
    graph.seen(publishers=2)
    subscription.review()
    assert asked(subscription) == (BEST_EFFORT, VOLATILE)
    graph.wait(other.get_subscription_count)
    graph.wait(lambda: other.publish(info()) or graph.received)


def test_images_are_not_asked_for_latched(graphs):
    graph = graphs()
    graph.publisher(RELIABLE, LATCHED)
    subscription = graph.listen()
    graph.seen(publishers=1)
    subscription.review()
    assert asked(subscription) == (BEST_EFFORT, VOLATILE)
    assert "transient local and may have sent before" in subscription.why_silent()


def test_what_is_lost_of_a_reliable_publisher_is_asked_for_reliably_once_said(graphs, capfd):
    graph = graphs()
    sender = graph.publisher()
    subscription = graph.listen()
    graph.seen(publishers=1)
    lose(subscription, lost=4, received=6)
    assert subscription.review() == ""
    assert asked(subscription) == (RELIABLE, VOLATILE)
    assert subscription.review() == ""
    said = "'/topic': subscribed reliable and volatile, as its publishers offer, as it lost 4 of 10"
    assert capfd.readouterr().err.count(said) == 1
    graph.received.clear()
    graph.wait(sender.get_subscription_count)
    graph.wait(lambda: sender.publish(info()) or graph.received)
    graph.publisher(BEST_EFFORT)
    graph.seen(publishers=2)
    subscription.review()
    assert asked(subscription) == (BEST_EFFORT, VOLATILE)


def test_few_losses_are_no_reason(graphs):
    graph = graphs()
    graph.publisher()
    subscription = graph.listen()
    graph.seen(publishers=1)
    lose(subscription, lost=1, received=19)
    assert subscription.review() == ""
    lose(subscription, lost=5, received=0)  # too few to judge by
    assert subscription.review() == ""
    assert asked(subscription) == (BEST_EFFORT, VOLATILE)


def test_losses_of_a_best_effort_publisher_are_told_with_their_remedy(graphs):
    graph = graphs()
    graph.publisher(BEST_EFFORT, kind=Image)
    subscription = graph.listen(Image)
    graph.seen(publishers=1)
    lose(subscription, lost=8, received=2)
    told = subscription.review()
    assert told.startswith("'/topic' loses 8 of 10 messages; a publisher of it is best effort; ")
    assert "export FASTDDS_DEFAULT_PROFILES_FILE=$(ros2 pkg prefix --share stn_ros)/" in told
    assert subscription.review() == ""  # nothing comes any more, so nothing is lost


def test_an_override_wins(graphs):
    graph = graphs(
        **{
            "qos_overrides./topic.subscription.reliability": "best_effort",
            "qos_overrides./topic.subscription.durability": "volatile",
        }
    )
    graph.publisher(RELIABLE, LATCHED)
    subscription = graph.listen(latched=True)
    graph.seen(publishers=1)
    lose(subscription, lost=8, received=2)
    told = subscription.review()
    assert asked(subscription) == (BEST_EFFORT, VOLATILE)
    assert told == (
        "'/topic' loses 8 of 10 messages; "
        "set qos_overrides./topic.subscription.reliability to reliable"
    )
    reason = subscription.why_silent()
    assert "set qos_overrides./topic.subscription.durability to transient_local" in reason


def test_an_override_of_the_durability_is_offered_and_taken(graphs):
    graph = graphs(
        **{
            "qos_overrides./topic.subscription.reliability": "reliable",
            "qos_overrides./topic.subscription.durability": "transient_local",
        }
    )
    subscription = graph.listen()
    assert asked(subscription) == (RELIABLE, LATCHED)
    sender = graph.publisher(RELIABLE, VOLATILE)
    graph.seen(publishers=1)
    graph.wait(lambda: "QoS mismatch (Volatile publisher and" in subscription.why_silent())
    assert sender.get_subscription_count() == 0


@pytest.mark.parametrize(("policy", "value"), [("reliability", "relaible"), ("depth", "many")])
def test_an_override_that_is_wrong_is_named(graphs, policy, value):
    graph = graphs(**{f"qos_overrides./topic.subscription.{policy}": value})
    with pytest.raises(ValueError, match=rf"qos_overrides./topic.subscription: .*{value}"):
        graph.listen()


def test_silence_of_a_topic_that_loses_nothing_is_not_laid_to_shared_memory(graphs):
    graph = graphs()
    subscription = graph.listen()
    assert "nobody publishes it" in subscription.why_silent()
    graph.publisher()
    graph.seen(publishers=1)
    assert subscription.why_silent() == (
        "nothing on '/topic' although it has a publisher: it is paused, or has just started"
    )


def switched(subscription: Input) -> bool:
    subscription.review()
    return asked(subscription) == (RELIABLE, VOLATILE)


@pytest.mark.slow
def test_images_of_a_camera_outside_our_launch_file_come_after_all(graphs):
    """1080p through the 512 KB of shared memory that Fast DDS gives by default."""
    graph = graphs()
    environment = child_environment()
    environment.pop("FASTDDS_DEFAULT_PROFILES_FILE", None)
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    executable = Path(__file__).parents[2] / "scripts" / "simulated_camera"
    options = ("-r", "image:=topic", "-p", "width:=1920", "-p", "height:=1080", "-p", "rate:=5.0")
    subscription = graph.listen(Image)
    camera = subprocess.Popen([executable, "--ros-args", *options], env=environment)
    try:
        graph.wait(lambda: switched(subscription), 120.0)
        graph.received.clear()
        graph.wait(lambda: len(graph.received) >= 10, 60.0)
    finally:
        camera.terminate()
        camera.wait()
