"""What the node does with an image: decode, perceive, publish, and tell how it went."""

import time
from collections.abc import Callable
from typing import NamedTuple

from sensor_msgs.msg import CompressedImage, Image

from stn_ros.geometry.camera import CameraModel
from stn_ros.nodes import messages
from stn_ros.nodes.diagnostics import ERROR, Monitor
from stn_ros.nodes.outputs import Outputs, identify
from stn_ros.nodes.parameters import Settings
from stn_ros.nodes.region_sources import RegionSources
from stn_ros.recordings.camera_info import Calibration
from stn_ros.recordings.image_decoder import ImageDecoder
from stn_ros.runtime.pipeline import Perceived, Pipeline
from stn_ros.runtime.sighting import Sighting

RECENT = 10.0
"""Seconds; a stamp further from now is of another clock and tells no latency."""
STANDING = 30
"""Images of one stamp, one after the other, from which the camera does not stamp them."""


class Frame(NamedTuple):
    """An image message and when it came, in seconds of a clock that never jumps."""

    msg: Image | CompressedImage
    arrival: float


class FrameProcessor:
    """Processes images one after the other, on one thread.

    Args:
        pipeline: does the seeing. sources: say where to look.
        decoder: of the images. calibration: of their camera.
        outputs: what goes out. monitor: hears how it went.
        settings: the parameters' values right now. now: the node's clock, nanoseconds.
        topics: resolved names of `image` and `camera_info`, for what is said about them.

    Attributes:
        camera_frame: TF frame of the newest image. names_in_view: of the objects seen in it.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        sources: RegionSources,
        decoder: ImageDecoder,
        calibration: Calibration,
        outputs: Outputs,
        monitor: Monitor,
        settings: Callable[[], Settings],
        now: Callable[[], int],
        topics: tuple[str, str],
    ) -> None:
        self.camera_frame = ""
        self.names_in_view: set[str] = set()
        self._pipeline = pipeline
        self._sources = sources
        self._decoder = decoder
        self._calibration = calibration
        self._outputs = outputs
        self._monitor = monitor
        self._settings = settings
        self._now = now
        self._image_topic, self._info_topic = topics
        self._stamp: int | None = None
        self._standing = 0

    def process(self, item: Frame) -> None:
        """Process one image."""
        start = time.monotonic()
        settings, monitor, header = self._settings(), self._monitor, item.msg.header
        stamp = messages.nanoseconds(header.stamp)
        self.camera_frame = header.frame_id
        self._watch_stamp(stamp)
        try:
            frame = self._decoder.decode(item.msg)
        except ValueError as error:
            monitor.problem("image", f"{self._image_topic}: {error}", ERROR)
            return
        camera = self._camera((frame.shape[1], frame.shape[0]))
        self._pipeline.canonicalizer.threshold = settings.threshold
        self._sources.next_image(stamp, settings)
        perceived = self._pipeline.update(frame, stamp * 1e-9, self._sources, camera, item.arrival)
        self.names_in_view = {each.object_name for each in perceived.sightings}
        self._tell(perceived, camera)
        if not header.frame_id:
            monitor.problem(
                "frame_id",
                f"{self._image_topic}: images have no frame_id; transforms do not go out",
            )
        transforms = settings.publish_tf and header.frame_id != ""
        self._outputs.publish(header, perceived.sightings, transforms)
        self._outputs.publish_debug(header, frame, perceived.alignments, camera)
        end = time.monotonic()
        monitor.count("processed")
        monitor.duration("processing", end - start)
        monitor.duration("latency since arrival", end - item.arrival)
        age = (self._now() - stamp) * 1e-9
        if 0 <= age < RECENT:
            monitor.duration("latency since stamp", age)

    def _watch_stamp(self, stamp: int) -> None:
        """Tell of stamps that jump back or stand still."""
        before, self._stamp = self._stamp, stamp
        if before is not None and stamp < before:
            self._monitor.problem(
                "clock",
                f"stamps jumped back by {(before - stamp) * 1e-9:.3f} s: tracking starts afresh",
            )
        self._standing = self._standing + 1 if stamp == before else 0
        if self._standing >= STANDING:
            self._monitor.problem(
                "standing stamps",
                f"{self._image_topic}: {self._standing + 1} images in a row carry the stamp "
                f"{stamp * 1e-9:.3f}: the camera does not stamp its images (or the clock stands "
                "still), so transforms go out once only; let its driver set header.stamp",
            )

    def _camera(self, size: tuple[int, int]) -> CameraModel | None:
        """The camera of images of this size; None, with the cause told, if there is none."""
        try:
            return self._calibration.camera(size)
        except ValueError as error:
            self._monitor.problem(
                "camera_info", f"{self._info_topic}: {error}; views go out, poses do not"
            )
            return None

    def _tell(self, perceived: Perceived, camera: CameraModel | None) -> None:
        """Let diagnostics hear of all that was looked for."""
        for refused in perceived.refused:
            self._monitor.object_state(
                refused.object_name, f"confidence {refused.confidence:.2f}, refused"
            )
        objects = self._pipeline.canonicalizer.objects
        for sighting in perceived.sightings:
            identity = identify(sighting.alignment, objects)
            self._monitor.object_state(identity, _state(sighting, camera))
            if sighting.pose is not None and sighting.pose.ambiguous:
                self._monitor.count(f"ambiguous poses of {identity}")


def _state(sighting: Sighting, camera: CameraModel | None) -> str:
    """How an object was seen, in words; a missing camera is told by the diagnostics as a whole."""
    state = f"confidence {sighting.confidence:.2f}, "
    state += "tracked" if sighting.alignment.tracked else "located"
    if sighting.no_pose and (camera is not None or sighting.size_m is None):
        state += f", no pose: {sighting.no_pose}"
    if sighting.pose is not None and sighting.pose.ambiguous:
        state += ", pose ambiguous: two tilts explain it"
    return state
