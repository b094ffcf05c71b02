"""The page and the picture show what was measured."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stn_ros.evaluation.whole_frame import Answer, Face, WholeFrame
from stn_ros.evaluation.whole_frame_report import (
    GREEN,
    RED,
    YELLOW,
    contact_sheet,
    drawn,
    markdown,
)
from stn_ros.runtime.object_model import ObjectModel


def contestant(faces: int, right: float, wrong: int = 0, **more: int) -> dict:
    share = {"faces": faces, "right": right, "right_low": 0.5, "right_high": 0.9}
    return {
        "frames": 200,
        "faces": {"from 64 px": share, "all": share} if faces else {},
        "wrong": wrong,
        "inexact": 4,
        "median_ms": 61.4,
        "p90_ms": 90.0,
        **more,
    }


FIGURES = {
    "taught": 20,
    "pass_ms": 14.04,
    "confirmation_ms": 47.3,
    "april_tag_ms": 7.0,
    "contestants": {
        "stn_ros": contestant(80, 0.75, wrong=1),
        "sweep": contestant(9, 1 / 3, min_inliers=12),
    },
}


def test_the_page_by_hand():
    page = markdown([FIGURES, {**FIGURES, "taught": 100}], ["a note"])
    lines = page.splitlines()
    assert "- a note" in lines
    assert "## 20 taught" in lines
    assert "## 100 taught" in lines
    assert "| from 64 px | 80 | 75.0 % (50-90) | 33.3 % (50-90) of 9 |" in lines
    assert "| stn_ros | 200 | 1 | 0.0050 | 4 | 61 ms | 90 ms | - |" in lines
    assert "| sweep | 200 | 0 | 0.0000 | 4 | 61 ms | 90 ms | 12 |" in lines
    assert "the pass takes 14.0 ms and the confirmation 47.3 ms" in page
    assert "takes 7.0 ms on the same frames: the pass takes 2.01 times that." in page


def test_a_row_that_a_rival_has_no_face_of():
    figures = {**FIGURES, "contestants": {**FIGURES["contestants"], "sweep": contestant(0, 0)}}
    assert "| all | 80 | 75.0 % (50-90) | - |" in markdown([figures], []).splitlines()


def test_without_faces_there_is_no_table_of_them():
    figures = {**FIGURES, "contestants": {"stn_ros": contestant(0, 0)}, "april_tag_ms": math.nan}
    page = markdown([figures], [])
    assert "| faces |" not in page
    assert "| stn_ros | 200 | 0 |" in page
    assert "not installed: pip install 'stn_ros[bench]'" in page


MODELS = [ObjectModel(name, np.zeros((100, 100, 3), np.uint8)) for name in ("a", "b", "c")]
PLACES = [np.array([[1.0, 0, left], [0, 1.0, 40], [0, 0, 1]]) for left in (20, 220, 420)]


@pytest.mark.parametrize(
    ("answers", "colours"),
    [
        ([], (YELLOW, YELLOW, None)),
        ([Answer("a", PLACES[0])], (GREEN, YELLOW, None)),
        ([Answer("a", PLACES[0]), Answer("c", PLACES[2])], (GREEN, YELLOW, RED)),
        ([Answer("a", PLACES[2]), Answer("b", PLACES[1])], (YELLOW, GREEN, RED)),
    ],
)
def test_outlines_are_green_yellow_and_red(answers: list, colours: tuple):
    faces = [Face(MODELS[i], PLACES[i], 100, 0, 1) for i in (0, 1)]
    frame = WholeFrame(np.full((240, 640, 3), 80, np.uint8), faces, "plain")
    picture = drawn(frame, answers, MODELS)
    for left, colour in zip((20, 220, 420), colours, strict=True):
        seen = picture[90, left]  # on the left edge of the outline
        assert tuple(seen) == (colour or (80, 80, 80))
        assert tuple(picture[90, left + 50]) == (80, 80, 80)
    assert (frame.picture == 80).all()


def test_a_sheet_has_a_row_for_each_number_of_objects():
    red = np.zeros((480, 640, 3), np.uint8)
    red[..., 2] = 255
    sheet = contact_sheet([("1 taught", [red, red]), ("20 taught", [red, red])], width=160)
    assert sheet.shape == (2 * (28 + 120), 320, 3)
    assert (sheet[28:148] == (0, 0, 255)).all()
    assert 0 < (sheet[:28] < 100).mean() < 0.2
