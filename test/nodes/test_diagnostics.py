"""Rates, durations and problems of the diagnostic status."""

import threading

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.time import Time

from stn_ros.nodes.diagnostics import ERROR, OK, WARN, Monitor

pytestmark = pytest.mark.ros


class Bench:
    """A monitor with a clock set by hand and a log that can be read."""

    def __init__(self) -> None:
        self.now = 100.0
        self.log: list[tuple[bytes, str]] = []
        self.monitor = Monitor(lambda *entry: self.log.append(entry), lambda: self.now)

    def report(self, after: float = 1.0) -> DiagnosticStatus:
        self.now += after
        array = self.monitor.report(
            "camera", "frame", "3 objects", {"state": "active"}, Time(seconds=5)
        )
        assert array.header.stamp.sec == 5
        return array.status[0]


@pytest.fixture
def bench():
    return Bench()


def values(status: DiagnosticStatus) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}


def test_nothing_wrong(bench: Bench):
    status = bench.report()
    assert (status.level, status.name, status.hardware_id, status.message) == (
        OK,
        "camera",
        "frame",
        "3 objects",
    )
    assert values(status) == {"state": "active"}


def test_rates_cover_the_time_since_the_last_report(bench: Bench):
    bench.monitor.count("images", 15)
    bench.monitor.count("images", 5)
    assert bench.monitor.total("images") == 20
    first = values(bench.report(after=2.0))
    assert (first["images per second"], first["images in all"]) == ("10.0", "20")
    second = values(bench.report(after=1.0))
    assert (second["images per second"], second["images in all"]) == ("0.0", "20")
    assert bench.monitor.total("images") == 20


def test_durations_are_given_as_percentiles(bench: Bench):
    for milliseconds in range(1, 101):
        bench.monitor.duration("latency", milliseconds / 1000)
    assert values(bench.report())["latency (ms)"] == "p50 50.5, p95 95.0, max 100.0"
    assert "latency (ms)" not in values(bench.report())


def test_the_worst_problem_sets_the_level_and_leads_the_message(bench: Bench):
    bench.monitor.problem("camera_info", "no camera_info")
    bench.monitor.problem("image", "image is truncated", ERROR)
    status = bench.report()
    assert status.level == ERROR
    assert status.message == "image is truncated; no camera_info"


def test_a_problem_ends_when_it_is_not_told_any_more(bench: Bench):
    bench.monitor.problem("camera_info", "no camera_info")
    assert bench.report().level == WARN
    assert bench.report().message == "3 objects"


def test_a_lasting_problem_is_logged_every_ten_seconds(bench: Bench):
    for _ in range(25):
        bench.monitor.problem("camera_info", f"no camera_info at {bench.now}")
        bench.report(after=1.0)
    assert bench.log == [
        (WARN, "no camera_info at 100.0"),
        (WARN, "no camera_info at 110.0"),
        (WARN, "no camera_info at 120.0"),
    ]


def test_a_problem_that_comes_back_is_logged_at_once(bench: Bench):
    bench.monitor.problem("image", "first", ERROR)
    bench.report()
    bench.report()
    bench.monitor.problem("image", "second", ERROR)
    assert [text for _, text in bench.log] == ["first", "second"]


def test_the_latest_state_of_each_object_is_told(bench: Bench):
    bench.monitor.object_state("box", "confidence 0.10")
    bench.monitor.object_state("box", "confidence 0.97, tracked")
    assert values(bench.report())["object box"] == "confidence 0.97, tracked"


def test_counts_from_many_threads_add_up(bench: Bench):
    def count() -> None:
        for _ in range(2000):
            bench.monitor.count("images")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bench.monitor.total("images") == 8000
