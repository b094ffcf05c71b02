"""Node `canonicalizer`: images in, aligned views and poses of known flat objects out."""

import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from vision_msgs.msg import Detection2DArray

from stn_ros.geometry.camera import CameraModel
from stn_ros.geometry.virtual_camera import virtual_camera
from stn_ros.nodes import detections, messages, process
from stn_ros.nodes.diagnostics import ERROR, Monitor
from stn_ros.nodes.inputs import Calibration, Input
from stn_ros.nodes.mailbox import Worker
from stn_ros.nodes.outputs import Outputs, Sighting, identify
from stn_ros.nodes.parameters import Parameters, Settings
from stn_ros.nodes.poses import Poses
from stn_ros.nodes.synchronizer import Synchronizer
from stn_ros.nodes.usage import usage
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.canonicalizer import (
    Alignment,
    Canonicalizer,
    CanonicalizerSettings,
    Region,
)
from stn_ros.runtime.engine import OnnxEngine
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import find_object
from stn_ros.runtime.search import Pace, Sweep
from stn_ros.runtime.tracker import SEARCHES, Tracker

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
SILENCE = 1.0  # seconds after which an input that does not come is worth a word
RECENT = 10.0  # seconds; a stamp further from now is of another clock and tells no latency


class Frame(NamedTuple):
    """An image message and when it came, in seconds of a clock that never jumps."""

    msg: Image | CompressedImage
    arrival: float


