"""Parameters of the canonicalizer node: described, checked, refused with a reason."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
import rclpy
import rclpy.parameter
from rcl_interfaces.msg import Parameter as ParameterMessage
from rclpy.node import Node
from rclpy.parameter import Parameter

from stn_ros.nodes.parameters import Parameters, Settings
from stn_ros.runtime.canonicalizer import CanonicalizerSettings

pytestmark = pytest.mark.ros
CONFIG = Path(__file__).parents[2] / "config" / "perception.yaml"


@pytest.fixture(scope="module")
def context() -> Iterator[rclpy.Context]:
    context = rclpy.Context()
    rclpy.init(context=context)
    yield context
    context.try_shutdown()


class Bench:
    """A node with our parameters that is or is not configured, as the test says."""

    def __init__(self, context: rclpy.Context, **overrides: object) -> None:
        self.configured = True
        self.node = Node(
            "bench",
            context=context,
            parameter_overrides=[Parameter(name, value=value) for name, value in overrides.items()],
        )
        self.parameters = Parameters(self.node, lambda: self.configured)

    def set(self, name: str, value: object) -> tuple[bool, str]:
        (result,) = self.node.set_parameters([Parameter(name, value=value)])
        return result.successful, result.reason


@pytest.fixture
def bench(context: rclpy.Context) -> Iterator[Bench]:
    bench = Bench(context)
    yield bench
    bench.node.destroy_node()


def test_every_parameter_is_described_with_its_range(bench: Bench):
    for entry in fields(Settings):
        descriptor = bench.node.describe_parameter(entry.name)
        assert len(descriptor.description) > 20
        assert bool(descriptor.floating_point_range) == isinstance(entry.default, float)
        assert bool(descriptor.integer_range) == (type(entry.default) is int)
    assert (
        "raw, compressed" in bench.node.describe_parameter("image_transport").additional_constraints
    )


def test_the_threshold_is_the_canonicalizers_own():
    assert Settings().threshold == CanonicalizerSettings().threshold


def test_the_configuration_file_lists_every_parameter_with_its_default():
    text = CONFIG.read_text()
    ((selector, content),) = yaml.safe_load(text).items()
    assert selector == "/**"
    given = {
        name: tuple(filter(None, value)) if isinstance(value, list) else value
        for name, value in content["ros__parameters"].items()
        if name != "qos_overrides"
    }
    assert given == {entry.name: entry.default for entry in fields(Settings)}
    for entry in fields(Settings):
        line = next(
            i
            for i, text in enumerate(text.splitlines())
            if text.strip().startswith(f"{entry.name}:")
        )
        assert text.splitlines()[line - 1].strip().startswith("#"), f"{entry.name} has no comment"


def test_values_given_at_start_are_taken(context: rclpy.Context):
    bench = Bench(context, objects=["box", ""], threshold=0.7, tf_prefix="left/wrist")
    assert bench.parameters.settings == Settings(
        objects=("box",), threshold=0.7, tf_prefix="left/wrist"
    )
    bench.node.destroy_node()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("threshold", 1.5, "threshold out of range"),
        ("threshold", 2, "threshold is 2: must lie within 0 and 1"),
        ("threshold", "high", "threshold is 'high': must be a number"),
        ("threshold", True, "threshold is True: must be a number"),
        ("threads", 2.5, "threads is 2.5: must be a whole number"),
        ("threads", 65.0, "threads is 65: must lie within 0 and 64"),
        ("threads", False, "threads is False: must be a whole number"),
        ("rectified", 1, "rectified is 1: must be true or false"),
        ("model", 7, "model is 7: must be a text, in quotes"),
        ("model", None, "model is not set: must be a text"),
        ("objects", 7, "objects is 7: must be a text or a list of texts"),
        ("objects", [7, 8], r"objects is \[7, 8\]: must be a text or a list of texts"),
        ("region_source", "nowhere", "region_source is 'nowhere'"),
    ],
)
def test_bad_values_given_at_start_are_refused(
    context: rclpy.Context, name: str, value: object, reason: str
):
    with pytest.raises(ValueError, match=reason) as refusal:
        Bench(context, **{name: value})
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("threshold", 1, 1.0),
        ("threads", 2.0, 2),
        ("objects", "novel", ("novel",)),
        ("objects", [], ()),
        ("objects", None, ()),  # what an empty list in a file comes to
        ("regions", "box 1 2 3 4", ("box 1 2 3 4",)),
    ],
)
def test_a_value_of_a_kindred_type_is_taken(
    context: rclpy.Context, name: str, value: object, taken: object
):
    bench = Bench(context, **{name: value})
    found = getattr(bench.parameters.settings, name)
    assert (found, type(found)) == (taken, type(taken))
    bench.node.destroy_node()


def test_a_misspelt_parameter_is_warned_of_with_the_one_meant(context: rclpy.Context, capfd):
    Bench(context, treshold=0.7, object=["box"], rate=10.0).node.destroy_node()
    said = capfd.readouterr().err
    assert "parameter 'treshold' is unknown: is 'threshold' meant?" in said
    assert "parameter 'object' is unknown: is 'objects' meant?" in said
    assert "rate" not in said  # another node's, from a file that they share


def test_live_parameters_change_while_configured(bench: Bench):
    assert bench.set("threshold", 0.8) == (True, "")
    assert bench.set("regions", ["box 10 20 30.5 40"]) == (True, "")
    assert bench.set("detection_map", ["cup=mug", "cup=glass", "a=b=box"]) == (True, "")
    settings = bench.parameters.settings
    assert settings.threshold == 0.8
    assert bench.set("threshold", 1) == (True, "")
    assert bench.parameters.settings.threshold == 1.0
    assert settings.fixed_regions == [("box", 10.0, 20.0, 30.5, 40.0)]
    assert settings.classes == {"cup": ["mug", "glass"], "a=b": ["box"]}
    empty = rclpy.parameter.get_parameter_value("[]")  # as `ros2 param set` reads it
    (result,) = bench.node.set_parameters(
        [Parameter.from_parameter_msg(ParameterMessage(name="regions", value=empty))]
    )
    assert (result.successful, result.reason) == (True, "")
    assert bench.parameters.settings.regions == ()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("threshold", 1.01, "out of range"),
        ("threshold", -0.1, "out of range"),
        ("threshold", float("nan"), "out of range"),
        ("threshold", "high", "threshold is 'high': must be a number"),
        ("threshold", None, "threshold cannot be deleted"),
        ("regions", 3, "regions is 3: must be a text or a list of texts"),
        ("detection_slop", 60.0, "out of range"),
        ("region_source", "somewhere", "region_source is 'somewhere': must be one of auto"),
        ("regions", ["box 10 20 30"], "regions has 'box 10 20 30': must be 'OBJECT LEFT"),
        ("regions", ["box 10 20 30 wide"], "must be 'OBJECT LEFT TOP WIDTH HEIGHT'"),
        ("regions", ["box 10 20 0 40"], "no area"),
        ("regions", ["box 10 20 nan 40"], "no area"),
        ("regions", ["box 10 20 inf 40"], "no area"),
        ("detection_map", ["cup"], "detection_map has 'cup': must be 'CLASS=OBJECT'"),
        ("detection_map", ["=mug"], "must be 'CLASS=OBJECT'"),
    ],
)
def test_bad_changes_are_refused_with_the_reason(
    bench: Bench, name: str, value: object, reason: str
):
    before = bench.parameters.settings
    successful, found = bench.set(name, value)
    assert not successful
    assert reason in found
    assert bench.parameters.settings is before


@pytest.mark.parametrize("prefix", ["/left", "left/", "a//b", "left camera", "ä"])
def test_a_prefix_that_names_no_frame_is_refused(bench: Bench, prefix: str):
    bench.configured = False
    assert not bench.set("tf_prefix", prefix)[0]


def test_parameters_read_at_configure_wait_for_cleanup(bench: Bench):
    successful, reason = bench.set("objects", ["mug"])
    assert not successful
    assert reason == "objects is read at configure: deactivate and clean up the node first"
    assert bench.set("model", "") == (True, "")  # no change, nothing to refuse
    bench.configured = False
    assert bench.set("objects", ["mug"]) == (True, "")
    assert bench.parameters.settings.objects == ("mug",)


def test_a_set_of_changes_is_all_or_nothing(bench: Bench):
    result = bench.node.set_parameters_atomically(
        [Parameter("threshold", value=0.9), Parameter("region_source", value="nowhere")]
    )
    assert not result.successful
    assert bench.parameters.settings.threshold == Settings.threshold
    assert bench.node.get_parameter("threshold").value == Settings.threshold
