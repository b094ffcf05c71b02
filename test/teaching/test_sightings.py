"""Labels found in frames without any: where the object is, and nowhere else."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_ros.geometry.homography import corner_error, to_corners
from stn_ros.recordings.pictures import RATE
from stn_ros.recordings.registry import open_recording
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import find_object
from stn_ros.simulation.world import World
from stn_ros.synthesis.scene import LabelledFrame
from stn_ros.teaching import sightings
from stn_ros.teaching.sightings import agreement, find_sightings

EVERY = 4  # frames of the world for one of the film, so that it moves


@pytest.fixture(scope="module")
def bundle() -> NetworkBundle:
    return NetworkBundle.load()


@pytest.fixture(scope="module")
def model() -> ObjectModel:
    return ObjectModel.load(find_object("city_map"))


@pytest.fixture(scope="module")
def world(model: ObjectModel) -> World:
    return World([model], (320, 240), seed=3)


@pytest.fixture(scope="module")
def film(world: World, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of 40 frames that show the object."""
    folder = tmp_path_factory.mktemp("film")
    for index in range(40):
        frame, _ = world.render(index * EVERY / RATE)
        cv2.imwrite(str(folder / f"{index:03d}.png"), frame)
    return str(folder)


def test_what_is_found_is_where_the_object_is(film, world, model, bundle, monkeypatch):
    monkeypatch.setattr(sightings, "MOVED", 0.0)
    found = find_sightings(bundle, model, open_recording(film))
    assert found.read == 40
    assert found.answered == len(found.sightings) == 40
    errors = []
    for index, sighting in enumerate(found.sightings):
        frame, _ = world.render(index * EVERY / RATE)
        left, top = cv2.minMaxLoc(cv2.matchTemplate(frame, sighting.frame, cv2.TM_SQDIFF))[2]
        (truth,) = world.truth(index * EVERY / RATE)
        shift = np.array([[1.0, 0, left], [0, 1.0, top], [0, 0, 1.0]])
        errors.append(corner_error(shift @ sighting.homography, truth.homography, model.size))
        np.testing.assert_allclose(np.add(sighting.box[:2], (left, top)), truth.box[:2], atol=2)
        np.testing.assert_allclose(sighting.box[2:], truth.box[2:], atol=3)
        assert sighting.visible == pytest.approx(truth.visible, abs=0.02)
    assert np.median(errors) < 0.5
    assert max(errors) < 3


def test_sightings_differ_and_are_spread(film, model, bundle, monkeypatch):
    monkeypatch.setattr(sightings, "LEAST", 2)
    monkeypatch.setattr(sightings, "MOST", 4)
    found = find_sightings(bundle, model, open_recording(film))
    assert 4 <= len(found.sightings) < 8
    sizes = [np.ptp(to_corners(s.homography, model.size), axis=0) for s in found.sightings]
    assert len(np.unique(np.round(sizes, 1), axis=0)) == len(sizes)


def test_an_object_that_is_not_seen_or_does_not_move_is_named(film, world, model, bundle, tmp_path):
    stranger = ObjectModel.load(find_object("novel"))
    few, still = tmp_path / "few", tmp_path / "still"
    few.mkdir()
    still.mkdir()
    for path in sorted(Path(film).iterdir())[:3]:
        (few / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match="novel was seen in 0 of 3 frames"):
        find_sightings(bundle, stranger, open_recording(str(few)))
    frame, _ = world.render(0.0)
    for index in range(4):
        cv2.imwrite(str(still / f"{index}.png"), frame)
    with pytest.raises(ValueError, match=r"seen in 4 of 4 frames, and 1 of these .* 30 are needed"):
        find_sightings(bundle, model, open_recording(str(still)))


def test_agreement_is_that_of_the_answers(world, model, bundle):
    seen = []
    for t in range(6):
        frame, (truth,) = world.render(t)
        seen.append(LabelledFrame(frame, truth.homography, truth.box, truth.visible))
    right = agreement(bundle, model, seen)
    assert right.right == 1.0
    assert right.error < 1.0
    # Labels 5 px to the right: as the answers are right, they are all off by that.
    moved = np.array([[1.0, 0, 5], [0, 1.0, 0], [0, 0, 1.0]])
    off = [LabelledFrame(s.frame, moved @ s.homography, s.box, s.visible) for s in seen]
    wrong = agreement(bundle, model, off)
    assert wrong.right == 0.0
    assert wrong.error == pytest.approx(5, abs=0.7)
    blank = [LabelledFrame(np.full_like(s.frame, 90), s.homography, s.box, 1.0) for s in seen]
    assert agreement(bundle, model, blank).right == 0.0
