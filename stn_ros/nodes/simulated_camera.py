"""Node `simulated_camera`: a world of moving flat objects as camera, detector and ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any

import cv2
from builtin_interfaces.msg import Time as Stamp
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.timer import Timer
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection2DArray, Detection3D, Detection3DArray

from stn_ros.nodes import process
from stn_ros.nodes.declaration import declare
from stn_ros.nodes.detections import detection2d, detection3d, transform
from stn_ros.nodes.messages import camera_info_message, image_message
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import find_objects
from stn_ros.simulation.sample_objects import SAMPLES
from stn_ros.simulation.world import Truth, World

RCLError, InvalidHandle = rclpy_implementation.RCLError, rclpy_implementation.InvalidHandle
# Reliable suits every subscriber (REP-2003); a best-effort one is served as such.
IMAGES, RESULTS, TF = QoSProfile(depth=2), QoSProfile(depth=5), QoSProfile(depth=100)


class SimulatedCamera(Node):
    """Films a `World` in real time. Raises ValueError naming what is wrong with a parameter.

    Publishes image, camera_info, detections, and the truth of each image: truth/objects (score =
    visible share of the face) and the transforms camera -> [<namespace>/]truth/<object>. Each image
    has a stamp of its own: while the clock stands, nothing is published. `rate` may be set at any
    time.
    """

    def __init__(self, **arguments: Any) -> None:  # noqa: ANN401
        super().__init__("simulated_camera", **arguments)
        names = self._parameter(
            "objects", tuple(SAMPLES)[:3], "Objects in view: names or object folders, with size."
        )
        rate = self._parameter("rate", 30.0, "Images a second.", (0.1, 1000.0), live=True)
        width = self._parameter("width", 640, "Image width in pixels.", (64, 7680))
        height = self._parameter("height", 480, "Image height in pixels.", (64, 4320))
        seed = self._parameter("seed", 0, "Of paths, backdrop and noise.", (0, 2**31 - 1))
        blur = self._parameter("blur", 0.6, "Sigma of the optics' blur in pixels.", (0.0, 5.0))
        noise = self._parameter("noise", 2.0, "Sigma of the noise in grey levels.", (0.0, 50.0))
        self._detection_period = 1 / self._parameter(
            "detection_rate", 30.0, "Detections a second, at most one an image.", (0.01, 1000.0)
        )
        self._jitter = self._parameter(
            "detection_jitter", 0.05, "Error of a box's edges as a share of its side.", (0.0, 0.5)
        )
        namespace = self.get_namespace().strip("/")
        prefix = f"{namespace}/" if namespace else ""
        self._frame = self._parameter(
            "frame_id", f"{prefix}camera_optical_frame", "TF frame of the camera, in the headers."
        )
        objects = [ObjectModel.load(folder) for folder in find_objects(names)]
        # Refuses an object without a size.
        self._world = World(objects, (width, height), seed, blur, noise)
        self._sizes = {one.name: one.size_m for one in objects if one.size_m is not None}
        camera = self._world.camera
        self._calibration = camera_info_message(camera.K, camera.size, Header())
        self._truth_frame = f"{prefix}truth"
        self._image = self._publisher(Image, "image", IMAGES)
        self._info = self._publisher(CameraInfo, "camera_info", IMAGES)
        self._detections = self._publisher(Detection2DArray, "detections", RESULTS)
        self._truth = self._publisher(Detection3DArray, "truth/objects", RESULTS)
        self._tf = self._publisher(TFMessage, "/tf", TF)
        self.get_logger().info(
            f"filming {', '.join(self._sizes)} before '{self._world.backdrop}' at {rate:g} Hz, "
            f"{width}x{height}, on '{self._image.topic_name}'"
        )
        self._start = monotonic()
        self._next_detection = 0.0
        self._stamp = Stamp()  # zero, as it stays while no /clock has come
        self._image_period, self._timer = 1 / rate, self._make_timer(rate)
        self.add_on_set_parameters_callback(self._on_set)

    def _make_timer(self, rate: float) -> Timer:
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        return self.create_timer(1 / rate, self._film, clock=clock)

    def _on_set(self, parameters: Sequence[Parameter[Any]]) -> SetParametersResult:
        for parameter in parameters:
            if parameter.name == "rate":
                # A new timer: executors do not look again at the period of one they know.
                self.destroy_timer(self._timer)
                self._image_period = 1 / parameter.value
                self._timer = self._make_timer(parameter.value)
        return SetParametersResult(successful=True)

    def _film(self) -> None:
        stamp, t = self.get_clock().now().to_msg(), monotonic() - self._start
        if stamp == self._stamp:
            return  # a simulated clock stands still: no two images have one stamp
        self._stamp = stamp
        header = Header(frame_id=self._frame, stamp=stamp)
        picture, truths = self._world.render(t)
        self._calibration.header = header
        try:
            self._info.publish(self._calibration)
            self._image.publish(image_message(picture, header))
            # Due within half an image's time: else an early timer would skip every other one.
            if t >= self._next_detection - self._image_period / 2:
                self._next_detection = max(self._next_detection + self._detection_period, t)
                if self._detections.get_subscription_count():
                    self._detections.publish(self._detect(t, truths, header))
            self._publish_truth(truths, header)
        except (RCLError, InvalidHandle) as error:
            if self.context.ok():  # a flooded reliable queue refuses: one frame less
                self.get_logger().warning(f"frame lost: {error}", throttle_duration_sec=5.0)

    def _detect(self, t: float, truths: Sequence[Truth], header: Header) -> Detection2DArray:
        found = self._world.detect(t, truths, self._jitter)
        return Detection2DArray(
            header=header,
            detections=[detection2d(one.object_name, one.score, one.box, header) for one in found],
        )

    def _publish_truth(self, truths: Sequence[Truth], header: Header) -> None:
        # Messages of many parts cost as much as the picture: made only for somebody.
        if self._truth.get_subscription_count():
            self._truth.publish(
                Detection3DArray(
                    header=header, detections=[self._detection(truth, header) for truth in truths]
                )
            )
        if self._tf.get_subscription_count():
            self._tf.publish(
                TFMessage(
                    transforms=[
                        transform(
                            truth.R, truth.t, header, f"{self._truth_frame}/{truth.object_name}"
                        )
                        for truth in truths
                    ]
                )
            )

    def _detection(self, truth: Truth, header: Header) -> Detection3D:
        name = truth.object_name
        size = self._sizes[name]
        return detection3d(name, name, truth.visible, truth.R, truth.t, None, size, header)

    def _parameter(
        self,
        name: str,
        default: object,
        description: str,
        span: tuple[float, float] | None = None,
        live: bool = False,
    ) -> Any:  # noqa: ANN401
        descriptor = ParameterDescriptor(description=description, read_only=not live)
        if span and isinstance(default, int):
            descriptor.integer_range = [IntegerRange(from_value=span[0], to_value=span[1], step=1)]
        elif span:
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=span[0], to_value=span[1])
            ]
        return declare(self, name, default, descriptor)

    def _publisher(self, kind: type[Any], topic: str, qos: QoSProfile) -> Publisher[Any]:
        return self.create_publisher(
            kind, topic, qos, qos_overriding_options=QoSOverridingOptions.with_default_policies()
        )


def main(args: Sequence[str] | None = None) -> int:
    """Run the node as a process; returns its exit status."""
    # On frames this small a second thread costs more than it saves, and a core the nodes need.
    cv2.setNumThreads(1)
    return process.run(SimulatedCamera, args)
