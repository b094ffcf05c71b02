"""Figures, verdict and contact sheet of a run, on recordings worked out by hand."""

import json
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from stn_ros.evaluation import demo_report
from stn_ros.evaluation.demo_report import Observation, Pose, Snapshot
from stn_ros.runtime.object_model import ObjectModel

K = np.array([[600.0, 0, 319.5], [0, 600, 239.5], [0, 0, 1]])
FACING = np.diag([1.0, -1.0, -1.0])
SIZE_M = (0.2, 0.1)
MS = 1_000_000
FRAME = 33 * MS


def model(name: str, size_m=SIZE_M) -> ObjectModel:
    picture = np.full((64, 128, 3), 200, np.uint8)
    picture[:, :64] = (0, 0, 255)
    return ObjectModel(name, picture, size_m)


def pose(x=0.0, z=0.6, score=1.0) -> Pose:
    return Pose(FACING, np.array([x, 0.0, z]), score)


def observation(**changes) -> Observation:
    """Four images of box and lid in 0.2 s; the third was dropped, the lid is hidden in the last."""
    inputs = [i * FRAME for i in range(4)]
    answered = [inputs[0], inputs[1], inputs[3]]
    values = {
        "seconds": 0.2,
        "inputs": inputs,
        "received": {
            stamp: stamp + delay * MS for stamp, delay in zip(answered, (10, 20, 30), strict=True)
        },
        "views": {"box": set(answered), "lid": {inputs[0]}},
        "poses": {
            inputs[0]: {"box": pose(), "lid": pose(0.1)},
            inputs[1]: {"box": pose(0.001), "box_2": pose(0.3)},
            inputs[3]: {"box": pose(0.002)},
        },
        "truth": {
            stamp: {"box": pose(), "lid": pose(0.1, score=0.2 if stamp == inputs[3] else 1.0)}
            for stamp in inputs
        },
        "K": K,
    }
    return Observation(**{**values, **changes})


def test_face_in_camera_has_the_convention_s_corners_in_order():
    corners = demo_report.face_in_camera(pose(), SIZE_M, K)
    np.testing.assert_allclose(
        corners, [[219.5, 189.5], [419.5, 189.5], [419.5, 289.5], [219.5, 289.5]]
    )


def test_errors_of_a_shift_and_of_a_turn():
    corner, translation, rotation = demo_report.pose_errors(pose(0.003), pose(), SIZE_M, K)
    assert (corner, translation, rotation) == pytest.approx((3.0, 3.0, 0.0))
    turn = cv2.Rodrigues(np.array([0.0, 0.0, math.radians(2.0)]))[0]
    turned = Pose(FACING @ turn, np.array([0.0, 0.0, 0.6]), 1.0)
    corner, translation, rotation = demo_report.pose_errors(turned, pose(), SIZE_M, K)
    # Each corner moves along a chord around the centre, sqrt(100^2 + 50^2) px away.
    assert corner == pytest.approx(2 * math.hypot(100, 50) * math.sin(math.radians(1.0)))
    assert (translation, rotation) == pytest.approx((0.0, 2.0))


def test_rates_drops_and_latency():
    run = demo_report.figures(observation(), [model("box"), model("lid")])
    assert (run["frames"], run["dropped"]) == (4, 1)
    assert (run["input_hz"], run["output_hz"]) == pytest.approx((20.0, 15.0))
    assert run["latency_p50_ms"] == pytest.approx(20.0)
    assert run["latency_p95_ms"] == pytest.approx(29.0)
    box, lid = run["objects"]["box"], run["objects"]["lid"]
    assert (box["frames_in_view"], lid["frames_in_view"]) == (4, 3)
    assert (box["views_hz"], box["poses_hz"]) == pytest.approx((15.0, 15.0))
    # One of the three frames it is in view in: a third of the camera's rate.
    assert (lid["views_hz"], lid["poses_hz"]) == pytest.approx((20 / 3, 20 / 3))
    assert run["posed_share"] == pytest.approx(4 / 7)
    assert run["surplus_poses"] == 1


