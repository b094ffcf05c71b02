"""The shipped models are found in a source tree and under an installed prefix; objects by name."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stn_ros.runtime import paths
from stn_ros.runtime.object_model import ObjectModel

PACKAGE = Path(paths.__file__).resolve().parents[1]


def _models_folder_of(copy: Path) -> subprocess.CompletedProcess:
    (copy / "runtime").mkdir(parents=True)
    (copy / "__init__.py").touch()
    for name in ("__init__.py", "paths.py", "object_model.py"):
        shutil.copy(PACKAGE / "runtime" / name, copy / "runtime" / name)
    code = "from stn_ros.runtime.paths import models_folder; print(models_folder())"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=copy.parent, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("library", ["lib/python3.12/site-packages", "local/lib/dist-packages"])
def test_models_of_an_installed_package(library: str, tmp_path: Path) -> None:
    (tmp_path / "share" / "stn_ros" / "models").mkdir(parents=True)
    run = _models_folder_of(tmp_path / library / "stn_ros")
    assert run.stdout.strip() == str(tmp_path / "share" / "stn_ros" / "models"), run.stderr


def test_models_of_a_source_tree(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "package.xml").touch()
    run = _models_folder_of(tmp_path / "stn_ros")
    assert run.stdout.strip() == str(tmp_path / "models"), run.stderr


def test_missing_models_are_named(tmp_path: Path) -> None:
    run = _models_folder_of(tmp_path / "lib" / "stn_ros")
    assert run.returncode != 0
    assert "no models folder" in run.stderr


def test_objects_are_found_by_name_and_by_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    folder = paths.objects_folder() / "box"
    assert folder == tmp_path / "stn_ros" / "objects" / "box"
    ObjectModel("box", np.zeros((64, 64, 3), np.uint8)).save(folder)
    assert paths.find_object("box") == folder
    assert paths.find_object(folder) == folder
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.find_object("~/stn_ros/objects/box") == folder
    known = "box, city_map, novel, tea_box"
    with pytest.raises(ValueError, match=rf"no_such_object.*are .*{known};.*stn-ros teach"):
        paths.find_object("no_such_object")


def test_folders_of_the_user_are_where_xdg_puts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty variable counts as none (XDG Base Directory Specification)."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "")
    assert paths.objects_folder() == tmp_path / ".local" / "share" / "stn_ros" / "objects"
    assert paths.cache_folder() == tmp_path / ".cache" / "stn_ros"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert paths.objects_folder() == tmp_path / "data" / "stn_ros" / "objects"
    assert paths.cache_folder() == tmp_path / "cache" / "stn_ros"
