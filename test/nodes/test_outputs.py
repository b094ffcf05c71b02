"""Publishing goes on, or fails without harm."""

from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
pytest.importorskip("vision_msgs", reason="vision_msgs is not installed: run `make setup`")
import rclpy
from rclpy.node import Node
from rclpy.publisher import Publisher
from std_msgs.msg import Header

from stn_ros.nodes.outputs import Outputs, RCLError, identify

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
