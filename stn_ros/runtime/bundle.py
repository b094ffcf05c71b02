"""The network as it ships: a folder of ONNX files and the YAML that describes and seals them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stn_ros.runtime.paths import models_folder

FORMAT = 2
BUNDLE_FILE = "network.yaml"
PATCH_STAGES = ("locate", "refine", "polish", "track")


@dataclass(frozen=True)
class NetworkBundle:
    """A verified network.

    Attributes:
        features: graph, pictures -> features.
        match: graph, reference features and patches -> motion and verdicts.
        match_int8: the same, its convolutions in 8 bits: twice as fast, a little less exact.
        patches: side of the patch of each stage (`PATCH_STAGES`), pixels.
        corner_scale: variance of the corners over what it were, if cells erred independently.
        confidence_weights: by the name of the input, see `confidence`.
        card: how it was trained and what it reaches (plain YAML values).
    """

    features: Path
    match: Path
    match_int8: Path
    patches: dict[str, int]
    confidence_weights: dict[str, float]
    corner_scale: float
    card: dict[str, Any]

    @classmethod
    def load(cls, folder: str | Path | None = None) -> NetworkBundle:
        """Read and verify a network folder; without one, the network that ships.

        Raises:
            ValueError: the file that is missing, damaged or of another format, and what to do.
        """
        folder = Path(folder) if folder else models_folder() / "canonicalizer"
        path = folder / BUNDLE_FILE
        described = read_description(
            path,
            FORMAT,
            "is this a network folder? `stn-ros train-network` writes one",
            "export the network again with `stn-ros train-network`, or, if it is an object's own, "
            "teach that again with --tune",
        )
        try:
            features = verified(folder, described["features"])
            match = verified(folder, described["match"])
            match_int8 = verified(folder, described["match_int8"])
            patches = {name: int(described["patches"][name]) for name in PATCH_STAGES}
            corner_scale = float(described["corner_scale"])
            weights = {
                name: float(value) for name, value in described["confidence_weights"].items()
            }
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: entry missing or malformed: {error}") from None
        card = described.get("card", {})
        return cls(features, match, match_int8, patches, weights, corner_scale, card)


def set_confidence_weights(folder: Path, weights: Mapping[str, float]) -> None:
    """Replace `NetworkBundle.confidence_weights` in a network folder."""
    path = folder / BUNDLE_FILE
    described = yaml.safe_load(path.read_text(encoding="utf-8"))
    described["confidence_weights"] = dict(weights)
    fresh = path.with_suffix(".new")
    fresh.write_text(yaml.safe_dump(described, sort_keys=False), encoding="utf-8")
    fresh.replace(path)


def read_description(path: Path, version: int, missing: str, outdated: str) -> dict[str, Any]:
    """The YAML that describes a network.

    Args:
        path: of the file. version: of its format. missing, outdated: what to do, for errors.

    Raises:
        ValueError: it cannot be read, is no YAML, or is of another format.
    """
    try:
        described = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: can not be read ({error.strerror}): {missing}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not YAML: {error}") from None
    if not isinstance(described, dict) or described.get("format") != version:
        found = described.get("format") if isinstance(described, dict) else described
        raise ValueError(f"{path}: format {found!r}, this version reads {version}: {outdated}")
    return described


def verified(folder: Path, entry: dict[str, str], described_in: str = BUNDLE_FILE) -> Path:
    """The file of an entry {file, sha256} of `described_in`, its content checked.

    Raises:
        ValueError: it is missing, or another than described.
    """
    path = folder / entry["file"]
    if not path.is_file():
        raise ValueError(f"{path}: missing; install the network folder again, whole")
    digest = sha256(path)
    if digest != entry["sha256"]:
        raise ValueError(
            f"{path}: sha256 is {digest[:12]}..., {described_in} says "
            f"{entry['sha256'][:12]}...: damaged or replaced; install it again"
        )
    return path


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
