#!/usr/bin/env python3
"""How long the canonicalizer takes for an object, beside SIFT and beside itself in PyTorch.

All contestants answer the same frames in turn, one thread each; the medians and their ratios are
printed. Needs the train extra (PyTorch).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from stn_ros.evaluation.baselines import SiftHomography
from stn_ros.evaluation.held_out import make_faces
from stn_ros.evaluation.trials import jittered
from stn_ros.localization.network import LocalizationNetwork
from stn_ros.runtime.alignment import Region
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.canonicalizer import Canonicalizer
from stn_ros.runtime.engines import Motion
from stn_ros.runtime.paths import models_folder
from stn_ros.synthesis.scene import SHARP, render_frame
from stn_ros.synthesis.textures import Textures
from stn_ros.training.network.export import load_weights


class TorchEngine:
    """The network in PyTorch, eager, behind the interface of `runtime.engines`."""

    name = "torch"

    def __init__(self, network: LocalizationNetwork) -> None:
        self._network = network.eval()

    def features(self, pictures: np.ndarray) -> np.ndarray:
        """See `runtime.engines.Engine`."""
        with torch.inference_mode():
            return self._network.features(torch.from_numpy(pictures)).numpy()

    def match(self, reference: np.ndarray, patches: np.ndarray, exact: bool = True) -> Motion:
        """See `runtime.engines.Engine`; always exact."""
        with torch.inference_mode():
            features = self._network.features(torch.from_numpy(patches))
            motion = self._network.match(torch.from_numpy(reference), features)
            return Motion(*(part.numpy() for part in motion))


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=models_folder() / "canonicalizer")
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)

    rng = np.random.default_rng(options.seed)
    faces = make_faces(10, options.seed)
    models = [face.model for face in faces]
    bundle = NetworkBundle.load(options.model)
    ours = Canonicalizer(bundle, models)
    same = Canonicalizer(bundle, models, engine=TorchEngine(load_weights(options.model)))
    sift = {model.name: SiftHomography(model.reference) for model in models}
    backgrounds = Textures("held_out")
    times: dict[str, list[float]] = {}

    def timed(name: str, work: Callable, *arguments: object) -> object:
        start = time.thread_time()
        result = work(*arguments)
        times.setdefault(name, []).append(time.thread_time() - start)
        return result

    for index in tqdm(range(options.frames + 1), unit="frame", leave=False):
        model = models[index % len(models)]
        rendered = render_frame(rng, model.reference, backgrounds.background, SHARP)
        region = Region(model.name, *jittered(rng, rendered.box, (640, 480)))
        frame = rendered.frame
        box = (region.left, region.top, region.width, region.height)
        found = timed("locate", ours.process, frame, [region])
        timed("locate, torch", same.process, frame, [region])
        timed("SIFT + RANSAC", sift[model.name].align, frame, box)
        timed("track", ours.process, frame, [], found)
        timed("track, torch", same.process, frame, [], found)
        if index == 0:
            times.clear()
    middle = {name: float(np.median(values)) for name, values in times.items()}
    print(f"{options.frames} frames 640x480, one object each, seed {options.seed}, one thread")
    print("| | median ms of CPU time | of SIFT | of locate |\n|---|---|---|---|")
    for name, value in middle.items():
        print(
            f"| {name} | {1e3 * value:.1f} | {value / middle['SIFT + RANSAC']:.2f} "
            f"| {value / middle['locate']:.2f} |"
        )


if __name__ == "__main__":
    main()
