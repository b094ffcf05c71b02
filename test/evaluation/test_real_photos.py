"""The real photos' truth is true: checked by pictures, not by the estimator that made it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_ros.evaluation import opencv_doc as package
from stn_ros.evaluation.opencv_doc import FILES, opencv_doc
from stn_ros.evaluation.real_photos import (
    all_trials,
    box_trial,
    models,
    turned,
)
from stn_ros.evaluation.trials import Trial
from stn_ros.geometry.homography import to_corners
from stn_ros.runtime.sampling import FrameSampler


@pytest.fixture(scope="module")
def folder() -> Path:
    try:
        return opencv_doc()
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def trials(folder: Path) -> list[Trial]:
    return all_trials(folder)


def _ncc(trial: Trial) -> float:
    view = FrameSampler(trial.frame).sample(trial.truth, trial.model.size)[..., :3]
    pictures = [
        cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (0, 0), 2).ravel()
        for picture in (view, trial.model.reference)
    ]
    return float(np.corrcoef(*pictures)[0, 1])


@pytest.mark.parametrize(("group", "least"), [("box_in_scene", 1), ("graf", 12), ("leuven", 3)])
def test_every_object_is_seen_through_its_truth(
    group: str, least: int, trials: list[Trial]
) -> None:
    shown = [trial for trial in trials if trial.group == group]
    assert len(models(shown)) >= least
    assert min(_ncc(trial) for trial in shown) > 0.6


def test_turned_scenes_keep_their_truth(folder: Path) -> None:
    trial = box_trial(folder)
    ncc = _ncc(trial)
    h, w = trial.frame.shape[:2]
    for quarters in range(1, 4):
        other = turned(trial, quarters)
        assert other.frame.shape[:2] == ((w, h) if quarters % 2 else (h, w))
        assert _ncc(other) == pytest.approx(ncc, abs=0.02)
        corners = to_corners(other.truth, other.model.size)
        assert other.box[0] == pytest.approx(max(-0.5, corners[:, 0].min()), abs=1e-6)
    back = turned(turned(trial, 3), 1)
    np.testing.assert_array_equal(back.frame, trial.frame)
    np.testing.assert_allclose(back.truth, trial.truth, atol=1e-9)


def test_the_box_is_where_the_eye_sees_it(folder: Path) -> None:
    """Corners read off box_in_scene.png by hand, to a few pixels."""
    trial = box_trial(folder)
    corners = to_corners(trial.truth, trial.model.size)
    seen = np.array([[120, 161], [282, 176], [266, 297], [91, 270]])
    assert np.linalg.norm(corners - seen, axis=1).max() < 6


def test_every_case_comes_under_four_turns(trials: list[Trial]) -> None:
    assert len(trials) % 4 == 0
    for first, *others in zip(*[iter(trials)] * 4, strict=True):
        assert {trial.model.name for trial in others} == {first.model.name}
    for trial in trials:
        h, w = trial.frame.shape[:2]
        box = np.array(trial.box)
        assert (box[:2] >= -0.5).all()
        assert (box[:2] + box[2:] <= [w - 0.5 + 1e-9, h - 0.5 + 1e-9]).all()


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has no such pictures yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("STN_ROS_OPENCV_DOC", raising=False)
    monkeypatch.setattr(package, "opencv_doc_folder", lambda: None)
    return tmp_path


def test_a_machine_without_apt_is_told_so(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(nowhere))
    with pytest.raises(FileNotFoundError, match="apt-get is not on this machine"):
        opencv_doc()


def _program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_a_failing_download_is_named_and_leaves_nothing(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(nowhere, "apt-get", "echo 'E: Unable to locate package opencv-doc' >&2; exit 100")
    _program(nowhere, "dpkg-deb", "exit 1")
    monkeypatch.setenv("PATH", f"{nowhere}:/usr/bin:/bin")
    with pytest.raises(FileNotFoundError, match=r"Unable to locate package.*apt-get update"):
        opencv_doc()
    assert not list((nowhere / "cache" / "stn_ros").iterdir())


def test_wanted_files_are_taken_from_the_package(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = nowhere / "tree" / "usr" / "share" / "doc" / "opencv-doc" / "examples" / "data"
    data.mkdir(parents=True)
    for name in (*FILES, "other.png"):
        (data / name).write_text(name)
    tar = nowhere / "tree.tar"
    subprocess.run(["tar", "-cf", tar, "-C", nowhere / "tree", "."], check=True)
    _program(nowhere, "apt-get", "touch opencv-doc_1_all.deb")
    _program(nowhere, "dpkg-deb", f"cat {tar}")
    monkeypatch.setenv("PATH", f"{nowhere}:/usr/bin:/bin")
    folder = opencv_doc()
    assert folder == nowhere / "cache" / "stn_ros" / "opencv-doc"
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert (folder / "box.png").read_text() == "box.png"
