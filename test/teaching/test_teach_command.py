"""`stn-ros teach` from photo to folder; what can not be taught is named and nothing is written."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_ros.cli import main
from stn_ros.geometry.homography import to_corners
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.finder.bundle import FinderBundle
from stn_ros.runtime.finder.references import fits
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import models_folder
from stn_ros.simulation.world import World
from stn_ros.synthesis import artwork
from stn_ros.synthesis.scene import LabelledFrame, face_homography, paste_face
from stn_ros.synthesis.textures import Textures
from stn_ros.teaching.command import LEAST_RIGHT, keep_better, tried
from stn_ros.teaching.self_test import self_test

ART = artwork.draw(5, (384, 256), "label")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


def _write(path: Path, picture: np.ndarray) -> str:
    cv2.imwrite(str(path), picture)
    return str(path)


def test_a_photo_becomes_an_object(home: Path, capsys: pytest.CaptureFixture) -> None:
    scene = np.full((480, 640, 3), 90, np.uint8)
    scene[100:270, 150:406] = cv2.resize(ART, (256, 170), interpolation=cv2.INTER_AREA)
    other = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    photos = [
        _write(home / "box.png", ART),
        _write(home / "scene.png", scene),
        _write(home / "other.png", cv2.resize(other, (640, 480))),
    ]
    options = ["--size", "0.3x0.2", "--name", "my_label"]
    assert main(["teach", photos[0], *options, *photos[1:]]) == 0
    folder = home / "data" / "stn_ros" / "objects" / "my_label"
    model = ObjectModel.load(folder)
    assert model.size == (256, 171)
    assert model.size_m == (0.3, 0.2)
    assert model.self_test is not None
    assert model.embeddings is not None
    assert fits(model.embeddings, FinderBundle.load())
    assert cv2.imread(str(folder / "self_test.jpg")).shape == (600, 1200, 3)
    said = capsys.readouterr().out
    assert "expected error" in said
    assert "scene.png: recognised" in said
    assert "other.png: not recognised" in said
    assert str(folder) in said


def test_a_further_photo_is_searched_as_the_robot_searches() -> None:
    """A face anywhere in a wide photo is found."""
    size, wide = (256, 170), (1280, 720)
    model = ObjectModel("box", artwork.draw(7, size, "board_game", split="held_out"))
    rng = np.random.default_rng(1)
    photo = Textures("held_out").background(rng, wide).copy()
    middle = ((wide[0] - 1) / 2, (wide[1] - 1) / 2)
    x, y = rng.uniform(0.25, 0.75, 2) * wide
    side, roll = rng.uniform(0.3, 0.45) * wide[1], rng.uniform(-3, 3)
    place = face_homography(size, (x, y), side, roll, 0.5, 0.7, 1000.0, middle)
    paste_face(photo, model.reference, place)
    said = tried(NetworkBundle.load(), model, cv2.GaussianBlur(photo, (0, 0), 0.7))
    numbers = re.findall(r"(-?[\d.]+),(-?[\d.]+)", said.split("corners ")[1])
    off = np.array(numbers, float) - to_corners(place, size)
    assert said.startswith("recognised")
    assert np.linalg.norm(off, axis=1).mean() < 1


def test_corners_may_be_given(home: Path) -> None:
    scene = np.full((600, 800, 3), 90, np.uint8)
    scene[100:356, 200:584] = ART
    photo = _write(home / "scene.png", scene)
    corners = "199.5,99.5 583.5,99.5 583.5,355.5 199.5,355.5"
    output = home / "out"
    assert main(["teach", photo, "--name", "x", "--corners", corners, "--output", str(output)]) == 0
    expected = cv2.resize(ART, (256, 171), interpolation=cv2.INTER_AREA)
    difference = ObjectModel.load(output).reference.astype(float) - expected
    assert np.abs(difference).mean() < 3


def test_a_picture_with_transparent_parts_is_taught_as_it_shows(home: Path) -> None:
    ink = np.zeros((400, 500, 4), np.uint8)  # black, on transparent
    ink[60:316, 70:454, 3] = 255 - cv2.cvtColor(ART, cv2.COLOR_BGR2GRAY)
    ink[60:316, [70, 453], 3] = ink[[60, 315], 70:454, 3] = 255
    photo, output = _write(home / "ink.png", ink), home / "out"
    assert main(["teach", photo, "--name", "ink", "--output", str(output)]) == 0
    shown = ObjectModel.load(output).reference
    expected = cv2.resize(255 - ink[60:316, 70:454, 3], (256, 171), interpolation=cv2.INTER_AREA)
    assert np.abs(shown.astype(int) - expected[..., None]).mean() < 4


def test_a_face_that_is_seldom_found_is_refused(home: Path, capsys: pytest.CaptureFixture) -> None:
    strip = artwork.draw(5, (1024, 102), "label")
    arguments = ["teach", _write(home / "strip.png", strip), "--name", "strip", "--cropped"]
    output = home / "data" / "stn_ros" / "objects" / "strip"
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert re.search(r"only \d+% of the self-test's views are right.*too long and narrow", said)
    assert not output.exists()
    assert main([*arguments, "--accept-weak"]) == 0
    assert ObjectModel.load(output).self_test["right"] < LEAST_RIGHT


BAD = {
    "blank": (["blank.png"], "blank"),
    "tiny": (["tiny.png"], "too small"),
    "no picture": (["text.jpg"], "not a picture"),
    "missing": (["absent.jpg"], "no such file"),
    "directory": (["."], "is a directory"),
    "size of a portrait": (["good.png", "--size", "0.2x0.3"], "swap --size"),
    "only hidden colours": (["hidden.png"], "hidden.png: blank"),
    "zero size": (["good.png", "--size", "0x0.2"], "size '0x0.2'"),
    "size in mm": (["good.png", "--size", "300x200"], "millimetres"),
    "no size": (["good.png", "--size", "wide"], "WIDTHxHEIGHT"),
    "size of another shape": (["good.png", "--cropped", "--size", "0.1x0.5"], "--size"),
    "bad name": (["good.png", "--name", "my box"], "name"),
    "crossed corners": (["good.png", "--corners", "0,0 9,9 9,0 0,9"], "clockwise"),
    "no display": (["good.png", "--click"], "no display"),
    "blank second photo": (["good.png", "blank.png"], "blank.png"),
    "no network": (["good.png", "--model", "absent"], "absent"),
    "no time to tune": (["good.png", "--tune", "0"], "--tune 0"),
    "endless tuning": (["good.png", "--tune", "inf"], "--tune inf"),
    "frames but no tuning": (["good.png", "--frames", "good.png"], "--tune MINUTES"),
    "no frames": (["good.png", "--tune", "1", "--frames", "absent"], "'absent': no such bag"),
    "a topic of no bag": (
        ["good.png", "--tune", "1", "--frames", "good.png", "--topic", "/image"],
        "topic /image: source 'good.png' is no bag",
    ),
    "never in the frames": (
        ["good.png", "--cropped", "--tune", "1", "--frames", "tiny.png"],
        "thing was seen in 0 of 1 frames",
    ),
    "folder of something else": (["good.png", "--output", "."], "object.yaml"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_can_not_be_taught_is_named_and_nothing_is_written(
    case: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(home)
    if case == "no display":
        monkeypatch.delenv("DISPLAY", raising=False)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    _write(home / "good.png", ART)
    _write(home / "blank.png", np.full((300, 400, 3), 240, np.uint8))
    _write(home / "tiny.png", ART[:32, :48])
    _write(home / "hidden.png", np.dstack([ART, np.zeros(ART.shape[:2], np.uint8)]))
    (home / "text.jpg").write_text("shopping list")
    before = sorted(home.rglob("*"))
    options, cause = BAD[case]
    status = main(["teach", *options, *([] if "--name" in options else ["--name", "thing"])])
    captured = capsys.readouterr()
    assert status == 2
    assert cause in captured.err
    assert "Traceback" not in captured.err
    assert sorted(home.rglob("*")) == before


def test_tuning_without_pytorch_is_refused_at_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for name in [name for name in sys.modules if name.startswith("stn_ros.training")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)  # as where it is not installed
    photo = _write(home / "good.png", ART)
    assert main(["teach", photo, "--name", "thing", "--tune", "1"]) == 2
    said = capsys.readouterr().err
    assert re.search(r"(torch|onnx) is missing: pip install 'stn_ros\[train\]'", said)
    assert [entry.name for entry in home.iterdir()] == ["good.png"]


@pytest.mark.slow
def test_the_better_network_is_kept(tmp_path: Path) -> None:
    """One that was never trained, and the one that ships: each once as the tuned one."""
    torch = pytest.importorskip("torch", reason="the train extra is not installed")
    from stn_ros.localization.network import LocalizationNetwork
    from stn_ros.training.network.export import export_bundle

    shipped_folder, shipped = models_folder() / "canonicalizer", NetworkBundle.load()
    torch.manual_seed(0)
    raw = LocalizationNetwork()
    untrained = export_bundle(
        raw, shipped.patches, tmp_path / "raw", shipped.confidence_weights, {}
    )
    model = ObjectModel("label", cv2.resize(ART, (256, 171), interpolation=cv2.INTER_AREA))
    good, bad = self_test(shipped, model), self_test(untrained, model)
    assert good.report["right"] > 0.9 > 0.5 > bad.report["right"]

    kept, tested, said = keep_better(untrained, model, bad, shipped_folder)
    assert kept.network == shipped_folder
    assert tested.report == good.report
    assert "keeps the tuned network" in said

    kept, tested, said = keep_better(shipped, model, good, tmp_path / "raw")
    assert kept is model
    assert tested is good
    assert "dropped" in said


@pytest.mark.slow
def test_tuning_is_kept_or_dropped_by_the_self_test(
    home: Path, capsys: pytest.CaptureFixture
) -> None:
    pytest.importorskip("torch", reason="the train extra is not installed")
    photo, output = _write(home / "box.png", ART), home / "out"
    arguments = ["teach", photo, photo, "--cropped", "--name", "x", "--output", str(output)]
    assert main([*arguments, "--tune", "0.05"]) == 0
    said = capsys.readouterr().out
    number = r"([\d.]+)"
    figures = rf"{number}% right, median corner error {number} px"
    found = re.search(rf"tuned for 0.05 minutes: {figures} before, {figures} after; (.*)", said)
    assert found, said
    right, error, right_after, error_after = (float(found[i]) for i in range(1, 5))
    better = (right_after, -error_after) > (right, -error)
    mistaken = re.match(
        rf"of 54 distractors {number} taken for it before, {number} after", found[5]
    )
    assert (mistaken is not None) == better
    better = better and float(mistaken[2]) <= float(mistaken[1])
    assert ("keeps the tuned network" in found[5]) == better
    model = ObjectModel.load(output)
    assert (model.network is not None) == better
    report = model.self_test
    assert report["corner_error_px"] == (error_after if better else error)
    if better:
        assert NetworkBundle.load(model.network).card["tuned"]["object"] == "x"
    assert "box.png: recognised" in said


@pytest.mark.slow
def test_tuning_on_frames_is_judged_on_the_last_of_them(
    home: Path, capsys: pytest.CaptureFixture
) -> None:
    pytest.importorskip("torch", reason="the train extra is not installed")
    model = ObjectModel("x", cv2.resize(ART, (256, 171), interpolation=cv2.INTER_AREA), (0.3, 0.2))
    world, frames, output = World([model], (320, 240), seed=1), home / "frames", home / "out"
    frames.mkdir()
    for index in range(45):
        cv2.imwrite(str(frames / f"{index:02d}.png"), world.render(index / 5)[0])
    arguments = ["teach", _write(home / "box.png", ART), "--cropped", "--name", "x"]
    arguments += ["--tune", "0.05", "--frames", str(frames), "--output", str(output)]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    found = re.search(r"frames: 45 read, x seen in (\d+), (\d+) used", said)
    assert found, said
    moved = re.search(r"confidence: its log-odds moved by ([+-][\d.]+) for this camera", said)
    assert moved, said
    used = int(found[2])
    assert 30 <= used <= int(found[1]) <= 45
    number = r"([\d.]+)"
    judged = re.search(
        rf"of (\d+) held-out frames {number}% found anew, network alone {number} px off, before, "
        rf"{number}%, {number} px after",
        said,
    )
    assert judged, said
    assert int(judged[1]) == used - round(0.8 * used)
    kept = ObjectModel.load(output).network
    assert (kept is not None) == ("keeps the tuned network" in said)
    if kept:
        assert (float(judged[4]), -float(judged[5])) >= (float(judged[2]), -float(judged[3]))
        own = NetworkBundle.load(kept)
        assert own.card["tuned"]["sightings"] == round(0.8 * used)
        shift = own.confidence_weights["bias"] - NetworkBundle.load().confidence_weights["bias"]
        assert shift == pytest.approx(float(moved[1]), abs=0.006)


@pytest.mark.slow
def test_with_sightings_these_decide(tmp_path: Path) -> None:
    """The shipped network as the tuned one of itself, and of one that was never trained."""
    torch = pytest.importorskip("torch", reason="the train extra is not installed")
    from stn_ros.localization.network import LocalizationNetwork
    from stn_ros.training.network.export import export_bundle

    shipped = NetworkBundle.load()
    torch.manual_seed(0)
    untrained = export_bundle(
        LocalizationNetwork(), shipped.patches, tmp_path / "raw", shipped.confidence_weights, {}
    )
    shown = cv2.resize(ART, (256, 171), interpolation=cv2.INTER_AREA)
    model = ObjectModel("label", shown, (0.3, 0.2))
    world = World([model], seed=0)
    seen = []
    for t in range(5):
        frame, (truth,) = world.render(t)
        seen.append(LabelledFrame(frame, truth.homography, truth.box, truth.visible))
    good = self_test(shipped, model)
    _, _, said = keep_better(shipped, model, good, models_folder() / "canonicalizer", seen)
    assert "of 5 held-out frames 100.0% found anew" in said
    assert "no better" in said  # the same network
    bad = self_test(untrained, model)
    own, _, said = keep_better(untrained, model, bad, models_folder() / "canonicalizer", seen)
    assert own.network == models_folder() / "canonicalizer"
    assert re.search(r"100.0%, [\d.]+ px after", said)
