"""How answers are judged: by hand-worked cases."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from stn_ros.evaluation import benchmark_report
from stn_ros.evaluation.trials import (
    Answer,
    Outcome,
    Trial,
    accuracy,
    at_threshold,
    error_of,
    hold,
    jittered,
    wilson_interval,
)
from stn_ros.runtime.object_model import ObjectModel

PICTURE = np.random.default_rng(0).integers(0, 255, (60, 100, 3), np.uint8)
FRAME = np.zeros((480, 640, 3), np.uint8)
SHIFT = np.array([[1, 0, 3.0], [0, 1, 4.0], [0, 0, 1]])
HALF_TURN = np.array([[-1, 0, 99.0], [0, -1, 59.0], [0, 0, 1]])


def _trial(truth: np.ndarray | None, symmetry: tuple[int, ...] = ()) -> Trial:
    return Trial("g", ObjectModel("o", PICTURE, symmetry=symmetry), FRAME, (0, 0, 9, 9), truth)


def test_a_shift_is_an_error_of_its_length() -> None:
    assert error_of(_trial(np.eye(3)), SHIFT) == pytest.approx(5)
    assert error_of(_trial(np.eye(3)), None) == math.inf
    assert math.isnan(error_of(_trial(None), SHIFT))


def test_a_flip_is_wrong_unless_it_looks_alike() -> None:
    assert error_of(_trial(np.eye(3)), HALF_TURN) > 100
    assert error_of(_trial(np.eye(3), (180,)), HALF_TURN) == pytest.approx(0, abs=1e-9)
    assert error_of(_trial(np.eye(3), (180,)), np.eye(3)) == pytest.approx(0, abs=1e-9)


def _outcome(error: float, published: bool = True) -> Outcome:
    return Outcome("g", "o", error, published, 0.01)


def test_accuracy_by_hand() -> None:
    figures = accuracy(
        [_outcome(0.5), _outcome(2.0, published=False), _outcome(4.0), _outcome(math.inf, False)]
    )
    assert figures["right"] == 0.25
    assert figures["right_before"] == 0.5
    assert figures["median_px"] == math.inf
    assert figures["p90_px"] == math.inf
    assert figures["auc_1"] == pytest.approx(0.5 / 4)
    assert figures["auc_5"] == pytest.approx((0.9 + 0.2) / 4)
    assert (figures["right_low"], figures["right_high"]) == wilson_interval(1, 4)
    assert figures["median_ms"] == 10


@pytest.mark.parametrize(("hits", "trials"), [(0, 5), (5, 5), (3, 7), (80, 84), (1, 1000)])
def test_wilson_interval_is_scipys(hits: int, trials: int) -> None:
    wanted = binomtest(hits, trials).proportion_ci(0.95, method="wilson")
    assert wilson_interval(hits, trials) == pytest.approx((wanted.low, wanted.high), abs=1e-6)


def test_recall_and_precision_by_hand() -> None:
    figures = at_threshold(
        [
            _outcome(1.0),
            _outcome(1.0, published=False),
            _outcome(5.0),
            _outcome(20.0),
            _outcome(90.0, published=False),
            _outcome(math.inf, published=False),
            _outcome(math.nan, published=True),
            _outcome(math.nan, published=False),
            _outcome(math.nan, published=False),
            _outcome(math.nan, published=False),
        ]
    )
    assert figures["wrong_answers"] == 2
    assert figures["wrong_published"] == 0.5
    assert figures["right_published"] == 0.5
    assert figures["absent_rejected"] == 0.75
    assert figures["published_wrong"] == pytest.approx(1 / 3)
    assert math.isnan(at_threshold([_outcome(1.0)])["absent_rejected"])


def test_every_trial_is_put_to_every_contestant(tmp_path: Path) -> None:
    trials = [_trial(np.eye(3)), _trial(np.eye(3)), _trial(None)]
    contestants = {
        "good": lambda trial: Answer(np.eye(3), trial.truth is not None, 0.001),
        "silent": lambda _: Answer(None, False, 0.002),
    }
    outcomes = hold(trials, contestants, len(trials))
    summary = benchmark_report.summarise(outcomes)
    assert summary["good"]["accuracy"]["g"]["right"] == 1
    assert summary["good"]["at_threshold"]["absent_rejected"] == 1
    assert summary["silent"]["accuracy"]["g"]["right"] == 0
    page = benchmark_report.markdown("Benchmark", summary, ["a note"])
    assert "| g | 2 | **100.0 %** | 34-100 % | 0.00 px | 1 | 0.0 % | 0-66 % | none | 2 |" in page
    benchmark_report.write(tmp_path / "out", "table", page, {"figures": summary})
    figures = json.loads((tmp_path / "out" / "table.json").read_text())["figures"]
    assert figures["silent"]["accuracy"]["g"]["median_px"] is None
    assert (tmp_path / "out" / "table.md").read_text() == page


def test_jitter_moves_every_edge_a_little_and_keeps_to_the_frame() -> None:
    rng = np.random.default_rng(0)
    boxes = np.array([jittered(rng, (500, 100, 100, 50), (640, 480)) for _ in range(500)])
    edges = np.column_stack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])
    off = np.abs(edges - [500, 100, 600, 150])
    assert (off.max(axis=0) <= [8, 4, 8, 4]).all()
    assert (off.max(axis=0) > [7, 3.5, 7, 3.5]).all()
    left, top, width, height = jittered(rng, (-0.5, -0.5, 640, 480), (640, 480))
    assert left >= -0.5
    assert top >= -0.5
    assert left + width <= 639.5
    assert top + height <= 479.5
