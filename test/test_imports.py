"""Which room may import which, and which libraries: one table, the same in CONTRIBUTING.md."""

import ast
import re
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "stn_ros"


class Room(NamedTuple):
    """What a folder or a module of stn_ros may import, names separated by spaces.

    rooms, libraries: beside its own modules and the standard library.
    late: rooms and libraries only within functions and for type checking: it works without them.
    """

    rooms: str = ""
    libraries: str = ""
    late: str = ""


ROS = (
    "rclpy builtin_interfaces diagnostic_msgs geometry_msgs lifecycle_msgs rcl_interfaces "
    "sensor_msgs std_msgs tf2_msgs vision_msgs"
)
# A room imports only those above it.
ROOMS = {
    "geometry": Room("", "numpy cv2"),
    "recordings": Room("geometry", "numpy cv2 rosbags"),
    "synthesis": Room("geometry", "numpy cv2"),
    "transformer": Room("geometry", "numpy torch onnx onnxruntime"),
    "localization": Room("geometry transformer", "torch"),
    "runtime": Room("geometry", "numpy cv2 yaml onnxruntime"),
    "perception": Room("geometry runtime", "numpy"),
    "simulation": Room("geometry synthesis runtime", "numpy cv2"),
    "training": Room(
        "geometry synthesis transformer localization runtime",
        "numpy scipy cv2 yaml tqdm onnx onnxruntime torch lightning",
    ),
    "teaching": Room(
        "geometry recordings synthesis runtime", "numpy scipy cv2 tqdm", late="training"
    ),
    "evaluation": Room(
        "geometry recordings synthesis runtime teaching",
        "numpy cv2 tqdm rosbags",
        late="pupil_apriltags",
    ),
    "environment": Room("runtime"),
    "nodes": Room(
        "geometry recordings runtime simulation evaluation environment",
        f"numpy cv2 tqdm {ROS}",
        late="cv_bridge",
    ),
    "interpretation": Room(
        "geometry synthesis transformer localization runtime training teaching",
        "numpy cv2 tqdm torch matplotlib",
    ),
    "cli": Room(late="nodes teaching evaluation training interpretation"),
    "__init__": Room(late="perception"),
}


class Import(NamedTuple):
    name: str
    line: int
    late: bool


def imports_of(source: str) -> Iterator[Import]:
    """All imports of a module: statements anywhere, and strings that name a module of ours."""

    def walk(node: ast.AST, late: bool) -> Iterator[Import]:
        match node:
            case ast.Import():
                for alias in node.names:
                    yield Import(alias.name, node.lineno, late)
            case ast.ImportFrom(level=0, module="stn_ros"):
                for alias in node.names:
                    yield Import(f"stn_ros.{alias.name}", node.lineno, late)
            case ast.ImportFrom():
                yield Import("." * node.level + (node.module or ""), node.lineno, late)
            case ast.Constant(value=str(text)) if re.fullmatch(r"stn_ros(\.\w+)+", text):
                yield Import(text, node.lineno, True)
            case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                late = True
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                late = True
        for child in ast.iter_child_nodes(node):
            yield from walk(child, late)

    return walk(ast.parse(source), False)


def complaint(name: str, room: str, late: bool) -> str:
    """What is wrong with an import in a room; empty if nothing is."""
    top, _, rest = name.partition(".")
    if not top:
        return f"{name!r} is relative: write it from stn_ros on"
    if top in sys.stdlib_module_names:
        return ""
    wanted, allowed = top, ROOMS[room].libraries
    if top == "stn_ros":
        wanted, allowed = rest.partition(".")[0] or "__init__", f"{room} {ROOMS[room].rooms}"
    if wanted in allowed.split():
        return ""
    if wanted in ROOMS[room].late.split():
        return "" if late else f"{name} only within functions: {room} has to work without it"
    return f"{room} does not import {wanted}"


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_import_is_in_the_table():
    found = [
        f"{path.relative_to(ROOT)}:{each.line}: {said}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for each in imports_of(path.read_text(encoding="utf-8"))
        if (said := complaint(each.name, room_of(path), each.late))
    ]
    assert not found, "\n".join(["", *found, "see the table in CONTRIBUTING.md"])


def test_rooms_import_only_those_above_them():
    names = list(ROOMS)
    for i, (name, room) in enumerate(ROOMS.items()):
        below = [each for each in f"{room.rooms} {room.late}".split() if each in names[i:]]
        assert not below, f"{name} imports {below}"


def test_what_a_robot_runs_never_loads_torch():
    loads: dict[str, set[str]] = {}
    graph = {name: room.rooms.split() for name, room in ROOMS.items()}
    for name in TopologicalSorter(graph).static_order():
        room = ROOMS[name]
        loads[name] = set(room.libraries.split()).union(*map(loads.get, room.rooms.split()))
    with_torch = {name for name, libraries in loads.items() if "torch" in libraries}
    assert with_torch == {"transformer", "localization", "training", "interpretation"}
    assert {name for name, libraries in loads.items() if "rclpy" in libraries} == {"nodes"}


def test_contributing_shows_the_same_table():
    rows = re.findall(
        r"^\| `(\w+)` \| (.*?) \| (.*?) \|$",
        (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    shown = {}
    for name, *cells in rows:
        late = " ".join(each for cell in cells for each in re.findall(r"\((.*?)\)", cell))
        plain = (re.sub(r"\(.*?\)", "", cell).replace("the ROS messages", "ROS") for cell in cells)
        shown[name] = [set(text.replace(",", " ").split()) for text in (*plain, late)]
    messages = set(ROS.split()) - {"rclpy"}
    assert list(shown) == list(ROOMS)
    for name, room in ROOMS.items():
        wanted = [set(text.split()) for text in room]
        if messages <= wanted[1]:
            wanted[1] = wanted[1] - messages | {"ROS"}
        assert shown[name] == wanted, name


@pytest.mark.parametrize(
    ("source", "room", "said"),
    [
        ("import numpy as np, os.path", "geometry", ""),
        ("import torch.nn", "geometry", "geometry does not import torch"),
        ("def f():\n    import torch", "runtime", "runtime does not import torch"),
        ("if TYPE_CHECKING:\n    import torch", "nodes", "nodes does not import torch"),
        ("from stn_ros.nodes.demo import x", "runtime", "runtime does not import nodes"),
        ("from stn_ros import nodes", "teaching", "teaching does not import nodes"),
        ("load('stn_ros.nodes.demo')", "teaching", "teaching does not import nodes"),
        ("from .camera import x", "geometry", "'.camera' is relative: write it from stn_ros on"),
        (
            "class A:\n    def f(self):\n        import stn_ros.training.network.tune",
            "teaching",
            "",
        ),
        (
            "import stn_ros.training.network.tune",
            "teaching",
            "stn_ros.training.network.tune only within functions: teaching has to work without it",
        ),
    ],
)
def test_what_the_check_sees(source, room, said):
    (*_, each) = imports_of(source)
    assert complaint(each.name, room, each.late) == said
