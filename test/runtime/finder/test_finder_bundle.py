"""The finder's folder: read whole or refused."""

import shutil
from pathlib import Path

import pytest
import yaml

from stn_ros.runtime.bundle import sha256
from stn_ros.runtime.finder.bundle import FINDER_FILE, FinderBundle
from stn_ros.runtime.paths import models_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(models_folder() / "finder", tmp_path / "finder"))


def rewrite(folder: Path, **changes: object) -> None:
    path = folder / FINDER_FILE
    described = yaml.safe_load(path.read_text()) | changes
    path.write_text(yaml.safe_dump(described))


def test_the_one_that_ships_is_whole():
    bundle = FinderBundle.load()
    assert bundle.cells.stat().st_size + bundle.describe.stat().st_size < 3_000_000
    assert bundle.crop // bundle.stride % 2 == 1  # a cell in the very middle


def test_another_graph_is_refused(folder: Path):
    with (folder / "cells.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ValueError, match=r"cells\.onnx: sha256 is .* finder\.yaml says"):
        FinderBundle.load(folder)


def test_a_missing_graph_is_named(folder: Path):
    (folder / "cells.onnx").unlink()
    with pytest.raises(ValueError, match=r"cells\.onnx: missing"):
        FinderBundle.load(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 99}, r"format 99, this version reads 1.*train-finder"),
        ({"sizes": None}, "entry missing or malformed"),
        ({"cells": "cells.onnx"}, "entry missing or malformed"),
    ],
)
def test_what_does_not_fit_is_refused(folder: Path, changes: dict[str, object], said: str):
    rewrite(folder, **changes)
    with pytest.raises(ValueError, match=said):
        FinderBundle.load(folder)


def test_no_folder_at_all(tmp_path: Path):
    with pytest.raises(ValueError, match=r"finder\.yaml: can not be read .*train-finder"):
        FinderBundle.load(tmp_path)


def test_no_yaml(folder: Path):
    (folder / FINDER_FILE).write_text("{")
    with pytest.raises(ValueError, match="not YAML"):
        FinderBundle.load(folder)


def test_other_graphs_are_another_network(folder: Path):
    """Embeddings of one network must not be compared with those of another."""
    before = FinderBundle.load(folder).sha256
    described = yaml.safe_load((folder / FINDER_FILE).read_text())
    for name in ("cells", "describe"):
        with (folder / f"{name}.onnx").open("ab") as file:
            file.write(b"x")
        described[name]["sha256"] = sha256(folder / f"{name}.onnx")
        (folder / FINDER_FILE).write_text(yaml.safe_dump(described))
        after = FinderBundle.load(folder).sha256
        assert after != before
        before = after
