"""Publishing goes on, or fails without harm."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
pytest.importorskip("vision_msgs", reason="vision_msgs is not installed: run `make setup`")
import rclpy
from builtin_interfaces.msg import Time
from rclpy.node import Node
from rclpy.publisher import Publisher
from std_msgs.msg import Header

from stn_ros.geometry.homography import to_corners
from stn_ros.geometry.planar_pose import planar_pose
from stn_ros.geometry.virtual_camera import virtual_camera
from stn_ros.nodes.outputs import Outputs, RCLError, identify
from stn_ros.runtime.alignment import Alignment
from stn_ros.runtime.sampling import FrameSampler
from stn_ros.runtime.sighting import Sighting

pytestmark = pytest.mark.ros


def test_what_dds_refuses_is_counted_and_raises_nothing(monkeypatch: pytest.MonkeyPatch):
    context = rclpy.Context()
    rclpy.init(context=context)
    outputs = Outputs(Node("publisher", context=context), ["box"], "")
    header = Header(frame_id="lens")
    outputs.publish(header, [], publish_tf=True)
    assert outputs.failures == 0

    def refuse(publisher: Publisher, msg: object) -> None:
        raise RCLError("Failed to publish: cannot publish data")  # as a flooded queue does

    monkeypatch.setattr(Publisher, "publish", refuse)
    outputs.publish(header, [], publish_tf=True)
    assert outputs.failures == 1
    context.shutdown()


def test_each_object_has_a_pair_and_close_destroys_all():
    context = rclpy.Context()
    rclpy.init(context=context)
    node = Node("publisher", context=context, namespace="left")
    before = {
        topic for topic, _ in node.get_publisher_names_and_types_by_node("publisher", "/left")
    }
    outputs = Outputs(node, ["box", "mug"], "left")
    own = {topic for topic, _ in node.get_publisher_names_and_types_by_node("publisher", "/left")}
    assert own - before == {
        "/left/box/aligned/camera_info",
        "/left/box/aligned/image",
        "/left/mug/aligned/camera_info",
        "/left/mug/aligned/image",
        "/left/debug/image",
        "/left/objects",
        "/tf",
    }
    assert node.has_parameter("qos_overrides./left/objects.publisher.reliability")
    outputs.close()
    left = {topic for topic, _ in node.get_publisher_names_and_types_by_node("publisher", "/left")}
    assert left == before
    node.destroy_node()
    context.shutdown()


@pytest.mark.parametrize(
    ("objects", "names"),
    [
        (["box", "mug"], ["box", "box_2", "box_3", "box_4"]),
        (["box", "box_2"], ["box", "box_3", "box_4", "box_5"]),
        (["box_3", "box"], ["box", "box_2", "box_4", "box_5"]),
    ],
)
def test_instances_have_names_that_no_other_object_has(objects: list[str], names: list[str]):
    instances = [SimpleNamespace(object_name="box", instance=i) for i in range(1, 5)]
    assert [identify(one, objects) for one in instances] == names


def sighting(x: float = 0.0) -> Sighting:
    homography = np.array([[1.0, 0, 100 + x], [0, 1, 100], [0, 0, 1]])
    found = Alignment(
        "box",
        (200, 120),
        homography,
        0.9,
        True,
        "",
        to_corners(homography, (200, 120)),
        np.eye(8),
        tracked=True,
        region=None,
        sampler=FrameSampler(np.zeros((480, 640, 3), np.uint8)),
    )
    K = np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]])
    pose = planar_pose(found.corners, (0.2, 0.12), K, found.corner_covariance)[0]
    return Sighting(found, (0.2, 0.12), pose, virtual_camera((200, 120), (0.2, 0.12), pose))


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch):
    """Outputs of a node, and the topics in the order of what went out."""
    context = rclpy.Context()
    rclpy.init(context=context)
    made = Outputs(Node("publisher", context=context), ["box"], "")
    sent: list[tuple[str, object]] = []
    monkeypatch.setattr(
        Publisher, "publish", lambda publisher, msg: sent.append((publisher.topic_name, msg))
    )
    yield made, sent
    context.shutdown()


def test_transforms_go_out_before_poses_and_views(outputs):
    made, sent = outputs
    made.publish(Header(frame_id="lens"), [sighting()], publish_tf=True)
    assert [topic for topic, _ in sent] == ["/tf", "/objects", "/box/aligned/camera_info"]
    transforms = sent[0][1].transforms
    assert [(t.header.frame_id, t.child_frame_id) for t in transforms] == [
        ("lens", "box"),
        ("box", "box/view"),
    ]


def test_transforms_of_one_stamp_go_out_once(outputs):
    made, sent = outputs
    for sec in (7, 7, 8, 8, 3):
        header = Header(stamp=Time(sec=sec), frame_id="lens")
        made.publish(header, [sighting()], publish_tf=True)
    stamps = [msg.transforms[0].header.stamp.sec for topic, msg in sent if topic == "/tf"]
    assert stamps == [7, 8, 3]
    assert sum(topic == "/objects" for topic, _ in sent) == 5
