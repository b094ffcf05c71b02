"""The canonicalizer as a process: signals, exit status, refusals at start."""

import signal
import subprocess
import sys
from dataclasses import fields

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
pytest.importorskip("vision_msgs", reason="vision_msgs is not installed: run `make setup`")

from stn_ros.nodes.parameters import Settings

pytestmark = pytest.mark.ros
TIMEOUT = 60.0
PROCESS = "import sys; from stn_ros.nodes.start import start; sys.exit(start('canonicalizer'))"


def test_process_says_that_it_is_unconfigured_and_ends_cleanly_when_interrupted():
    process = subprocess.Popen([sys.executable, "-c", PROCESS], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "unconfigured: `ros2 lifecycle set /canonicalizer configure`" in line
    assert "autostart:=true" in line
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT) == 0


def test_process_that_cannot_start_by_itself_says_why_once_and_ends():
    ended = run("--ros-args", "-p", "autostart:=true")
    assert ended.returncode == 1
    why, end = ended.stderr.splitlines()
    assert "cannot configure: the parameter objects is empty: name at least one object" in why
    assert "ends, as it was to start by itself and cannot" in end


def test_one_object_named_twice_is_told_at_configure():
    ended = run("--ros-args", "-p", "autostart:=true", "-p", "objects:=[novel, novel]")
    assert ended.returncode == 1
    assert "cannot configure: objects ['novel']: named more than once" in ended.stderr


def test_a_file_of_kindred_types_is_read(tmp_path):
    file = tmp_path / "mine.yaml"
    values = "threshold: 1, threads: 2.0, objects: [], regions: [], autostart: true"
    file.write_text(f"/**: {{ros__parameters: {{{values}}}}}\n")
    ended = run("--ros-args", "--params-file", str(file))
    assert "cannot configure: the parameter objects is empty" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_override_of_quality_of_service_that_is_wrong_is_named():
    wrong = "qos_overrides./image.subscription.reliability:=relaible"
    ended = run("--ros-args", "-p", "autostart:=true", "-p", "objects:=novel", "-p", wrong)
    assert ended.returncode == 1
    assert "cannot activate: qos_overrides./image.subscription: " in ended.stderr
    assert "relaible" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_names_purpose_topics_and_every_parameter(word):
    ended = run(word)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "aligned views and poses of known flat objects" in ended.stdout
    assert "detections                   vision_msgs/Detection2DArray" in ended.stdout
    for entry in fields(Settings):
        assert f"\n  {entry.name} (" in ended.stdout
    assert max(map(len, ended.stdout.splitlines())) < 100


def test_an_argument_that_ros_does_not_know_is_refused():
    ended = run("autostart", "--ros-args", "-p", "threshold:=0.5")
    assert ended.returncode == 2
    assert "unrecognized arguments: autostart" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["-p", "threshold:=2.0"], "threshold out of range"),
        (["-p", "threads:=2.5"], "threads is 2.5: must be a whole number"),
        (["-p", "objects:=[a, 1]"], "objects:=[a, 1]"),
        (["--nonsense"], "--nonsense"),
        (["--params-file", "/nowhere.yaml"], "'--params-file /nowhere.yaml'. Error: Error opening"),
    ],
)
def test_process_names_a_bad_argument_in_one_line_and_ends(arguments, reason):
    assert reason in refusal(*arguments)


@pytest.mark.parametrize(
    "text", ["/**:\n  ros__parameters:\n    objects: [a\n", "canonicalizer:\n  threshold: 0.7\n"]
)
def test_process_names_a_broken_parameter_file_in_one_line_and_ends(text, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    said = refusal("--params-file", str(file))
    assert str(file) in said
    assert "line 2" in said or "line 3" in said
    assert "ros__parameters" in said
    assert ".c:" not in said


def run(*arguments: str) -> subprocess.CompletedProcess:
    """The canonicalizer as a process that ends by itself."""
    return subprocess.run(
        [sys.executable, "-c", PROCESS, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )


def refusal(*arguments: str) -> str:
    """The one line that the process, and not rcl, prints when it ends with status 1."""
    ended = run("--ros-args", *arguments)
    assert ended.returncode == 1
    said = (ended.stderr + ended.stdout).splitlines()
    (line,) = [each for each in said if "[rcl]: Failed to parse" not in each]
    return line


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
