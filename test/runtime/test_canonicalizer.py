import shutil
import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
import pytest
import yaml
from oracle_engine import (
    FACE,
    Oracle,
    bundle,
    coordinate_frame,
    flat_model,
    square_on,
    two_truths,
)

from stn_ros.geometry.box import Box
from stn_ros.geometry.camera import CameraModel
from stn_ros.geometry.homography import corner_error, to_corners
from stn_ros.runtime.alignment import Region
from stn_ros.runtime.bundle import BUNDLE_FILE, NetworkBundle
from stn_ros.runtime.canonicalizer import Canonicalizer, CanonicalizerSettings
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import models_folder
from stn_ros.synthesis.scene import SHARP, render_frame
from stn_ros.synthesis.textures import Textures


@pytest.fixture(scope="module")
def world():
    """Three held-out objects, a canonicalizer that knows them, and views of each."""
    rng = np.random.default_rng(12)
    textures = Textures("held_out")
    models = [ObjectModel(name, textures.face(rng, 256)) for name in ("one", "two", "three")]
    views = [render_frame(rng, m.reference, textures.background, SHARP) for m in models]
    return models, Canonicalizer(NetworkBundle.load(), models), views


def test_many_objects_take_little_more_than_their_pictures_files(tmp_path):
    rng = np.random.default_rng(1)
    face = cv2.resize(rng.integers(0, 256, (48, 64, 3), np.uint8), (256, 192))
    folders = [tmp_path / f"face_{i}" for i in range(100)]
    for folder in folders:
        ObjectModel(folder.name, face).save(folder)
    files = sum((folder / "reference.png").stat().st_size for folder in folders)
    bundle = NetworkBundle.load()
    tracemalloc.start()
    try:
        models = [ObjectModel.load(folder) for folder in folders]
        Canonicalizer(bundle, models)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Decoded, all four stages and pixels known, one takes a megabyte.
    assert taken - files < 20_000 * len(folders)


def test_objects_are_located_from_their_boxes(world):
    models, canonicalizer, views = world
    for model, view in zip(models, views, strict=True):
        (found,) = canonicalizer.process(view.frame, [Region(model.name, *view.box)])
        assert found.accepted, found.reason
        assert found.reason == ""
        assert corner_error(found.homography, view.homography, view.size) < 3
        assert found.view.shape == model.reference.shape
        ncc = np.corrcoef(found.view.ravel(), model.reference.ravel())[0, 1]
        assert ncc > 0.8
        assert np.linalg.eigvalsh(found.corner_covariance).min() > -1e-9


def test_a_region_without_a_name_asks_every_object(world):
    _, canonicalizer, views = world
    (found,) = canonicalizer.process(views[1].frame, [Region("", *views[1].box)])
    assert found.object_name == "two"
    assert found.accepted


def test_an_absent_object_is_not_accepted(world):
    _, canonicalizer, views = world
    for found in canonicalizer.process(views[0].frame, [Region("two", *views[0].box)]):
        assert not found.accepted
        assert "two: confidence" in found.reason


def test_a_known_object_is_followed_and_its_region_not_searched(world):
    models, canonicalizer, views = world
    view, region = views[2], Region(models[2].name, *views[2].box)
    located = canonicalizer.process(view.frame, [region])
    shifted = np.roll(view.frame, (3, 5), axis=(0, 1))
    (followed,) = canonicalizer.process(shifted, [region], located)
    assert followed.tracked
    move = followed.corners - located[0].corners
    np.testing.assert_allclose(move, np.broadcast_to([5.0, 3.0], (4, 2)), atol=2.0)
    np.testing.assert_allclose(move.mean(axis=0), [5.0, 3.0], atol=0.5)


def test_pixels_follow_between_the_looks_of_the_network(world, monkeypatch):
    """Of five frames the network looks at one; where the pixels lose hold, at once."""
    models, canonicalizer, views = world
    view = views[2]
    found = canonicalizer.process(view.frame, [Region(models[2].name, *view.box)])
    engine = canonicalizer._follower._step._networks[2].engine
    looks, match = [], engine.match
    monkeypatch.setattr(
        engine, "match", lambda *args, **how: looks.append(1) or match(*args, **how)
    )
    ages = []
    for step in range(1, 11):
        found = canonicalizer.process(np.roll(view.frame, (step, -step), axis=(0, 1)), [], found)
        ages.append(found[0].age)
        assert found[0].accepted
        wanted = to_corners(view.homography, view.size) + np.array([-step, step])
        assert np.linalg.norm(found[0].corners - wanted, axis=1).mean() < 1.0
    assert ages == [1, 2, 3, 4, 0, 1, 2, 3, 4, 0]
    assert len(looks) == 2
    far = np.roll(view.frame, (20, 6), axis=(0, 1))
    (followed,) = canonicalizer.process(far, [], found)
    assert followed.age == 0
    assert len(looks) > 2


