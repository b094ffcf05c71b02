"""docs/api.md names every public name of two rooms and its arguments, and no others."""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

import stn_ros.localization
import stn_ros.transformer

PAGE = Path(__file__).resolve().parents[1] / "docs" / "api.md"
CALL = re.compile(r"`([A-Za-z][\w.]*)(?:\(([^)]*)\))?`")


def on_page():
    """By section, names and arguments of the first column."""
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    found = {}
    for section in sections:
        title, *lines = section.splitlines()
        cells = [line.split(" | ")[0] for line in lines if line.startswith("| `")]
        calls = [call for cell in cells for call in CALL.findall(cell)]
        found[title] = {
            name: arguments.split(", ") if arguments else [] for name, arguments in calls
        }
    return found


def arguments_of(thing):
    if not inspect.isclass(thing) and not inspect.isfunction(thing):
        return []
    names = list(inspect.signature(thing).parameters)
    return [name for name in names if name != "self"]


def in_module(name):
    """Public names that a module defines, and methods that its classes add to their bases'."""
    module = importlib.import_module(name)
    found = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            stored = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
            names = [part.id for part in stored if isinstance(part.ctx, ast.Store)]
        else:
            names = []
        for each in names:
            thing = getattr(module, each)
            found[each] = arguments_of(thing)
            if inspect.isclass(thing) and isinstance(node, ast.ClassDef):
                for key, method in vars(thing).items():
                    new = not any(hasattr(base, key) for base in thing.__bases__)
                    if inspect.isfunction(method) and new:
                        found[f"{each}.{key}"] = arguments_of(method)
    return {key: value for key, value in found.items() if not re.search(r"(^|\.)_", key)}


def in_code():
    found = {}
    for package in (stn_ros.transformer, stn_ros.localization):
        for _, name, _ in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            title = ".".join(name.split(".")[:3])  # the families together
            found.setdefault(title, {}).update(in_module(name))
    return found


def test_the_page_names_what_there_is():
    page, code = on_page(), in_code()
    assert page.keys() == code.keys()
    for title, names in code.items():
        assert page[title] == names, title


def test_the_package_names_what_is_on_the_page():
    """Each at the top is the thing of that name in its module."""
    for name in stn_ros.transformer.__all__:
        (section,) = (title for title, names in on_page().items() if name in names)
        assert getattr(stn_ros.transformer, name) is getattr(importlib.import_module(section), name)
