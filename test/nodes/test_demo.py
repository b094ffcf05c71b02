"""The demo as its user runs it: real processes, real DDS, files written, nothing left running."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
pytest.importorskip("vision_msgs", reason="vision_msgs is not installed: run `make setup`")

from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import find_object
from stn_ros.simulation.world import World

pytestmark = pytest.mark.ros
TIMEOUT = 300.0


def start(output: Path, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "stn_ros.cli", "demo", "--output", str(output), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=TIMEOUT)
    return process.returncode, out, err


def still_running(output: Path) -> list[str]:
    """Command lines of processes that still have a log of this run open."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "fd" / "1").readlink().parent == output:
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


def test_short_run_gives_views_and_poses_near_the_truth(tmp_path: Path):
    status, out, err = finish(
        start(tmp_path, "--seconds", "4", "--rate", "6", "--demand", "1.5", "--objects", "tea_box")
    )
    assert status == 0, out + err
    run = json.loads((tmp_path / "demo.json").read_text())
    assert run["input_hz"] == pytest.approx(6.0, abs=1.0)
    assert 1.5 <= run["output_hz"] <= run["input_hz"]
    box = run["objects"]["tea_box"]
    assert box["frames_in_view"] == run["frames"]
    assert min(box["views_hz"], box["poses_hz"]) >= 1.5
    assert box["corner_error_px_median"] < 3.0
    assert box["translation_error_mm_median"] < 20.0
    assert 0 < run["latency_p50_ms"] <= run["latency_p95_ms"]
    assert all(0 < share < 2 for share in run["cpu_share"].values())
    assert len(run["cpu_share"]) == 3
    sheet = cv2.imread(str(tmp_path / "demo.png"))
    assert sheet.shape[1] > 640
    assert "images in" in out
    assert "measuring" in err
    assert still_running(tmp_path) == []


def test_a_demand_that_is_not_met_is_said_and_a_folder_of_pictures_is_played(tmp_path: Path):
    folder, output = tmp_path / "pictures", tmp_path / "out"
    folder.mkdir()
    world = World([ObjectModel.load(find_object("novel"))], (320, 240))
    for i in range(8):
        cv2.imwrite(str(folder / f"{i:02}.png"), world.render(i / 30)[0])
    arguments = ("--play", str(folder), "--objects", "novel", "--rate", "5", "--seconds", "4")
    status, out, err = finish(start(output, *arguments, "--demand", "20"))
    assert status == 1, out + err
    assert "NOT GOOD ENOUGH: the camera published" in out
    assert "player: [WARN]" in out
    assert "field of view of 60 degrees is ASSUMED" in out
    run = json.loads((output / "demo.json").read_text())
    assert 4 < run["input_hz"] < 6
    assert run["output_hz"] > 1
    assert run["corner_error_px_median"] is None
    assert (output / "demo.png").is_file()
    assert still_running(output) == []


def test_a_child_that_dies_is_named_with_its_last_words(tmp_path: Path):
    status, _, err = finish(start(tmp_path, "--play", "no_such_film.mp4"))
    assert status == 2
    assert "player has ended with status 1" in err
    assert "'no_such_film.mp4': no such film" in err
    assert "Traceback" not in err
    assert still_running(tmp_path) == []


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_every_process(tmp_path: Path, sent: signal.Signals):
    process = start(tmp_path, "--seconds", "60", "--objects", "tea_box", "--rate", "5")
    give_up = time.monotonic() + TIMEOUT
    log = tmp_path / "demo_simulated_camera.log"
    while not (log.is_file() and log.stat().st_size):
        assert time.monotonic() < give_up
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)
    assert len(still_running(tmp_path)) == 2
    process.send_signal(sent)
    status, out, err = finish(process)
    assert status == 130, out + err
    assert "interrupted" in out
    assert "Traceback" not in err
    assert still_running(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(("--seconds", "0"), "--seconds is 0"), (("--objects", "kettle"), "'kettle'")],
)
def test_bad_arguments_are_named_before_anything_starts(
    tmp_path: Path, arguments: tuple[str, ...], named: str
):
    status, _, err = finish(start(tmp_path / "out", *arguments))
    assert status == 2
    assert named in err
    assert not (tmp_path / "out").exists()
