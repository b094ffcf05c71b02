"""`stn-ros demo`: camera, node and observer as processes of one real DDS graph, in figures."""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import cv2
import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.signals import SignalHandlerOptions
from tqdm import tqdm

from stn_ros.environment import child_environment, own_domain
from stn_ros.evaluation import demo_report
from stn_ros.nodes import process
from stn_ros.nodes.children import Child
from stn_ros.nodes.observer import Observer
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import find_object
from stn_ros.simulation.sample_objects import SAMPLES

DESCRIPTION = """\
Show the whole way on this machine: a camera publishes images, the canonicalizer answers with
aligned views and poses, both in processes of their own with real DDS between them. Prints rates,
drops, latency and, against the simulated world's truth, the errors; writes demo.png (camera frame
with overlay; each object before, aligned, reference) and demo.json.

  stn-ros demo                                       three sample objects, simulated
  stn-ros demo --play film.mp4 --objects my_box      your own film, folder of pictures or camera
                                                     (--play 0), and your own objects

Exits 0 if every object in view gave views and poses at --demand a second or more, 1 with the
reason if not. A film's objects are not known to be in view: with --play it is enough that one is
found."""

CAMERA, NODE = "simulated_camera", "canonicalizer"
RATE, DEMAND = 30.0, 28 / 30
START, SETTLE, LATE = 60.0, 1.0, 0.5
"""Seconds that a start may take, that are left out of the measure after it, and waited after."""
PICTURES, ENOUGH = 5.0, 1.0
"""Seconds to wait for the pictures of the contact sheet, at most and at least."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the measure (20)")
    parser.add_argument(
        "--rate", type=float, help=f"images a second ({RATE:g}; of a film, its own)"
    )
    parser.add_argument(
        "--demand",
        type=float,
        help=f"views and poses a second for success (simulated: {DEMAND * RATE:g} of {RATE:g})",
    )
    parser.add_argument(
        "--objects",
        nargs="+",
        default=list(SAMPLES)[:3],
        metavar="NAME",
        help="names or folders of objects (default: three samples)",
    )
    parser.add_argument(
        "--play", metavar="SOURCE", help="film, folder of pictures, picture or camera (0)"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("out"), help="folder of picture, figures and logs (out)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the demo; returns 0 if it met the demand, 1 if not, 130 if interrupted."""
    for name in ("seconds", "rate", "demand"):
        value = getattr(args, name)
        if value is not None and not 0 < value < 1e4:
            raise ValueError(f"--{name} is {value:g}: must be more than 0")
    objects = [ObjectModel.load(find_object(name)) for name in args.objects]
    args.output.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with ExitStack() as ends:
            graph = Graph(args, [model.name for model in objects], ends)
            graph.start()
            recording, cpu = graph.measure(args.seconds)
            snapshot, complaints = graph.snapshot(), graph.complaints()
    except KeyboardInterrupt:
        print("interrupted; camera and node have ended")
        return 130
    figures = demo_report.figures(recording, objects)
    figures["cpu_share"] = {name: used / args.seconds for name, used in cpu.items()}
    usual = DEMAND * (args.rate or RATE) if args.play is None else 0.0
    reasons = demo_report.shortfalls(figures, args.demand or usual)
    print(f"\n{demo_report.text(figures)}\n")
    shares = ", ".join(f"{name} {share:.0%}" for name, share in figures["cpu_share"].items())
    print(f"share of one core ({os.cpu_count()} there): {shares}")
    demo_report.write_json(args.output / "demo.json", {**figures, "shortfalls": reasons})
    written = [str(args.output / "demo.json")]
    if snapshot is None:
        reasons.append("no picture came with its overlay: there is no contact sheet")
    else:
        title = (
            f"stn-ros demo: {figures['input_hz']:.1f} images/s in, "
            f"{figures['output_hz']:.1f} answers/s out"
        )
        sheet = demo_report.contact_sheet(snapshot, objects, title)
        cv2.imwrite(str(args.output / "demo.png"), sheet)
        written.insert(0, str(args.output / "demo.png"))
    print(f"written: {', '.join(written)}")
    for reason in reasons:
        print(f"NOT GOOD ENOUGH: {reason}")
    if reasons:
        print("\n".join(complaints))
    return 1 if reasons else 0


