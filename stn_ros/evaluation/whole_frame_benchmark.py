"""How many taught faces are found anywhere in frames, how often wrongly, and at what cost."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from stn_ros.evaluation.trials import wilson_interval
from stn_ros.evaluation.whole_frame import (
    KINDS,
    LEAST_VISIBLE,
    Answer,
    Contestant,
    Face,
    Outcome,
    Scenes,
    WholeFrame,
    judged,
)
from stn_ros.evaluation.whole_frame_rivals import FeatureMatching, SweepingWindows, orb, sift, tune
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.canonicalizer import Canonicalizer, CanonicalizerSettings
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.pipeline import PROPOSALS, Pipeline
from stn_ros.runtime.region_source import AT_ONCE, WholeImage
from stn_ros.synthesis.drawing import Picture

OURS, STILL = "stn_ros", "stn_ros, five frames"
ORB, SIFT, SWEEP = "ORB", "SIFT", "sweep"
PASS, APRIL_TAG = "pass", "AprilTag"
STILL_FRAMES = 5
PERIOD = 1 / 30
"""Seconds from one frame of the still camera to the next."""
SWEEP_TAUGHT, SWEEP_FRAMES = 20, 10
"""The sweep takes seconds a frame: it is asked with so many objects, and of so many frames, at
most."""
TUNING_FRAMES, TUNING_STREAM = 100, 2
"""On which a rival's threshold is tuned: how many, and their random stream."""
LEAST_SIZE = 36.0

ROWS: Mapping[str, Callable[[Face, str], bool]] = {
    "36-40 px": lambda face, _: face.size < 40,
    "40-64 px": lambda face, _: 40 <= face.size < 64,
    "64-128 px": lambda face, _: 64 <= face.size < 128,
    "from 128 px": lambda face, _: face.size >= 128,
    "from 64 px": lambda face, _: face.size >= 64,
    **{kind: (lambda _, of, kind=kind: of == kind) for kind in KINDS},  # type: ignore[misc]
    "tilt < 25 degrees": lambda face, _: face.tilt < 25,
    "tilt 25-50 degrees": lambda face, _: face.tilt >= 25,
    "all": lambda _face, _kind: True,
}
"""Of the table: whether a face in a frame of a kind counts for it."""


class Ours:
    """What the package publishes.

    Args:
        bundle, settings: of the `Canonicalizer`.
        frames: that a still camera takes of the scene; all that is published in any of them
            counts. With 1, a frame is on its own (`Pipeline.find`).
    """

    def __init__(
        self, bundle: NetworkBundle, settings: CanonicalizerSettings, frames: int = 1
    ) -> None:
        self._bundle = bundle
        self._settings = settings
        self._frames = frames

    def teach(self, models: Sequence[ObjectModel]) -> None:
        """See `Contestant`."""
        self.pipeline = Pipeline(Canonicalizer(self._bundle, models, self._settings))
        _ = self.pipeline.finder  # which encodes the references

    def find(self, frame: Picture) -> list[Answer]:
        """See `Contestant`."""
        pipeline = self.pipeline
        if self._frames == 1:
            sightings = pipeline.find(frame).sightings
        else:
            # Stamps that jump back make it forget the last scene. No clock has a say: there are as
            # many proposals as a fast machine looks at.
            source = WholeImage(pipeline.finder, most=AT_ONCE)
            sightings = [
                sighting
                for stamp in PERIOD * np.arange(self._frames)
                for sighting in pipeline.update(frame, stamp, source, arrival=stamp).sightings
            ]
        return [Answer(one.object_name, one.homography) for one in sightings]


@dataclass
class Record:
    """What came of a contestant's frames, and the CPU seconds that each took."""

    outcomes: list[Outcome] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


@dataclass
class Measured:
    """Of one number of taught objects.

    Attributes:
        taught: objects. records: by contestant. timed: CPU seconds a frame of `PASS` and
            `APRIL_TAG`. min_inliers: of the rivals that have such a threshold.
    """

    taught: int
    records: dict[str, Record]
    timed: dict[str, list[float]]
    min_inliers: dict[str, int] = field(default_factory=dict)


