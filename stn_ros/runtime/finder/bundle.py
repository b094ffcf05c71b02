"""The finder's network as it ships: ONNX files and the YAML that describes and seals them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stn_ros.runtime.bundle import read_description, verified
from stn_ros.runtime.paths import models_folder

FORMAT = 1
FINDER_FILE = "finder.yaml"


@dataclass(frozen=True)
class FinderBundle:
    """A verified network.

    Attributes:
        cells: graph, pictures (N, H, W, 3) uint8 BGR -> features (N, h, w, C) and centred
            (N, h, w), see `localization.finder.Cells`.
        describe: graph, around (K, S, S, C), the features of a cell's neighbourhood -> embedding
            (K, E) and outline (K, 5), see `localization.finder.Description`.
        sha256: of both graphs: embeddings of one network do not go with those of another.
        neighbourhood: S, cells. stride: pixels per cell.
        middle: size (root of the area) of a face whose outline is neither large nor small, pixels.
        crop: side of the picture a reference is encoded in, pixels. rotations: that it is encoded
            under, evenly spaced. sizes: at which, root of the area in pixels.
        card: how it was trained and what it reaches (plain YAML values).
    """

    cells: Path
    describe: Path
    sha256: str
    neighbourhood: int
    stride: int
    middle: float
    crop: int
    rotations: int
    sizes: tuple[float, ...]
    card: dict[str, Any]

    @classmethod
    def load(cls, folder: str | Path | None = None) -> FinderBundle:
        """Read and verify a folder; without one, the network that ships.

        Raises:
            ValueError: the file that is missing, damaged or of another format, and what to do.
        """
        folder = Path(folder) if folder else models_folder() / "finder"
        path = folder / FINDER_FILE
        described = read_description(
            path,
            FORMAT,
            "is this a finder's folder? `stn-ros train-finder` writes one",
            "export it again with `stn-ros train-finder`",
        )
        try:
            return cls(
                cells=verified(folder, described["cells"], FINDER_FILE),
                describe=verified(folder, described["describe"], FINDER_FILE),
                sha256=_digest(described["cells"]["sha256"], described["describe"]["sha256"]),
                neighbourhood=int(described["neighbourhood"]),
                stride=int(described["stride"]),
                middle=float(described["middle"]),
                crop=int(described["crop"]),
                rotations=int(described["rotations"]),
                sizes=tuple(float(size) for size in described["sizes"]),
                card=described.get("card", {}),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: entry missing or malformed: {error}") from None


def _digest(*digests: str) -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest()
