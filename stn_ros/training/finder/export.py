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

from stn_ros.localization.finder import MIDDLE, NEIGHBOURHOOD, STRIDE, FinderNetwork
from stn_ros.localization.finder import neighbourhoods as network_neighbourhoods
from stn_ros.runtime.bundle import sha256, verified
from stn_ros.runtime.finder.bundle import FINDER_FILE, FORMAT, FinderBundle
from stn_ros.runtime.finder.session import FinderSession, neighbourhoods
from stn_ros.training.finder.samples import CROP, ROTATIONS, SIZES
from stn_ros.training.finder.task import save_weights
from stn_ros.transformer.export import check_close, write_graph

TOLERANCE = 2e-3
"""Largest difference allowed between the exported and the original network."""


class _Cells(nn.Module):
    def __init__(self, network: FinderNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network.cells(pictures))


class _Describe(nn.Module):
    def __init__(self, network: FinderNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, around: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network.describe(around))


def export_finder(network: FinderNetwork, folder: Path, card: Mapping[str, Any]) -> FinderBundle:
    """Write a finder's folder, and load it back.

    Raises:
        RuntimeError: the exported graph disagrees with the network.
    """
    network = network.cpu().eval()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        fresh = Path(scratch) / "fresh"
        fresh.mkdir()
        cells, describe = fresh / "cells.onnx", fresh / "describe.onnx"
        weights = fresh / "weights.npz"
        pictures = torch.zeros(2, 48, 64, 3, dtype=torch.uint8)
        write_graph(
            _Cells(network),
            {"pictures": (pictures, {0: "n", 1: "height", 2: "width"})},
            ["features", "centred"],
            cells,
        )
        around = torch.zeros(2, NEIGHBOURHOOD, NEIGHBOURHOOD, network.settings["features"])
        write_graph(
            _Describe(network), {"around": (around, {0: "k"})}, ["embedding", "outline"], describe
        )
        save_weights(network, weights)
        described = {
            "format": FORMAT,
            "cells": {"file": cells.name, "sha256": sha256(cells)},
            "describe": {"file": describe.name, "sha256": sha256(describe)},
            "weights": {"file": weights.name, "sha256": sha256(weights)},
            "network": dict(network.settings),
            "neighbourhood": NEIGHBOURHOOD,
            "stride": STRIDE,
            "middle": MIDDLE,
            "crop": CROP,
            "rotations": ROTATIONS,
            "sizes": list(SIZES),
            "card": dict(card),
        }
        (fresh / FINDER_FILE).write_text(yaml.safe_dump(described, sort_keys=False), "utf-8")
        _check(network, FinderBundle.load(fresh))
        if folder.exists():
            for file in fresh.iterdir():
                shutil.move(str(file), folder / file.name)
        else:
            fresh.rename(folder)
    return FinderBundle.load(folder)


def weights_file(folder: Path) -> Path:
    """The weights a finder's folder was exported from.

    Raises:
        ValueError: the folder is no finder's, or its weights are missing or damaged.
    """
    FinderBundle.load(folder)
    described = yaml.safe_load((folder / FINDER_FILE).read_text(encoding="utf-8"))
    return verified(folder, described["weights"], FINDER_FILE)


def _check(network: FinderNetwork, bundle: FinderBundle) -> None:
    """Compare the graphs with the network, at a batch and a size they were not traced at."""
    pictures = np.random.default_rng(0).integers(0, 256, (3, 96, 120, 3), dtype=np.uint8)
    graphs = FinderSession(bundle)
    features, centred = graphs.cells(pictures)
    row, column = np.array([0, 5, 11]), np.array([3, 7, 14])
    around = neighbourhoods(features[1], row, column, NEIGHBOURHOOD)
    with torch.no_grad():
        cells = network.cells(torch.from_numpy(pictures))
        beside = network_neighbourhoods(
            cells.features,
            torch.ones(3, dtype=torch.long),
            torch.from_numpy(row),
            torch.from_numpy(column),
        )
        said = network.describe(beside)
    check_close("features", features, cells.features, TOLERANCE)
    check_close("centred", centred, cells.centred, TOLERANCE)
    for name, mine, wanted in zip(said._fields, graphs.describe(around), said, strict=True):
        check_close(name, mine, wanted, TOLERANCE)
