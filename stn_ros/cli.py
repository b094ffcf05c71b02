"""The command `stn-ros`: each sub-command lives with what it does and is imported when asked for.

A command module has DESCRIPTION (text for its --help), add_arguments(parser) and run(args) -> int.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "demo": ("stn_ros.nodes.demo", "camera, node and poses on this machine, in figures"),
    "teach": ("stn_ros.teaching.command", "make an object from one photo of its face"),
    "make-bag": ("stn_ros.evaluation.bag_command", "a rosbag of real photos with their truth"),
    "replay": ("stn_ros.nodes.replay", "play such a bag through the running node, in figures"),
    "benchmark": ("stn_ros.evaluation.command", "measure accuracy beside SIFT"),
    "train": (
        "stn_ros.training.alignment.command",
        "train a transformer for one object by a recipe",
    ),
    "explain": ("stn_ros.interpretation.command", "a page on what a transformer did, and why"),
    "train-network": (
        "stn_ros.training.network.command",
        "train the network that serves every object",
    ),
    "train-finder": (
        "stn_ros.training.finder.command",
        "train the network that finds objects in a frame",
    ),
}
NEEDS = {
    "rclpy": "ROS 2 (source its setup file, or run `make setup` in the source tree)",
    "torch": "PyTorch (pip install 'stn_ros[train]')",
    "rosbags": "rosbags (pip install 'stn_ros[bags]')",
}
EPILOG = """\
commands:
{commands}

from a photo to a pose:
  stn-ros teach box.jpg --size 0.192x0.123 --name my_box
  ros2 launch stn_ros perception.launch.py objects:=my_box \\
      image:=/camera/image_raw camera_info:=/camera/camera_info

then subscribe to my_box/aligned/image and my_box/aligned/camera_info, or read the pose from /tf or
the topic objects. `stn-ros COMMAND --help` explains a command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a sub-command; returns the exit status (2 for input that can not be used)."""
    parser = argparse.ArgumentParser(
        prog="stn-ros",
        description="Aligned views and 6-DoF poses of known flat objects, from any camera.",
        epilog=EPILOG.format(
            commands="\n".join(f"  {name:<15} {summary}" for name, (_, summary) in COMMANDS.items())
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--traceback", action="store_true", help="show where in the program an error came from"
    )
    parser.add_argument("command", metavar="COMMAND", choices=COMMANDS, help="see below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="of the command")
    asked = parser.parse_args(arguments)
    try:
        command = importlib.import_module(COMMANDS[asked.command][0])
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("stn_ros"):
            raise
        needed = error.name.partition(".")[0]
        print(f"stn-ros {asked.command}: {NEEDS.get(needed, needed)} is missing", file=sys.stderr)
        return 2
    options = argparse.ArgumentParser(
        prog=f"stn-ros {asked.command}",
        description=command.DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(options)
    # Intermixed: several files may stand on both sides of the options.
    args = options.parse_intermixed_args(asked.arguments)
    try:
        return int(command.run(args))
    except (ValueError, OSError) as error:
        if asked.traceback:
            raise
        print(f"stn-ros {asked.command}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
