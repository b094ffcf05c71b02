"""An object as data: reference picture, metric size and look-alike rotations, kept in a folder."""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from stn_ros.runtime.bundle import BUNDLE_FILE, NetworkBundle, sha256
from stn_ros.runtime.paths import OBJECT_FILE

FORMAT = 1
REFERENCE_FILE = "reference.png"
NETWORK_FOLDER = "network"
MIN_REFERENCE_SIDE = 16
ASPECT_TOLERANCE = 0.05
# A look-alike rotation generates a group: by half a turn, or by quarters and all their multiples.
SYMMETRIES: tuple[tuple[int, ...], ...] = ((), (180,), (90, 180, 270))

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True, eq=False)
class ObjectModel:
    """A flat object known from one picture of its face.

    The pixel grid of `reference` is the object's canonical frame.

    name       a letter, then letters, digits and underscores: valid in TF frames and topic names
    reference  (h, w, 3) BGR uint8, the face upright and square-on, filling the picture
    size_m     (width, height) of the face in metres, or None when unknown (then there is no pose);
               its aspect is the reference's within 5 %
    symmetry   in-plane rotations in degrees that look alike: (), (180,) or (90, 180, 270)
    self_test  figures `stn-ros teach` measured for it (plain YAML values), or None
    network    folder of a network tuned for this object alone, or None: the shared one

    Raises ValueError naming the field that is wrong.
    """

    name: str
    reference: NDArray[np.uint8]
    size_m: tuple[float, float] | None = None
    symmetry: tuple[int, ...] = ()
    self_test: dict[str, Any] | None = None
    network: Path | None = None

    def __post_init__(self) -> None:
        check_name(self.name)
        _check_reference(self.reference)
        if self.size_m is not None:
            object.__setattr__(self, "size_m", _checked_size(self.size_m, self.size))
        symmetry = tuple(self.symmetry)
        if symmetry not in SYMMETRIES:
            raise ValueError(f"symmetry {list(symmetry)}: must be [], [180] or [90, 180, 270]")
        object.__setattr__(self, "symmetry", symmetry)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the canonical frame in pixels."""
        return self.reference.shape[1], self.reference.shape[0]

    def save(self, folder: str | Path, attachments: Mapping[str, bytes] | None = None) -> None:
        """Write the object, with its own network if it has one, to `folder`, whole or not at all.

        The files are made in a folder beside it, then moved into place. An object already there is
        replaced, and put back should the move fail; a folder of something else is refused.

        attachments  further files to keep in it, by name (such as the self-test picture)

        Raises ValueError for a folder that is not an object's, OSError when it cannot be written.
        """
        folder = Path(folder).absolute()
        check_folder(folder)
        picture = _encode_png(self.reference)
        description = {
            "format": FORMAT,
            "name": self.name,
            "size_m": None if self.size_m is None else list(self.size_m),
            "symmetry": list(self.symmetry),
            "reference": {"file": REFERENCE_FILE, "sha256": hashlib.sha256(picture).hexdigest()},
            "self_test": self.self_test,
        }
        network = {}
        if self.network is not None:
            network = {
                f"{NETWORK_FOLDER}/{file.name}": file.read_bytes()
                for file in sorted(self.network.iterdir())
            }
            sealed = hashlib.sha256(network[f"{NETWORK_FOLDER}/{BUNDLE_FILE}"]).hexdigest()
            description["network"] = {"folder": NETWORK_FOLDER, "sha256": sealed}
        files = {
            **(attachments or {}),
            **network,
            REFERENCE_FILE: picture,
            OBJECT_FILE: yaml.safe_dump(
                description, sort_keys=False, default_flow_style=None
            ).encode(),
        }
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
            fresh, old = Path(scratch) / "fresh", Path(scratch) / "old"
            (fresh / NETWORK_FOLDER if network else fresh).mkdir(parents=True)
            for name, content in files.items():
                with (fresh / name).open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            if folder.exists():
                folder.rename(old)
            try:
                fresh.rename(folder)
            except OSError:
                if old.exists():
                    shutil.move(old, folder)
                raise

    @classmethod
    def load(cls, folder: str | Path) -> ObjectModel:
        """Read and verify an object folder.

        Raises ValueError naming the file and what is wrong: missing, not this format, a field out
        of range, or a reference picture or network that is not the one the description was written
        for.
        """
        path = Path(folder) / OBJECT_FILE
        try:
            description = yaml.safe_load(path.read_bytes())
        except FileNotFoundError:
            raise ValueError(
                f"object folder {folder}: no {OBJECT_FILE} in it; make one with `stn-ros teach`"
            ) from None
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: cannot be read as YAML: {error}") from None
        if not isinstance(description, dict):
            raise ValueError(f"{path}: must be a mapping with name, size_m, reference ...")
        if description.get("format") != FORMAT:
            raise ValueError(
                f"{path}: format {description.get('format')!r}, this version reads {FORMAT}: "
                "teach the object again"
            )
        try:
            reference = _load_reference(Path(folder), description.get("reference"))
            size_m, symmetry = description.get("size_m"), description.get("symmetry", [])
            if size_m is not None and not isinstance(size_m, list):
                raise ValueError(f"size_m {size_m!r}: must be [width, height] in metres, or null")
            if not isinstance(symmetry, list):
                raise ValueError(f"symmetry {symmetry!r}: must be a list of degrees")
            return cls(
                name=description.get("name", ""),
                reference=reference,
                size_m=size_m if size_m is None else tuple(size_m),
                symmetry=tuple(symmetry),
                self_test=description.get("self_test"),
                network=_verified_network(Path(folder), description.get("network")),
            )
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def check_folder(folder: Path) -> None:
    """Raise ValueError unless an object may be written to `folder`: new, empty or an object's."""
    if (folder / OBJECT_FILE).is_file() or not folder.exists():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise ValueError(
            f"{folder} exists and holds no {OBJECT_FILE}: choose another folder or remove it"
        )


