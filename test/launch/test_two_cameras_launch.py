"""launch/two_cameras.launch.py: two cameras that share no topic, no frame and no argument."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

pytest.importorskip("launch_ros", reason="launch_ros is not installed (no wheel provides it)")
rclpy = pytest.importorskip("rclpy")

from tf2_msgs.msg import TFMessage  # noqa: E402

from stn_ros.environment import child_environment  # noqa: E402

LAUNCH_FILE = Path(__file__).parents[2] / "launch" / "two_cameras.launch.py"
PATIENCE = 60.0

pytestmark = [
    pytest.mark.ros,
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("ros2"), reason="the ros2 command line is not installed"),
]


def test_each_side_finds_the_object_in_frames_of_its_own(tmp_path):
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["ros2", "launch", LAUNCH_FILE, "sim:=true", "objects:=novel", "left:=/cell/near"],
            env=child_environment(), stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        transforms = hear_transforms(enough={"left/novel", "right/novel"})
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=30.0)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    words = log.read_text()
    assert transforms["left/novel"] == "left/camera_optical_frame", words
    assert transforms["right/novel"] == "right/camera_optical_frame", words
    assert "[left.canonicalizer]: active: looks for novel on '/cell/near/image_raw'" in words
    assert "[right.canonicalizer]: active: looks for novel on '/right/image_raw'" in words
    assert "Traceback" not in words
    assert words.count("process has finished cleanly") == 4


def hear_transforms(enough: set[str]) -> dict[str, str]:
    """Parent frames on /tf by child frame, once those of `enough` have come or patience ends."""
    context, heard = rclpy.Context(), {}
    rclpy.init(context=context)
    node = rclpy.create_node("launch_observer", context=context)

    def hear(message: TFMessage) -> None:
        heard.update({one.child_frame_id: one.header.frame_id for one in message.transforms})

    node.create_subscription(TFMessage, "/tf", hear, 100)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    deadline = time.monotonic() + PATIENCE
    while not enough <= heard.keys() and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.1)
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown(context=context)
    assert enough <= heard.keys(), heard
    return heard
