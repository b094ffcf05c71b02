"""From trained weights to the folder the robot loads, checked against the network itself."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from stn_ros.localization.network import STRIDE, LocalizationNetwork
from stn_ros.runtime.bundle import BUNDLE_FILE, FORMAT, NetworkBundle, sha256
from stn_ros.runtime.engines import make_engine
from stn_ros.training.network.quantise import quantise
from stn_ros.transformer.export import check_close, write_graph

TOLERANCE = 2e-3
"""Largest difference allowed between the exported and the original network, cells and logits."""


class _Features(nn.Module):
    def __init__(self, network: LocalizationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        return self.network.features(pictures)


class _Match(nn.Module):
    def __init__(self, network: LocalizationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, reference: Tensor, patches: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network.match(reference, self.network.features(patches)))


def export_bundle(
    network: LocalizationNetwork,
    patches: Mapping[str, int],
    folder: Path,
    confidence_weights: Mapping[str, float],
    card: Mapping[str, Any],
    corner_scale: float = 1.0,
) -> NetworkBundle:
    """Write a network folder, whole or not at all, and load it back.

    Args:
        network: trained. patches: side of the patch by stage name. folder: where to.
        confidence_weights, card, corner_scale: see `NetworkBundle`.

    Raises:
        RuntimeError: an exported graph disagrees with the network.
    """
    network = network.cpu().eval()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        fresh = Path(scratch) / "fresh"
        fresh.mkdir()
        features, match = fresh / "features.onnx", fresh / "match.onnx"
        pictures = torch.zeros(2, 64, 64, 4, dtype=torch.uint8)
        reference = torch.zeros(2, network.channels, 64 // STRIDE, 64 // STRIDE)
        write_graph(
            _Features(network),
            {"pictures": (pictures, {0: "n", 1: "size", 2: "size"})},
            ["features"],
            features,
        )
        write_graph(
            _Match(network),
            {
                "reference": (reference, {0: "n", 2: "cells", 3: "cells"}),
                "patches": (pictures, {0: "n", 1: "size", 2: "size"}),
            },
            ["flow", "log_scale", "present", "aligned"],
            match,
        )
        match_int8 = fresh / "match_int8.onnx"
        quantise(match, features, match_int8)
        weights = fresh / "weights.npz"
        np.savez(weights, **{name: w.numpy() for name, w in network.state_dict().items()})
        described = {
            "format": FORMAT,
            "features": {"file": features.name, "sha256": sha256(features)},
            "match": {"file": match.name, "sha256": sha256(match)},
            "match_int8": {"file": match_int8.name, "sha256": sha256(match_int8)},
            "weights": {"file": weights.name, "sha256": sha256(weights)},
            "channels": network.channels,
            "patches": dict(patches),
            "corner_scale": corner_scale,
            "confidence_weights": dict(confidence_weights),
            "card": dict(card),
        }
        (fresh / BUNDLE_FILE).write_text(
            yaml.safe_dump(described, sort_keys=False), encoding="utf-8"
        )
        _check(network, NetworkBundle.load(fresh))
        if folder.exists():
            for file in fresh.iterdir():
                shutil.move(str(file), folder / file.name)
        else:
            fresh.rename(folder)
    return NetworkBundle.load(folder)


def load_weights(folder: Path) -> LocalizationNetwork:
    """The network a folder was exported from, to train on or to compare with.

    Raises:
        ValueError: the folder is no network folder, or holds no weights or damaged ones.
    """
    NetworkBundle.load(folder)
    described = yaml.safe_load((folder / BUNDLE_FILE).read_text(encoding="utf-8"))
    path = folder / "weights.npz"
    if not path.is_file() or sha256(path) != described["weights"]["sha256"]:
        raise ValueError(f"{path}: missing or damaged; install the network folder again, whole")
    network = LocalizationNetwork(described["channels"])
    with np.load(path) as arrays:
        network.load_state_dict({name: torch.from_numpy(arrays[name]) for name in arrays.files})
    return network.eval()


def _check(network: LocalizationNetwork, bundle: NetworkBundle) -> None:
    """Compare the graphs with the network, at a batch and sizes they were not traced at."""
    rng = np.random.default_rng(0)
    engine = make_engine(bundle)
    for name, patch in bundle.patches.items():
        shape = (3, patch, patch, 4)
        reference = rng.integers(0, 256, shape, dtype=np.uint8)
        reference[..., 3] = 255
        patches = np.roll(reference, 3, axis=2) // 2 + rng.integers(0, 128, shape, dtype=np.uint8)
        patches[..., 3] = 255
        ours = engine.match(engine.features(reference), patches)
        with torch.no_grad():
            theirs = network(torch.from_numpy(reference), torch.from_numpy(patches))
        for part, mine, wanted in zip(ours._fields, ours, theirs, strict=True):
            check_close(f"stage {name}, {part}", mine, wanted, TOLERANCE)
