"""Aligned views and poses of known flat objects: the node `canonicalizer`, started and active.

With a camera, and with a simulated one:
    ros2 launch stn_ros perception.launch.py image:=/camera/color/image_raw \
        camera_info:=/camera/color/camera_info objects:=my_box
    ros2 launch stn_ros perception.launch.py sim:=true
"""

from pathlib import Path

import yaml
from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from stn_ros.environment import large_images
from stn_ros.simulation.sample_objects import SAMPLES

FLAGS = ["true", "false", "True", "False"]
LEVELS = ["debug", "info", "warn", "error", "fatal"]


def arguments() -> list[DeclareLaunchArgument]:
    """What may be given on the command line."""
    parameters = Path(get_package_share_directory("stn_ros")) / "config" / "perception.yaml"

    def argument(name: str, default: str, description: str, choices: list[str] | None = None):  # noqa: ANN202
        return DeclareLaunchArgument(
            name, default_value=default, description=description, choices=choices
        )

    return [
        argument("image", "image", "Topic of the camera's images."),
        argument("camera_info", "camera_info", "Topic of the camera's calibration."),
        argument(
            "detections",
            "detections",
            "Topic of a detector's boxes (vision_msgs/Detection2DArray).",
        ),
        argument(
            "objects",
            "",
            "Objects to look for, a name or several, a,b: taught ones, shipped samples, folders, "
            "patterns such as box_*, or all. Empty: those of params_file.",
        ),
        argument("params_file", str(parameters), "Parameters of the nodes."),
        argument("namespace", "", "Namespace of the nodes and of all topics not begun with '/'."),
        argument("use_sim_time", "false", "Take the time from /clock.", FLAGS),
        argument("sim", "false", "Start a simulated camera that films sample objects.", FLAGS),
        argument(
            "log_level",
            "info",
            "From which severity on the nodes log: debug, info, warn, error, fatal. Of rcl and DDS "
            "nothing more is shown; a node's logger is [<namespace>.]<node>.",
        ),
        argument("autostart", "true", "Configure and activate the node at once.", FLAGS),
    ]


def names(text: str) -> list[str]:
    """The names in the argument `objects`; ValueError if it is neither names nor a list of them."""
    try:
        parsed = yaml.safe_load(text)
    except yaml.YAMLError:
        parsed = {}
    if isinstance(parsed, str):
        parsed = [each.strip() for each in parsed.split(",")]
    listed = parsed if isinstance(parsed, list) else [] if parsed is None else [parsed]
    if any(isinstance(each, dict | list) for each in listed):
        raise ValueError(f"objects:={text} is neither a name nor a list of names such as [a, b]")
    return [str(each) for each in listed]


def end_if_refused(event: ProcessExited, context: LaunchContext) -> None:
    """End the launch where a node refused to start, instead of waiting for nothing."""
    if event.returncode == 1:
        raise RuntimeError(f"{event.process_name} has refused to start: its last lines say why")


def nodes(context: LaunchContext) -> list[Node]:
    """The nodes that the arguments ask for."""
    given = {each.name: LaunchConfiguration(each.name).perform(context) for each in arguments()}
    params_file = Path(given["params_file"]).expanduser()
    if not params_file.is_file():  # which launch itself would only warn of
        raise FileNotFoundError(f"params_file:={given['params_file']}: there is no such file")
    level = given["log_level"].lower()
    if level not in LEVELS:
        raise ValueError(f"log_level:={given['log_level']} is not one of {', '.join(LEVELS)}")
    sim, sim_time, autostart = (
        given[name].lower() == "true" for name in ("sim", "use_sim_time", "autostart")
    )

    objects = names(given["objects"]) or (list(SAMPLES)[:3] if sim else [])
    parameters = {"use_sim_time": sim_time}
    if objects:
        parameters["objects"] = objects

    loggers = given["namespace"].strip("/").replace("/", ".")

    def node(name: str, **own: bool) -> Node:
        logger = f"{loggers}.{name}" if loggers else name
        return Node(
            package="stn_ros",
            executable=name,
            name=name,
            namespace=given["namespace"],
            parameters=[params_file, {**parameters, **own}],
            remappings=[(topic, given[topic]) for topic in ("image", "camera_info", "detections")],
            ros_arguments=["--log-level", f"{logger}:={level}"],
            output="screen",
            on_exit=end_if_refused,
        )

    # The node starts itself: a launch handler that did would undo a `ros2 lifecycle set`.
    started = [node("canonicalizer", autostart=autostart)]
    return [*started, node("simulated_camera")] if sim else started


def generate_launch_description() -> LaunchDescription:
    """Read by `ros2 launch`."""
    transport = [SetEnvironmentVariable(name, value) for name, value in large_images().items()]
    return LaunchDescription([*arguments(), *transport, OpaqueFunction(function=nodes)])
