"""Trials with known truth, the contestants that answer them, and the figures that come of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from stn_ros.evaluation.baselines import SiftHomography, SiftSettings
from stn_ros.geometry.box import Box
from stn_ros.geometry.homography import Array, compose, corner_error
from stn_ros.runtime.alignment import Region
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.canonicalizer import Canonicalizer, CanonicalizerSettings
from stn_ros.runtime.confidence import RIGHT_PX, WRONG_PX
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.synthesis.drawing import Picture
from stn_ros.teaching.texture import symmetry_homographies


@dataclass(frozen=True)
class Trial:
    """A question: an object, a frame, and the region of it where the object may be.

    Attributes:
        group: the row of the table it counts for. model: the object asked for.
        frame: (H, W, 3) BGR uint8. box: the region given.
        truth: 3x3, canonical -> frame pixels; None where the object is not there.
    """

    group: str
    model: ObjectModel
    frame: Picture
    box: Box
    truth: Array | None


@dataclass(frozen=True)
class Answer:
    """A contestant's answer: a homography or None, whether it stands by it, and its time."""

    homography: Array | None
    published: bool
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """What an answer was worth.

    Attributes:
        error: mean corner distance in pixels, infinite for no answer; NaN where nothing was there.
    """

    group: str
    object_name: str
    error: float
    published: bool
    seconds: float

    @property
    def present(self) -> bool:
        """Whether the object was there to be found."""
        return not math.isnan(self.error)


Contestant = Callable[[Trial], Answer]


class Ours:
    """The canonicalizer, locating anew in every trial."""

    def __init__(
        self,
        bundle: NetworkBundle,
        objects: Sequence[ObjectModel],
        settings: CanonicalizerSettings | None = None,
    ) -> None:
        self._canonicalizer = Canonicalizer(bundle, objects, settings)

    def __call__(self, trial: Trial) -> Answer:
        """Answer one trial."""
        start = time.perf_counter()
        found = self._canonicalizer.process(trial.frame, [Region(trial.model.name, *trial.box)])
        seconds = time.perf_counter() - start
        if not found:
            return Answer(None, False, seconds)
        return Answer(found[0].homography, found[0].accepted, seconds)


class Sift:
    """Tuned SIFT + robust homography; an object's reference features are computed once."""

    def __init__(self, settings: SiftSettings | None = None) -> None:
        self._settings = settings
        self._known: dict[str, SiftHomography] = {}

    def __call__(self, trial: Trial) -> Answer:
        """Answer one trial."""
        name = trial.model.name
        if name not in self._known:
            self._known[name] = SiftHomography(trial.model.reference, self._settings)
        start = time.perf_counter()
        homography = self._known[name].align(trial.frame, trial.box)
        return Answer(homography, homography is not None, time.perf_counter() - start)


def hold(
    trials: Iterable[Trial], contestants: Mapping[str, Contestant], count: int
) -> dict[str, list[Outcome]]:
    """Put every trial to every contestant.

    Args:
        trials: rendered as they are needed. count: of trials, for the progress bar.

    Returns:
        The outcomes by contestant, in the order of the trials.
    """
    outcomes: dict[str, list[Outcome]] = {name: [] for name in contestants}
    for trial in tqdm(trials, total=count, unit="frame", desc="benchmark"):
        for name, contestant in contestants.items():
            answer = contestant(trial)
            outcomes[name].append(
                Outcome(
                    group=trial.group,
                    object_name=trial.model.name,
                    error=error_of(trial, answer.homography),
                    published=answer.published,
                    seconds=answer.seconds,
                )
            )
    return outcomes


def error_of(trial: Trial, homography: Array | None) -> float:
    """Corner error in pixels, the least over turns under which the object looks alike."""
    if trial.truth is None:
        return math.nan
    if homography is None:
        return math.inf
    size = trial.model.size
    turns = symmetry_homographies(size, trial.model.symmetry)
    error = min(corner_error(homography, compose(trial.truth, turn), size) for turn in turns)
    return error if math.isfinite(error) else math.inf


def accuracy(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Figures of what a user gets of trials whose object is present; shares as 0..1.

    What is not published is no answer. `right` is the share published with an error below 3 px,
    `right_low` and `right_high` its 95 % interval; median, p90 in px over all trials, infinite
    where nothing was published; auc_N the area under the recall curve up to N px. `right_before`
    is what `right` were, if everything was published.
    """
    found = np.array([outcome.error for outcome in outcomes])
    published = np.array([outcome.published for outcome in outcomes])
    errors = np.where(published, found, math.inf)
    right = int((errors < RIGHT_PX).sum())
    low, high = wilson_interval(right, len(errors))
    return {
        "trials": len(errors),
        "right": right / len(errors),
        "right_low": low,
        "right_high": high,
        "right_before": float((found < RIGHT_PX).mean()),
        "median_px": float(np.median(errors)),
        "p90_px": float(np.quantile(errors, 0.9, method="higher")),
        **{f"auc_{n}": float(np.clip(1 - errors / n, 0, 1).mean()) for n in (1, 3, 5)},
        "median_ms": 1000 * float(np.median([outcome.seconds for outcome in outcomes])),
    }


def wilson_interval(hits: int, trials: int) -> tuple[float, float]:
    """95 % confidence interval of a share, 0..1 (Wilson 1927).

    Example:
        >>> [round(limit, 3) for limit in wilson_interval(84, 84)]
        [0.956, 1.0]
    """
    z2 = 1.959964**2
    centre = (hits + z2 / 2) / (trials + z2)
    spread = math.sqrt(z2 * (hits * (trials - hits) / trials + z2 / 4)) / (trials + z2)
    return max(0.0, centre - spread), min(1.0, centre + spread)


def at_threshold(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Recall and precision of what is published; shares 0..1, NaN where there was no such case.

    `right_published`: of answers within 3 px, the share that was published, the recall;
    `wrong_published`: of answers off by more than 8 px (look-alike rotations included);
    `published_wrong`: of published answers, the share that was off by so much: 1 - precision;
    `absent_rejected`: of trials whose object was not there, the share that stayed silent.
    """
    present = [outcome for outcome in outcomes if outcome.present]
    wrong = [outcome.published for outcome in present if WRONG_PX < outcome.error < math.inf]
    right = [outcome.published for outcome in present if outcome.error < RIGHT_PX]
    absent = [not outcome.published for outcome in outcomes if not outcome.present]
    of_published = [outcome.error > WRONG_PX for outcome in present if outcome.published]
    return {
        "wrong_answers": len(wrong),
        "wrong_published": _share(wrong),
        "right_answers": len(right),
        "right_published": _share(right),
        "absent_trials": len(absent),
        "absent_rejected": _share(absent),
        "published_wrong": _share(of_published),
    }


def jittered(rng: np.random.Generator, box: Box, frame_size: tuple[int, int]) -> Box:
    """A box as a detector gives it: each edge off by up to 8 % of the sides, within the frame."""
    left, top, width, height = box
    off = rng.uniform(-0.08, 0.08, 4) * (width, height, width, height)
    low = np.maximum([left + off[0], top + off[1]], -0.5)
    high = np.minimum([left + width + off[2], top + height + off[3]], np.array(frame_size) - 0.5)
    return Box(float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1]))


def _share(flags: Sequence[bool]) -> float:
    return float(np.mean(flags)) if flags else math.nan