def check_name(name: object) -> None:
    """Raise ValueError unless `name` can name a TF frame and a topic."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"name {name!r}: must be a letter, then letters, digits or underscores")


def _check_reference(reference: NDArray[np.uint8]) -> None:
    if reference.ndim != 3 or reference.shape[2] != 3 or reference.dtype != np.uint8:
        raise ValueError(
            f"reference picture: must be (h, w, 3) BGR uint8, not {reference.shape} "
            f"{reference.dtype}"
        )
    if min(reference.shape[:2]) < MIN_REFERENCE_SIDE:
        raise ValueError(
            f"reference picture of {reference.shape[1]}x{reference.shape[0]} px: "
            f"each side must have at least {MIN_REFERENCE_SIDE} px"
        )


def _checked_size(size_m: object, size_px: tuple[int, int]) -> tuple[float, float]:
    try:
        width, height = (float(side) for side in size_m)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise ValueError(f"size_m {size_m!r}: must be (width, height) in metres") from None
    if not all(math.isfinite(side) and side > 0 for side in (width, height)):
        raise ValueError(f"size_m {width} x {height}: both sides must be positive, in metres")
    # The picture's sides are whole pixels, so a thin face may miss the aspect by half a pixel.
    tolerance = ASPECT_TOLERANCE + 0.5 / min(size_px)
    if abs(math.log(width / height * size_px[1] / size_px[0])) > tolerance:
        raise ValueError(
            f"size_m {width} x {height} does not have the aspect of the reference picture, "
            f"{size_px[0]}x{size_px[1]} px"
        )
    return width, height


def _encode_png(picture: NDArray[np.uint8]) -> bytes:
    done, buffer = cv2.imencode(".png", picture)
    if not done:
        raise ValueError("reference picture: cannot be encoded as PNG")
    return buffer.tobytes()


def _load_reference(folder: Path, entry: object) -> NDArray[np.uint8]:
    if not isinstance(entry, dict) or not {"file", "sha256"} <= entry.keys():
        raise ValueError("reference: must hold the picture's file and sha256")
    name = str(entry["file"])
    if Path(name).name != name:
        raise ValueError(f"reference file {name!r}: must be a plain file name in the folder")
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise ValueError(f"reference picture {name}: cannot be read: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise ValueError(
            f"reference picture {name}: not the file this object was taught with (sha256 differs); "
            "restore it or teach the object again"
        )
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"reference picture {name}: is not a picture OpenCV can read")
    return np.asarray(picture, np.uint8)


def _verified_network(folder: Path, entry: object) -> Path | None:
    """The folder of the object's own network, all its files checked."""
    if entry is None:
        return None
    if not isinstance(entry, dict) or not {"folder", "sha256"} <= entry.keys():
        raise ValueError(f"network: must hold its folder and the sha256 of its {BUNDLE_FILE}")
    name = str(entry["folder"])
    if Path(name).name != name:
        raise ValueError(f"network folder {name!r}: must be a plain folder name in the folder")
    description = folder / name / BUNDLE_FILE
    if description.is_file() and sha256(description) != entry["sha256"]:
        raise ValueError(
            f"network {name}/{BUNDLE_FILE}: not the one this object was tuned with (sha256 "
            "differs); restore it or teach the object again"
        )
    NetworkBundle.load(folder / name)
    return folder / name
