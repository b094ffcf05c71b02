"""Kindred values are taken, others named; names that are nearly right are found."""

from dataclasses import fields

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
from stn_ros.nodes.declaration import converted, misspelt
from stn_ros.nodes.parameters import Settings


@pytest.mark.parametrize(
    ("value", "default", "wanted"),
    [
        (1, 0.5, 1.0),
        (2.0, 1, 2),
        ("box", (), ("box",)),
        (["box", "", "mug"], (), ("box", "mug")),
        ([], (), ()),
        (None, (), ()),
        ([1, 2.5], [0.0], [1.0, 2.5]),
        (True, False, True),
        ("raw", "", "raw"),
    ],
)
def test_kindred_values_are_taken(value, default, wanted):
    found = converted("name", value, default)
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(
    ("value", "default", "needed"),
    [
        ("high", 0.5, "a number"),
        (True, 0.5, "a number"),
        (2.5, 1, "a whole number"),
        (True, 1, "a whole number"),
        (1, False, "true or false"),
        (7, "", "a text, in quotes"),
        ([1, 2], (), "a text or a list of texts"),
        (None, 0.5, "a number"),
    ],
)
def test_others_are_named(value, default, needed):
    with pytest.raises(ValueError, match=f"name is .*: must be {needed}"):
        converted("name", value, default)


def test_numbers_are_taken_for_a_list_of_floats():
    assert converted("k", [600, 600.5], [0.0]) == [600.0, 600.5]
    with pytest.raises(ValueError, match="k is 'x': must be a list of numbers"):
        converted("k", "x", [0.0])


def test_no_parameter_of_the_simulated_camera_is_taken_for_misspelt():
    known = [entry.name for entry in fields(Settings)]
    camera = (
        "objects", "rate", "width", "height", "seed", "blur", "noise",
        "detection_rate", "detection_jitter", "frame_id", "use_sim_time",
        "start_type_description_service", "qos_overrides./image.subscription.reliability",
    )  # fmt: skip
    assert misspelt(camera, known) == {}
