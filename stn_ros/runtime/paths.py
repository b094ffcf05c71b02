"""Where the shipped network, taught objects and caches live."""

from __future__ import annotations

import contextlib
import difflib
import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path

OBJECT_FILE = "object.yaml"
"""What makes a folder an object's."""
ALL = "all"
"""Stands for every object there is, see `find_objects`."""
LISTED = 20
"""Names that an error lists, at most."""


def models_folder() -> Path:
    """The folder of the shipped network and sample objects.

    Beside the package in a source tree, else `share/stn_ros/models` of the prefix the package is
    installed in (colcon workspace, virtual environment or system).

    Raises FileNotFoundError where neither exists.
    """
    parents = Path(__file__).resolve().parents
    source_tree = parents[2]
    if (source_tree / "package.xml").is_file() and (source_tree / "models").is_dir():
        return source_tree / "models"
    for prefix in parents[3:]:
        if (prefix / "share" / "stn_ros" / "models").is_dir():
            return prefix / "share" / "stn_ros" / "models"
    raise FileNotFoundError(
        f"no models folder beside or above {parents[1]}: install stn_ros again (its data_files "
        "put the network into share/stn_ros/models)"
    )


def objects_folder() -> Path:
    """Where `stn-ros teach` puts objects: $XDG_DATA_HOME/stn_ros/objects."""
    return _user_folder("XDG_DATA_HOME", ".local/share") / "objects"


def cache_folder() -> Path:
    """Where downloads and built engines are kept: $XDG_CACHE_HOME/stn_ros."""
    return _user_folder("XDG_CACHE_HOME", ".cache")


def find_objects(entries: Iterable[str | Path]) -> list[Path]:
    """The folders of objects given by path or name, see `find_object`, by pattern, or as `all`.

    `all` are the objects taught on this machine or, where there are none, the shipped samples. A
    pattern (`box_*`, `box_[12]`, `box_?`) matches names of both; one with a folder
    (`~/objects/*`, `./box_*`) the objects in that. What a pattern and a name both mean comes once.

    Raises:
        ValueError: an object is unknown, or a pattern matches none; where it was looked for.
    """
    entries = list(entries)
    named = [find_object(entry) for entry in entries if not _is_pattern(entry)]
    matched = [
        folder for entry in entries if _is_pattern(entry) for folder in _matching(str(entry))
    ]
    known = {folder.resolve() for folder in named}
    return named + [folder for folder in dict.fromkeys(matched) if folder.resolve() not in known]


def find_object(name: str | Path) -> Path:
    """The folder of an object given by path (~ is the home folder) or by name.

    A name is looked up among the objects taught on this machine, then among the shipped samples
    (`models/objects`).

    Raises ValueError naming the object, where it was looked for, and the names there are.
    """
    given, shelves = Path(name).expanduser(), _shelves()
    for place in (given, *(shelf / name for shelf in shelves)):
        if (place / OBJECT_FILE).is_file():
            return place
    if given != Path() and _objects_in(given, "*"):
        raise ValueError(
            f"object {str(name)!r}: a folder of objects, not an object: name one in it, or all of "
            f"them by '{name}/*'"
        )
    known = _names(shelves)
    near = difflib.get_close_matches(str(name), known)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ValueError(
        f"object {str(name)!r}: no {OBJECT_FILE} in {_listed(shelf / name for shelf in shelves)}; "
        f"{hint}known are {_listed(known)}; teach it with `stn-ros teach`"
    )


def _shelves() -> list[Path]:
    """Where objects are looked for by name: those taught here, then the samples."""
    shelves = [objects_folder()]
    with contextlib.suppress(FileNotFoundError):
        shelves.append(models_folder() / "objects")
    return shelves


def _names(shelves: Iterable[Path]) -> list[str]:
    return sorted({folder.name for shelf in shelves for folder in _objects_in(shelf, "*")})


def _is_pattern(entry: str | Path) -> bool:
    """Whether it may mean several objects; a path with brackets in it does not."""
    if str(entry) == ALL:
        return True
    return glob.has_magic(str(entry)) and not (Path(entry).expanduser() / OBJECT_FILE).is_file()


def _matching(pattern: str) -> list[Path]:
    """The folders of the objects that `ALL` or a pattern means, by name."""
    shelves = _shelves()
    if pattern == ALL:
        folders = next((found for shelf in shelves if (found := _objects_in(shelf, "*"))), [])
    elif os.sep in pattern:
        path = Path(pattern).expanduser()
        shelves = [path.parent]
        folders = _objects_in(Path(path.anchor), str(path.relative_to(path.anchor)))
    else:
        # An object that was taught here hides the sample of its name.
        by_name = {f.name: f for shelf in reversed(shelves) for f in _objects_in(shelf, pattern)}
        folders = [by_name[name] for name in sorted(by_name)]
    if not folders:
        raise ValueError(
            f"objects {pattern!r}: no object matches in {_listed(shelves)}; known by name are "
            f"{_listed(_names(_shelves()))}; teach one with `stn-ros teach`"
        )
    return folders


def _objects_in(folder: Path, pattern: str) -> list[Path]:
    pattern = re.sub(r"\*+", "*", pattern)  # `**` would walk through a whole disk
    return [file.parent for file in sorted(folder.glob(f"{pattern}/{OBJECT_FILE}"))]


def _listed(things: Iterable[object]) -> str:
    """Comma-separated, at most `LISTED` of them."""
    texts = [str(thing) for thing in things]
    more = [f"{len(texts) - LISTED} more"] if len(texts) > LISTED else []
    return ", ".join([*texts[:LISTED], *more]) or "none"


def _user_folder(variable: str, default: str) -> Path:
    root = os.environ.get(variable)
    return (Path(root) if root else Path.home() / default) / "stn_ros"
