"""What an image leads to, on one thread, without a graph."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
pytest.importorskip("vision_msgs", reason="vision_msgs is not installed: run `make setup`")
from rclpy.time import Time
from std_msgs.msg import Header

from stn_ros.geometry.box import Box
from stn_ros.geometry.homography import to_corners
from stn_ros.nodes import messages
from stn_ros.nodes.detections import detection2d
from stn_ros.nodes.diagnostics import Monitor
from stn_ros.nodes.frame_processor import RECENT, STANDING, Frame, FrameProcessor
from stn_ros.nodes.parameters import Settings
from stn_ros.nodes.region_sources import RegionSources
from stn_ros.recordings.camera_info import Calibration
from stn_ros.recordings.image_decoder import ImageDecoder
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.canonicalizer import Canonicalizer
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import find_object
from stn_ros.runtime.pipeline import Pipeline
from stn_ros.simulation.world import World


class Published:
    """Keeps what would go out."""

    def __init__(self) -> None:
        self.frames: list[tuple[Header, list]] = []

    def publish(self, header, sightings, publish_tf) -> None:
        self.frames.append((header, sightings, publish_tf))

    def publish_debug(self, *arguments) -> None:
        pass


MODEL = ObjectModel.load(find_object("novel"))
WORLD = World([MODEL], seed=4)
PICTURE, (TRUTH,) = WORLD.render(2.0)
CANONICALIZER = Canonicalizer(NetworkBundle.load(), [MODEL])


class Bench:
    """A processor, and a clock that it believes."""

    def __init__(self, **settings: object) -> None:
        self.said: list[str] = []
        self.settings = Settings(objects=("novel",), **settings)
        self.monitor = Monitor(lambda level, text: self.said.append(text))
        self.calibration = Calibration(rectified=False)
        header = Header(frame_id="lens")
        self.calibration.update(
            messages.camera_info_message(WORLD.camera.K, WORLD.camera.size, header)
        )
        self.outputs = Published()
        self.clock = 2e6
        pipeline = Pipeline(CANONICALIZER)
        self.sources = RegionSources(
            {"novel": MODEL}, pipeline.finder, self.settings, self.monitor, 0.0
        )
        self.processor = FrameProcessor(
            pipeline,
            self.sources,
            ImageDecoder(self.said.append),
            self.calibration,
            self.outputs,
            self.monitor,
            lambda: self.settings,
            lambda: round(self.clock * 1e9),
            ("/image", "/camera_info"),
        )

    def show(self, stamp: float, picture: np.ndarray = PICTURE, frame_id: str = "lens") -> list:
        header = Header(stamp=Time(nanoseconds=round(stamp * 1e9)).to_msg(), frame_id=frame_id)
        box = Box.around(to_corners(TRUTH.homography, MODEL.size))
        one = detection2d("novel", 1.0, box, header)
        self.sources.detections.put(SimpleNamespace(header=header, detections=[one]))
        msg = messages.image_message(picture, header)
        self.processor.process(Frame(msg, time.monotonic()))
        return self.outputs.frames[-1][1] if self.outputs.frames else []

    def values(self) -> dict[str, str]:
        array = self.monitor.report("node", "", "", {}, Time())
        return {each.key: each.value for each in array.status[0].values}


def test_an_image_becomes_a_posed_sighting_with_its_header():
    bench = Bench()
    (sighting,) = bench.show(99.9)
    header, _, publish_tf = bench.outputs.frames[-1]
    assert (header.frame_id, messages.nanoseconds(header.stamp)) == ("lens", 99_900_000_000)
    assert publish_tf
    assert np.linalg.norm(sighting.pose.t - TRUTH.t) < 0.003
    assert bench.processor.names_in_view == {"novel"}
    assert bench.processor.camera_frame == "lens"
    assert "located" in bench.values()["object novel"]
    assert bench.said == []


@pytest.mark.parametrize(
    ("age", "told"), [(0.05, True), (-0.05, False), (RECENT + 1, False), (1e6, False)]
)
def test_latency_is_told_only_by_stamps_of_this_clock(age: float, told: bool):
    bench = Bench()
    bench.show(bench.clock - age)
    assert ("latency since stamp (ms)" in bench.values()) == told


def test_the_threshold_is_the_parameters_of_the_moment():
    bench = Bench()
    assert len(bench.show(1.0)) == 1
    bench.settings = Settings(objects=("novel",), threshold=1.0)
    assert bench.show(1.1) == []
    assert "refused" in bench.values()["object novel"]


def test_without_a_frame_id_no_transforms_go_out_and_it_is_said():
    bench = Bench()
    bench.show(1.0, frame_id="")
    assert bench.outputs.frames[-1][2] is False
    assert any("no frame_id" in text for text in bench.said)


def test_a_calibration_of_another_size_is_named_and_views_go_out():
    bench = Bench()
    info = messages.camera_info_message(WORLD.camera.K, (320, 240), Header())
    bench.calibration.update(info)
    (sighting,) = bench.show(1.0)
    assert sighting.pose is None
    assert any(text.startswith("/camera_info: camera_info is of a 320x240") for text in bench.said)


def test_an_image_that_cannot_be_read_is_named_and_the_next_one_serves():
    bench = Bench()
    msg = messages.image_message(PICTURE, Header(frame_id="lens"))
    msg.step = 7
    bench.processor.process(Frame(msg, 0.0))
    assert bench.outputs.frames == []
    assert bench.said[0].startswith("/image: image step 7 is wrong")
    assert len(bench.show(1.0)) == 1


def test_stamps_that_jump_back_are_told():
    bench = Bench()
    bench.show(5.0)
    bench.show(4.0)
    assert bench.said == ["stamps jumped back by 1.000 s: tracking starts afresh"]


def test_stamps_that_stand_still_are_told_and_the_object_is_still_followed():
    bench = Bench()
    found = [len(bench.show(0.0)) for _ in range(STANDING + 1)]
    assert found == [1] * (STANDING + 1)
    (text,) = bench.said
    assert text.startswith(f"/image: {STANDING + 1} images in a row carry the stamp 0.000")