def test_the_network_looks_at_few_objects_in_a_frame(world):
    """None waits for longer than its turn."""
    models, canonicalizer, views = world
    view = views[2]
    (one,) = canonicalizer.process(view.frame, [Region(models[2].name, *view.box)])
    found, looked = [one] * 3, []
    for _ in range(17):
        found = canonicalizer.process(view.frame, [], found)
        looked.append("".join("x" if answer.age == 0 else "." for answer in found))
    once = ["x..", ".x.", "..x", "...", "..."]
    assert looked == ["..."] * 4 + once + once + once[:3]


def test_several_regions_in_one_frame_keep_their_order(world):
    _, canonicalizer, views = world
    view = views[0]
    regions = [Region("two", *view.box), Region("one", *view.box)]
    found = canonicalizer.process(view.frame, regions)
    assert [f.object_name for f in found if f.accepted] == ["one"]
    assert [f.region.object_name for f in found][-1] == "one"


def test_distorted_frame_gives_the_ideal_homography(world):
    _, canonicalizer, views = world
    view = views[0]
    camera = CameraModel.from_calibration(
        width=640,
        height=480,
        k=[600, 0, 319.5, 0, 600, 239.5, 0, 0, 1],
        d=[-0.25, 0.08, 0, 0, 0],
        distortion_model="plumb_bob",
        rectified=False,
        p=[600, 0, 319.5, 0, 0, 600, 239.5, 0, 0, 0, 1, 0],
    )
    raw = np.stack(np.meshgrid(np.arange(640.0), np.arange(480.0)), axis=-1).reshape(-1, 2)
    ideal = camera.undistort_points(raw).reshape(480, 640, 2).astype(np.float32)
    frame = cv2.remap(view.frame, ideal, None, cv2.INTER_LINEAR)
    left, top, width, height = view.box
    box = camera.distort_points(np.array([[left, top], [left + width, top + height]], np.float64))
    region = Region("one", *box[0], *(box[1] - box[0]))
    (found,) = canonicalizer.process(frame, [region], camera=camera)
    assert corner_error(found.homography, view.homography, view.size) < 3


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (Region("nobody", 0, 0, 10, 10), "'nobody', which is not loaded; loaded: one, two"),
        (Region("one", float("nan"), 0, 10, 10), "not finite"),
        (Region("one", 5, 5, 0, 10), "is empty"),
        (Region("one", 900, 5, 50, 50), "outside the 640 x 480 image"),
    ],
)
def test_bad_regions_are_named(world, region, message):
    _, canonicalizer, views = world
    with pytest.raises(ValueError, match=message):
        canonicalizer.process(views[0].frame, [region])


def test_settings_and_objects_are_checked(world):
    models, _, _ = world
    CanonicalizerSettings(threshold=0.0, rotations=4, photometric_steps=0, threads=0)
    with pytest.raises(ValueError, match="threads is -1: must be at least 0"):
        CanonicalizerSettings(threads=-1)
    with pytest.raises(ValueError, match=r"threshold is 1\.5"):
        CanonicalizerSettings(threshold=1.5)
    with pytest.raises(ValueError, match="rotations is 2"):
        CanonicalizerSettings(rotations=2)
    with pytest.raises(ValueError, match="no objects"):
        Canonicalizer(NetworkBundle.load(), [])
    with pytest.raises(ValueError, match=r"'one'.*more than once"):
        Canonicalizer(NetworkBundle.load(), [models[0], models[0]])


def _own_network(folder, **changes):
    """A network folder that differs from the shipped one in its description."""
    shutil.copytree(models_folder() / "canonicalizer", folder)
    described = yaml.safe_load((folder / BUNDLE_FILE).read_text())
    for name, values in changes.items():
        described[name].update(values)
    (folder / BUNDLE_FILE).write_text(yaml.safe_dump(described))
    return folder


