"""The detector is asked while it speaks; then boxes of the parameters, then the whole image."""

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
pytest.importorskip("vision_msgs", reason="vision_msgs is not installed: run `make setup`")
from builtin_interfaces.msg import Time
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from stn_ros.nodes.detections import detection2d
from stn_ros.nodes.diagnostics import Monitor
from stn_ros.nodes.parameters import Settings
from stn_ros.nodes.region_sources import SILENCE, RegionSources
from stn_ros.runtime.finder.bundle import FinderBundle
from stn_ros.runtime.finder.finder import Finder
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.region_source import Request, Search

FRAME = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
MODEL = ObjectModel("box", np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8))
FINDER = Finder([MODEL], FinderBundle.load())
SECOND = 1_000_000_000


class Bench:
    """Region sources that are asked about an image every tenth of a second."""

    def __init__(self, **settings: object) -> None:
        self.said: list[str] = []
        self.in_view: list = []
        self.settings = Settings(objects=("box",), **settings)
        self.monitor = Monitor(lambda level, text: self.said.append(text))
        self.sources = RegionSources({"box": MODEL}, FINDER, self.settings, self.monitor, now=0.0)
        # Nanoseconds of a day in 2026: a float would not tell neighbouring ones apart.
        self.epoch = 1_790_000_000 * SECOND + 123_456_789

    def ask(self, now: float) -> Search:
        self.sources.next_image(self.epoch + round(now * SECOND), self.settings)
        return self.sources.search(Request(FRAME, now, now, self.in_view))

    def detect(self, now: float, left: float = 100.0, names: Sequence[str] = ("box",)) -> None:
        sec, nanosec = divmod(self.epoch + round(now * SECOND), SECOND)
        header = Header(stamp=Time(sec=sec, nanosec=nanosec))
        found = [detection2d(name, 0.9, (left, 100, 80, 60), header) for name in names]
        self.sources.detections.put(Detection2DArray(header=header, detections=found))


def of_finder(search: Search) -> bool:
    """Whether the whole image is searched: where the finder proposes."""
    return bool(search.regions) and all(one.homography is not None for one in search.regions)


def test_a_detectors_boxes_go_to_the_image_of_their_stamp():
    bench = Bench()
    bench.detect(0.1, left=50)
    bench.detect(0.2, left=70)
    assert [one.left for one in bench.ask(0.1).regions] == [50]
    assert [one.left for one in bench.ask(0.2).regions] == [70]
    assert bench.ask(0.3).regions is None


def test_stamps_are_compared_to_the_nanosecond():
    bench = Bench(detection_slop=0.0)
    bench.detect(0.1)
    bench.epoch += 1
    assert bench.ask(0.1).regions is None


def test_without_a_detector_the_whole_image_is_searched_at_once():
    bench = Bench()
    assert of_finder(bench.ask(0.0))
    assert bench.said == []


def test_a_detector_that_is_silent_from_the_start_is_waited_for_a_second_only():
    bench = Bench()
    bench.sources.detections.connected = True
    asked = {round(now, 1): bench.ask(now) for now in np.arange(0, 2 * SILENCE, 0.1)}
    for now, search in asked.items():
        if now <= SILENCE:
            assert search.regions is None
        else:
            assert of_finder(search)
    (text,) = bench.said
    assert text.startswith("a detector is there, and for 1 s nothing usable has come from it")


def test_a_detector_that_falls_silent_is_replaced_and_speaks_again_at_once():
    bench = Bench(regions=("box 5 6 70 80",))
    bench.detect(0.0)
    assert bench.ask(0.0).regions[0].left == 100
    assert bench.ask(0.9).regions is None
    assert bench.ask(1.1).regions[0].left == 5
    bench.detect(1.2, left=33)
    assert bench.ask(1.2).regions[0].left == 33
    assert bench.ask(1.3).regions is None


def test_a_detector_whose_stamps_fit_no_image_is_as_good_as_silent():
    bench = Bench()
    for step in range(20):
        bench.detect(0.1 * step - 500.0)
        search = bench.ask(0.1 * step)
    assert of_finder(search)
    assert any("stamps apart" in text for text in bench.said)


@pytest.mark.parametrize(
    ("names", "more"), [(["mug"], ""), (["mug", "box", "cup", "jar"], " (and 2 more)")]
)
def test_the_first_detection_left_out_is_named_and_the_others_counted(names, more):
    bench = Bench()
    bench.detect(0.0, names=names)
    assert len(bench.ask(0.0).regions) == names.count("box")
    (text,) = bench.said
    assert text == (
        "left out: detection of unknown object 'mug': known are box; "
        f"see the parameter detection_map{more}"
    )


def test_who_asks_for_detections_alone_gets_nothing_else():
    bench = Bench(region_source="detections", regions=("box 5 6 70 80",))
    bench.sources.detections.connected = True
    assert all(bench.ask(now).regions is None for now in np.arange(0, 3 * SILENCE, 0.5))
    assert bench.said == []


@pytest.mark.parametrize("kind", ["fixed", "auto"])
def test_fixed_regions_of_unknown_objects_are_named(kind: str):
    bench = Bench(region_source=kind, regions=("mug 1 2 3 4", "box 5 6 7 8"))
    assert [one.object_name for one in bench.ask(0.0).regions] == ["box"]
    assert bench.said == ["regions of unknown objects mug: known are box"]


def test_the_whole_images_pace_hears_how_long_searches_took():
    """While something is followed, searches of 0.4 s get half of the time: about five in 4 s."""
    bench = Bench(region_source="whole_image")
    corners = np.array([[0.0, 0], [90, 0], [90, 90], [0, 90]])
    bench.in_view = [SimpleNamespace(object_name="another", corners=corners)]
    searched = 0
    for step in range(41):
        count = len(bench.ask(0.1 * step).regions)
        bench.sources.took(count, 0.4 * count)
        searched += count
    assert 3 <= searched <= 5