def test_errors_are_those_of_all_published_poses():
    run = demo_report.figures(observation(), [model("box"), model("lid")])
    box = run["objects"]["box"]
    assert box["corner_error_px_median"] == pytest.approx(1.0)
    assert box["corner_error_px_p90"] == pytest.approx(1.8)
    assert box["translation_error_mm_median"] == pytest.approx(1.0)
    assert box["rotation_error_deg_p90"] == pytest.approx(0.0)
    assert run["translation_error_mm_median"] == pytest.approx(0.5)  # of 0, 0, 1, 2


def shifted(**by: float) -> Observation:
    """All images answered with one object, each pose off by `by`: x or z in metres."""
    at = {"x": 0.05, "z": 0.6}
    stamps = observation().inputs
    off = pose(**{axis: value + by.get(axis, 0.0) for axis, value in at.items()})
    return observation(
        received={stamp: stamp + 10 * MS for stamp in stamps},
        views={"box": set(stamps)},
        poses={stamp: {"box": off} for stamp in stamps},
        truth={stamp: {"box": pose(**at)} for stamp in stamps},
    )


@pytest.mark.parametrize("by", [{"x": 0.005}, {"x": -0.005}, {"z": 0.005}, {"z": -0.005}])
def test_poses_that_are_5_mm_off_are_not_right(by: dict[str, float]):
    assert demo_report.shortfalls(demo_report.figures(shifted(), [model("box")]), 5.0) == []
    assert demo_report.shortfalls(demo_report.figures(shifted(z=0.001), [model("box")]), 5.0) == []
    reasons = demo_report.shortfalls(demo_report.figures(shifted(**by), [model("box")]), 5.0)
    assert "box is off: translation error 5.00 mm (median), at most 2 is right" in reasons


def test_a_turn_of_the_face_is_not_right():
    quarter = FACING @ cv2.Rodrigues(np.array([0.0, 0.0, math.pi / 2]))[0]
    turned = shifted()
    poses = {s: {"box": Pose(quarter, p["box"].t, 1.0)} for s, p in turned.poses.items()}
    run = demo_report.figures(replace(turned, poses=poses), [model("box")])
    reasons = demo_report.shortfalls(run, 5.0)
    assert "box is off: rotation error 90.00 deg (median), at most 1 is right" in reasons
    assert any(reason.startswith("box is off: corner error") for reason in reasons)


def test_a_few_wild_poses_are_not_right_though_the_median_is():
    stamps = [i * FRAME for i in range(20)]
    poses = {stamp: {"box": pose(0.02 if i < 3 else 0.0)} for i, stamp in enumerate(stamps)}
    some = observation(
        inputs=stamps,
        received={stamp: stamp for stamp in stamps},
        views={"box": set(stamps)},
        poses=poses,
        truth={stamp: {"box": pose()} for stamp in stamps},
    )
    reasons = demo_report.shortfalls(demo_report.figures(some, [model("box")]), 5.0)
    assert [reason.partition("(")[2].partition(")")[0] for reason in reasons] == ["p90", "p90"]


def test_silence_in_answered_images_is_not_right_at_any_rate():
    run = demo_report.figures(observation(), [model("box"), model("lid")])
    assert run["objects"]["box"]["answered_well"] == 1.0
    assert run["objects"]["lid"]["answered_well"] == 0.5
    reason = "lid gave views and poses in 50% of the answered images it is in view in; 80% are owed"
    assert reason in demo_report.shortfalls(run, 0.0)


def test_poses_of_instances_that_are_not_there_are_not_right():
    run = demo_report.figures(observation(), [model("box"), model("lid")])
    assert (run["poses"], run["surplus_poses"]) == (5, 1)
    assert "1 of 5 poses are of second instances that are not there" in demo_report.shortfalls(
        run, 0.0
    )


