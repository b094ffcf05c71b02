"""Who is asked what, and the figures that come of it, by hand-worked cases."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from stn_ros.evaluation.trials import wilson_interval
from stn_ros.evaluation.whole_frame import Answer, Face, Outcome, WholeFrame
from stn_ros.evaluation.whole_frame_benchmark import (
    APRIL_TAG,
    OURS,
    PASS,
    ROWS,
    STILL_FRAMES,
    SWEEP,
    SWEEP_FRAMES,
    Measured,
    Ours,
    Record,
    april_tag,
    figures,
    hold,
    rivals_of,
)
from stn_ros.evaluation.whole_frame_rivals import SweepingWindows
from stn_ros.geometry.homography import corner_error
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.canonicalizer import CanonicalizerSettings
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.synthesis import artwork
from stn_ros.synthesis.scene import face_homography, paste_face

SIZE = (256, 190)
MODEL = ObjectModel("one", artwork.draw(7, SIZE, "magazine"))
BLANK = np.full((480, 640, 3), 127, np.uint8)


def face(size: float, tilt: float = 0.0, visible: float = 1.0) -> Face:
    return Face(MODEL, np.eye(3), size, tilt, visible)


def rows_of(one: Face, kind: str = "plain") -> set[str]:
    return {row for row, counts in ROWS.items() if counts(one, kind)}


@pytest.mark.parametrize(
    ("one", "kind", "rows"),
    [
        (face(36), "plain", {"36-40 px", "plain", "tilt < 25 degrees"}),
        (face(40, 24.9), "blurred", {"40-64 px", "blurred", "tilt < 25 degrees"}),
        (face(64, 25), "dim", {"64-128 px", "from 64 px", "dim", "tilt 25-50 degrees"}),
        (
            face(128, 50),
            "occluded",
            {"from 128 px", "from 64 px", "occluded", "tilt 25-50 degrees"},
        ),
    ],
)
def test_rows_of_a_face(one: Face, kind: str, rows: set[str]):
    assert rows_of(one, kind) == rows | {"all"}


def test_figures_by_hand():
    wrong = Answer("x", np.eye(3))
    record = Record(
        [
            Outcome("plain", [face(50), face(100, 30)], [True, False], [wrong], [wrong, wrong]),
            # Too small or hardly visible: no face to be found.
            Outcome("dim", [face(35), face(90, visible=0.59)], [False, False], [], []),
            Outcome("dim", [face(200, visible=0.6)], [True], [], [wrong]),
        ],
        [0.1, 0.2, 0.6],
    )
    timed = {PASS: [0.01, 0.03, 0.02], APRIL_TAG: [0.04, 0.01, 0.04]}
    found = figures(Measured(20, {OURS: record, "rival": record}, timed, {"rival": 9}))
    assert found["taught"] == 20
    assert found["pass_ms"] == pytest.approx(20)
    assert found["confirmation_ms"] == pytest.approx(170)
    assert found["april_tag_ms"] == pytest.approx(40)
    ours = found["contestants"][OURS]
    assert (ours["frames"], ours["wrong"], ours["inexact"]) == (3, 3, 1)
    assert (ours["median_ms"], ours["p90_ms"]) == pytest.approx((200, 520))
    low, high = wilson_interval(2, 3)
    assert ours["faces"]["all"] == {
        "faces": 3,
        "right": 2 / 3,
        "right_low": low,
        "right_high": high,
    }
    shares = {row: (one["faces"], one["right"]) for row, one in ours["faces"].items()}
    assert shares == {
        "40-64 px": (1, 1),
        "64-128 px": (1, 0),
        "from 128 px": (1, 1),
        "from 64 px": (2, 0.5),
        "plain": (2, 0.5),
        "dim": (1, 1),
        "tilt < 25 degrees": (2, 1),
        "tilt 25-50 degrees": (1, 0),
        "all": (3, 2 / 3),
    }
    assert "min_inliers" not in ours
    assert found["contestants"]["rival"]["min_inliers"] == 9


class Scripted:
    """A contestant that says what it is told to, and counts the frames."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked = 0

    def teach(self, models: object) -> None:
        pass

    def find(self, frame: np.ndarray) -> list[Answer]:
        self.asked += 1
        return self.answers


class ScriptedSweep(Scripted, SweepingWindows):
    pass


def test_every_frame_is_put_to_all_but_the_sweep():
    frame = WholeFrame(BLANK, [face(100)], "plain")
    count = SWEEP_FRAMES + 2
    contestants = {
        "good": Scripted(Answer("one", np.eye(3))),
        "silent": Scripted(),
        "sweep": ScriptedSweep(Answer("two", np.eye(3))),
    }
    seen = []
    records, seconds = hold([frame] * count, contestants, {"work": seen.append})
    assert {name: one.asked for name, one in contestants.items()} == {
        "good": count,
        "silent": count,
        "sweep": SWEEP_FRAMES,
    }
    assert {name: len(record.seconds) for name, record in records.items()} == {
        "good": count,
        "silent": count,
        "sweep": SWEEP_FRAMES,
    }
    assert all(outcome.right == [True] for outcome in records["good"].outcomes)
    assert all(outcome.right == [False] for outcome in records["silent"].outcomes)
    assert sum(len(outcome.wrong) for outcome in records["sweep"].outcomes) == SWEEP_FRAMES
    assert len(seconds["work"]) == len(seen) == count


def test_the_sweep_is_a_rival_among_few_objects_only():
    bundle, settings = NetworkBundle.load(), CanonicalizerSettings()
    assert SWEEP in rivals_of(20, bundle, settings)
    assert SWEEP not in rivals_of(21, bundle, settings)


@pytest.mark.parametrize("frames", [1, STILL_FRAMES])
def test_ours_finds_a_face_and_forgets_it_with_the_scene(frames: int):
    truth = face_homography(SIZE, (330, 250), 220, 0.6, 0.2, 1.0, 600, (319.5, 239.5))
    frame = BLANK.copy()
    paste_face(frame, MODEL.reference, truth)
    ours = Ours(NetworkBundle.load(), CanonicalizerSettings(), frames)
    ours.teach([MODEL])
    answers = ours.find(frame)
    assert len(answers) == frames
    assert {answer.object_name for answer in answers} == {"one"}
    assert all(corner_error(answer.homography, truth, SIZE) < 1 for answer in answers)
    # Of the next scene, nothing is left.
    assert ours.find(BLANK) == []


def test_ours_says_nothing_of_a_blank_frame():
    for frames in (1, STILL_FRAMES):
        ours = Ours(NetworkBundle.load(), CanonicalizerSettings(), frames)
        ours.teach([MODEL])
        assert ours.find(BLANK) == []


def test_without_the_apriltag_library_it_is_left_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pupil_apriltags", None)
    assert april_tag() is None


def test_the_apriltag_library_reads_grey_pictures_on_one_thread(monkeypatch: pytest.MonkeyPatch):
    asked = {}

    def detector(**options: object) -> SimpleNamespace:
        asked.update(options)
        return SimpleNamespace(detect=lambda picture: picture.shape)

    module = ModuleType("pupil_apriltags")
    module.Detector = detector
    monkeypatch.setitem(sys.modules, "pupil_apriltags", module)
    assert april_tag()(BLANK) == (480, 640)
    assert (asked["nthreads"], asked["quad_decimate"]) == (1, 2.0)
