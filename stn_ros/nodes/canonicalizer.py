"""Node `canonicalizer`: images in, aligned views and poses of known flat objects out."""

import time
import traceback
from collections.abc import Sequence
from typing import Any, NamedTuple

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from vision_msgs.msg import Detection2DArray

from stn_ros.nodes import process
from stn_ros.nodes.cv_bridge_decoder import cv_bridge_decoder
from stn_ros.nodes.diagnostics import ERROR, Monitor
from stn_ros.nodes.frame_processor import Frame, FrameProcessor
from stn_ros.nodes.inputs import Input
from stn_ros.nodes.mailbox import Worker
from stn_ros.nodes.outputs import Outputs
from stn_ros.nodes.parameters import Parameters, Settings
from stn_ros.nodes.region_sources import SILENCE, RegionSources
from stn_ros.nodes.usage import usage
from stn_ros.recordings.camera_info import Calibration
from stn_ros.recordings.image_decoder import ImageDecoder
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.canonicalizer import Canonicalizer, CanonicalizerSettings
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import find_objects
from stn_ros.runtime.pipeline import Pipeline

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class _Configured(NamedTuple):
    """What there is while the node is configured."""

    pipeline: Pipeline
    outputs: Outputs

    @property
    def canonicalizer(self) -> Canonicalizer:
        """Of the pipeline."""
        return self.pipeline.canonicalizer


class _Active:
    """What there is while the node is active: inputs and the thread that does the work.

    The executor's thread receives; the worker's decodes, perceives and publishes. Raises ValueError
    naming a QoS override that is wrong.
    """

    def __init__(self, node: "CanonicalizerNode", configured: _Configured) -> None:
        settings, monitor = node.settings, node.monitor
        self.since = time.monotonic()
        self.arrivals: dict[str, float] = {}
        self.calibration = Calibration(settings.rectified)
        self.sources = RegionSources(
            configured.canonicalizer.objects,
            configured.pipeline.finder,
            settings,
            monitor,
            self.since,
        )
        image_topic = node.resolve_topic_name("image")
        configured.pipeline.reset()
        self.processor = FrameProcessor(
            configured.pipeline,
            self.sources,
            ImageDecoder(
                lambda text: monitor.problem("bit depth", f"{image_topic}: {text}"),
                cv_bridge_decoder(),
            ),
            self.calibration,
            configured.outputs,
            monitor,
            lambda: node.settings,
            lambda: node.get_clock().now().nanoseconds,
            (image_topic, node.resolve_topic_name("camera_info")),
        )
        self._node = node
        self._worker: Worker[Frame] = Worker(self.processor.process, self._failed)
        self._dropped = 0
        if settings.image_transport == "compressed":
            kind, topic = CompressedImage, f"{image_topic}/compressed"
        else:
            kind, topic = Image, "image"
        self.inputs: dict[str, Input] = {}
        try:
            self.inputs["images"] = Input(node, kind, topic, self._on_image, depth=5)
            self.inputs["camera_info"] = Input(
                node, CameraInfo, "camera_info", self._on_info, depth=5, latched=True
            )
            self.inputs["detections"] = Input(
                node, Detection2DArray, "detections", self._on_detections, depth=10
            )
        except ValueError:
            self.stop()
            raise
        self._worker.start()
        self.look_for_detector()

    def stop(self) -> None:
        """Stop receiving and finish the frame in hand."""
        for each in self.inputs.values():
            each.close()
        self._worker.stop()

    def dropped(self) -> int:
        """Images dropped since this was last asked."""
        dropped = self._worker.dropped - self._dropped
        self._dropped = self._worker.dropped
        return dropped

    def look_for_detector(self) -> None:
        """Find out whether somebody publishes detections."""
        topic = self.inputs["detections"].topic_name
        self.sources.detections.connected = self._node.count_publishers(topic) > 0

    def _on_image(self, msg: Image | CompressedImage) -> None:
        self._arrived("images")
        self._worker.put(Frame(msg, time.monotonic()))

    def _on_info(self, msg: CameraInfo) -> None:
        self._arrived("camera_info")
        self.calibration.update(msg)

    def _on_detections(self, msg: Detection2DArray) -> None:
        self._arrived("detections")
        self.sources.detections.put(msg)

    def _arrived(self, name: str) -> None:
        self._node.monitor.count(name)
        self.arrivals[name] = time.monotonic()

    def _failed(self, error: Exception) -> None:
        if not self._node.context.ok():
            return  # the process is ending, and nothing can be published any more
        text = f"frame lost by {type(error).__name__}: {error}"
        self._node.monitor.problem("frame", text, ERROR)
        self._node.get_logger().debug("".join(traceback.format_exception(error)))


