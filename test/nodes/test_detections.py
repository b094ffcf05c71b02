"""Detections in, objects and transforms out."""

import math

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
pytest.importorskip("vision_msgs", reason="vision_msgs is not installed: run `make setup`")
from geometry_msgs.msg import Quaternion
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

from stn_ros.nodes import detections
from stn_ros.runtime.alignment import Region

pytestmark = pytest.mark.ros
SIZE = (640, 480)
OBJECTS = ("box", "mug")


def detection(
    class_id: str = "box",
    score: float = 0.9,
    box: tuple[float, float, float, float] = (100, 80, 60, 40),
    theta: float = 0.0,
) -> Detection2D:
    made = detections.detection2d(class_id, score, box, Header(frame_id="camera"))
    made.bbox.center.theta = theta
    return made


def read(*given: Detection2D, **changes: object) -> tuple[list[Region], list[str]]:
    arguments = {"objects": OBJECTS, "classes": {}, "min_score": 0.0, "size": SIZE, **changes}
    return detections.regions(Detection2DArray(detections=list(given)), **arguments)


def test_a_detection_named_like_an_object():
    found, wrong = read(detection(box=(100, 80, 60, 40)))
    assert wrong == []
    (region,) = found
    assert (region.object_name, region.left, region.top, region.width, region.height) == (
        "box",
        100,
        80,
        60,
        40,
    )


def test_a_turned_box_gives_the_upright_one_around_it():
    (region,) = read(detection(box=(100, 80, 60, 40), theta=math.pi / 2))[0]
    np.testing.assert_allclose(
        (region.left, region.top, region.width, region.height), (110, 70, 40, 60)
    )
    (region,) = read(detection(box=(100, 80, 60, 60), theta=math.pi / 4))[0]
    assert region.width == pytest.approx(60 * math.sqrt(2))


def test_classes_stand_for_objects():
    classes = {"cup": ["mug"], "thing": ["box", "mug"], "dog": ["hound"]}
    found, wrong = read(detection("cup"), detection("thing"), classes=classes)
    assert [region.object_name for region in found] == ["mug", "box", "mug"]
    assert [region.object_name for region in read(detection("any"), classes={"any": ["*"]})[0]] == [
        ""
    ]
    assert wrong == []


def test_the_best_class_counts():
    both = detection("mug", 0.3)
    other = ObjectHypothesisWithPose()
    other.hypothesis.class_id, other.hypothesis.score = "box", 0.6
    both.results.append(other)
    (region,) = read(both)[0]
    assert region.object_name == "box"


def test_low_scores_are_left_out_silently():
    assert read(detection(score=0.4), min_score=0.5) == ([], [])


def test_a_box_partly_outside_stays_whole():
    (region,) = read(detection(box=(-20, 450, 60, 60)))[0]
    assert (region.left, region.top, region.width, region.height) == (-20, 450, 60, 60)


@pytest.mark.parametrize(
    ("bad", "cause"),
    [
        (detection("cat"), "unknown object 'cat': known are box, mug"),
        (Detection2D(), "detection without a class"),
        (detection(box=(0, 0, 0, 40)), "'box' has a box without area: 0 x 40"),
        (detection(box=(0, 0, 30, -40)), "without area"),
        (detection(box=(math.nan, 0, 30, 40)), "not finite"),
        (detection(box=(0, 0, math.inf, 40)), "not finite"),
        (detection(theta=math.nan), "not finite"),
        (detection(box=(640, 0, 30, 40)), "outside the 640x480 image: its box spans x 640 to 670"),
        (detection(box=(0, -41, 30, 40)), "outside the 640x480 image"),
    ],
)
def test_what_is_left_out_is_named_and_the_rest_kept(bad: Detection2D, cause: str):
    found, wrong = read(bad, detection("mug"))
    assert [region.object_name for region in found] == ["mug"]
    assert len(wrong) == 1
    assert cause in wrong[0]


def rotation(q: Quaternion) -> np.ndarray:
    """The matrix of a unit quaternion, written out."""
    x, y, z, w = q.x, q.y, q.z, q.w
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def test_transform_and_pose_hold_the_same():
    R = cv2.Rodrigues(np.array([0.1, 0.2, 0.3]))[0]
    t = np.array([0.1, -0.2, 0.7])
    found = detections.transform(R, t, Header(frame_id="camera"), "left/box")
    assert (found.header.frame_id, found.child_frame_id) == ("camera", "left/box")
    pose = detections.pose(R, t[:, None])
    assert found.transform.rotation == pose.orientation
    assert [pose.position.x, pose.position.y, pose.position.z] == t.tolist()
    assert found.transform.translation.z == pose.position.z


def test_detection3d():
    covariance = np.arange(36.0).reshape(6, 6)
    found = detections.detection3d(
        "box_2",
        "box",
        0.8,
        np.eye(3),
        np.array([0, 0, 1]),
        covariance,
        (0.2, 0.1),
        Header(frame_id="camera"),
    )
    (result,) = found.results
    assert (found.id, result.hypothesis.class_id, result.hypothesis.score) == ("box_2", "box", 0.8)
    np.testing.assert_array_equal(result.pose.covariance, np.arange(36.0))
    assert result.pose.pose == found.bbox.center
    assert (found.bbox.size.x, found.bbox.size.y, found.bbox.size.z) == (0.2, 0.1, 0.0)
    unknown = detections.detection3d(
        "box", "box", 0.8, np.eye(3), np.zeros(3), None, (0.2, 0.1), Header()
    )
    assert not np.any(unknown.results[0].pose.covariance)
