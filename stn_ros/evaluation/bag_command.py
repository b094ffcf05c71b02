"""`stn-ros make-bag`: real photos as a rosbag, with their objects and their truth."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from stn_ros.evaluation.opencv_doc import opencv_doc
from stn_ros.evaluation.real_photos import box_trial, graf_trials, leuven_trials, turned
from stn_ros.evaluation.trials import Trial, jittered
from stn_ros.recordings.bag_writer import BagWriter

DESCRIPTION = """\
Make a rosbag (mcap) of a real photo and teach the objects that are in it, at this moment, from
other photos: the box of box.png in box_in_scene.png, parts of graf1.png in graf3.png, or parts of
leuvenA.jpg in leuvenB.jpg. The photos are those of Debian's opencv-doc (fetched once, 96 MB).

FOLDER then holds bag/ (image, camera_info, detections), objects/ and truth.json.
  stn-ros make-bag out/box
  stn-ros replay out/box
or, with a full ROS 2: ros2 bag play out/box/bag

Nobody knows these cameras: camera_info says a focal length as long as the image's longer side and
no distortion, and the box is given a likely size, so poses are only plausible. Views are not
affected."""
PHOTOS: dict[str, Callable[[Path], list[Trial]]] = {
    "box": lambda folder: [box_trial(folder)],
    "graf": graf_trials,
    "leuven": lambda folder: [t for t in leuven_trials(folder) if t.group == "leuven"],
}
START = 1_700_000_000 * 1_000_000_000
"""Stamp of the first frame: the same bag every time, nanoseconds."""
_BOX_LONG_SIDE_M = 0.19
BAG, OBJECTS, TRUTH = "bag", "objects", "truth.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="to make; must not exist")
    parser.add_argument("--photos", choices=PHOTOS, default="box")
    parser.add_argument(
        "--turn",
        type=int,
        choices=(0, 90, 180, 270),
        default=0,
        help="turn the scene clockwise, degrees",
    )
    parser.add_argument("--frames", type=int, default=30, help="length of the bag (30)")
    parser.add_argument("--rate", type=float, default=10.0, help="frames a second (10)")
    parser.add_argument("--seed", type=int, default=0, help="of the regions' jitter")


def run(args: argparse.Namespace) -> int:
    """Make the bag, or nothing."""
    if args.frames < 1 or not 0 < args.rate <= 1000:
        raise ValueError("--frames must be at least 1 and --rate more than 0")
    if args.folder.exists():
        raise ValueError(f"{args.folder} exists: choose another folder or remove it")
    trials = [turned(trial, args.turn // 90) for trial in PHOTOS[args.photos](opencv_doc())]
    try:
        write_bag(args.folder, trials, args.frames, args.rate, args.seed)
    except BaseException:
        shutil.rmtree(args.folder, ignore_errors=True)
        raise
    names = ", ".join(trial.model.name for trial in trials)
    print(f"written: {args.folder} ({args.frames} frames, objects {names})")
    return 0


def write_bag(folder: Path, trials: Sequence[Trial], frames: int, rate: float, seed: int) -> None:
    """Write a bag of trials that share one scene, their objects and the truth.

    In every frame each object has a detection, its region jittered anew.
    """
    scene = trials[0].frame
    height, width = scene.shape[:2]
    focal = float(max(width, height))
    K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    with BagWriter(folder / BAG) as bag:
        for index in range(frames):
            detections = [
                (trial.model.name, jittered(rng, trial.box, (width, height))) for trial in trials
            ]
            bag.write(START + round(index * 1e9 / rate), scene, K, detections)
    for trial in trials:
        model = trial.model
        if trial.group == "box_in_scene":
            metre = _BOX_LONG_SIDE_M / max(model.size)
            model = replace(model, size_m=(model.size[0] * metre, model.size[1] * metre))
        model.save(folder / OBJECTS / model.name)
    truth = {trial.model.name: trial.truth.tolist() for trial in trials if trial.truth is not None}
    (folder / TRUTH).write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
