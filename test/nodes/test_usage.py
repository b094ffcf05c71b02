"""What --help says: every parameter, in lines that fit a terminal."""

from dataclasses import fields

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")

from stn_ros.nodes.parameters import Settings
from stn_ros.nodes.usage import usage

pytestmark = pytest.mark.ros


def test_every_parameter_has_its_default_and_description():
    lines = usage().splitlines()
    assert "  threshold (0.5)" in lines
    assert "  objects ([])" in lines
    for entry in fields(Settings):
        (at,) = [i for i, line in enumerate(lines) if line.startswith(f"  {entry.name} (")]
        assert lines[at + 1].strip().startswith(entry.metadata["description"][:40])
    assert max(map(len, lines)) < 100