class CanonicalizerNode(LifecycleNode):
    """Topics: README. Parameters: `Settings`, config/perception.yaml.

    Images are received only while the node is active.
    """

    def __init__(self, **arguments: Any) -> None:  # noqa: ANN401
        # First what destroy_node needs: a node whose parameters are refused is destroyed, too.
        self._configured: _Configured | None = None
        self._active: _Active | None = None
        super().__init__("canonicalizer", **arguments)
        self.monitor = Monitor(self._log)
        self._parameters_in_use = Parameters(self, lambda: self._configured is not None)
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
        return self._parameters_in_use.settings

    # Life cycle.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the network and the objects, make the publishers; refuse, naming what is wrong."""
        settings = self.settings
        try:
            pipeline = Pipeline(_load(settings))
            pipeline.finder  # noqa: B018  # made now, not in the first frame
            objects = pipeline.canonicalizer.objects
            prefix = settings.tf_prefix
            outputs = Outputs(
                self,
                objects,
                self.get_namespace().strip("/") if prefix == "auto" else prefix,
            )
        except Exception as error:  # rclpy would swallow it
            self._refusal = f"cannot configure: {error}"
            self.monitor.problem("configure", self._refusal, ERROR)
            self.get_logger().debug(traceback.format_exc())
            return FAILURE
        self._refusal = ""
        self._configured = _Configured(pipeline, outputs)
        self.get_logger().info(f"configured for {', '.join(objects)}")
        return SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start afresh: subscribe and work."""
        assert self._configured is not None
        try:
            self._active = _Active(self, self._configured)
        except ValueError as error:
            self.monitor.problem("activate", f"cannot activate: {error}", ERROR)
            return FAILURE
        names = ", ".join(self._configured.canonicalizer.objects)
        topic = self._active.inputs["images"].topic_name
        self.get_logger().info(f"active: looks for {names} on '{topic}'")
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop receiving and finish the frame in hand."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of network, objects and publishers."""
        self._stop()
        if self._configured is not None:
            self._configured.outputs.close()
        self._configured = None
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
        active, self._active = self._active, None
        if active is not None:
            active.stop()

    # Diagnostics.

    def _log(self, level: bytes, text: str) -> None:
        # Two lines, because rclpy refuses another severity from the same one.
        if level == ERROR:
            self.get_logger().error(text)
        else:
            self.get_logger().warning(text)

    def _report(self) -> None:
        """Publish diagnostics; name what is missing if nothing comes in."""
        monitor, active, configured = self.monitor, self._active, self._configured
        state = self._state_machine.current_state[1]
        if self._refusal:
            monitor.problem("configure", self._refusal, ERROR)
        facts, summary, camera_frame = {"state": state}, state, ""
        if configured is not None:
            objects = configured.canonicalizer.objects
            facts["objects"] = ", ".join(objects)
            facts.update({f"object {name}": "not looked for" for name in objects})
            facts["engine"] = configured.canonicalizer.engine_name
            if configured.outputs.failures:
                facts["messages refused by DDS"] = str(configured.outputs.failures)
        if active is not None:
            self._look_for_silence(active)
            monitor.count("dropped", active.dropped())
            camera_frame = active.processor.camera_frame
            in_view = sorted(active.processor.names_in_view)
            summary = f"{', '.join(in_view) or 'no object'} in view"
        self._diagnostics.publish(
            monitor.report(
                f"{self.get_fully_qualified_name()}: perception",
                camera_frame,
                summary,
                facts,
                self.get_clock().now(),
            )
        )

    def _look_for_silence(self, active: _Active) -> None:
        """Name the causes of inputs that should come and do not."""
        monitor, inputs = self.monitor, active.inputs
        active.look_for_detector()
        now = time.monotonic()
        silent = {name: now - active.arrivals.get(name, active.since) > SILENCE for name in inputs}
        if silent["images"]:
            text = inputs["images"].why_silent()
            if not silent["detections"]:
                text += "; detections come, but have no image"
            monitor.problem("no image", text, ERROR)
        losses = {name: each.review() for name, each in inputs.items()}
        if losses["images"]:
            monitor.problem("lost images", losses["images"])
        if silent["camera_info"] and "camera_info" not in active.arrivals:
            text = inputs["camera_info"].why_silent()
            monitor.problem("no camera_info", f"{text}; views go out, poses do not")
        if silent["detections"] and self.settings.region_source == "detections":
            monitor.problem("no detections", inputs["detections"].why_silent())


def _load(settings: Settings) -> Canonicalizer:
    """The canonicalizer of the objects asked for; ValueError or OSError name the cause."""
    models = [ObjectModel.load(folder) for folder in find_objects(settings.objects)]
    if not models:
        raise ValueError("the parameter objects is empty: name at least one object")
    return Canonicalizer(
        NetworkBundle.load(settings.model or None),
        models,
        CanonicalizerSettings(threshold=settings.threshold, threads=settings.threads),
    )


def main(args: Sequence[str] | None = None) -> int:
    """Run the node as a process; returns its exit status."""
    return process.run(CanonicalizerNode, args, usage())
