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
from typing import Any

import cv2
import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParameters
from rclpy.client import Client
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from tqdm import tqdm

from stn_ros.environment import child_environment, own_domain
from stn_ros.evaluation import demo_report
from stn_ros.nodes import process
from stn_ros.nodes.children import Child
from stn_ros.nodes.observer import Observer
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import find_objects
from stn_ros.simulation.sample_objects import SAMPLES

DESCRIPTION = """\
Show the whole way on this machine: a camera publishes images, the canonicalizer answers with
aligned views and poses, both in processes of their own with real DDS between them. The camera's
rate is lowered until the machine holds it. Prints rates, drops, latency and, against the simulated
world's truth, the errors; writes demo.png (camera frame with overlay; each object before, aligned,
reference) and demo.json.

  stn-ros demo                                       three sample objects, simulated
  stn-ros demo --play film.mp4 --objects my_box      your own film, folder of pictures or camera
                                                     (--play 0), and your own objects

Exits 0 if every object in view gave views and poses at --demand a second or more, with errors as
small as they should be, and 1 with the reason if not. A film's objects are not known to be in view:
with --play it is enough that one is found."""

CAMERA, NODE = "simulated_camera", "canonicalizer"
RATES = (30.0, 20.0, 12.0, 8.0, 6.0)
"""Rates the simulated camera is tried at, from the first that is asked for, images a second."""
DEMAND = 5.0
"""Views and poses a second that are right on any machine: what a slow arm or a person needs. The
lowest of `RATES` leaves a sixth of the images to be dropped."""
STEP, HELD = 3.0, 0.95
"""Seconds that a rate is tried, and the share of its images that must be answered to hold it."""
MEASURES = 3
"""Most measures taken: one in which other work took the machine is taken again, at a lower rate."""
START, SETTLE, LATE = 240.0, 1.5, 1.0
"""Seconds that a start may take at most (it bounds a hang: on a busy machine a start takes tens of
seconds), that are left out after each change, and that are waited for late answers."""
RIGHT = "every object in view gave views and poses, as exact as they should be"
FOUND = "an object was found"
ENOUGH, WITH_VIEWS, PICTURES = 1.0, 6.0, 60.0
"""Seconds to wait for the pictures of the contact sheet: at least, for some with views, at most."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the measure (20)")
    parser.add_argument(
        "--rate",
        type=float,
        help=f"images a second, to begin with ({RATES[0]:g}; of a film, its own)",
    )
    parser.add_argument(
        "--demand",
        type=float,
        help=f"views and poses a second for success (simulated: {DEMAND:g}; a film: any)",
    )
    parser.add_argument(
        "--objects",
        nargs="+",
        default=list(SAMPLES)[:3],
        metavar="NAME",
        help="names or folders of objects (default: three samples)",
    )
    parser.add_argument(
        "--filmed",
        nargs="+",
        metavar="NAME",
        help="objects before the simulated camera, where they are not those looked for",
    )
    parser.add_argument(
        "--play", metavar="SOURCE", help="film, folder of pictures, picture or camera (0)"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("out"), help="folder of picture, figures and logs (out)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the demo; returns 0 if what came out is right, 1 if not, 130 if interrupted."""
    for name in ("seconds", "rate", "demand"):
        value = getattr(args, name)
        if value is not None and not 0 < value < 1e4:
            raise ValueError(f"--{name} is {value:g}: must be more than 0")
    rates = rates_to_try(args.rate, args.demand)
    if args.play is None and (args.demand or 0.0) > rates[0]:
        raise ValueError(
            f"--demand is {args.demand:g}, but the camera films at {rates[0]:g} Hz: raise --rate"
        )
    objects = [ObjectModel.load(folder) for folder in find_objects(args.objects)]
    args.output.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _interrupt)
    usual = min(DEMAND, DEMAND / RATES[-1] * rates[0]) if args.play is None else 0.0
    demand = args.demand or usual
    try:
        with ExitStack() as ends:
            graph = Graph(args, [model.name for model in objects], ends)
            graph.start(rates[0])
            if args.play is None:
                rate, recording, cpu = graph.measure_held(rates, args.seconds, demand)
            else:
                rate, (recording, cpu) = args.rate, graph.measure(args.seconds)
            snapshot = graph.snapshot()
    except KeyboardInterrupt:
        print("interrupted; camera and node have ended")
        return 130
    except (ChildProcessError, TimeoutError) as error:
        figures, reasons, snapshot = {}, [str(error)], None
    else:
        figures = demo_report.figures(recording, objects)
        figures["rate_hz"] = rate
        figures["cpu_share"] = {name: used / args.seconds for name, used in cpu.items()}
        reasons = demo_report.shortfalls(figures, demand)
        if snapshot is None:
            reasons.append("no picture came with its overlay: there is no contact sheet")
        print(f"\n{demo_report.text(figures)}\n")
        shares = ", ".join(f"{name} {share:.0%}" for name, share in figures["cpu_share"].items())
        print(f"share of one core ({os.cpu_count()} there): {shares}")
    _write(args.output, figures, reasons, snapshot, objects)
    for reason in reasons:
        print(f"NOT GOOD ENOUGH: {reason}")
    if not reasons:
        print(f"all is right: {RIGHT if figures['has_truth'] else FOUND}")
    elif figures:
        print("\n".join(graph.complaints()))
    return 1 if reasons else 0


