"""`stn-ros benchmark`: how good the network is, beside tuned SIFT on the same frames."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

import cv2

from stn_ros.evaluation import (
    benchmark_report,
    held_out,
    pose_benchmark,
    real_photos,
    told_apart,
)
from stn_ros.evaluation.opencv_doc import opencv_doc
from stn_ros.evaluation.trials import Contestant, Ours, Sift, Trial, hold
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.canonicalizer import Canonicalizer, CanonicalizerSettings

DESCRIPTION = """\
Measure the shipped network beside tuned SIFT + robust homography, on the same frames.

  held-out     faces, photos and backgrounds training never saw, in eight conditions, and frames
               without the object
  real-photos  a box in a scene, graffiti from two sides, a street; every scene also turned by
               90, 180 and 270 degrees
  poses        6-DoF poses of the held-out faces by tilt, beside the floor that IPPE sets at the
               same corner error
  look-alikes  products that look alike, asked for in each other's place, and right answers in
               views that hide much

The pictures of Debian's opencv-doc are fetched into the cache once (96 MB)."""
OURS, SIFT = "stn_ros", "SIFT"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("what", choices=("held-out", "real-photos", "poses", "look-alikes"))
    parser.add_argument(
        "--output", type=Path, default=Path("out/benchmark"), help="folder of the report"
    )
    parser.add_argument("--model", type=Path, help="network folder (default: the one shipped)")
    parser.add_argument("--threshold", type=float, help="confidence to publish from")
    parser.add_argument("--faces", type=int, default=42, help="held-out faces (default 42)")
    parser.add_argument(
        "--views", type=int, default=4, help="views of each face in each condition (default 4)"
    )
    parser.add_argument(
        "--conditions",
        nargs="+",
        choices=held_out.ROWS,
        default=held_out.ROWS,
        metavar="ROW",
        help=f"rows of held-out: {', '.join(map(repr, held_out.ROWS))} (default all)",
    )
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--without-sift", action="store_true", help="only our own figures")


def run(args: argparse.Namespace) -> int:
    """Run the benchmark, print the table and write it."""
    # Both contestants get one thread, so that their times compare.
    cv2.setNumThreads(1)
    bundle = NetworkBundle.load(args.model)
    settings = (
        CanonicalizerSettings()
        if args.threshold is None
        else CanonicalizerSettings(threshold=args.threshold)
    )
    # Before the textures are first asked for: they look for these pictures once a process.
    folder = opencv_doc()
    trials: Iterable[Trial]
    if args.what == "look-alikes":
        return _look_alikes(args, bundle, settings)
    if args.what != "real-photos":
        if args.faces < 2 or args.views < 1:
            raise ValueError("--faces must be at least 2 and --views at least 1")
        faces = held_out.make_faces(args.faces, args.seed)
        objects = [face.model for face in faces]
        if args.what == "poses":
            return _poses(args, Canonicalizer(bundle, objects, settings), faces)
        trials = held_out.make_trials(faces, args.views, args.seed, args.conditions)
        count = held_out.trial_count(faces, args.views, args.conditions)
        sources = sorted({face.source for face in faces})
        notes = [f"{len(faces)} held-out faces from {len(sources)} sources: {', '.join(sources)}"]
    else:
        trials = photos = real_photos.all_trials(folder, args.seed)
        objects = real_photos.models(photos)
        count = len(photos)
        notes = [f"{len(objects)} objects from real photos; each scene under four turns"]
    contestants: dict[str, Contestant] = {OURS: Ours(bundle, objects, settings)}
    if not args.without_sift:
        contestants[SIFT] = Sift()
    outcomes = hold(trials, contestants, count)
    card = ", ".join(
        f"{name} {value}" for name, value in bundle.card.items() if isinstance(value, (int, str))
    )
    notes += [
        f"network: {card}; threshold {settings.threshold:g}",
        f"seed {args.seed}, {date.today().isoformat()}, {platform.machine()}, one thread",
    ]
    summary = benchmark_report.summarise(outcomes)
    name = args.what.replace("-", "_")
    page = benchmark_report.markdown(f"Benchmark: {args.what}", summary, notes)
    benchmark_report.write(args.output, name, page, {"notes": notes, "figures": summary})
    print(page)
    print(f"written to {args.output / name}.md and .json")
    return 0


def _poses(
    args: argparse.Namespace, canonicalizer: Canonicalizer, faces: Sequence[held_out.HeldOutFace]
) -> int:
    figures = pose_benchmark.measure(canonicalizer, faces, args.views, args.seed)
    notes = [
        f"{len(faces)} held-out faces, the longer side {pose_benchmark.LONG_SIDE_M} m",
        f"seed {args.seed}, {date.today().isoformat()}, {platform.machine()}",
    ]
    page = pose_benchmark.markdown(figures, notes)
    benchmark_report.write(args.output, "poses", page, {"notes": notes, "figures": figures})
    print(page)
    print(f"written to {args.output / 'poses'}.md and .json")
    return 0


def _look_alikes(
    args: argparse.Namespace, bundle: NetworkBundle, settings: CanonicalizerSettings
) -> int:
    if args.faces < 1 or args.views < 1:
        raise ValueError("--faces and --views must be at least 1")
    outcomes = told_apart.measure(bundle, args.faces * args.views, args.seed, settings)
    notes = [
        f"threshold {settings.threshold:g}, seed {args.seed}, {date.today().isoformat()}",
    ]
    page = told_apart.markdown(outcomes, notes)
    figures = [vars(outcome) for outcome in outcomes]
    benchmark_report.write(args.output, "look_alikes", page, {"notes": notes, "figures": figures})
    print(page)
    print(f"written to {args.output / 'look_alikes'}.md and .json")
    return 0
