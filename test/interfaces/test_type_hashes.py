"""Our message packages are the published ones on the wire: their type hashes (REP-2011) agree."""

import time

import pytest

rclpy = pytest.importorskip("rclpy")
typesys = pytest.importorskip("rosbags.typesys")

pytestmark = pytest.mark.ros

# The field lists of vision_msgs 4.x as published, written down apart from interfaces/.
VISION_MSGS = {
    "Point2D": "float64 x\nfloat64 y",
    "Pose2D": "vision_msgs/Point2D position\nfloat64 theta",
    "BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y",
    "BoundingBox3D": "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size",
    "ObjectHypothesis": "string class_id\nfloat64 score",
    "ObjectHypothesisWithPose": (
        "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose"
    ),
    "Detection2D": (
        "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
        "vision_msgs/BoundingBox2D bbox\nstring id"
    ),
    "Detection2DArray": "std_msgs/Header header\nvision_msgs/Detection2D[] detections",
    "Detection3D": (
        "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
        "vision_msgs/BoundingBox3D bbox\nstring id"
    ),
    "Detection3DArray": "std_msgs/Header header\nvision_msgs/Detection3D[] detections",
}


@pytest.fixture(scope="module")
def node():
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("type_hashes", context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


def reported_hash(node, message_type) -> str:
    """The hash that the message's type support announces to other participants."""
    topic = f"/type_hashes/{message_type.__name__}"
    publisher = node.create_publisher(message_type, topic, 1)
    try:
        deadline = time.monotonic() + 60.0
        while time.monotonic() < deadline:
            infos = node.get_publishers_info_by_topic(topic)
            if infos:
                if not hasattr(infos[0], "topic_type_hash"):
                    pytest.skip("this ROS 2 (before Iron) has no type hashes")
                return str(infos[0].topic_type_hash)
            time.sleep(0.02)
        raise AssertionError(f"no publisher of {topic} appeared in the graph within 60 s")
    finally:
        node.destroy_publisher(publisher)


def test_tf_message_is_the_published_one(node):
    tf2_msgs = pytest.importorskip("tf2_msgs.msg")
    assert reported_hash(node, tf2_msgs.TFMessage) == (
        "RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087"
    )


@pytest.mark.parametrize("name", list(VISION_MSGS))
def test_vision_msgs_are_the_published_ones(node, name):
    vision_msgs = pytest.importorskip("vision_msgs.msg")
    store = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
    for each, text in VISION_MSGS.items():
        store.register(typesys.get_types_from_msg(text, f"vision_msgs/msg/{each}"))
    expected = store.hash_rihs01(f"vision_msgs/msg/{name}")
    assert reported_hash(node, getattr(vision_msgs, name)) == expected
