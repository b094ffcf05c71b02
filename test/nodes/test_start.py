"""The nodes' processes end with status 0 and in silence, whenever they are interrupted."""

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
pytest.importorskip("vision_msgs", reason="vision_msgs is not installed: run `make setup`")

import rclpy
from rclpy.executors import SingleThreadedExecutor
from vision_msgs.msg import Detection3DArray

from stn_ros.environment import child_environment

pytestmark = pytest.mark.ros
SCRIPTS = Path(__file__).parents[2] / "scripts"
PATIENCE = 300.0
NAMESPACE = f"/own_{os.getpid()}"  # of no other graph that may share the domain
SIZES = {
    "640x480": ("-p", "width:=640", "-p", "height:=480", "-p", "rate:=30.0"),
    "4K": ("-p", "width:=3840", "-p", "height:=2160", "-p", "rate:=10.0"),
}
NODES = {
    "canonicalizer": ("-p", "autostart:=true", "-p", "objects:=[novel, tea_box]"),
    "simulated_camera": ("-p", "width:=320", "-p", "height:=240", "-p", "rate:=200.0"),
}


class Process:
    """An executable of the package, and what it prints."""

    def __init__(self, name: str, options: Sequence[str], log: Path) -> None:
        self.name, self.log = name, log
        environment = child_environment()
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [SCRIPTS / name, "--ros-args", "-r", f"__ns:={NAMESPACE}", *options],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.log.read_text():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, f"no '{text}' in:\n{self.log.read_text()}"
            time.sleep(0.01)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def assert_ended_in_order(self) -> None:
        status = self._process.wait(PATIENCE)
        words = self.log.read_text()
        # Images may be slow to come; and DDS complains of what killed processes have left behind.
        usual = re.compile(r"\[INFO\]|\[WARN\]|.*\]: nothing on '|.*RTPS_TRANSPORT_SHM|$")
        unusual = [line for line in words.splitlines() if not usual.match(line)]
        assert (status, unusual) == (0, []), f"{self.name}: {words}"

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def wait_for_answers() -> None:
    """Until the node has worked on an image."""
    context, answers = rclpy.Context(), []
    rclpy.init(context=context)
    listener = rclpy.create_node("listener", context=context)
    listener.create_subscription(Detection3DArray, f"{NAMESPACE}/objects", answers.append, 1)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(listener)
    deadline = time.monotonic() + PATIENCE
    while not answers and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.1)
    executor.shutdown()
    listener.destroy_node()
    rclpy.shutdown(context=context)
    assert answers, "the node has answered nothing"


@contextlib.contextmanager
def processes(folder: Path, **options: Sequence[str]) -> Iterator[list[Process]]:
    """The executables named, with these options."""
    started = [Process(name, given, folder / name) for name, given in options.items()]
    try:
        yield started
    finally:
        for each in started:
            each.kill()


def interrupt(name: str, delay: float, number: signal.Signals, folder: Path) -> None:
    """Start, signal `delay` seconds later, and expect an orderly end."""
    with processes(folder, **{name: NODES[name]}) as (process,):
        time.sleep(delay)
        process.send(number)
        process.assert_ended_in_order()


def interrupt_with_images_in_flight(
    size: str, delay: float, number: signal.Signals, folder: Path
) -> None:
    """A camera of images of this size and the node, signalled together once images flow."""
    options = {"simulated_camera": SIZES[size], "canonicalizer": NODES["canonicalizer"]}
    with processes(folder, **options) as (camera, node):
        wait_for_answers()
        time.sleep(delay)
        for each in (camera, node):
            each.send(number)
        for each in (camera, node):
            each.assert_ended_in_order()


def moment(seed: int, longest: float) -> tuple[float, signal.Signals]:
    draw = random.Random(seed)
    return draw.uniform(0.02, longest), draw.choice((signal.SIGINT, signal.SIGTERM))


@pytest.mark.parametrize("name", NODES)
@pytest.mark.parametrize("delay", [0.02, 0.3, 1.0])
def test_interrupted_while_starting(name, delay, tmp_path):
    interrupt(name, delay, signal.SIGINT, tmp_path)


def test_interrupted_with_images_in_flight(tmp_path):
    interrupt_with_images_in_flight("640x480", 0.5, signal.SIGTERM, tmp_path)


def test_interrupted_again_and_again_until_it_ends(tmp_path):
    with processes(tmp_path, canonicalizer=NODES["canonicalizer"]) as (node,):
        node.wait_for("configured for")
        while node.running:
            node.send(signal.SIGINT)
            node.send(signal.SIGTERM)
        node.assert_ended_in_order()


@pytest.mark.slow
@pytest.mark.parametrize("name", NODES)
@pytest.mark.parametrize("seed", range(20))
def test_interrupted_at_any_moment(name, seed, tmp_path):
    interrupt(name, *moment(seed, longest=4.0), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(5))
def test_interrupted_at_any_moment_with_images_in_flight(size, seed, tmp_path):
    interrupt_with_images_in_flight(size, *moment(seed, longest=2.0), tmp_path)