def test_an_object_with_its_own_network_beside_one_without(world, tmp_path):
    """Patches of another size: mixed up, the two networks' features would not even fit."""
    models, shared, views = world
    own = _own_network(tmp_path / "own", patches={"locate": 56, "track": 96, "polish": 144})
    mixed = Canonicalizer(
        NetworkBundle.load(), [models[0], replace(models[1], network=own), models[2]]
    )
    frame = np.hstack([view.frame for view in views])
    regions, truths = [], []
    for i, (model, view) in enumerate(zip(models, views, strict=True)):
        left, top, width, height = view.box
        regions.append(Region(model.name, left + 640 * i, top, width, height))
        truths.append(to_corners(view.homography, view.size) + np.array([640.0 * i, 0]))
    located = mixed.process(frame, regions)
    followed = mixed.process(frame, regions, located)
    for found in (located, followed):
        assert [one.object_name for one in found] == ["one", "two", "three"]
        for one, truth in zip(found, truths, strict=True):
            assert one.accepted, one.reason
            assert np.linalg.norm(one.corners - truth, axis=1).mean() < 3
    assert all(one.tracked for one in followed)
    (asked,) = mixed.process(frame, [replace(regions[1], object_name="")])
    assert asked.object_name == "two"
    # Who has no network of his own is answered as if no one had.
    for one, alone in zip(located, shared.process(frame, regions), strict=True):
        same = np.allclose(one.corners, alone.corners, atol=1e-3)
        assert same == (one.object_name != "two")


def test_an_own_network_is_judged_by_its_own_weights(world, tmp_path):
    models, _, views = world
    own = _own_network(tmp_path / "own", confidence_weights={"bias": -1000.0})
    mixed = Canonicalizer(NetworkBundle.load(), [models[0], replace(models[1], network=own)])
    (first,) = mixed.process(views[0].frame, [Region("one", *views[0].box)])
    (second,) = mixed.process(views[1].frame, [Region("two", *views[1].box)])
    assert first.accepted
    assert second.confidence < 1e-6


def test_a_damaged_own_network_is_refused(world, tmp_path):
    models, _, _ = world
    own = _own_network(tmp_path / "own")
    (own / "match.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match=r"match\.onnx: sha256"):
        Canonicalizer(NetworkBundle.load(), [replace(models[0], network=own)])


@pytest.mark.parametrize(("share", "searched"), [(0.2, True), (0.3, True), (0.37, False)])
def test_a_region_that_a_followed_object_hardly_overlaps_is_searched(share, searched):
    """Two boxes of one size, side by side, overlap by a third where half of each is shared."""
    oracle = Oracle({"two": square_on(200, 200)})
    canonicalizer = Canonicalizer(
        bundle(), [flat_model("two")], CanonicalizerSettings(photometric_steps=0), oracle
    )
    box = Box.around(to_corners(square_on(200, 200), FACE))
    frame = coordinate_frame()
    (located,) = canonicalizer.process(frame, [Region("two", *box)])
    # Intersection over union of two equal boxes, one moved by m of its width: (1 - m) / (1 + m).
    beside = box._replace(left=box.left + box.width * (1 - share) / (1 + share))
    found = canonicalizer.process(frame, [Region("two", *beside)], [located])
    assert (len(found) == 2) == searched
    (followed,) = canonicalizer.process(frame, [Region("one", *box)][:0], [located])
    assert followed.tracked


def test_no_more_regions_are_searched_than_asked_for():
    oracle = Oracle(two_truths())
    models = [flat_model("one"), flat_model("two")]
    canonicalizer = Canonicalizer(
        bundle(), models, CanonicalizerSettings(photometric_steps=0), oracle
    )
    regions = [
        Region(name, *Box.around(to_corners(truth, FACE))) for name, truth in oracle.truths.items()
    ]
    frame = coordinate_frame()
    assert [a.object_name for a in canonicalizer.process(frame, regions, searches=1)] == ["one"]
    assert canonicalizer.process(frame, regions, searches=0) == []
    # What is followed takes nobody's turn.
    first = canonicalizer.process(frame, regions, searches=1)
    again = canonicalizer.process(frame, regions, first, searches=1)
    assert [a.object_name for a in again] == ["one", "two"]


def test_the_threshold_may_change_between_frames():
    oracle = Oracle({"two": square_on(200, 200)})
    canonicalizer = Canonicalizer(
        bundle(), [flat_model("two")], CanonicalizerSettings(photometric_steps=0), oracle
    )
    region = Region("two", *Box.around(to_corners(square_on(200, 200), FACE)))
    for threshold, accepted in ((0.5, True), (1.0, False)):
        canonicalizer.threshold = threshold
        (found,) = canonicalizer.process(coordinate_frame(), [region])
        assert found.accepted == accepted
    with pytest.raises(ValueError, match=r"threshold is -0\.1"):
        canonicalizer.threshold = -0.1
