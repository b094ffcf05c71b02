"""The canonicalizer as a process: signals, exit status, refusals at start."""

import signal
import subprocess
import sys

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
pytest.importorskip("vision_msgs", reason="vision_msgs is not installed: run `make setup`")

pytestmark = pytest.mark.ros
TIMEOUT = 60.0
PROCESS = "import sys; from stn_ros.nodes.canonicalizer import main; sys.exit(main())"


def test_process_ends_cleanly_when_interrupted():
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, "--ros-args", "-p", "autostart:=true"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "cannot configure: the parameter objects is empty: name at least one object" in line
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT) == 0


def test_process_names_a_bad_parameter_and_ends():
    ended = subprocess.run(
        [sys.executable, "-c", PROCESS, "--ros-args", "-p", "threshold:=2.0"],
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert ended.returncode == 1
    assert "threshold" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_collector_passes_over_what_is_loaded():
    """A cycle made later is still found; what was there is not walked through again."""
    code = (
        "import gc, weakref\n"
        "from stn_ros.nodes.process import spare_collector\n"
        "class Node: pass\n"
        "spare_collector()\n"
        "assert gc.get_freeze_count() > 10_000, gc.get_freeze_count()\n"
        "node = Node(); node.self = node; gone = weakref.ref(node)\n"
        "del node; gc.collect()\n"
        "assert gone() is None\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
