"""What the canonicalizer node subscribes to, and why a topic may stay silent."""

from collections.abc import Callable

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, QoSReliabilityPolicy, qos_check_compatible
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

# Best effort takes every publisher (REP-2003).
_SENSOR = {"reliability": QoSReliabilityPolicy.BEST_EFFORT}


def subscribe(node: Node, kind: type, topic: str, callback: Callable, depth: int) -> Subscription:
    """A subscription for sensor data whose QoS can be overridden by parameters."""
    return node.create_subscription(
        kind,
        topic,
        callback,
        QoSProfile(depth=depth, **_SENSOR),
        qos_overriding_options=QoSOverridingOptions.with_default_policies(),
    )


def why_silent(node: Node, subscription: Subscription) -> str:
    """In words, why nothing comes on a subscription from which nothing comes."""
    topic = subscription.topic_name
    expected = _type_name(subscription.msg_type)
    publishers = node.get_publishers_info_by_topic(topic)
    if not publishers:
        return f"nothing on '{topic}': nobody publishes it; remap it to the topic you mean"
    types = {publisher.topic_type for publisher in publishers}
    if expected not in types:
        return (
            f"nothing on '{topic}': it carries {', '.join(sorted(types))}, not {expected}; "
            "see the parameter image_transport"
        )
    refusals = []
    for publisher in publishers:
        compatibility, reason = qos_check_compatible(
            publisher.qos_profile, subscription.qos_profile
        )
        if compatibility == QoSCompatibility.ERROR:
            refusals.append(reason.strip().rstrip(";").removeprefix("ERROR: "))
    if len(refusals) == len(publishers):
        return (
            f"nothing on '{topic}': QoS mismatch ({refusals[0]}); "
            f"see qos_overrides.{topic}.subscription"
        )
    return (
        f"nothing on '{topic}' although it has a publisher: it is paused, or its messages are "
        "too large for the shared memory of DDS; see README, 'Large images'"
    )


def _type_name(kind: type) -> str:
    package, folder, *_ = kind.__module__.split(".")
    return f"{package}/{folder}/{kind.__name__}"
