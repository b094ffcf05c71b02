"""Fine-tunes a network for one object: same loop and data, but half of the views show it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.synthesis.scene import LabelledFrame
from stn_ros.training.network.data import TrainingSettings
from stn_ros.training.network.export import export_bundle
from stn_ros.training.network.task import train

LEARNING_RATE = 1e-4


def tune(
    start: Path,
    name: str,
    reference: NDArray[np.uint8],
    minutes: float,
    folder: Path,
    progress: bool = True,
    sightings: Sequence[LabelledFrame] = (),
) -> NetworkBundle:
    """Write to `folder` the network of folder `start`, trained on for one object.

    The confidence is judged as in `start`, and the batch statistics stay what they are.

    Args:
        start: network folder. name: of the object, for the card.
        reference: (h, w, 3) BGR uint8, its face. minutes: of training, the export
            not counted; at least one step is taken.
        sightings: of the face in a camera's frames; half of the views that show it are these.

    Raises:
        ValueError: `start` is no network folder, or holds no weights to train on.
    """
    bundle = NetworkBundle.load(start)
    threads = cv2.getNumThreads()
    # A forked worker hangs if it has to end threads that were not copied with it.
    cv2.setNumThreads(1)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            settings = TrainingSettings(
                Path(scratch),
                minutes,
                learning_rate=LEARNING_RATE,
                norm_share=0.0,
                start=start,
                workers=1,
                faces=(reference,),
                sightings=tuple(sightings),
            )
            task = train(settings, progress)
    finally:
        cv2.setNumThreads(threads)
    tuned = {
        "object": name,
        "minutes": round(task.clock.time_elapsed() / 60, 2),
        "steps": task.steps,
        "samples": task.samples,
        "sightings": len(sightings),
    }
    card = {**bundle.card, "tuned": tuned}
    return export_bundle(
        task.network,
        bundle.patches,
        folder,
        bundle.confidence_weights,
        card,
        bundle.corner_scale,
    )
