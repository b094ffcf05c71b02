"""An object as data: reference picture, metric size and look-alike rotations, kept in a folder."""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
import shutil
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
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
EMBEDDINGS_FILE = "finder.npy"
NETWORK_FOLDER = "network"
MIN_REFERENCE_SIDE = 16
ASPECT_TOLERANCE = 0.05
# A look-alike rotation generates a group: by half a turn, or by quarters and all their multiples.
SYMMETRIES: tuple[tuple[int, ...], ...] = ((), (180,), (90, 180, 270))

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_PNG = b"\x89PNG\r\n\x1a\n"
# libyaml, where PyYAML has it: ten times as fast.
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, eq=False)
class Embeddings:
    """A reference as the finder's network knows it.

    Attributes:
        values: (sizes, rotations, C) float16, of unit length.
        graph: sha256 of the network's graph that made them.

    Raises:
        ValueError: values of another shape or type, or not finite.
    """

    values: NDArray[np.float16]
    graph: str

    def __post_init__(self) -> None:
        values = self.values
        if values.ndim != 3 or values.dtype != np.float16 or not np.isfinite(values).all():
            raise ValueError(
                "must be finite float16 of shape (sizes, rotations, C), not "
                f"{values.dtype} of shape {values.shape}"
            )


@dataclass(frozen=True, eq=False)
class ObjectModel:
    """A flat object known from one picture of its face.

    The pixel grid of `reference` is the object's canonical frame.

    name       a letter, then letters, digits and underscores: valid in TF frames and topic names
    picture    of the face, upright and square-on, filling it: (h, w, 3) BGR uint8, or such a
               picture's PNG, which takes less memory and is decoded whenever `reference` is read
    size_m     (width, height) of the face in metres, or None when unknown (then there is no pose);
               its aspect is the reference's within 5 %
    symmetry   in-plane rotations in degrees that look alike: (), (180,) or (90, 180, 270)
    self_test  figures `stn-ros teach` measured for it (plain YAML values), or None
    network    folder of a network tuned for this object alone, or None: the shared one
    embeddings the reference as the finder knows it, or None: encoded where it is needed
    size       (width, height) of the canonical frame in pixels: the picture's

    Raises ValueError naming the field that is wrong.
    """

    name: str
    picture: NDArray[np.uint8] | bytes
    size_m: tuple[float, float] | None = None
    symmetry: tuple[int, ...] = ()
    self_test: dict[str, Any] | None = None
    network: Path | None = None
    embeddings: Embeddings | None = None
    size: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        object.__setattr__(self, "size", _checked_picture(self.picture))
        if self.size_m is not None:
            object.__setattr__(self, "size_m", _checked_size(self.size_m, self.size))
        symmetry = tuple(self.symmetry)
        if symmetry not in SYMMETRIES:
            raise ValueError(f"symmetry {list(symmetry)}: must be [], [180] or [90, 180, 270]")
        object.__setattr__(self, "symmetry", symmetry)

    @property
    def reference(self) -> NDArray[np.uint8]:
        """(h, w, 3) BGR uint8: the picture, decoded anew each time if it is kept as a PNG."""
        if not isinstance(self.picture, bytes):
            return self.picture
        decoded = cv2.imdecode(np.frombuffer(self.picture, np.uint8), _AS_STORED)
        if decoded is None:
            raise ValueError(
                f"{self.name}: reference picture: OpenCV cannot read it; teach the object again"
            )
        return np.asarray(decoded, np.uint8)

    def save(self, folder: str | Path, attachments: Mapping[str, bytes] | None = None) -> None:
        """Write the object, with its own network if it has one, to `folder`, whole or not at all.

        The files are made in a folder beside it, then moved into place. An object already there is
        replaced, and put back should the move fail; a folder of something else is refused.

        attachments  further files to keep in it, by name (such as the self-test picture)

        Raises ValueError for a folder that is not an object's, OSError when it cannot be written.
        """
        folder = Path(folder).absolute()
        check_folder(folder)
        picture = self.picture
        if not isinstance(picture, bytes):
            picture = _encode_png(picture)
        description = {
            "format": FORMAT,
            "name": self.name,
            "size_m": None if self.size_m is None else list(self.size_m),
            "symmetry": list(self.symmetry),
            "reference": {"file": REFERENCE_FILE, "sha256": hashlib.sha256(picture).hexdigest()},
            "self_test": self.self_test,
        }
        embeddings = {}
        if self.embeddings is not None:
            content = io.BytesIO()
            np.save(content, self.embeddings.values)
            embeddings = {EMBEDDINGS_FILE: content.getvalue()}
            description["finder"] = {
                "file": EMBEDDINGS_FILE,
                "sha256": hashlib.sha256(content.getvalue()).hexdigest(),
                "graph": self.embeddings.graph,
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
            **embeddings,
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
        of range, or a reference picture, embeddings or network that are not those the description
        was written for.
        """
        path = Path(folder) / OBJECT_FILE
        try:
            description = yaml.load(path.read_bytes(), Loader=_YAML)
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
            picture = _load_reference(Path(folder), description.get("reference"))
            size_m, symmetry = description.get("size_m"), description.get("symmetry", [])
            if size_m is not None and not isinstance(size_m, list):
                raise ValueError(f"size_m {size_m!r}: must be [width, height] in metres, or null")
            if not isinstance(symmetry, list):
                raise ValueError(f"symmetry {symmetry!r}: must be a list of degrees")
            return cls(
                name=description.get("name", ""),
                picture=picture,
                size_m=size_m if size_m is None else tuple(size_m),
                symmetry=tuple(symmetry),
                self_test=description.get("self_test"),
                network=_verified_network(Path(folder), description.get("network")),
                embeddings=_load_embeddings(Path(folder), description.get("finder")),
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


def _checked_picture(picture: NDArray[np.uint8] | bytes) -> tuple[int, int]:
    """Its (width, height) in pixels; of a PNG only the head is read."""
    if isinstance(picture, bytes):
        if len(picture) < 24 or not picture.startswith(_PNG):
            raise ValueError("reference picture: is not a PNG; teach the object again")
        width, height = struct.unpack(">II", picture[16:24])
    else:
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
            raise ValueError(
                f"reference picture: must be (h, w, 3) BGR uint8, not {picture.shape} "
                f"{picture.dtype}"
            )
        height, width = picture.shape[:2]
    if min(width, height) < MIN_REFERENCE_SIDE:
        raise ValueError(
            f"reference picture of {width}x{height} px: "
            f"each side must have at least {MIN_REFERENCE_SIDE} px"
        )
    return width, height


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


def _load_reference(folder: Path, entry: object) -> bytes:
    if not isinstance(entry, dict) or not {"file", "sha256"} <= entry.keys():
        raise ValueError("reference: must hold the picture's file and sha256")
    return _verified_file(folder, entry, "reference")


def _load_embeddings(folder: Path, entry: object) -> Embeddings | None:
    if entry is None:
        return None
    if not isinstance(entry, dict) or not {"file", "sha256", "graph"} <= entry.keys():
        raise ValueError("finder: must hold its file, the sha256 of that, and of the graph")
    content = _verified_file(folder, entry, "finder")
    try:
        values = np.lib.format.read_array(io.BytesIO(content))  # type: ignore[no-untyped-call]
        return Embeddings(values, str(entry["graph"]))
    except ValueError as error:
        raise ValueError(
            f"finder file {entry['file']}: not embeddings: {error}; teach the object again"
        ) from None


def _verified_file(folder: Path, entry: Mapping[str, object], what: str) -> bytes:
    """The content of the file of an entry {file, sha256} of the description."""
    name = str(entry["file"])
    if Path(name).name != name:
        raise ValueError(f"{what} file {name!r}: must be a plain file name in the folder")
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise ValueError(f"{what} file {name}: cannot be read: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise ValueError(
            f"{what} file {name}: not the file this object was taught with (sha256 differs); "
            "restore it or teach the object again"
        )
    return content


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
