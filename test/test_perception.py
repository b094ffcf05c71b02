"""The facade: objects by name, frames in, sightings out; no ROS, no PyTorch."""

import subprocess
import sys

import numpy as np
import pytest

from stn_ros import Perception
from stn_ros.geometry.box import Box
from stn_ros.geometry.camera import CameraModel
from stn_ros.geometry.homography import corner_error, to_corners
from stn_ros.simulation.world import World


@pytest.fixture(scope="module")
def perception() -> Perception:
    return Perception(["novel", "tea_box"])


@pytest.fixture(scope="module")
def world(perception: Perception) -> World:
    return World(list(perception.objects.values()), seed=2)


def boxes(truths, perception):
    size_of = {name: model.size for name, model in perception.objects.items()}
    return [
        (truth.object_name, *Box.around(to_corners(truth.homography, size_of[truth.object_name])))
        for truth in truths
    ]


def test_a_stream_is_followed(perception: Perception, world: World):
    perception.reset()
    for step in range(4):
        frame, truths = world.render(3 + step / 30)
        regions = boxes(truths, perception) if step == 0 else []
        found = perception.update(frame, step / 30, world.camera.K, regions)
        assert [one.object_name for one in found] == ["novel", "tea_box"]
        for one in found:
            (truth,) = [t for t in truths if t.object_name == one.object_name]
            assert corner_error(one.homography, truth.homography, one.alignment.size) < 1
            assert np.linalg.norm(one.pose.t - truth.t) < 0.003
            assert one.pose.covariance.shape == (6, 6)
            assert not one.pose.ambiguous
            assert one.instance == 1
            assert one.view.shape == perception.objects[one.object_name].reference.shape
    assert found[0].alignment.tracked


def test_one_frame_gives_the_same_with_a_camera_model_or_its_matrix(perception, world):
    frame, truths = world.render(3.0)
    regions = boxes(truths, perception)
    by_k = perception.find(frame, regions, world.camera.K.tolist())
    by_model = perception.find(frame, regions, CameraModel((640, 480), world.camera.K))
    for first, second in zip(by_k, by_model, strict=True):
        np.testing.assert_array_equal(first.pose.t, second.pose.t)
    assert [one.pose for one in perception.find(frame, regions)] == [None, None]


def test_what_does_not_reach_the_threshold_is_not_returned(world):
    strict = Perception(["novel"], threshold=1.0)
    frame, truths = world.render(3.0)
    novel = [truth for truth in truths if truth.object_name == "novel"]
    assert strict.find(frame, boxes(novel, strict)) == []


def test_all_and_patterns_stand_for_objects(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert list(Perception("all").objects) == ["board_game", "city_map", "novel", "tea_box"]
    assert list(Perception(["*_box", "novel"]).objects) == ["novel", "tea_box"]


def test_a_single_name_is_a_list_of_one():
    assert list(Perception("novel").objects) == ["novel"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"objects": ["nothing"]}, "object 'nothing': no object.yaml"),
        ({"objects": []}, "no objects"),
        ({"objects": ["no_*"]}, r"objects 'no_\*': no object matches"),
        ({"objects": ["novel", "novel"]}, "named more than once"),
        ({"objects": ["novel"], "threshold": 2.0}, r"threshold is 2\.0"),
        ({"objects": ["novel"], "engine": "abacus"}, "engine 'abacus': must be one of auto"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Perception(**arguments)


def test_wrong_frames_cameras_and_regions_are_named(perception):
    frame = np.zeros((48, 64, 3), np.uint8)
    with pytest.raises(ValueError, match="BGR image"):
        perception.update(frame[..., 0], 0.0)
    with pytest.raises(ValueError, match="K"):
        perception.update(frame, 0.0, np.eye(2))
    with pytest.raises(ValueError, match="'mug', which is not loaded"):
        perception.find(frame, [("mug", 0, 0, 9, 9)])


def test_importing_it_needs_neither_ros_nor_torch():
    script = (
        "import sys; from stn_ros import Perception; Perception(['novel']);"
        "heavy = ('rclpy', 'torch', 'rosbags', 'matplotlib', 'skimage', 'sklearn');"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
