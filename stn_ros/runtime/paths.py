"""Where the shipped network, taught objects and caches live."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

OBJECT_FILE = "object.yaml"
"""What makes a folder an object's."""


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


def find_object(name: str | Path) -> Path:
    """The folder of an object given by path (~ is the home folder) or by name.

    A name is looked up among the objects taught on this machine, then among the shipped samples
    (`models/objects`).

    Raises ValueError naming the object, where it was looked for, and the names there are.
    """
    shelves = [objects_folder()]
    with contextlib.suppress(FileNotFoundError):
        shelves.append(models_folder() / "objects")
    for place in (Path(name).expanduser(), *(shelf / name for shelf in shelves)):
        if (place / OBJECT_FILE).is_file():
            return place
    looked = ", ".join(str(shelf / name) for shelf in shelves)
    known = {file.parent.name for shelf in shelves for file in shelf.glob(f"*/{OBJECT_FILE}")}
    raise ValueError(
        f"object {str(name)!r}: no {OBJECT_FILE} in {looked}; known are "
        f"{', '.join(sorted(known))}; teach it with `stn-ros teach`"
    )


def _user_folder(variable: str, default: str) -> Path:
    root = os.environ.get(variable)
    return (Path(root) if root else Path.home() / default) / "stn_ros"
