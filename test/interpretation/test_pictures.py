"""The pictures show what is in the study: read back from their pixels where that can be done."""

import cv2
import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the train extra is not installed")
pytest.importorskip("torch", reason="the train extra is not installed")

from stn_ros.interpretation import pictures
from stn_ros.interpretation.sensitivity import MAPS
from stn_ros.interpretation.study import Example, Frame, Study

RED, BLUE = (255, 0, 0), (0, 0, 255)


def _plain(colour, size=(40, 40)):
    return np.full((*size, 3), colour, np.uint8)


def _read(png):
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _near(picture, colour, tolerance=12):
    return np.abs(picture.astype(int) - colour).max(axis=2) <= tolerance


def _example(**changes):
    line = np.linspace(5, 35, 9)
    spot = np.zeros((40, 40))
    spot[8:12, 28:32] = 1.0
    given = {
        "picture": _plain(RED), "output": _plain(BLUE),
        "grid": np.stack(np.meshgrid(line, line), axis=-1), "known": None, "error": 1.5,
        "label": "best", "strip": (Frame("one", _plain(RED), 2.0), Frame("two", _plain(BLUE))),
        "seen": _plain((90, 90, 90)), "maps": dict.fromkeys(MAPS, spot), "inside": (0.5, 0.5),
    }  # fmt: skip
    return Example(**{**given, **changes})


def _study(found):
    known = np.array([np.eye(3)] * len(found))
    known[:, 0, 2] = np.linspace(-10, 10, len(found))
    return Study(
        name="T", input_size=(40, 40), output_size=(40, 40), found=np.asarray(found), known=known,
        stages=("before", "after"), stage_errors=np.full((len(found), 2), 3.0), start=None,
        bend=None, troubles=(), examples=(), sensitivity_of="it", draws=1,
    )  # fmt: skip


def test_every_picture_is_as_wide_as_the_page():
    study = _study([np.eye(3)] * 20)
    examples = [_example()] * 4
    for png in (
        pictures.histograms(study), pictures.scatter(study), pictures.stages(study),
        pictures.grids(examples), pictures.sensitivity_maps(examples), pictures.strip(examples[0]),
    ):  # fmt: skip
        assert _read(png).shape[1] == 1144


def test_the_grid_lies_on_the_input_with_its_top_in_red():
    sheet = _read(pictures.grids([_example(known=np.array([[2, 2], [38, 2], [38, 38], [2, 38]]))]))
    assert _near(sheet, BLUE).any()
    yellow, top = _near(sheet, (255, 214, 10), 20), _near(sheet, (255, 55, 95), 20)
    assert yellow.sum() > 200
    assert np.nonzero(top)[0].mean() < np.nonzero(yellow)[0].mean()
    assert _near(sheet, (46, 230, 166), 20).sum() > 100  # the right outline


def test_a_map_is_dark_where_it_is_strong():
    sheet = _read(pictures.sensitivity_maps([_example()])).astype(int).sum(axis=2)
    sheet[:40] = 765  # the titles
    column = sheet[:, sheet.shape[1] // 5 + 20 : 2 * sheet.shape[1] // 5 - 20]
    y, x = np.unravel_index(column.argmin(), column.shape)
    assert x > 0.6 * column.shape[1]  # rows 8-12, columns 28-32 of 40
    assert y < 0.5 * column.shape[0]


def test_the_strip_shows_every_stage_in_turn():
    sheet = _read(pictures.strip(_example()))
    red, blue = np.nonzero(_near(sheet, RED))[1], np.nonzero(_near(sheet, BLUE))[1]
    assert red.max() < blue.min()


def test_a_constant_theta_is_one_spike():
    steady = _study([np.eye(3)] * 50)
    spread = np.array([np.eye(3)] * 50)
    spread[:, 0, 2] = np.linspace(-10, 10, 50)
    # The bars of translation x, the first of the second row.
    bars = []
    for study in (steady, _study(spread)):
        sheet = _read(pictures.histograms(study))
        part = sheet[sheet.shape[0] // 2 + 30 :, : sheet.shape[1] // 4]
        bars.append(_near(part, (88, 148, 197), 25).any(axis=0).sum())
    assert bars[0] < 0.3 * bars[1]


def test_what_is_not_finite_does_not_stop_a_picture():
    lost = np.full((6, 3, 3), np.nan)
    lost[:3] = np.eye(3)
    for png in (pictures.histograms(_study(lost)), pictures.scatter(_study(lost))):
        _read(png)
    _read(pictures.histograms(_study(np.full((3, 3, 3), np.nan))))
    _read(pictures.grids([_example(grid=np.full((9, 9, 2), np.nan), error=np.inf)]))
    _read(pictures.sensitivity_maps([_example(maps=dict.fromkeys(MAPS, np.zeros((40, 40))))]))
