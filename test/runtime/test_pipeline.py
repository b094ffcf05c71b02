"""From frames to posed objects: what the pipeline adds to the canonicalizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest

from stn_ros.geometry.camera import CameraModel
from stn_ros.geometry.homography import corner_error
from stn_ros.geometry.planar_pose import object_corners
from stn_ros.runtime.alignment import Alignment, Region
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.canonicalizer import Canonicalizer
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import models_folder
from stn_ros.runtime.pipeline import Pipeline
from stn_ros.runtime.region_source import GivenRegions, Request, Search
from stn_ros.simulation.world import World

K = np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]])
CAMERA = CameraModel((640, 480), K)
SIZE_M = (0.2, 0.12)
FRAME = np.zeros((480, 640, 3), np.uint8)
FACING = np.diag([1.0, -1.0, -1.0])


class Script:
    """A canonicalizer that says what it is told to, frame by frame."""

    def __init__(self, *frames: Sequence[Alignment], size_m=SIZE_M) -> None:
        face = np.zeros((120, 200, 3), np.uint8)
        self.objects = {"box": ObjectModel("box", face, size_m)}
        self.frames = iter(frames)
        self.asked: list[tuple[Sequence[Region], int | None]] = []

    def process(self, frame, regions, expected=(), camera=None, searches=None):
        self.asked.append((regions, searches))
        return next(self.frames)


class Source:
    """A region source that notes what it is told."""

    def __init__(self, search: Search) -> None:
        self.answer = search
        self.requests: list[Request] = []
        self.told: list[tuple[int, float]] = []

    def search(self, request: Request) -> Search:
        self.requests.append(request)
        return self.answer

    def took(self, searches: int, seconds: float) -> None:
        self.told.append((searches, seconds))


NOWHERE = GivenRegions(None)


def seen(tilt: float, deviation: float = 0.1, accepted: bool = True) -> Alignment:
    """A face 1.5 m away, tilted about x by so many degrees."""
    R = cv2.Rodrigues(np.array([np.deg2rad(tilt), 0, 0]))[0] @ FACING
    points = (object_corners(SIZE_M) @ R.T + [0.02, 0.01, 1.5]) @ K.T
    corners = points[:, :2] / points[:, 2:]
    return Alignment(
        "box",
        (200, 120),
        np.eye(3),
        0.9,
        accepted,
        "" if accepted else "too dark",
        corners,
        deviation**2 * np.eye(8),
        tracked=False,
        region=None,
    )


def tilt_of(sighting) -> float:
    R = sighting.pose.R @ FACING
    return float(np.degrees(cv2.Rodrigues(R)[0].ravel()[0]))


def test_accepted_answers_get_a_pose_and_a_camera_refused_ones_their_reason():
    pipeline = Pipeline(Script([seen(25), replace(seen(30, accepted=False), object_name="box")]))
    perceived = pipeline.update(FRAME, 1.0, NOWHERE, CAMERA)
    (sighting,) = perceived.sightings
    assert sighting.pose.t == pytest.approx([0.02, 0.01, 1.5], abs=1e-3)
    assert sighting.no_pose == ""
    assert sighting.size_m == SIZE_M
    # The virtual camera sees the face's corners in the view's corners.
    camera = sighting.virtual_camera
    points = (object_corners(SIZE_M) - camera.t) @ camera.R @ camera.K.T
    np.testing.assert_allclose(
        points[:, :2] / points[:, 2:],
        [[-0.5, -0.5], [199.5, -0.5], [199.5, 119.5], [-0.5, 119.5]],
        atol=1e-6,
    )
    assert len(perceived.refused) <= 1
    assert [each.accepted for each in perceived.alignments][-1]


@pytest.mark.parametrize(
    ("size_m", "camera", "reason"),
    [(None, CAMERA, "its size is unknown"), (SIZE_M, None, "the camera is unknown")],
)
def test_without_size_or_camera_there_is_no_pose_and_it_says_why(size_m, camera, reason):
    pipeline = Pipeline(Script([seen(25)], size_m=size_m))
    (sighting,) = pipeline.update(FRAME, 1.0, NOWHERE, camera).sightings
    assert sighting.pose is None
    assert sighting.virtual_camera is None
    assert sighting.no_pose == reason


def test_a_face_from_behind_has_no_pose_and_harms_nothing():
    mirrored = replace(seen(25), corners=seen(25).corners[[1, 0, 3, 2]])
    (sighting,) = Pipeline(Script([mirrored])).update(FRAME, 1.0, NOWHERE, CAMERA).sightings
    assert sighting.pose is None
    assert "front of a face" in sighting.no_pose


def test_an_ambiguous_pose_stays_with_its_tilt_from_frame_to_frame():
    pipeline = Pipeline(Script([seen(25)], [seen(-25, 1.0)]))
    pipeline.update(FRAME, 1.0, NOWHERE, CAMERA)
    (sighting,) = pipeline.update(FRAME, 1.1, NOWHERE, CAMERA).sightings
    assert sighting.pose.ambiguous
    assert tilt_of(sighting) == pytest.approx(25, abs=5)


def test_stamps_that_jump_back_forget_the_poses():
    """Seen at 5.0; a bag loops to 4.0; when 5.1 comes again nothing of before the loop counts."""
    pipeline = Pipeline(Script([seen(25)], [], [seen(-25, 1.0)]))
    pipeline.update(FRAME, 5.0, NOWHERE, CAMERA)
    pipeline.update(FRAME, 4.0, NOWHERE, CAMERA)
    (sighting,) = pipeline.update(FRAME, 5.1, NOWHERE, CAMERA).sightings
    assert tilt_of(sighting) == pytest.approx(-25, abs=5)


def test_stamps_that_jump_back_forget_what_was_in_view():
    source = Source(Search(None))
    pipeline = Pipeline(Script([seen(25)], [], []))
    for stamp in (5.0, 5.1, 4.0):
        pipeline.update(FRAME, stamp, source, CAMERA)
    assert [len(request.in_view) for request in source.requests] == [0, 1, 0]


def test_a_source_is_asked_and_told_how_long_it_took():
    regions = [Region("box", 10, 10, 50, 50)] * 3
    source = Source(Search(regions, 2))
    script = Script([])
    Pipeline(script).update(FRAME, 1.0, source, CAMERA, arrival=7.0)
    (request,) = source.requests
    assert (request.stamp, request.arrival, request.frame is FRAME) == (1.0, 7.0, True)
    assert script.asked == [(regions, 2)]
    ((searches, seconds),) = source.told
    assert searches == 3
    assert 0 < seconds < 60


def test_a_frame_that_is_refused_changes_nothing():
    pipeline = Pipeline(Canonicalizer(NetworkBundle.load(), [ObjectModel("box", face())]))
    with pytest.raises(ValueError, match="frame must be a BGR image"):
        pipeline.update(FRAME[..., 0], 1.0, NOWHERE)
    assert pipeline.update(FRAME, 1.0, NOWHERE).sightings == []


def face() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def scene():
    folders = sorted((models_folder() / "objects").iterdir())
    models = [ObjectModel.load(folder) for folder in folders[:2]]
    world = World(models, seed=4)
    return Pipeline(Canonicalizer(NetworkBundle.load(), models)), world, *world.render(2.0)


def test_one_frame_on_its_own_is_searched_all_over(scene):
    pipeline, world, frame, truths = scene
    found = pipeline.find(frame, camera=world.camera)
    assert [each.object_name for each in found.sightings] == sorted(pipeline.canonicalizer.objects)
    for truth in truths:
        (one,) = [each for each in found.sightings if each.object_name == truth.object_name]
        assert corner_error(one.homography, truth.homography, one.alignment.size) < 1
        assert np.linalg.norm(one.pose.t - truth.t) < 0.003


def test_one_frame_with_regions_is_searched_there(scene):
    pipeline, world, frame, truths = scene
    name = truths[0].object_name
    found = pipeline.find(frame, [Region(name, -0.5, -0.5, 30, 30)], world.camera)
    assert found.sightings == []
