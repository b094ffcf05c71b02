"""launch/perception.launch.py under the real launch: arguments, what it starts, that it runs."""

import contextlib
import os
import runpy
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

pytest.importorskip("launch_ros", reason="launch_ros is not installed (no wheel provides it)")
rclpy = pytest.importorskip("rclpy")

from launch.actions import DeclareLaunchArgument  # noqa: E402
from launch.launch_description_sources import (  # noqa: E402
    get_launch_description_from_python_launch_file,
)
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from rcl_interfaces.srv import GetParameters  # noqa: E402
from vision_msgs.msg import Detection3DArray  # noqa: E402

from stn_ros.environment import child_environment  # noqa: E402

LAUNCH_FILE = Path(__file__).parents[2] / "launch" / "perception.launch.py"

pytestmark = pytest.mark.ros
needs_ros2 = pytest.mark.skipif(
    not shutil.which("ros2"), reason="the ros2 command line is not installed"
)


def test_every_argument_has_a_default_and_says_what_it_is():
    description = get_launch_description_from_python_launch_file(str(LAUNCH_FILE))
    declared = [each for each in description.entities if isinstance(each, DeclareLaunchArgument)]
    assert [each.name for each in declared] == [
        "image", "camera_info", "detections", "objects", "params_file", "namespace",
        "use_sim_time", "sim", "log_level", "autostart",
    ]  # fmt: skip
    for each in declared:
        assert each.default_value is not None
        assert len(each.description) > 15


@needs_ros2
@pytest.mark.parametrize(
    ("argument", "complaint"),
    [
        ("objects:=[one, two", "is neither a name nor a list of names"),
        ("objects:={one: two}", "is neither a name nor a list of names"),
        ("params_file:=/nowhere.yaml", "there is no such file"),
        ("log_level:=loud", "is not one of debug, info, warn, error, fatal"),
    ],
)
def test_arguments_of_no_use_are_refused(argument, complaint):
    result = subprocess.run(
        ["ros2", "launch", LAUNCH_FILE, argument],
        capture_output=True, text=True, timeout=60, env=child_environment(),
    )  # fmt: skip
    assert result.returncode != 0
    assert argument in result.stdout
    assert complaint in result.stdout


def refused(*arguments: str) -> str:
    """What a launch prints that ends by itself, in vain."""
    result = subprocess.run(
        ["ros2", "launch", LAUNCH_FILE, *arguments],
        capture_output=True, text=True, timeout=120, env=child_environment(),
    )  # fmt: skip
    assert result.returncode != 0
    return result.stdout + result.stderr


@needs_ros2
def test_a_node_that_cannot_start_says_why_once_and_ends_the_launch():
    words = refused("objects:=novel,no_such_object")
    assert words.count("object 'no_such_object': no object.yaml in") == 1
    assert "known are" in words
    assert "canonicalizer-1 has refused to start: its last lines say why" in words
    assert "Traceback" not in words


@needs_ros2
def test_the_home_folder_and_the_log_level_reach_the_node(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.yaml").write_text("/**:\n  ros__parameters:\n    treshold: 0.7\n")
    words = refused(
        "params_file:=~/mine.yaml", "objects:=~/box", "log_level:=DEBUG", "namespace:=/cell/left"
    )
    assert "[cell.left.canonicalizer]: parameter 'treshold' is unknown" in words
    assert f"object '{tmp_path}/box'" in words or "object '~/box'" in words
    debug = [line for line in words.splitlines() if "[DEBUG]" in line]
    assert debug
    assert all("[cell.left.canonicalizer]" in line for line in debug)


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("", []),
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        ("a, b", ["a", "b"]),
        ("[a, b]", ["a", "b"]),
        ("12", ["12"]),
        ("~/objects/a", ["~/objects/a"]),
    ],
)
def test_objects_are_a_name_or_names(text, listed):
    assert runpy.run_path(str(LAUNCH_FILE))["names"](text) == listed


class Graph:
    """A node of the test's own, and what it sees of /cell/canonicalizer."""

    def __init__(self, log: Path):
        self.log = log
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("launch_observer", context=self.context)
        self.executor = rclpy.executors.SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)

    def close(self):
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def call(self, kind, name, request):
        client = self.node.create_client(kind, f"/cell/canonicalizer/{name}")
        assert client.wait_for_service(timeout_sec=40.0), self.log.read_text()
        future = client.call_async(request)
        self.executor.spin_until_future_complete(future, timeout_sec=20.0)
        self.node.destroy_client(client)
        assert future.done(), f"{name} did not answer\n{self.log.read_text()}"
        return future.result()

    def state(self) -> str:
        return self.call(GetState, "get_state", GetState.Request()).current_state.label

    def change(self, transition: int):
        request = ChangeState.Request(transition=Transition(id=transition))
        assert self.call(ChangeState, "change_state", request).success

    def parameters(self, *names: str):
        return self.call(GetParameters, "get_parameters", GetParameters.Request(names=names)).values

    def objects(self, seconds: float, enough: int) -> set[str]:
        """Classes published within this time; ends as soon as there are enough."""
        seen = set()

        def collect(message: Detection3DArray):
            seen.update(each.results[0].hypothesis.class_id for each in message.detections)

        subscription = self.node.create_subscription(Detection3DArray, "/cell/objects", collect, 10)
        end = time.monotonic() + seconds
        while time.monotonic() < end and len(seen) < enough:
            self.executor.spin_once(timeout_sec=0.1)
        self.node.destroy_subscription(subscription)
        return seen


@contextlib.contextmanager
def launched(tmp_path: Path, *arguments: str):
    """The graph while `ros2 launch` runs in the namespace /cell."""
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["ros2", "launch", LAUNCH_FILE, "namespace:=cell", *arguments],
            env=child_environment(), stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    graph = Graph(log)
    try:
        yield graph
    finally:
        graph.close()
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=30.0)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert "Traceback" not in log.read_text()


@needs_ros2
def test_arguments_reach_the_node(tmp_path):
    with launched(tmp_path, "autostart:=false", "objects:=[one, two]") as graph:
        objects, sim_time = graph.parameters("objects", "use_sim_time")
        assert list(objects.string_array_value) == ["one", "two"]
        assert not sim_time.bool_value
        assert graph.state() == "unconfigured"


@needs_ros2
@pytest.mark.slow
def test_simulation_runs_and_obeys_its_life_cycle(tmp_path):
    with launched(tmp_path, "sim:=true", "image:=/camera/image_raw") as graph:
        deadline = time.monotonic() + 40.0
        while graph.state() != "active" and time.monotonic() < deadline:
            time.sleep(0.2)
        assert graph.state() == "active", graph.log.read_text()
        assert len(graph.objects(20.0, enough=3)) == 3, graph.log.read_text()
        # The graph's list of endpoints may lag behind the messages.
        deadline = time.monotonic() + 10.0
        while graph.node.count_publishers("/camera/image_raw") < 1 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert graph.node.count_publishers("/camera/image_raw") == 1
        assert graph.node.count_subscribers("/camera/image_raw") == 1

        graph.change(Transition.TRANSITION_DEACTIVATE)
        assert graph.objects(2.0, enough=1) == set()
        assert graph.state() == "inactive"  # nothing starts it again behind the user's back

        graph.change(Transition.TRANSITION_ACTIVATE)
        assert graph.objects(20.0, enough=1)
