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
    "train": ("stn_ros.training.recipe_command", "train a transformer for one object by a recipe"),
    "explain": ("stn_ros.interpretation.command", "a page on what a transformer did, and why"),
    "train-network": ("stn_ros.training.command", "train the network that serves every object"),
}
NEEDS = {
    "rclpy": "ROS 2 (source its setup file, or run `make setup` in the source tree)",
    "torch": "PyTorch (pip install 'stn_ros[train]')",
    "rosbags": "rosbags (pip install 'stn_ros[bags]')",
}
EPILOG = """\
from a photo to a pose:
  stn-ros teach box.jpg --size 0.192x0.123 --name my_box
  ros2 launch stn_ros perception.launch.py objects:=my_box \\
      image:=/camera/image_raw camera_info:=/camera/camera_info

then subscribe to my_box/aligned/image and my_box/aligned/camera_info, or read the pose from /tf or
the topic objects. `stn-ros COMMAND --help` explains a command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a sub-command; returns the exit status (2 for input that can not be used)."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(
        prog="stn-ros",
        description="Aligned views and 6-DoF poses of known flat objects, from any camera.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--traceback", action="store_true", help="show where in the program an error came from"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    asked = next((word for word in arguments if not word.startswith("-")), None)
    chosen = None
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(
            name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name == asked:
            try:
                chosen = importlib.import_module(module)
            except ModuleNotFoundError as error:
                if error.name is None or error.name.startswith("stn_ros"):
                    raise
                needed = error.name.partition(".")[0]
                print(f"stn-ros {name}: {NEEDS.get(needed, needed)} is missing", file=sys.stderr)
                return 2
            command.description = chosen.DESCRIPTION
            chosen.add_arguments(command)
    args = parser.parse_args(arguments)
    assert chosen is not None
    try:
        return chosen.run(args)
    except (ValueError, OSError) as error:
        if args.traceback:
            raise
        print(f"stn-ros {args.command}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
