"""What the README promises in code and tables is so."""

import re
from dataclasses import fields
from pathlib import Path

import cv2
import pytest

from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import find_object
from stn_ros.simulation.world import World

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_example_without_ros_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    (example,) = re.findall(r"^```python\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
    models = [ObjectModel.load(find_object(name)) for name in ("novel", "tea_box")]
    world = World(models, seed=2)
    monkeypatch.chdir(tmp_path)
    film = cv2.VideoWriter("table.avi", cv2.VideoWriter_fourcc(*"MJPG"), 30, (640, 480))
    depths = []
    for index in range(12):
        frame, truths = world.render(3 + index / 30)
        depths.append({truth.object_name: truth.t[2] for truth in truths})
        film.write(frame)
    film.release()
    exec(compile(example, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines, "nothing was found in twelve frames"
    for line in lines:
        index, name, depth = re.fullmatch(r"(\d+): (\w+) #1 [01]\.\d\d at (.*) m", line).groups()
        assert float(depth) == pytest.approx(depths[int(index)][name], rel=0.01)
        reference = next(model.reference for model in models if model.name == name)
        assert cv2.imread(f"{name}.png").shape == reference.shape


def test_every_parameter_is_listed():
    pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
    from stn_ros.nodes.parameters import Settings

    section = README.split("## Parameters")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| .*? \| (live)? ?\|", section, flags=re.MULTILINE)
    assert [name for name, _ in rows] == [each.name for each in fields(Settings)]
    for (name, live), each in zip(rows, fields(Settings), strict=True):
        assert bool(live) == each.metadata["live"], name
