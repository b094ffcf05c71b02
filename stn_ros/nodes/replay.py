"""`stn-ros replay`: a bag of real photos through the running node graph, against its truth."""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image
from tqdm import tqdm

from stn_ros.environment import child_environment, own_domain
from stn_ros.evaluation.bag_command import BAG, OBJECTS, TRUTH
from stn_ros.evaluation.views import view_error
from stn_ros.nodes import process
from stn_ros.nodes.children import Child
from stn_ros.recordings.encodings import Picture, to_bgr
from stn_ros.recordings.registry import open_recording

DESCRIPTION = """\
Play a bag of `stn-ros make-bag` into the canonicalizer, each in a process of its own with real DDS
between them, and compare the views that come out with the truth. A view's error is found by
registering it against the frame it was taken from: mean distance of the corners in pixels.

Exits 0 if the median over all objects, an object without a view counting as lost, is at most
--demand."""
START, WAIT = 60.0, 0.2
"""Seconds that the first view may take, and between looks at what came."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="made by stn-ros make-bag")
    parser.add_argument("--seconds", type=float, default=10.0, help="after the first view (10)")
    parser.add_argument("--rate", type=float, default=1.0, help="times the bag's own pace (1)")
    parser.add_argument("--demand", type=float, default=3.0, help="median error in pixels (3)")


def run(args: argparse.Namespace) -> int:
    """Replay and compare; 0 if the views are where they should be, 1 if not."""
    truth = _truth(args.folder)
    frame = next(iter(open_recording(str(args.folder / BAG)))).picture
    with ExitStack() as ends:
        listener, executor = _begin(args, list(truth), ends)
        views = listener.listen(executor, args.seconds)
    errors: dict[str, list[float]] = {}
    for name, homography in tqdm(truth.items(), desc="registering views", unit="object"):
        errors[name] = [view_error(frame, view, np.array(homography)) for view in views[name]]
    medians = {
        name: float(np.median(of_views)) if of_views else math.inf
        for name, of_views in errors.items()
    }
    for name, median in medians.items():
        text = f"{median:.2f} px" if math.isfinite(median) else "off or not found"
        print(f"{name}: {len(errors[name])} views, median corner error {text}")
    overall = float(np.median(list(medians.values())))
    right = np.mean([median < args.demand for median in medians.values()])
    print(f"all: median {overall:.2f} px, {right:.0%} of {len(medians)} below {args.demand:g} px")
    return 0 if overall <= args.demand else 1


class Listener(Node):
    """Keeps the newest views of some objects as they lie on the wire."""

    def __init__(self, names: list[str], **arguments: Any) -> None:  # noqa: ANN401
        super().__init__("listener", **arguments)
        self.children: list[Child] = []
        self._views: dict[str, list[bytes]] = {name: [] for name in names}
        for name, views in self._views.items():
            self.create_subscription(
                Image, f"{name}/aligned/image", views.append, QoSProfile(depth=30), raw=True
            )

    def listen(
        self, executor: rclpy.executors.Executor, seconds: float, most: int = 8
    ) -> dict[str, list[Picture]]:
        """The last views of each object (at most `most`), BGR, of `seconds` from the first on.

        Raises:
            TimeoutError: no view comes. ChildProcessError: a process has ended.
        """
        give_up = time.monotonic() + START
        while not any(self._views.values()):
            if time.monotonic() > give_up:
                words = "".join(f"\n{child.name}{child.last_words}" for child in self.children)
                raise TimeoutError(f"no view came in {START:g} s{words}")
            self._spin(executor, WAIT)
        with tqdm(total=seconds, unit="s", desc="replay", bar_format="{desc}: |{bar}|") as bar:
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                self._spin(executor, min(left, WAIT))
                bar.n = seconds - left
                bar.refresh()
        return {
            name: [to_bgr(deserialize_message(view, Image)) for view in views[-most:]]
            for name, views in self._views.items()
        }

    def _spin(self, executor: rclpy.executors.Executor, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            executor.spin_once(timeout_sec=left)
        for child in self.children:
            child.check()


def _begin(
    args: argparse.Namespace, names: list[str], ends: ExitStack
) -> tuple[Listener, rclpy.executors.Executor]:
    """Start listener, node and player in a graph of their own."""
    os.environ.update(
        child_environment(),
        ROS_DOMAIN_ID=str(ends.enter_context(own_domain())),
        ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST",
    )
    context = rclpy.Context()
    # Ctrl-C stays Python's: the children end before this process's ROS does.
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    ends.callback(rclpy.try_shutdown, context=context)
    executor = process.make_executor(context)
    listener = Listener(names, context=context)
    ends.callback(listener.destroy_node)
    executor.add_node(listener)
    objects = [str((args.folder / OBJECTS / name).absolute()) for name in names]
    bag = str((args.folder / BAG).absolute())
    for name, parameters in (
        ("canonicalizer", {"objects": objects, "autostart": True}),
        ("bag_player", {"bag": bag, "loop": True, "rate": args.rate}),
    ):
        log = args.folder / f"{name}.log"
        listener.children.append(ends.enter_context(Child(name, parameters, os.environ, log)))
    return listener, executor


def _truth(folder: Path) -> dict[str, list[list[float]]]:
    try:
        truth: dict[str, list[list[float]]] = json.loads(
            (folder / TRUTH).read_text(encoding="utf-8")
        )
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{folder / TRUTH}: can not be read ({error}); `stn-ros make-bag` makes such a folder"
        ) from None
    return truth
