"""A bag comes out as it was written; a scene of known truth goes through the whole live graph."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
pytest.importorskip("rosbags", reason="rosbags is not installed: pip install 'stn_ros[bags]'")
import rclpy
from rclpy.clock_type import ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from stn_ros.cli import main
from stn_ros.evaluation.bag_command import write_bag
from stn_ros.evaluation.trials import Trial
from stn_ros.nodes.bag_player import BagPlayer
from stn_ros.recordings.bag_writer import BagWriter
from stn_ros.recordings.bags import raw_messages
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.synthesis import artwork
from stn_ros.synthesis.scene import face_homography, paste_face

pytestmark = pytest.mark.ros


@pytest.fixture
def context():
    context = rclpy.Context()
    rclpy.init(context=context)
    yield context
    rclpy.try_shutdown(context=context)


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    frame = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    with BagWriter(tmp_path / "bag") as writer:
        for index in range(5):
            writer.write(index * 50_000_000, frame, np.eye(3), [("box", (1, 2, 3, 4))])
    return tmp_path / "bag"


def _parameters(**values: object) -> list[Parameter]:
    return [Parameter(name, value=value) for name, value in values.items()]


def test_the_bag_comes_out_byte_for_byte_and_no_faster_than_asked(context, bag: Path) -> None:
    listener = rclpy.create_node("listener", context=context)
    heard: dict[str, list[tuple[float, bytes]]] = {"image": [], "detections": []}
    for topic, kind in (("image", Image), ("detections", Detection2DArray)):
        listener.create_subscription(
            kind,
            topic,
            lambda content, into=heard[topic]: into.append((time.monotonic(), content)),
            QoSProfile(depth=100),
            raw=True,
        )
    begun = time.monotonic()
    # Played round and round: what comes before the first connection is missed.
    player = BagPlayer(
        context=context, parameter_overrides=_parameters(bag=str(bag), rate=0.5, loop=True)
    )
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(listener)
    executor.add_node(player)
    give_up = time.monotonic() + 60
    while len(heard["image"]) < 22 or len(heard["detections"]) < 22:
        assert time.monotonic() < give_up, {topic: len(each) for topic, each in heard.items()}
        executor.spin_once(timeout_sec=0.1)
    written = {
        topic: [content for name, _, _, content in raw_messages(bag) if name == f"/{topic}"]
        for topic in heard
    }
    for topic, messages in heard.items():
        contents = [content for _, content in messages]
        first = written[topic].index(contents[0])
        expected = [written[topic][(first + index) % 5] for index in range(len(contents))]
        assert contents == expected
    # Four steps of 50 ms in five messages at half pace: a round takes 0.4 s.
    assert heard["image"][20][0] - begun > 1.6
    for node in (player, listener):
        node.destroy_node()


def test_the_player_paces_itself_and_its_nodes_clock_stays_that_of_ros(context, bag: Path) -> None:
    player = BagPlayer(context=context, parameter_overrides=_parameters(bag=str(bag)))
    assert player.get_clock().clock_type is ClockType.ROS_TIME
    assert [timer.clock.clock_type for timer in player.timers] == [ClockType.STEADY_TIME]
    player.destroy_node()


def test_a_missing_bag_is_named(context, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="absent"):
        BagPlayer(context=context, parameter_overrides=_parameters(bag=str(tmp_path / "absent")))


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder as make-bag makes it, of drawn artwork on a table, slightly tilted."""
    art = artwork.draw(11, (256, 180), "magazine")
    frame = cv2.resize(artwork.draw(12, (320, 240), "marble"), (640, 480))
    homography = face_homography((256, 180), (300, 240), 220, 2.5, 0.5, 1.0, 600, (319.5, 239.5))
    paste_face(frame, art, homography)
    trial = Trial("drawn", ObjectModel("book", art), frame, (180, 120, 240, 240), homography)
    write_bag(tmp_path / "made", [trial], frames=20, rate=10, seed=0)
    return tmp_path / "made"


def _replay(folder: Path, seconds: int) -> subprocess.CompletedProcess:
    """The command in a process of its own, as users run it."""
    return subprocess.run(
        [sys.executable, "-m", "stn_ros.cli", "replay", str(folder), "--seconds", str(seconds)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_views_come_through_the_live_graph_where_they_should(made: Path) -> None:
    run = _replay(made, 3)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "100% of 1 below 3 px" in run.stdout


def test_a_truth_elsewhere_is_not_met(made: Path) -> None:
    elsewhere = [[0.5, 0, 20], [0, 0.5, 30], [0, 0, 1]]
    (made / "truth.json").write_text(json.dumps({"book": elsewhere}))
    run = _replay(made, 1)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "off or not found" in run.stdout


def test_a_folder_without_truth_is_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["replay", str(tmp_path)]) == 2
    assert "truth.json" in capsys.readouterr().err
