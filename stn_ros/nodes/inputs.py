"""What the canonicalizer node subscribes to, in which QoS, and why a topic may stay silent."""

from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.qos import (
    QoSCompatibility,
    QoSDurabilityPolicy,
    QoSPolicyKind,
    QoSProfile,
    QoSReliabilityPolicy,
    qos_check_compatible,
)
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

try:
    from rclpy.event_handler import (
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )
except ImportError:  # ROS 2 before Iron
    from rclpy.qos_event import (
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )

BEST_EFFORT, RELIABLE = QoSReliabilityPolicy.BEST_EFFORT, QoSReliabilityPolicy.RELIABLE
VOLATILE, LATCHED = QoSDurabilityPolicy.VOLATILE, QoSDurabilityPolicy.TRANSIENT_LOCAL
LOSSY = 0.1  # share of the messages from which on a topic is said to lose them
_COUNTED = 10  # messages between two judgements
_POLICIES = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
)
_LARGE = (
    "DDS gives such messages too little shared memory: in the camera's shell, export "
    "FASTDDS_DEFAULT_PROFILES_FILE=$(ros2 pkg prefix --share stn_ros)/config/"
    "fastdds_large_images.xml"
)


class Input:
    """A subscription for sensor data whose QoS follows what its publishers offer.

    It starts best effort and volatile, which fits every publisher (REP-2003). `review`, called
    about once a second, subscribes anew: reliably where messages are lost and every publisher is
    reliable; and, if `latched` is allowed, transient local where every publisher is, whose one
    message was sent before we listened. The parameters qos_overrides.<topic>.subscription win.
    Raises ValueError naming one of them that is wrong.
    """

    def __init__(
        self,
        node: Node,
        kind: type[Any],
        topic: str,
        callback: Callable[[Any], None],
        depth: int,
        *,
        latched: bool = False,
    ) -> None:
        self.topic_name = node.resolve_topic_name(topic)
        self._node, self._kind, self._callback, self._depth = node, kind, callback, depth
        self._latched = latched
        self._lossy = False
        self._received = self._lost = 0
        self._losses = ""
        self._subscribe(BEST_EFFORT, VOLATILE)

    @property
    def qos_profile(self) -> QoSProfile:
        """What is asked of publishers at present."""
        return self._subscription.qos_profile

    def close(self) -> None:
        """Receive nothing more."""
        self._node.destroy_subscription(self._subscription)

    def review(self) -> str:
        """Subscribe anew if the publishers ask for it; says what is lost, and what to do about it.

        Empty where nothing, or too little to speak of, was lost.
        """
        total = self._received + self._lost
        if total >= _COUNTED:
            lossy = self._lost >= LOSSY * total
            self._losses = f"{self._lost} of {total} messages" if lossy else ""
            self._received = self._lost = 0
            self._lossy |= lossy
        elif not total:
            self._losses = ""
        self._follow()
        return self._losses and f"'{self.topic_name}' loses {self._losses}; {self._remedy()}"

    def why_silent(self) -> str:
        """In words, why nothing comes, when nothing comes."""
        silent = f"nothing on '{self.topic_name}'"
        expected = _type_name(self._kind)
        publishers = self._node.get_publishers_info_by_topic(self.topic_name)
        if not publishers:
            return f"{silent}: nobody publishes it; remap it to the topic you mean"
        types = {publisher.topic_type for publisher in publishers}
        if expected not in types:
            return (
                f"{silent}: it carries {', '.join(sorted(types))}, not {expected}; "
                "see the parameter image_transport"
            )
        refusals = []
        for publisher in publishers:
            compatibility, reason = qos_check_compatible(publisher.qos_profile, self.qos_profile)
            if compatibility == QoSCompatibility.ERROR:
                refusals.append(reason.strip().rstrip(";").removeprefix("ERROR: "))
        if len(refusals) == len(publishers):
            return (
                f"{silent}: QoS mismatch ({refusals[0]}); "
                f"see qos_overrides.{self.topic_name}.subscription"
            )
        latched = all(one.qos_profile.durability == LATCHED for one in publishers)
        if latched and self.qos_profile.durability != LATCHED:
            return (
                f"{silent}: its publisher is transient local and may have sent before this node "
                f"listened; set qos_overrides.{self.topic_name}.subscription.durability to "
                "transient_local"
            )
        if self._losses:
            return f"{silent}: it loses {self._losses}; {self._remedy()}"
        return f"{silent} although it has a publisher: it is paused, or has just started"

    def _subscribe(
        self, reliability: QoSReliabilityPolicy, durability: QoSDurabilityPolicy
    ) -> None:
        self._asked = reliability, durability
        create = partial(
            self._node.create_subscription,
            self._kind,
            self.topic_name,
            self._take,
            QoSProfile(depth=self._depth, reliability=reliability, durability=durability),
            # What is declared already and was not given is our own first choice, not an override.
            qos_overriding_options=QoSOverridingOptions(
                [
                    policy
                    for policy in _POLICIES
                    if self._overridden(policy)
                    or not self._node.has_parameter(self._override(policy))
                ]
            ),
        )
        lost = SubscriptionEventCallbacks(
            message_lost=lambda event: self._note_lost(event.total_count_change)
        )
        try:
            try:
                self._subscription: Subscription[Any] = create(event_callbacks=lost)
            except UnsupportedEventTypeError:  # by this middleware
                self._subscription = create()
        except (ParameterException, RuntimeError) as error:
            raise ValueError(f"qos_overrides.{self.topic_name}.subscription: {error}") from None

    def _follow(self) -> None:
        offers = [
            publisher.qos_profile
            for publisher in self._node.get_publishers_info_by_topic(self.topic_name)
        ]
        if not offers:
            return
        reliable = all(offer.reliability == RELIABLE for offer in offers)
        latched = self._latched and reliable and all(one.durability == LATCHED for one in offers)
        wanted = (
            RELIABLE if reliable and (self._lossy or latched) else BEST_EFFORT,
            LATCHED if latched else VOLATILE,
        )
        if wanted == self._asked:
            return
        before = self.qos_profile
        self.close()
        self._subscribe(*wanted)
        now = self.qos_profile
        if (now.reliability, now.durability) != (before.reliability, before.durability):
            lost = f", as it lost {self._losses}" if self._losses else ""
            self._node.get_logger().info(
                f"'{self.topic_name}': subscribed {now.reliability.name.lower()} and "
                f"{now.durability.name.lower()}, as its publishers offer{lost}"
            )
            self._losses = ""

    def _remedy(self) -> str:
        if self.qos_profile.reliability == BEST_EFFORT:
            if self._asked[0] == RELIABLE:
                return f"set qos_overrides.{self.topic_name}.subscription.reliability to reliable"
            cause = "a publisher of it is best effort"
        else:
            cause = "although subscribed reliably"
        return f"{cause}; {_LARGE}" if self._kind in (Image, CompressedImage) else cause

    def _override(self, policy: QoSPolicyKind) -> str:
        return f"qos_overrides.{self.topic_name}.subscription.{policy.name.lower()}"

    def _overridden(self, policy: QoSPolicyKind) -> bool:
        return self._override(policy) in self._node._parameter_overrides

    def _take(self, msg: object) -> None:
        self._received += 1
        self._callback(msg)

    def _note_lost(self, number: int) -> None:
        self._lost += number


def _type_name(kind: type[Any]) -> str:
    package, folder, *_ = kind.__module__.split(".")
    return f"{package}/{folder}/{kind.__name__}"
