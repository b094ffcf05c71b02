"""`stn-ros train-finder`: train the network that finds taught faces in a frame, and export it."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2

from stn_ros.synthesis.textures import Textures

DESCRIPTION = """\
Train the finder: the network that says, in one pass over a frame, which of any number of taught
faces may be where. It learns on pictures rendered while it trains: faces among other faces, at any
rotation, tilted, blurred, dim and half hidden, against siblings of other hues, words and pictures.

The folder keeps a checkpoint a minute, the averaged weights at every check, and TensorBoard's log:
run the same command again and it goes on where it was. --minutes counts the time of all runs
together. A GPU is used where PyTorch finds one. At the end the network is written to --export."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("folder", type=Path, help="where checkpoint and log are kept")
    parser.add_argument("--minutes", type=float, default=240.0, help="length of the training (240)")
    parser.add_argument(
        "--start",
        type=Path,
        help="finder's folder to begin from, such as models/finder",
    )
    parser.add_argument("--seed", type=int, default=1, help="of weights and data (1)")
    parser.add_argument("--workers", type=int, default=1, help="processes that render (1)")
    parser.add_argument(
        "--batch-factor",
        type=int,
        default=1,
        help="pictures in a batch, in multiples of the usual; a GPU has room for 4 or more (1)",
    )
    parser.add_argument("--threads", type=int, default=0, help="of the network, 0: all cores (0)")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="at the start (0.001)")
    parser.add_argument("--export", type=Path, help="finder's folder (default: FOLDER/finder)")


def run(args: argparse.Namespace) -> int:
    """Train and export."""
    for name, bound in {"minutes": 0.0, "workers": 0, "batch_factor": 1, "threads": 0}.items():
        if getattr(args, name) < bound:
            option = "--" + name.replace("_", "-")
            raise ValueError(f"{option} is {getattr(args, name)}: must be at least {bound}")
    try:
        # PyTorch is no part of the robot's install.
        from stn_ros.training.finder.export import export_finder, weights_file
        from stn_ros.training.finder.task import FinderSettings, held_out_figures, train
    except ModuleNotFoundError as error:
        raise ValueError(f"{error.name} is missing: pip install 'stn_ros[train]'") from None
    cv2.setNumThreads(1)
    settings = FinderSettings(
        args.folder,
        args.minutes,
        learning_rate=args.learning_rate,
        seed=args.seed,
        workers=args.workers,
        threads=args.threads,
        batch_factor=args.batch_factor,
        start=None if args.start is None else weights_file(args.start),
    )
    task = train(settings)
    card = {
        "start": None if args.start is None else str(args.start.name),
        "minutes": round(task.clock.time_elapsed() / 60, 1),
        "steps": task.steps,
        "batch_factor": args.batch_factor,
        "seed": args.seed,
        "data": {
            "artwork": "drawn by stn_ros.synthesis.artwork, train styles",
            "photos": [name for name, _ in Textures("train").photos],
        },
        "held_out": {name: round(value, 3) for name, value in held_out_figures(task).items()},
    }
    folder = args.export or args.folder / "finder"
    export_finder(task.network, folder, card)
    print(f"wrote {folder}")
    return 0
