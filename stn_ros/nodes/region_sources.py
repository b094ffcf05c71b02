"""Who says where to look, as the node's parameters have it: a detector, fixed boxes or nobody."""

from collections.abc import Mapping

from vision_msgs.msg import Detection2DArray

from stn_ros.nodes import detections, messages
from stn_ros.nodes.diagnostics import Monitor
from stn_ros.nodes.parameters import Settings
from stn_ros.nodes.synchronizer import Synchronizer
from stn_ros.runtime.alignment import Region
from stn_ros.runtime.finder.finder import Finder
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.region_source import (
    FixedRegions,
    RegionSource,
    Request,
    Search,
    WholeImage,
)

SILENCE = 1.0
"""Seconds without a detection that fits an image from which a detector counts as silent."""


class Detections:
    """Regions that a detector names; a `RegionSource`.

    `put` may be called from another thread than the rest.

    Args:
        objects: that can be asked for. monitor: hears what is wrong with detections.

    Attributes:
        settings: the node's parameters. connected: whether somebody publishes detections.
        stamp: of the image that is asked about next, nanoseconds (a float would not be exact).
    """

    def __init__(
        self, objects: Mapping[str, ObjectModel], settings: Settings, monitor: Monitor, now: float
    ) -> None:
        self.settings = settings
        self.stamp = 0
        self.connected = False
        self._objects = objects
        self._monitor = monitor
        self._synchronizer: Synchronizer[Detection2DArray] = Synchronizer(settings.detection_slop)
        self._used = now

    def put(self, msg: Detection2DArray) -> None:
        """Take a message."""
        self.connected = True
        self._synchronizer.put(messages.nanoseconds(msg.header.stamp), msg)

    def silent(self, now: float) -> bool:
        """Whether nothing that can be used has come for long."""
        return not self.connected or now - self._used > SILENCE

    def search(self, request: Request) -> Search:
        """See `RegionSource`; no regions while the detections of the image are awaited."""
        height, width = request.frame.shape[:2]
        self._synchronizer.slop = self.settings.detection_slop
        match = self._synchronizer.take(self.stamp)
        if match.item is None:
            if match.gap is not None:
                self._monitor.problem(
                    "stamps",
                    f"stamps apart: the nearest detections are {abs(match.gap):.3f} s "
                    f"{'older' if match.gap > 0 else 'younger'} than the image; see the parameter "
                    "detection_slop, and whether both come from one clock",
                )
            return Search(None)
        self._used = request.arrival
        self._monitor.count("detections used")
        regions, wrong = detections.regions(
            match.item,
            self._objects,
            self.settings.classes,
            self.settings.detection_min_score,
            (width, height),
        )
        if wrong:
            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            self._monitor.problem("detections", f"left out: {wrong[0]}{more}")
        return Search(regions)

    def took(self, searches: int, seconds: float) -> None:
        """See `RegionSource`."""


class RegionSources:
    """The sources that the parameter `region_source` chooses from; itself a `RegionSource`.

    Args:
        objects: by name. finder: of them. settings: the node's parameters.
        monitor: hears what is wrong. now: when the node began, seconds of a steady clock.
    """

    def __init__(
        self,
        objects: Mapping[str, ObjectModel],
        finder: Finder,
        settings: Settings,
        monitor: Monitor,
        now: float,
    ) -> None:
        self._settings = settings
        self.detections = Detections(objects, settings, monitor, now)
        self._objects = objects
        self._monitor = monitor
        self._whole_image = WholeImage(finder)
        self._asked: RegionSource = self._whole_image

    def next_image(self, stamp: int, settings: Settings) -> None:
        """Name the image that is asked about next, by its stamp in nanoseconds."""
        self._settings = self.detections.settings = settings
        self.detections.stamp = stamp

    def search(self, request: Request) -> Search:
        """See `RegionSource`; by `auto` a detector is asked first, while it is not silent."""
        kind = self._settings.region_source
        if kind in ("detections", "auto"):
            self._asked = self.detections
            found = self.detections.search(request)
            silent = kind == "auto" and self.detections.silent(request.arrival)
            if found.regions is not None or not silent:
                return found
            if self.detections.connected:
                self._monitor.problem(
                    "silent detector",
                    f"a detector is there, and for {SILENCE:g} s nothing usable has come from it: "
                    "objects are looked for without it",
                )
        self._whole_image.share = self._settings.search_share
        fixed = kind == "fixed" or (kind == "auto" and bool(self._settings.regions))
        self._asked = self._fixed() if fixed else self._whole_image
        return self._asked.search(request)

    def took(self, searches: int, seconds: float) -> None:
        """See `RegionSource`."""
        self._asked.took(searches, seconds)

    def _fixed(self) -> FixedRegions:
        regions = [Region(*entry) for entry in self._settings.fixed_regions]
        unknown = sorted({region.object_name for region in regions} - self._objects.keys())
        if unknown:
            self._monitor.problem(
                "regions",
                f"regions of unknown objects {', '.join(unknown)}: "
                f"known are {', '.join(self._objects)}",
            )
        return FixedRegions([region for region in regions if region.object_name in self._objects])