class Graph:
    """Camera and canonicalizer as processes, the observer in this one.

    Args:
        args: of the command. names: the objects'. ends: gets to know how to end all that was begun.
    """

    def __init__(self, args: argparse.Namespace, names: Sequence[str], ends: ExitStack) -> None:
        self._args, self._ends = args, ends
        self._children: list[Child] = []
        # Nobody else's graph, on this machine or another, is seen or disturbed.
        self._domain = ends.enter_context(own_domain())
        os.environ.update(
            child_environment(),
            ROS_DOMAIN_ID=str(self._domain),
            ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST",
        )
        process.tune_allocator()
        context = rclpy.Context()
        # Ctrl-C stays Python's: the children end before this process's ROS does.
        rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
        ends.callback(rclpy.try_shutdown, context=context)
        self._executor = process.make_executor(context)
        self._observer = Observer(names, context=context)
        ends.callback(self._observer.destroy_node)
        self._executor.add_node(self._observer)

    def start(self) -> None:
        """Start both processes, configure and activate the node, wait for its first answer."""
        args = self._args
        with tqdm(total=5, desc="starting", bar_format="{desc:24}|{bar}| {n}/{total}") as bar:

            def step(done: str) -> None:
                bar.set_description_str(done)
                bar.update()

            node = self._launch(NODE, objects=args.objects)
            if args.play is None:
                self._launch(CAMERA, objects=args.objects, rate=args.rate or RATE)
            else:
                self._launch("player", source=args.play, rate=args.rate or 0.0)
            client = self._observer.create_client(ChangeState, f"{NODE}/change_state")
            self._spin_until(client.service_is_ready, "the node to start")
            step("node started")
            for transition, name in (
                (Transition.TRANSITION_CONFIGURE, "configured"),
                (Transition.TRANSITION_ACTIVATE, "active"),
            ):
                request = ChangeState.Request(transition=Transition(id=transition))
                future = client.call_async(request)
                self._spin_until(future.done, f"the node to be {name}")
                if not future.result().success:
                    raise ChildProcessError(f"{NODE} could not be {name}{node.last_words}")
                step(f"node {name}")
            self._spin_until(lambda: self._observer.counts[0] > 0, "the first image")
            step("camera films")
            self._spin_until(lambda: self._observer.counts[1] > 0, "the first answer")
            step("node answers")
        print(
            f"look in from another terminal: ROS_DOMAIN_ID={self._domain} "
            "ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST"
        )
        self._spin(SETTLE)

    def measure(self, seconds: float) -> tuple[demo_report.Recording, dict[str, float]]:
        """What came of the images of the next `seconds`, and each process's CPU seconds."""
        start, before, counts = time.time_ns(), self._cpu_seconds(), self._observer.counts
        layout = "{desc:24}|{bar}| {n:.0f}/{total:.0f} s{postfix}"
        with tqdm(total=seconds, desc="measuring", bar_format=layout) as bar:
            while (elapsed := (time.time_ns() - start) * 1e-9) < seconds:
                self._spin(min(0.5, seconds - elapsed))
                bar.n = min(seconds, (time.time_ns() - start) * 1e-9)
                seen, answered = (
                    (now - then) / bar.n
                    for now, then in zip(self._observer.counts, counts, strict=True)
                )
                bar.set_postfix_str(f"in {seen:.1f} Hz, out {answered:.1f} Hz")
        after = self._cpu_seconds()
        self._spin(LATE)
        recording = self._observer.recording(start, start + round(seconds * 1e9))
        return recording, {name: after[name] - before[name] for name in after}

    def snapshot(self) -> demo_report.Snapshot | None:
        """One frame with its pictures, if possible with views; None if none came."""
        self._observer.watch_pictures()
        give_up = time.monotonic() + PICTURES
        self._spin(ENOUGH)
        while True:
            found = self._observer.snapshot()
            if (found is not None and found.views) or time.monotonic() > give_up:
                return found
            self._spin(0.5)

    def complaints(self) -> list[str]:
        """What the processes warned of, each line with its process."""
        return [f"{child.name}: {line}" for child in self._children for line in child.complaints]

    def _launch(self, name: str, **parameters: object) -> Child:
        log = self._args.output / f"demo_{name}.log"
        child = self._ends.enter_context(Child(name, parameters, os.environ, log))
        self._children.append(child)
        return child

    def _cpu_seconds(self) -> dict[str, float]:
        used = {child.name: child.cpu_seconds() for child in self._children}
        return {**used, "observer": time.process_time()}

    def _spin(self, seconds: float) -> None:
        """Receive for this long; ChildProcessError if a child ends."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=min(left, 0.1))
        for child in self._children:
            child.check()

    def _spin_until(self, done: Callable[[], bool], what: str) -> None:
        give_up = time.monotonic() + START
        while not done():
            if time.monotonic() > give_up:
                words = "".join(f"\n{child.name}{child.last_words}" for child in self._children)
                raise TimeoutError(f"waited {START:g} s for {what}, in vain{words}")
            self._spin(0.1)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
