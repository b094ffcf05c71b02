"""The shipped models are found in a source tree and under an installed prefix; objects by name."""

from __future__ import annotations

import fnmatch
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

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


SAMPLES = ["board_game", "city_map", "novel", "tea_box"]


@pytest.fixture
def taught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this user's objects are; the current and the home folder are empty ones."""
    for name in ("here", "home"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return paths.objects_folder()


def _teach(folder: Path, *names: str) -> None:
    for name in names:
        ObjectModel(name, np.zeros((64, 64, 3), np.uint8)).save(folder / name)


def test_all_are_those_taught_here_or_else_the_samples(taught: Path) -> None:
    samples = paths.models_folder() / "objects"
    assert paths.find_objects(["all"]) == [samples / name for name in SAMPLES]
    _teach(taught, "box_2", "novel", "box_1")
    (taught / "no_object").mkdir()
    assert paths.find_objects(["all"]) == [taught / name for name in ("box_1", "box_2", "novel")]
    _teach(taught.parent / "other", "mug")
    everything = paths.find_objects([taught.parent / "other" / "mug", "all", "tea_box"])
    assert [folder.name for folder in everything] == ["mug", "tea_box", "box_1", "box_2", "novel"]


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        (["box_*"], ["taught/box_1", "taught/box_2"]),
        (["box_[!1]"], ["taught/box_2"]),
        (["b*"], ["samples/board_game", "taught/box_1", "taught/box_2"]),
        (["n?vel"], ["taught/novel"]),  # not the sample of that name
        (["box_*", "box_2"], ["taught/box_2", "taught/box_1"]),
        (["*_2", "box_?"], ["taught/box_2", "taught/box_1"]),
        (["./m*"], ["here/mug"]),
        (["~/sets/*"], ["home/sets/box_1", "home/sets/jar"]),
        (["~/s*/jar"], ["home/sets/jar"]),
        (["{tmp}/home/sets/b*"], ["home/sets/box_1"]),
        (["{tmp}/home/[set]/jar"], ["home/[set]/jar"]),
        ([], []),
    ],
)
def test_patterns_match_names_and_paths(
    entries: list[str], found: list[str], taught: Path, tmp_path: Path
) -> None:
    _teach(taught, "box_1", "box_2", "novel")
    _teach(tmp_path / "here", "mug")
    _teach(tmp_path / "home" / "sets", "box_1", "jar")
    _teach(tmp_path / "home" / "[set]", "jar")
    places = {
        "taught": taught,
        "samples": paths.models_folder() / "objects",
        "here": tmp_path / "here",
        "home": tmp_path / "home",
    }
    expected = [places[each.split("/")[0]] / each.partition("/")[2] for each in found]
    actual = paths.find_objects([entry.format(tmp=tmp_path) for entry in entries])
    assert [folder.absolute() for folder in actual] == expected


def test_an_object_named_twice_is_found_twice(taught: Path) -> None:
    """Whoever loads them says so."""
    assert len(paths.find_objects(["novel", "novel"])) == 2


@pytest.mark.parametrize("pattern", ["bux_*", "./*", "~/sets/*"])
def test_a_pattern_without_a_match_says_where_it_looked(
    pattern: str, taught: Path, tmp_path: Path
) -> None:
    _teach(taught, "box_1")
    looked = {"bux_*": taught, "./*": Path(), "~/sets/*": tmp_path / "home" / "sets"}[pattern]
    with pytest.raises(ValueError, match="no object matches") as caught:
        paths.find_objects(["box_1", pattern])
    assert f"objects {pattern!r}" in str(caught.value)
    assert f"in {looked}" in str(caught.value)
    assert "known by name are board_game, box_1, city_map" in str(caught.value)


def test_an_unknown_name_is_told_with_the_near_ones(taught: Path) -> None:
    _teach(taught, "tea_bax", *(f"other_{i:02}" for i in range(30)))
    with pytest.raises(ValueError, match=r"'tea_bix'.*did you mean tea_box or tea_bax\?"):
        paths.find_objects(["tea_bix"])
    with pytest.raises(ValueError, match=r"known are board_game.*other_16, 15 more; teach"):
        paths.find_objects(["zzz"])
    with pytest.raises(ValueError, match=r"a folder of objects.*objects/\*'"):
        paths.find_objects([taught])


@given(
    names=st.sets(st.text("abc_", min_size=1, max_size=3).map("x{}".format), max_size=6),
    pattern=st.text("abc_*?", max_size=4).map("x{}".format),
)
def test_patterns_mean_what_the_shells_do(names: set[str], pattern: str) -> None:
    assume(set(pattern) & set("*?"))
    expected = sorted(name for name in names if fnmatch.fnmatchcase(name, pattern))
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            (Path(folder) / name).mkdir()
            (Path(folder) / name / paths.OBJECT_FILE).touch()
        try:
            found = [each.name for each in paths.find_objects([f"{folder}/{pattern}"])]
        except ValueError:
            found = []
    assert found == expected


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