def rates_to_try(start: float | None, demand: float | None) -> list[float]:
    """The camera's rates to try in turn: `start`, then those of `RATES` that are lower.

    None is too low for a `demand` that was asked for.
    """
    start = start or RATES[0]
    return [start, *(rate for rate in RATES if (demand or 0.0) <= HELD * rate < HELD * start)]


def _write(
    output: Path,
    figures: dict[str, Any],
    reasons: list[str],
    snapshot: demo_report.Snapshot | None,
    objects: Sequence[ObjectModel],
) -> None:
    written = [output / "demo.json"]
    demo_report.write_json(written[0], {**figures, "shortfalls": reasons})
    if snapshot is not None:
        title = (
            f"stn-ros demo: {figures['input_hz']:.1f} images/s in, "
            f"{figures['output_hz']:.1f} answers/s out"
        )
        written.insert(0, output / "demo.png")
        cv2.imwrite(str(written[0]), demo_report.contact_sheet(snapshot, objects, title))
    print(f"written: {', '.join(map(str, written))}")


class Graph:
    """Camera and canonicalizer as processes, the observer in this one.

    Args:
        args: of the command. names: the objects'. ends: gets to know how to end all that was begun.
    """

    def __init__(self, args: argparse.Namespace, names: Sequence[str], ends: ExitStack) -> None:
        self._args, self._ends = args, ends
        self._children: list[Child] = []
        # Nobody else's graph, on this machine or another, is seen or disturbed: not every other
        # process takes its domain from the same pool, so the names are this run's, too.
        self._domain = ends.enter_context(own_domain())
        self._namespace = f"/demo_{os.getpid()}"
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
        self._observer = Observer(names, context=context, namespace=self._namespace)
        ends.callback(self._observer.destroy_node)
        self._executor.add_node(self._observer)

    def start(self, rate: float) -> None:
        """Start both processes, configure and activate the node, wait for its first answer.

        Args:
            rate: of the simulated camera to begin with, images a second.
        """
        args = self._args
        with tqdm(total=5, desc="starting", bar_format="{desc:24}|{bar}| {n}/{total}") as bar:

            def step(done: str) -> None:
                bar.set_description_str(done)
                bar.update()

            node = self._launch(NODE, objects=args.objects)
            if args.play is None:
                self._launch(CAMERA, objects=args.filmed or args.objects, rate=rate)
            else:
                self._launch("player", source=args.play, rate=args.rate or 0.0)
            client: Client[Any, Any] = self._observer.create_client(
                ChangeState, f"{NODE}/change_state"
            )
            self._spin_until(client.service_is_ready, "the node to start")
            step("node started")
            for transition, name in (
                (Transition.TRANSITION_CONFIGURE, "configured"),
                (Transition.TRANSITION_ACTIVATE, "active"),
            ):
                request = ChangeState.Request(transition=Transition(id=transition))
                future = client.call_async(request)
                self._spin_until(future.done, f"the node to be {name}")
                answer = future.result()
                if answer is None or not answer.success:
                    raise ChildProcessError(f"{NODE} could not be {name}{node.last_words}")
                step(f"node {name}")
            self._spin_until(lambda: self._observer.counts[0] > 0, "the first image")
            step("camera films")
            self._spin_until(lambda: self._observer.counts[1] > 0, "the first answer")
            step("node answers")
        print(
            f"look in from another terminal: ROS_DOMAIN_ID={self._domain} "
            f"ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST, topics below {self._namespace}"
        )

    def find_rate(self, rates: Sequence[float]) -> float:
        """Lower the simulated camera's rate until its images are answered; returns it.

        Args:
            rates: those to try in turn, images a second; the camera runs at the first. The last
                is taken untried.
        """
        layout = "{desc:24}|{bar}| {n}/{total}{postfix}"
        with tqdm(total=len(rates), desc="finding the rate", bar_format=layout) as bar:
            for rate in rates:
                if rate != rates[0]:
                    self._set_rate(rate)
                self._spin(SETTLE)  # what the start or the higher rate has left in queues
                if rate == rates[-1]:
                    break
                start = time.time_ns()
                self._spin(STEP)
                end = time.time_ns()
                self._spin(LATE)
                images, answers = self._observer.counts_between(start, end)
                bar.set_postfix_str(
                    f"{rate:g} Hz: in {images / STEP:.1f}, out {answers / STEP:.1f} Hz"
                )
                bar.update()
                if answers >= HELD * rate * (end - start) * 1e-9:
                    break
            bar.n = bar.total = max(1, bar.n)
            bar.refresh()
        if rate != rates[-1]:
            print(f"this machine holds {rate:g} Hz: measured there")
        elif len(rates) > 1:
            print(f"this machine does not hold {rates[-2]:g} Hz: measured at {rate:g} Hz")
        return rate

    def measure_held(
        self, rates: Sequence[float], seconds: float, demand: float
    ) -> tuple[float, demo_report.Observation, dict[str, float]]:
        """The rate found, and what `measure` says at it.

        A measure with hardly more answers than `demand` a second is taken again, at a lower rate
        if there is one.
        """
        rate = self.find_rate(rates)
        for left in reversed(range(MEASURES)):
            recording, cpu = self.measure(seconds)
            images, answers = len(recording.inputs), len(recording.received)
            # Some more than the demand: an object may be in view of those that were dropped.
            if not left or HELD * answers >= demand * seconds:
                break
            rate = next((lower for lower in rates if lower < rate), rate)
            print(
                f"only {answers} of {images} images were answered, other work may have taken the "
                f"machine: measured again at {rate:g} Hz"
            )
            self._set_rate(rate)
            self._spin(SETTLE)
        return rate, recording, cpu

    def measure(self, seconds: float) -> tuple[demo_report.Observation, dict[str, float]]:
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
        start = time.monotonic()
        self._spin(ENOUGH)
        while True:
            found, waited = self._observer.snapshot(), time.monotonic() - start
            if waited > PICTURES or (found and (found.views or waited > WITH_VIEWS)):
                return found
            self._spin(0.5)

    def _set_rate(self, rate: float) -> None:
        client: Client[Any, Any] = self._observer.create_client(
            SetParameters, f"{CAMERA}/set_parameters"
        )
        self._spin_until(client.service_is_ready, "the camera's parameters")
        parameter = Parameter("rate", value=rate).to_parameter_msg()
        future = client.call_async(SetParameters.Request(parameters=[parameter]))
        self._spin_until(future.done, "the camera to change its rate")
        self._observer.destroy_client(client)

    def complaints(self) -> list[str]:
        """What the processes warned of, each line with its process."""
        return [f"{child.name}: {line}" for child in self._children for line in child.complaints]

    def _launch(self, name: str, **parameters: object) -> Child:
        log = self._args.output / f"demo_{name}.log"
        child = self._ends.enter_context(Child(name, parameters, os.environ, log, self._namespace))
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
