"""The command whole: what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from stn_ros.cli import main
from stn_ros.evaluation import whole_frame_benchmark
from stn_ros.evaluation.opencv_doc import opencv_doc


@pytest.fixture(autouse=True)
def _example_pictures() -> None:
    try:
        opencv_doc()
    except FileNotFoundError as error:
        pytest.skip(str(error))


def whole_frame(folder: Path, options: str) -> int:
    return main(["benchmark", "whole-frame", "--output", str(folder), *options.split()])


def test_whole_frame_writes_a_page_its_figures_and_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    options = "--taught 2 1 --frames 1 --frame-size 400x300 --seed 3 --without-rivals"
    assert whole_frame(tmp_path, options) == 0
    page = (tmp_path / "whole_frame.md").read_text()
    assert page in capsys.readouterr().out
    assert page.index("## 2 taught") < page.index("## 1 taught")
    assert "1 frames of 400x300" in page
    written = json.loads((tmp_path / "whole_frame.json").read_text())
    assert [figures["taught"] for figures in written["figures"]] == [2, 1]
    for figures in written["figures"]:
        assert set(figures["contestants"]) == {"stn_ros", "stn_ros, five frames"}
        assert figures["contestants"]["stn_ros"]["frames"] == 1
        assert figures["pass_ms"] > 0
    assert cv2.imread(str(tmp_path / "whole_frame.png")).shape == (2 * (28 + 360), 3 * 480, 3)


def test_empty_frames_have_no_face_to_find(tmp_path: Path) -> None:
    options = "--taught 1 --frames 2 --frame-size 400x300 --without-rivals --empty"
    assert whole_frame(tmp_path, options) == 0
    (figures,) = json.loads((tmp_path / "whole_frame.json").read_text())["figures"]
    assert figures["contestants"]["stn_ros"]["faces"] == {}
    assert figures["contestants"]["stn_ros"]["frames"] == 2


@pytest.mark.slow
def test_all_rivals_take_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_frame_benchmark, "TUNING_FRAMES", 3)
    assert whole_frame(tmp_path, "--taught 3 --frames 2 --frame-size 400x300") == 0
    (figures,) = json.loads((tmp_path / "whole_frame.json").read_text())["figures"]
    rivals = ["ORB", "SIFT", "sweep"]
    assert list(figures["contestants"]) == ["stn_ros", "stn_ros, five frames", *rivals]
    assert all("min_inliers" in figures["contestants"][name] for name in rivals[:2])


@pytest.mark.parametrize("options", ["--taught 1 0", "--frames 0"])
def test_without_faces_or_frames_it_says_so(
    options: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert whole_frame(tmp_path, options) == 2
    assert "--frames and --taught must be at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["640", "640x", "0x480", "640x200"])
def test_a_frame_must_have_room_for_faces(
    size: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as stop:
        whole_frame(tmp_path, f"--frame-size {size}")
    assert stop.value.code == 2
    assert f"{size!r}: must be WxH in pixels, each at least 240" in capsys.readouterr().err
