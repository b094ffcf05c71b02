#!/usr/bin/env python3
"""How long objects take to be found in frames of which no detector says anything.

Each scene stands still before a camera of 30 Hz until everything in it is found; frames that come
while the last one is being worked on are dropped, as in the node. Scenes are worlds with all the
sample objects, and held-out views of one of them, all of them wanted.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from stn_ros.geometry.homography import corner_error
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.canonicalizer import Canonicalizer
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import models_folder
from stn_ros.runtime.pipeline import Pipeline
from stn_ros.runtime.region_source import WholeImage
from stn_ros.simulation.world import World
from stn_ros.synthesis.scene import SHARP, render_frame
from stn_ros.synthesis.textures import Textures

PERIOD = 1 / 30
PATIENCE = 30.0  # seconds
RIGHT = 8.0  # pixels of mean corner error
VISIBLE = 0.75  # share of a face that must be to be seen for it to be wanted


class Found(NamedTuple):
    """When an object was found: frames worked on and seconds; infinite if it was not."""

    frames: float
    seconds: float


def main() -> None:
    """Search and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=20, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    models = [
        ObjectModel.load(folder) for folder in sorted((models_folder() / "objects").iterdir())
    ]
    pipeline = Pipeline(Canonicalizer(NetworkBundle.load(), models))
    print(
        f"{options.scenes} scenes of each kind, 640x480 at 30 Hz, seed {options.seed}, one thread"
    )
    print("| | objects | found | frames: median | p90 | seconds: median | p90 |")
    print("|---|---|---|---|---|---|---|")
    for kind, scenes in (("worlds of all", worlds), ("views of one", views)):
        results = [
            result
            for frame, truth in tqdm(
                scenes(models, options.scenes, options.seed), total=options.scenes, leave=False
            )
            for result in search(pipeline, frame, truth)
        ]
        frames, seconds = zip(*results, strict=True)
        print(
            f"| {kind} | {len(results)} | {np.isfinite(seconds).mean():.0%} | "
            + " | ".join(f"{np.quantile(frames, q, method='higher'):.0f}" for q in (0.5, 0.9))
            + " | "
            + " | ".join(f"{np.quantile(seconds, q, method='higher'):.2f}" for q in (0.5, 0.9))
            + " |"
        )


def worlds(
    models: list[ObjectModel], count: int, seed: int
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Frames with all objects, and the homographies of those that are to be seen."""
    for index in range(count):
        frame, truths = World(models, seed=1000 * seed + index).render(1.0 + index)
        yield frame, {one.object_name: one.homography for one in truths if one.visible > VISIBLE}


def views(
    models: list[ObjectModel], count: int, seed: int
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Frames with one object each, and its homography."""
    background = Textures("held_out").background
    for index in range(count):
        model = models[index % len(models)]
        rng = np.random.default_rng([seed, index])
        rendered = render_frame(rng, model.reference, background, SHARP)
        yield rendered.frame, {model.name: rendered.homography}


def search(pipeline: Pipeline, frame: np.ndarray, truth: Mapping[str, np.ndarray]) -> list[Found]:
    """When each of the objects in a scene that stands still was found."""
    pipeline.reset()
    source = WholeImage(pipeline.finder)
    found: dict[str, Found] = {}
    now, frames = 0.0, 0
    while now < PATIENCE and found.keys() != truth.keys():
        start = time.thread_time()  # others' load does not count
        sightings = pipeline.update(frame, now, source, arrival=now).sightings
        took = time.thread_time() - start
        frames += 1
        for one in sightings:
            name = one.object_name
            if name in truth and name not in found:
                error = corner_error(one.homography, truth[name], one.alignment.size)
                if error < RIGHT:
                    found[name] = Found(frames, now + took)
        now += PERIOD * max(1, math.ceil(took / PERIOD))
    return [found.get(name, Found(math.inf, math.inf)) for name in truth]


if __name__ == "__main__":
    main()