class CanonicalizerNode(LifecycleNode):
    """Topics: README. Parameters: `Settings`, config/perception.yaml.

    The executor's thread receives; a worker's decodes, aligns and publishes. Images are received
    only while the node is active.
    """

    def __init__(self, **arguments: object) -> None:
        # First what destroy_node needs: a node whose parameters are refused is destroyed, too.
        self._inputs: dict[str, Input] = {}
        self._worker: Worker[Frame] = Worker(self._process, self._failed)
        super().__init__("canonicalizer", **arguments)
        self._monitor = Monitor(self._log)
        self._objects: dict[str, ObjectModel] = {}
        self._canonicalizer: Canonicalizer | None = None
        self._tracker: Tracker | None = None
        self._outputs: Outputs | None = None
        self._configuration = Parameters(self, lambda: self._canonicalizer is not None)
        self._synchronizer: Synchronizer[Detection2DArray] = Synchronizer(
            self.settings.detection_slop
        )
        self._poses = Poses()
        self._sweep: Sweep | None = None
        self._pace = Pace()
        self._calibration = Calibration(rectified=False)
        self._arrivals: dict[str, float] = {}
        self._detections_come = False
        self._camera_frame = ""
        self._newest_stamp = 0
        self._in_view: list[Alignment] = []
        self._active_since = 0.0
        self._dropped = 0
        self._refusal = ""
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # On a steady clock: diagnostics must go on when a simulated one stands still.
        self._timer = self.create_timer(
            self.settings.diagnostics_period,
            self._report,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )
        if not self.settings.autostart:
            self.get_logger().info(
                f"unconfigured: `ros2 lifecycle set {self.get_fully_qualified_name()} configure`, "
                "then the same with activate, or start with autostart:=true"
            )
        elif not (self.trigger_configure() == SUCCESS and self.trigger_activate() == SUCCESS):
            raise ValueError("the canonicalizer ends, as it was to start by itself and cannot")

    @property
    def settings(self) -> Settings:
        """The parameters' values right now."""
        return self._configuration.settings

    # Life cycle.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the network and the objects, make the publishers; refuse, naming what is wrong."""
        settings = self.settings
        try:
            objects, canonicalizer = _load(settings)
            prefix = settings.tf_prefix
            self._outputs = Outputs(
                self, objects, self.get_namespace().strip("/") if prefix == "auto" else prefix
            )
        except Exception as error:  # rclpy would swallow it
            self._refusal = f"cannot configure: {error}"
            self._monitor.problem("configure", self._refusal, ERROR)
            self.get_logger().debug(traceback.format_exc())
            return FAILURE
        self._refusal = ""
        self._objects, self._canonicalizer = objects, canonicalizer
        self.get_logger().info(f"configured for {', '.join(objects)}")
        return SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start afresh: subscribe and work."""
        self._tracker = Tracker(self._canonicalizer)
        self._sweep, self._pace = Sweep(list(self._objects.values())), Pace()
        self._poses.clear()
        self._synchronizer.clear()
        self._calibration = Calibration(self.settings.rectified)
        self._arrivals = {}
        self._newest_stamp = 0
        self._in_view = []
        self._active_since = time.monotonic()
        self._worker.start()
        if self.settings.image_transport == "compressed":
            kind, topic = CompressedImage, f"{self.resolve_topic_name('image')}/compressed"
        else:
            kind, topic = Image, "image"
        inputs = self._inputs
        try:
            inputs["images"] = Input(self, kind, topic, self._on_image, depth=5)
            inputs["camera_info"] = Input(
                self, CameraInfo, "camera_info", self._on_info, depth=5, latched=True
            )
            inputs["detections"] = Input(
                self, Detection2DArray, "detections", self._on_detections, depth=10
            )
        except ValueError as error:
            self._stop()
            self._monitor.problem("activate", f"cannot activate: {error}", ERROR)
            return FAILURE
        self._look_for_detector()
        self.get_logger().info(
            f"active: looks for {', '.join(self._objects)} on '{self._inputs['images'].topic_name}'"
        )
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop receiving and finish the frame in hand."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of network, objects and publishers."""
        self._stop()
        if self._outputs is not None:
            self._outputs.close()
        self._objects, self._canonicalizer, self._outputs = {}, None, None
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop for good."""
        self.on_cleanup(state)
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Fall back to unconfigured."""
        self.on_cleanup(state)
        return super().on_error(state)

    def destroy_node(self) -> None:
        """End the worker before what it publishes on."""
        self._stop()
        super().destroy_node()

    def _stop(self) -> None:
        for each in self._inputs.values():
            each.close()
        self._inputs = {}
        self._worker.stop()

    # On the executor's thread.

    def _on_image(self, msg: Image | CompressedImage) -> None:
        self._arrived("images")
        self._worker.put(Frame(msg, time.monotonic()))

    def _on_info(self, msg: CameraInfo) -> None:
        self._arrived("camera_info")
        self._calibration.update(msg)

    def _on_detections(self, msg: Detection2DArray) -> None:
        self._arrived("detections")
        self._detections_come = True
        self._synchronizer.put(messages.nanoseconds(msg.header.stamp), msg)

    def _arrived(self, name: str) -> None:
        self._monitor.count(name)
        self._arrivals[name] = time.monotonic()

    def _log(self, level: bytes, text: str) -> None:
        # Two lines, because rclpy refuses another severity from the same one.
        if level == ERROR:
            self.get_logger().error(text)
        else:
            self.get_logger().warning(text)

    def _report(self) -> None:
        """Publish diagnostics; name what is missing if nothing comes in."""
        monitor = self._monitor
        state = self._state_machine.current_state[1]
        if self._inputs:
            self._look_for_silence()
        if self._refusal:
            monitor.problem("configure", self._refusal, ERROR)
        dropped, self._dropped = self._worker.dropped - self._dropped, self._worker.dropped
        monitor.count("dropped", dropped)
        facts = {"state": state, "objects": ", ".join(self._objects)}
        facts.update({f"object {name}": "not looked for" for name in self._objects})
        if self._canonicalizer is not None:
            facts["engine"] = OnnxEngine.name
        if self._outputs is not None and self._outputs.failures:
            facts["messages refused by DDS"] = str(self._outputs.failures)
        self._diagnostics.publish(
            monitor.report(
                f"{self.get_fully_qualified_name()}: perception",
                self._camera_frame,
                f"{', '.join(sorted(self._names_in_view)) or 'no object'} in view"
                if self._inputs
                else state,
                facts,
                self.get_clock().now(),
            )
        )

    def _look_for_silence(self) -> None:
        """Name the causes of inputs that should come and do not."""
        monitor = self._monitor
        self._look_for_detector()
        now = time.monotonic()
        silent = {
            name: now - self._arrivals.get(name, self._active_since) > SILENCE
            for name in self._inputs
        }
        if silent["images"]:
            text = self._inputs["images"].why_silent()
            if not silent["detections"]:
                text += "; detections come, but have no image"
            monitor.problem("no image", text, ERROR)
        losses = {name: each.review() for name, each in self._inputs.items()}
        if losses["images"]:
            monitor.problem("lost images", losses["images"])
        if silent["camera_info"] and "camera_info" not in self._arrivals:
            text = self._inputs["camera_info"].why_silent()
            monitor.problem("no camera_info", f"{text}; views go out, poses do not")
        if silent["detections"] and self.settings.region_source == "detections":
            monitor.problem("no detections", self._inputs["detections"].why_silent())

    def _look_for_detector(self) -> None:
        self._detections_come = self.count_publishers(self._inputs["detections"].topic_name) > 0

    # On the worker's thread.

    def _failed(self, error: Exception) -> None:
        if not self.context.ok():
            return  # the process is ending, and nothing can be published any more
        self._monitor.problem("frame", f"frame lost by {type(error).__name__}: {error}", ERROR)
        self.get_logger().debug("".join(traceback.format_exception(error)))

    def _process(self, item: Frame) -> None:
        start = time.monotonic()
        settings, monitor, msg = self.settings, self._monitor, item.msg
        stamp = messages.nanoseconds(msg.header.stamp)
        self._camera_frame = msg.header.frame_id
        if stamp < self._newest_stamp:
            monitor.problem(
                "clock",
                "stamps jumped back by "
                f"{(self._newest_stamp - stamp) * 1e-9:.3f} s: tracking starts afresh",
            )
            self._poses.clear()
            self._in_view = []
        self._newest_stamp = stamp
        try:
            compressed = isinstance(msg, CompressedImage)
            frame = messages.decode(msg) if compressed else messages.to_bgr(msg)
        except ValueError as error:
            monitor.problem("image", f"{self.resolve_topic_name('image')}: {error}", ERROR)
            return
        size = frame.shape[1], frame.shape[0]
        camera = self._camera_for(size)
        canonicalizer = self._canonicalizer
        canonicalizer.settings = replace(canonicalizer.settings, threshold=settings.threshold)
        sweeping = self._region_source() == "whole_image"
        if sweeping:
            searches = self._pace.searches(item.arrival, following=bool(self._in_view))
            regions = self._sweep.regions(frame, self._in_view, searches)
        else:
            searches, regions = SEARCHES, self._regions(stamp, size)
        alignments = self._tracker.update(frame, stamp * 1e-9, regions, camera, searches)
        self._in_view = [one for one in alignments if one.accepted]
        sightings = self._sightings(alignments, stamp * 1e-9, camera)
        if not msg.header.frame_id:
            monitor.problem(
                "frame_id",
                f"{self.resolve_topic_name('image')}: images have no frame_id; "
                "transforms do not go out",
            )
        transforms = settings.publish_tf and msg.header.frame_id != ""
        self._outputs.publish(msg.header, sightings, transforms)
        self._outputs.publish_debug(msg.header, frame, alignments, camera)
        end = time.monotonic()
        if sweeping:
            self._pace.took(len(regions), end - start)
        monitor.count("processed")
        monitor.duration("processing", end - start)
        monitor.duration("latency since arrival", end - item.arrival)
        age = (self.get_clock().now().nanoseconds - stamp) * 1e-9
        if 0 <= age < RECENT:
            monitor.duration("latency since stamp", age)

    def _camera_for(self, size: tuple[int, int]) -> CameraModel | None:
        """The camera of images of this size; None, with the cause told, if there is none."""
        try:
            return self._calibration.camera(size)  # its absence is told by _look_for_silence
        except ValueError as error:
            topic = self.resolve_topic_name("camera_info")
            self._monitor.problem("camera_info", f"{topic}: {error}; views go out, poses do not")
            return None

    @property
    def _names_in_view(self) -> set[str]:
        return {one.object_name for one in self._in_view}

    def _region_source(self) -> str:
        source = self.settings.region_source
        if source != "auto":
            return source
        if self._detections_come:
            return "detections"
        return "fixed" if self.settings.regions else "whole_image"

    def _regions(self, stamp: int, size: tuple[int, int]) -> list[Region] | None:
        """Where to look in the image of this stamp and size; None if nobody has said (yet).

        Detections are fresh, so they may show another instance of an object in view; a standing
        region is searched only for what is not in view.
        """
        settings, monitor = self.settings, self._monitor
        if self._region_source() == "fixed":
            regions = [Region(*entry) for entry in settings.fixed_regions]
            unknown = {region.object_name for region in regions} - self._objects.keys()
            if unknown:
                monitor.problem(
                    "regions",
                    f"regions of unknown objects {', '.join(unknown)}: "
                    f"known are {', '.join(self._objects)}",
                )
            absent = self._objects.keys() - self._names_in_view
            return [region for region in regions if region.object_name in absent]
        self._synchronizer.slop = settings.detection_slop
        match = self._synchronizer.take(stamp)
        if match.item is None:
            if match.gap is not None:
                monitor.problem(
                    "stamps",
                    f"stamps apart: the nearest detections are {abs(match.gap):.3f} s "
                    f"{'older' if match.gap > 0 else 'younger'} than the image; see the parameter "
                    "detection_slop, and whether both come from one clock",
                )
            return None
        monitor.count("detections used")
        regions, wrong = detections.regions(
            match.item, self._objects, settings.classes, settings.detection_min_score, size
        )
        if wrong:
            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            monitor.problem("detections", f"left out: {wrong[0]}{more}")
        return regions

    def _sightings(
        self, alignments: Sequence[Alignment], stamp: float, camera: CameraModel | None
    ) -> list[Sighting]:
        """What was found, named and posed; diagnostics hear of all that was looked for."""
        sightings: list[Sighting] = []
        for alignment in alignments:
            name = alignment.object_name
            state = f"confidence {alignment.confidence:.2f}"
            if not alignment.accepted:
                self._monitor.object_state(name, f"{state}, refused")
                continue
            identity = identify(alignment, self._objects)
            state += ", tracked" if alignment.tracked else ", located"
            size_m, pose, view_camera = self._objects[name].size_m, None, None
            if size_m is None:
                state += ", no pose: its size is unknown"
            elif camera is not None:
                try:
                    pose, ambiguous = self._poses.estimate(
                        identity,
                        stamp,
                        alignment.corners,
                        alignment.corner_covariance,
                        size_m,
                        camera.K,
                    )
                    view_camera = virtual_camera(self._objects[name].size, size_m, pose)
                except ValueError as error:
                    pose, ambiguous = None, False
                    state += f", no pose: {error}"
                if ambiguous:
                    self._monitor.count(f"ambiguous poses of {identity}")
                    state += ", pose ambiguous: two tilts explain it"
            self._monitor.object_state(identity, state)
            sightings.append(Sighting(identity, alignment, size_m, pose, view_camera))
        return sightings


def _load(settings: Settings) -> tuple[dict[str, ObjectModel], Canonicalizer]:
    """The objects by name and the canonicalizer for them; ValueError or OSError name the cause."""
    objects: dict[str, ObjectModel] = {}
    for entry in settings.objects:
        model = ObjectModel.load(find_object(entry))
        if model.name in objects:
            raise ValueError(f"objects has two of the name '{model.name}'")
        objects[model.name] = model
    if not objects:
        raise ValueError("the parameter objects is empty: name at least one object")
    bundle = NetworkBundle.load(settings.model or None)
    return objects, Canonicalizer(
        bundle,
        list(objects.values()),
        CanonicalizerSettings(threshold=settings.threshold, threads=settings.threads),
    )


def main(args: Sequence[str] | None = None) -> int:
    """Run the node as a process; returns its exit status."""
    return process.run(CanonicalizerNode, args, usage())