def measure(
    scenes: Scenes,
    ours: Mapping[str, Ours],
    rivals: Mapping[str, Contestant],
    frames: int,
    empty_share: float,
) -> Measured:
    """Teach the objects of `scenes` to all contestants, and put its frames to them.

    Args:
        ours: with `OURS`, whose pass is timed on its own. rivals: those with a threshold are
            tuned on other frames, see `tune`.
        frames: how many. empty_share: of them.
    """
    contestants = {**ours, **rivals}
    for contestant in contestants.values():
        contestant.teach(scenes.models)
    min_inliers = {}
    for name, rival in rivals.items():
        if isinstance(rival, FeatureMatching):
            others = scenes.frames(TUNING_FRAMES, stream=TUNING_STREAM)
            tune(rival, tqdm(others, total=TUNING_FRAMES, unit="frame", desc=f"tuning {name}"))
            min_inliers[name] = rival.min_inliers
    finder = ours[OURS].pipeline.finder
    timed: dict[str, Callable[[Picture], object]] = {
        PASS: lambda frame: finder.propose(frame, PROPOSALS)
    }
    if (detect := april_tag()) is not None:
        timed[APRIL_TAG] = detect
    shown = tqdm(
        scenes.frames(frames, empty_share),
        total=frames,
        unit="frame",
        desc=f"{len(scenes.models)} taught",
    )
    records, seconds = hold(shown, contestants, timed)
    return Measured(len(scenes.models), records, seconds, min_inliers)


def hold(
    frames: Iterable[WholeFrame],
    contestants: Mapping[str, Contestant],
    timed: Mapping[str, Callable[[Picture], object]],
) -> tuple[dict[str, Record], dict[str, list[float]]]:
    """Put frames to contestants, and time what else is to be timed on them; by their names."""
    records = {name: Record() for name in contestants}
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for index, frame in enumerate(frames):
        for name, work in timed.items():
            start = time.process_time()
            work(frame.picture)
            seconds[name].append(time.process_time() - start)
        for name, contestant in contestants.items():
            if isinstance(contestant, SweepingWindows) and index >= SWEEP_FRAMES:
                continue
            start = time.process_time()
            answers = contestant.find(frame.picture)
            records[name].seconds.append(time.process_time() - start)
            records[name].outcomes.append(judged(frame, answers))
    return records, seconds


def rivals_of(
    taught: int, bundle: NetworkBundle, settings: CanonicalizerSettings
) -> dict[str, Contestant]:
    """The rivals that are asked with so many objects; for the arguments see `SweepingWindows`."""
    rivals: dict[str, Contestant] = {ORB: orb(), SIFT: sift()}
    if taught <= SWEEP_TAUGHT:
        rivals[SWEEP] = SweepingWindows(bundle, settings)
    return rivals


def april_tag() -> Callable[[Picture], object] | None:
    """The AprilTag library's detection, decimated by 2, on one thread; None if not installed.

    It looks for tags, not for faces: a well-known cost, measured on the same frames.
    """
    try:
        from pupil_apriltags import Detector
    except ModuleNotFoundError:
        return None
    detector = Detector(families="tag36h11", nthreads=1, quad_decimate=2.0)
    return lambda frame: detector.detect(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY))


def figures(measured: Measured) -> dict[str, Any]:
    """What was measured, as figures: shares as 0..1, times in ms of CPU a frame.

    Returns:
        "taught", "pass_ms", "confirmation_ms" and "april_tag_ms" (medians, NaN where not measured)
        and "contestants": of each its "frames"; "faces", which holds for each of `ROWS` with any
        the number "faces" and the share "right" with its 95 % interval; "wrong" and "inexact"
        answers; "median_ms", "p90_ms"; and "min_inliers", if it has that threshold.
    """
    passes = measured.timed[PASS]
    found = measured.records[OURS].seconds
    return {
        "taught": measured.taught,
        "pass_ms": _milliseconds(passes),
        "confirmation_ms": _milliseconds(np.subtract(found, passes).tolist()),
        "april_tag_ms": _milliseconds(measured.timed.get(APRIL_TAG, [])),
        "contestants": {
            name: {
                **_of_record(record),
                **(
                    {"min_inliers": measured.min_inliers[name]}
                    if name in measured.min_inliers
                    else {}
                ),
            }
            for name, record in measured.records.items()
        },
    }


def _of_record(record: Record) -> dict[str, Any]:
    faces: dict[str, dict[str, float]] = {}
    for row, counts in ROWS.items():
        right = [
            hit
            for outcome in record.outcomes
            for hit, face in zip(outcome.right, outcome.faces, strict=True)
            if face.visible >= LEAST_VISIBLE
            and face.size >= LEAST_SIZE
            and counts(face, outcome.kind)
        ]
        if right:
            low, high = wilson_interval(sum(right), len(right))
            faces[row] = {
                "faces": len(right),
                "right": sum(right) / len(right),
                "right_low": low,
                "right_high": high,
            }
    return {
        "frames": len(record.outcomes),
        "faces": faces,
        "wrong": sum(len(outcome.wrong) for outcome in record.outcomes),
        "inexact": sum(len(outcome.inexact) for outcome in record.outcomes),
        "median_ms": _milliseconds(record.seconds),
        "p90_ms": _milliseconds(record.seconds, 0.9),
    }


def _milliseconds(seconds: Sequence[float], quantile: float = 0.5) -> float:
    return 1000 * float(np.quantile(seconds, quantile)) if seconds else math.nan
