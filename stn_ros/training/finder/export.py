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

from stn_ros.localization.finder import MIDDLE, STRIDE, FinderNetwork
from stn_ros.runtime.bundle import sha256, verified
from stn_ros.runtime.engines.onnxruntime import session
from stn_ros.runtime.finder.bundle import FINDER_FILE, FORMAT, FinderBundle
from stn_ros.training.finder.samples import CROP, ROTATIONS, SIZES
from stn_ros.training.finder.task import save_weights
from stn_ros.transformer.export import check_close, write_graph

TOLERANCE = 2e-3
"""Largest difference allowed between the exported and the original network."""


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
        graph, weights = fresh / "finder.onnx", fresh / "weights.npz"
        pictures = torch.zeros(2, 48, 64, 3, dtype=torch.uint8)
        write_graph(
            network,
            {"pictures": (pictures, {0: "n", 1: "height", 2: "width"})},
            ["embedding", "centred", "outline"],
            graph,
        )
        save_weights(network, weights)
        described = {
            "format": FORMAT,
            "graph": {"file": graph.name, "sha256": sha256(graph)},
            "weights": {"file": weights.name, "sha256": sha256(weights)},
            "network": dict(network.settings),
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
    """Compare the graph with the network, at a batch and a size it was not traced at."""
    pictures = np.random.default_rng(0).integers(0, 256, (3, 96, 120, 3), dtype=np.uint8)
    ours = session(bundle.graph).run(None, {"pictures": pictures})
    with torch.no_grad():
        theirs = network(torch.from_numpy(pictures))
    for name, mine, wanted in zip(theirs._fields, ours, theirs, strict=True):
        check_close(name, mine, wanted, TOLERANCE)
