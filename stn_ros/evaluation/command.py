"""`stn-ros benchmark`: how good the networks are, beside tuned rivals on the same frames."""

from __future__ import annotations

import argparse
import os
import platform
import re
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
    whole_frame_benchmark,
    whole_frame_report,
)
from stn_ros.evaluation.opencv_doc import opencv_doc
from stn_ros.evaluation.trials import Contestant, Ours, Sift, Trial, hold
from stn_ros.evaluation.whole_frame import EMPTY_SHARE, Scenes
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.canonicalizer import Canonicalizer, CanonicalizerSettings

DESCRIPTION = """\
Measure the shipped networks beside tuned SIFT + robust homography, on the same frames.

  held-out     faces, photos and backgrounds training never saw, in eight conditions, and frames
               without the object
  real-photos  a box in a scene, graffiti from two sides, a street; every scene also turned by
               90, 180 and 270 degrees
  poses        6-DoF poses of the held-out faces by tilt, beside the floor that IPPE sets at the
               same corner error
  look-alikes  products that look alike, asked for in each other's place, and right answers in
               views that hide much
  whole-frame  which of 1 to 1000 taught faces lie anywhere in a frame, beside ORB, SIFT and a
               sweep over windows; with a picture of some frames

The pictures of Debian's opencv-doc are fetched into the cache once (96 MB)."""
OURS, SIFT = "stn_ros", "SIFT"
LEAST_FRAME = 240
"""Shorter side of a frame in which faces of all sizes have room, pixels."""
PICTURED = 3
"""Frames of each number of taught faces in the picture."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument(
        "what", choices=("held-out", "real-photos", "poses", "look-alikes", "whole-frame")
    )
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
    parser.add_argument(
        "--without-rivals", "--without-sift", action="store_true", help="only our own figures"
    )
    whole = parser.add_argument_group("whole-frame")
    whole.add_argument(
        "--taught",
        type=int,
        nargs="+",
        default=[1, 20, 100, 1000],
        metavar="N",
        help="numbers of taught faces (default 1 20 100 1000)",
    )
    whole.add_argument("--frames", type=int, default=100, help="for each of them (default 100)")
    whole.add_argument(
        "--frame-size", type=_size, default=(640, 480), metavar="WxH", help="default 640x480"
    )
    whole.add_argument("--empty", action="store_true", help="only frames that show no taught face")


def run(args: argparse.Namespace) -> int:
    """Run the benchmark, print the table and write it."""
    # All contestants get one thread, so that their times compare.
    cv2.setNumThreads(1)
    bundle = NetworkBundle.load(args.model)
    settings = (
        CanonicalizerSettings()
        if args.threshold is None
        else CanonicalizerSettings(threshold=args.threshold)
    )
    # Before the textures are first asked for: they look for these pictures once a process.
    folder = opencv_doc()
    if args.what == "whole-frame":
        return _whole_frame(args, bundle, settings)
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
    if not args.without_rivals:
        contestants[SIFT] = Sift()
    outcomes = hold(trials, contestants, count)
    notes += [
        f"network: {_card(bundle)}; threshold {settings.threshold:g}",
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


def _whole_frame(
    args: argparse.Namespace, bundle: NetworkBundle, settings: CanonicalizerSettings
) -> int:
    if args.frames < 1 or min(args.taught) < 1:
        raise ValueError("--frames and --taught must be at least 1")
    notes = [
        f"{args.frames} frames of {args.frame_size[0]}x{args.frame_size[1]} for each number of "
        "taught faces" + (", none of which shows one" if args.empty else ""),
        f"network: {_card(bundle)}; threshold {settings.threshold:g}",
        f"seed {args.seed}, {date.today().isoformat()}, {platform.machine()}, one thread",
    ]
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        notes.append("numpy may have used more threads: set OPENBLAS_NUM_THREADS=1 for the times")
    empty_share = 1.0 if args.empty else EMPTY_SHARE
    figures, rows = [], []
    for taught in args.taught:
        scenes = Scenes(args.seed, taught, frame_size=args.frame_size)
        ours = {
            whole_frame_benchmark.OURS: whole_frame_benchmark.Ours(bundle, settings),
            whole_frame_benchmark.STILL: whole_frame_benchmark.Ours(
                bundle, settings, whole_frame_benchmark.STILL_FRAMES
            ),
        }
        rivals = (
            {} if args.without_rivals else whole_frame_benchmark.rivals_of(taught, bundle, settings)
        )
        measured = whole_frame_benchmark.measure(scenes, ours, rivals, args.frames, empty_share)
        figures.append(whole_frame_benchmark.figures(measured))
        find = ours[whole_frame_benchmark.OURS].find
        shown = [
            whole_frame_report.drawn(frame, find(frame.picture), scenes.models)
            for frame in scenes.frames(PICTURED, 1.0 if args.empty else 0.0)
        ]
        rows.append(
            (
                f"{taught} taught: {whole_frame_benchmark.OURS}, first frame",
                shown,
            )
        )
    page = whole_frame_report.markdown(figures, notes)
    benchmark_report.write(args.output, "whole_frame", page, {"notes": notes, "figures": figures})
    cv2.imwrite(str(args.output / "whole_frame.png"), whole_frame_report.contact_sheet(rows))
    print(page)
    print(f"written to {args.output / 'whole_frame'}.md, .json and .png")
    return 0


def _card(bundle: NetworkBundle) -> str:
    return ", ".join(
        f"{name} {value}" for name, value in bundle.card.items() if isinstance(value, (int, str))
    )


def _size(text: str) -> tuple[int, int]:
    """(width, height) of WxH."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None or min(map(int, match.groups())) < LEAST_FRAME:
        raise argparse.ArgumentTypeError(
            f"{text!r}: must be WxH in pixels, each at least {LEAST_FRAME}, such as 640x480"
        )
    return int(match[1]), int(match[2])