def test_shortfalls_name_drops_and_the_object_that_is_short():
    run = demo_report.figures(observation(), [model("box"), model("lid")])

    def rates(demand: float) -> list[str]:
        return [r for r in demo_report.shortfalls(run, demand) if "demanded" in r or "dropped" in r]

    assert rates(5.0) == []
    short = "lid gave 6.7 views and 6.7 poses a second while in view, 10 are demanded"
    assert rates(10.0) == [short]
    reasons = rates(18.0)
    assert reasons[0] == "1 of 4 images were dropped by the node"
    assert [reason.split()[0] for reason in reasons[1:]] == ["box", "lid"]
    assert "the camera published 20.0 images" in rates(28.0)[0]


def test_object_without_size_owes_views_only():
    without_poses = observation(poses={stamp: {} for stamp in observation().received})
    run = demo_report.figures(without_poses, [model("box", None)])
    assert demo_report.shortfalls(run, 10.0) == []
    assert run["latency_p50_ms"] is None


def test_nothing_received_is_no_success():
    nothing = observation(inputs=[], received={}, views={"box": set()}, poses={}, truth={}, K=None)
    run = demo_report.figures(nothing, [model("box")])
    reasons = demo_report.shortfalls(run, 1.0)
    assert any("0.0 images" in reason for reason in reasons)
    assert any("none of box was found" in reason for reason in reasons)
    assert "0.0 Hz" in demo_report.text(run)


def test_without_truth_one_object_found_is_enough():
    run = demo_report.figures(observation(truth={}), [model("box"), model("lid")])
    assert demo_report.shortfalls(run, 0.0) == demo_report.shortfalls(run, 10.0) == []
    assert run["corner_error_px_median"] is None
    assert "corner error" not in demo_report.text(run)


def test_text_and_json_hold_the_figures(tmp_path):
    run = demo_report.figures(observation(), [model("box"), model("lid")])
    text = demo_report.text(run)
    assert "dropped 1 of 4" in text
    assert "1.00 / 1.80 px" in text
    demo_report.write_json(tmp_path / "demo.json", {**run, "nan": math.nan})
    read = json.loads((tmp_path / "demo.json").read_text())
    assert read["nan"] is None
    assert read["objects"]["box"]["views_hz"] == pytest.approx(15.0)


def test_contact_sheet_shows_camera_and_each_object_found():
    frame = np.full((480, 640, 3), 90, np.uint8)
    frame[190:290, 220:420] = (0, 200, 0)
    view = np.full((64, 128, 3), (200, 0, 0), np.uint8)
    snapshot = Snapshot(frame, frame.copy(), {"box": view}, {"box": pose()}, {"box": pose()}, K)
    sheet = demo_report.contact_sheet(snapshot, [model("box"), model("lid")], "title")
    assert sheet.shape[0] >= 480
    # Before (green, beside the camera's frame), aligned (blue) and reference (red) are all there.
    right = sheet[:, 640:].reshape(-1, 3)
    for colour, least in (((0, 200, 0), 5000), ((200, 0, 0), 5000), ((0, 0, 255), 2000)):
        assert (right == colour).all(axis=1).sum() > least
    camera = sheet[:, :640]
    assert (camera == 90).all(axis=2).sum() > 250_000
    # The axes start at the face's centre: x (red) to its right, y (green) above it.
    top, left = np.argwhere((camera == 90).all(axis=2)).min(axis=0)
    assert np.array_equal(camera[top + 240, left + 340], (60, 60, 230))
    assert np.array_equal(camera[top + 220, left + 320], (80, 200, 60))
    assert np.array_equal(snapshot.overlay, frame)  # drawn on a copy


def test_contact_sheet_without_a_pose_shows_the_whole_frame():
    frame = np.full((120, 160, 3), (0, 200, 0), np.uint8)
    view = np.full((64, 128, 3), (200, 0, 0), np.uint8)
    snapshot = Snapshot(frame, frame, {"box": view}, {}, {}, None)
    sheet = demo_report.contact_sheet(snapshot, [model("box", None)], "title")
    assert (sheet[:, 168:] == (0, 200, 0)).all(axis=2).sum() == 150 * 112
