"""The demo as its user runs it: real processes, real DDS, files written, nothing left running."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
pytest.importorskip("vision_msgs", reason="vision_msgs is not installed: run `make setup`")

from stn_ros.nodes import demo
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import find_object
from stn_ros.simulation.sample_objects import SAMPLES
from stn_ros.simulation.world import World

pytestmark = pytest.mark.ros
TIMEOUT = 600.0
SHORT = ("--seconds", "4", "--rate", "6", "--demand", "1")


def start(output: Path, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "stn_ros.cli", "demo", "--output", str(output), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=TIMEOUT)
    return process.returncode, out, err


def processes(output: Path) -> list[tuple[int, str]]:
    """Ids and command lines of processes that have a log of this run open."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "fd" / "1").readlink().parent == output:
                found.append((int(process.name), (process / "cmdline").read_text()))
        except OSError:
            continue
    return found


def still_running(output: Path) -> list[str]:
    """Command lines of what runs on after this run."""
    return [line for _, line in processes(output)]


def test_short_run_gives_views_and_poses_near_the_truth(tmp_path: Path):
    status, out, err = finish(start(tmp_path, *SHORT, "--objects", "tea_box"))
    assert status == 0, out + err
    run = json.loads((tmp_path / "demo.json").read_text())
    assert run["shortfalls"] == []
    assert run["rate_hz"] == 6.0
    assert 1 <= run["output_hz"] <= run["input_hz"] <= 7
    box = run["objects"]["tea_box"]
    assert box["frames_in_view"] == run["frames"]
    assert min(box["views_hz"], box["poses_hz"]) >= 1
    assert box["corner_error_px_median"] < 1.0
    assert box["translation_error_mm_median"] < 2.0
    assert 0 < run["latency_p50_ms"] <= run["latency_p95_ms"]
    assert all(0 < share < 2 for share in run["cpu_share"].values())
    assert len(run["cpu_share"]) == 3
    sheet = cv2.imread(str(tmp_path / "demo.png"))
    assert sheet.shape[1] > 640
    assert "images in" in out
    assert "all is right" in out
    assert "measuring" in err
    assert still_running(tmp_path) == []


def taught(folder: Path, name: str, like: str, size_share: float = 1.0) -> str:
    """The folder of an object with the picture of the sample `like` and a share of its size."""
    sample = ObjectModel.load(find_object(like))
    size_m = tuple(size_share * side for side in sample.size_m)
    ObjectModel(name, sample.reference, size_m).save(folder)
    return str(folder)


def test_poses_of_an_object_with_a_false_size_are_not_right(tmp_path: Path):
    # Poses are scaled as the size is: 5 mm at least off along the line of sight, at 0.4 m or more.
    false = taught(tmp_path / "false", "tea_box", "tea_box", 1 + 0.005 / 0.4)
    arguments = (*SHORT, "--objects", false, "--filmed", "tea_box")
    status, out, err = finish(start(tmp_path / "out", *arguments))
    assert status == 1, out + err
    run = json.loads((tmp_path / "out" / "demo.json").read_text())
    assert run["objects"]["tea_box"]["translation_error_mm_median"] > 4.5
    (reason,) = (line for line in run["shortfalls"] if "mm (median)" in line)
    assert reason.startswith("tea_box is off: translation error")
    assert f"NOT GOOD ENOUGH: {reason}" in out


def test_an_object_taught_from_another_s_picture_is_not_right(tmp_path: Path):
    false = taught(tmp_path / "false", "tea_box", "city_map")
    arguments = (*SHORT, "--objects", false, "--filmed", "tea_box")
    status, out, err = finish(start(tmp_path / "out", *arguments))
    assert status == 1, out + err
    assert "NOT GOOD ENOUGH: tea_box gave" in out
    assert still_running(tmp_path / "out") == []


def test_a_node_that_is_killed_is_not_right(tmp_path: Path):
    whole = start(tmp_path, "--seconds", "600", "--objects", "tea_box", "--rate", "6")
    node = None
    give_up = time.monotonic() + TIMEOUT
    while node is None or b"configured" not in (tmp_path / "demo_canonicalizer.log").read_bytes():
        assert time.monotonic() < give_up
        assert whole.poll() is None, whole.communicate()
        time.sleep(0.2)
        node = next((pid for pid, line in processes(tmp_path) if "canonicalizer" in line), None)
    os.kill(node, signal.SIGKILL)
    status, out, err = finish(whole)
    assert status == 1, out + err
    assert "NOT GOOD ENOUGH: canonicalizer has ended with status -9" in out
    assert "Traceback" not in err
    (reason,) = json.loads((tmp_path / "demo.json").read_text())["shortfalls"]
    assert reason.startswith("canonicalizer has ended")
    assert still_running(tmp_path) == []


def test_a_measure_in_which_the_node_gets_no_processor_is_taken_again(tmp_path: Path):
    whole = start(tmp_path, *SHORT, "--objects", "tea_box")
    for line in whole.stdout:
        if line.startswith("look in"):
            (node,) = (pid for pid, line in processes(tmp_path) if "canonicalizer" in line)
            os.kill(node, signal.SIGSTOP)
        elif "measured again at 6 Hz" in line:
            os.kill(node, signal.SIGCONT)
            break
    status, out, err = finish(whole)
    assert status == 0, out + err
    run = json.loads((tmp_path / "demo.json").read_text())
    assert run["output_hz"] >= 1
    assert still_running(tmp_path) == []


def test_the_camera_s_rate_is_lowered_until_its_images_are_answered(tmp_path: Path):
    # Nothing answers 400 images a second of four objects: the node alone needs longer.
    arguments = ("--seconds", "2", "--rate", "400", "--objects", *SAMPLES)
    _, out, err = finish(start(tmp_path, *arguments))
    run = json.loads((tmp_path / "demo.json").read_text())
    assert run["rate_hz"] in demo.RATES, out + err
    assert f"{run['rate_hz']:g} Hz" in out.partition("images in")[0]
    assert run["input_hz"] <= 1.1 * run["rate_hz"]
    assert "finding the rate" in err


@pytest.mark.parametrize(
    ("start", "demand", "rates"),
    [
        (None, None, [30, 20, 12, 8, 6]),
        (15, None, [15, 12, 8, 6]),
        (None, 10, [30, 20, 12]),
        (None, 28, [30]),
        (None, 5.5, [30, 20, 12, 8, 6]),
        (None, 5.9, [30, 20, 12, 8]),
        (3, None, [3]),
    ],
)
def test_rates_to_try(start: float | None, demand: float | None, rates: list[float]):
    assert demo.rates_to_try(start, demand) == rates


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
    assert 0 < run["input_hz"] < 6
    assert run["output_hz"] > 0
    assert run["corner_error_px_median"] is None
    assert (output / "demo.png").is_file()
    assert still_running(output) == []


def test_a_child_that_dies_is_named_with_its_last_words(tmp_path: Path):
    status, out, err = finish(start(tmp_path, "--play", "no_such_film.mp4"))
    assert status == 1
    assert "player has ended with status 1" in out
    assert "'no_such_film.mp4': no such bag, film" in out
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
    [
        (("--seconds", "0"), "--seconds is 0"),
        (("--objects", "kettle"), "'kettle'"),
        (("--demand", "31"), "--demand is 31, but the camera films at 30 Hz"),
    ],
)
def test_bad_arguments_are_named_before_anything_starts(
    tmp_path: Path, arguments: tuple[str, ...], named: str
):
    status, _, err = finish(start(tmp_path / "out", *arguments))
    assert status == 2
    assert named in err
    assert not (tmp_path / "out").exists()
