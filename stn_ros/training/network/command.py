"""`stn-ros train-network`: train the network that ships, and export it."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import cv2

from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.synthesis.textures import Textures
from stn_ros.training.network.samples import STAGES

DESCRIPTION = """\
Train the network that serves every flat object, on views rendered while it trains: drawn artwork
and photos of installed packages, at any angle, tilt and distance, blurred, lit, occluded, cut off.

The folder keeps a checkpoint a minute, and TensorBoard's log: run the same command again and it
goes on where it was, also after a crash. --minutes counts the time of all runs together. A GPU is
used where PyTorch finds one, and then renders the views too. At the end the confidence is fitted
and the network is written to --export, ready for the node (parameter model) and for
`stn-ros benchmark --model`."""

UNFITTED = {"bias": -2.0, "present": 0.5, "aligned": 0.5, "overall": 3.0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("folder", type=Path, help="where checkpoint and log are kept")
    parser.add_argument("--minutes", type=float, default=120.0, help="length of the training (120)")
    parser.add_argument(
        "--start", type=Path, help="network folder to begin from, such as models/canonicalizer"
    )
    parser.add_argument("--seed", type=int, default=1, help="of weights and data (1)")
    parser.add_argument(
        "--renderer",
        choices=("auto", "workers", "device"),
        default="auto",
        help="who renders the views: worker processes, or the device that trains; auto is the "
        "device if it is a GPU (auto)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        help="processes that render or, where the device does, draw new faces for it (1)",
    )
    parser.add_argument(
        "--batch-factor",
        type=int,
        default=1,
        help="samples in a batch, in multiples of the usual; a GPU has room for 8 or more (1)",
    )
    parser.add_argument("--threads", type=int, default=0, help="of the network, 0: all cores (0)")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="at the start (0.001)")
    parser.add_argument("--export", type=Path, help="network folder (default: FOLDER/network)")
    parser.add_argument(
        "--answers", type=int, default=6000, help="answers the confidence is fitted on (6000)"
    )


def run(args: argparse.Namespace) -> int:
    """Train, fit the confidence, export."""
    least = {"minutes": 0.0, "workers": 0, "batch_factor": 1, "threads": 0, "answers": 20}
    for name, bound in least.items():
        if getattr(args, name) < bound:
            option = "--" + name.replace("_", "-")
            raise ValueError(f"{option} is {getattr(args, name)}: must be at least {bound}")
    try:
        # PyTorch is no part of the robot's install.
        from stn_ros.training.network.confidence_fit import collect, corner_scale, fit
        from stn_ros.training.network.data import TrainingSettings, held_out_batches
        from stn_ros.training.network.export import export_bundle
        from stn_ros.training.network.task import figures, train
    except ModuleNotFoundError as error:
        raise ValueError(f"{error.name} is missing: pip install 'stn_ros[train]'") from None
    cv2.setNumThreads(1)
    settings = TrainingSettings(
        args.folder,
        args.minutes,
        learning_rate=args.learning_rate,
        start=args.start,
        seed=args.seed,
        renderer=args.renderer,
        workers=args.workers,
        threads=args.threads,
        batch_factor=args.batch_factor,
    )
    samples = held_out_batches()
    task = train(settings, held_out=samples)
    patches = {stage.name: stage.patch for stage in STAGES}
    held_out = {name: figures(task.network, fields) for name, fields in samples.items()}
    with tempfile.TemporaryDirectory() as scratch:
        draft = export_bundle(task.network, patches, Path(scratch) / "network", UNFITTED, {})
        scale = corner_scale(draft, args.answers // 4, args.seed)
        answers = collect(replace(draft, corner_scale=scale), args.answers, args.seed)
    card = {
        "start": _start(args.start),
        "minutes": round(task.clock.time_elapsed() / 60, 1),
        "steps": task.steps,
        "samples": task.samples,
        "batch_factor": args.batch_factor,
        "seed": args.seed,
        "trained_on": task.trained_on,
        "data": {
            "artwork": "drawn by stn_ros.synthesis.artwork, train styles",
            "photos": [name for name, _ in Textures("train").photos],
        },
        "held_out_steps": {
            stage: {name: round(value, 3) for name, value in values.items()}
            for stage, values in held_out.items()
        },
        "judged_answers": {
            "right": int(answers.right.sum()),
            "wrong": int((~answers.right).sum()),
        },
    }
    folder = args.export or args.folder / "network"
    weights = fit(answers.rows, answers.right, answers.look_alike)
    export_bundle(task.network, patches, folder, weights, card, scale)
    print(f"wrote {folder}")
    return 0


def _start(folder: Path | None) -> dict[str, object] | None:
    """What is said of the training of the network begun with."""
    if folder is None:
        return None
    said = ("start", "minutes", "steps", "samples", "batch_factor", "seed", "device", "trained_on")
    card = NetworkBundle.load(folder).card
    return {name: card[name] for name in said if name in card}
