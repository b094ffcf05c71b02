"""Look-alikes asked for in each other's place, and right answers in views that hide much.

Faces, photos and backgrounds that training never saw. In each frame one face of a pair is shown;
its own object is asked for, and the other one's, in the same region.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from tqdm import tqdm

from stn_ros.evaluation.trials import jittered
from stn_ros.geometry.homography import Array, apply, corner_error, face_corners
from stn_ros.runtime import engines
from stn_ros.runtime.alignment import Alignment, Region
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.canonicalizer import Canonicalizer, CanonicalizerSettings
from stn_ros.runtime.confidence import RIGHT_PX, WRONG_PX
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.synthesis.drawing import Picture
from stn_ros.synthesis.look_alikes import (
    KINDS,
    MIRRORED,
    LookAlikes,
    glare_disc,
    look_alikes,
    partly_printed,
)
from stn_ros.synthesis.scene import SHARP, Conditions, photographed, render_frame
from stn_ros.synthesis.textures import Textures

FRAME_SIZE = (640, 480)
PLAIN, HALF_HIDDEN, GLARE, PARTLY_PRINTED = "plain", "half hidden", "glare disc", "print on a part"
VIEWS = (PLAIN, HALF_HIDDEN, GLARE, PARTLY_PRINTED)
"""Rows without a look-alike."""
ROWS = (*VIEWS, *KINDS)
LEAST_SHARE, LARGE_PX = 0.03, 100.0
"""Share of the face that differs, and the root of its area in the frame, from which look-alikes
must be told apart."""

_CONDITIONS = replace(
    SHARP, long_side=(60.0, 250.0), tilt=(0.0, 50.0), blur=(0.0, 1.5), harsh_light=0.5
)
_HALF_HIDDEN = replace(_CONDITIONS, occluded_share=1.0, occluded=(0.3, 0.5))


@dataclass(frozen=True)
class Outcome:
    """What was answered in one frame.

    Attributes:
        row: one of `ROWS`. share: of the face that differs. side: root of the face's area, pixels.
        error: of the right object's corners, pixels, infinite for no answer.
        right, other: confidence of the object shown, and of its look-alike (0 for none).
        threshold: from which they are published.
    """

    row: str
    share: float
    side: float
    error: float
    right: float
    other: float
    threshold: float

    @property
    def published_right(self) -> bool:
        """Whether the object shown is published and right."""
        return self.error < RIGHT_PX and self.right >= self.threshold

    @property
    def published_wrong(self) -> bool:
        """Whether the object shown is published and far off."""
        return self.error > WRONG_PX and self.right >= self.threshold

    @property
    def told_apart(self) -> bool:
        """With both taught: whether the object shown is the surer one."""
        return self.right > self.other


def measure(
    bundle: NetworkBundle, views: int, seed: int, settings: CanonicalizerSettings | None = None
) -> list[Outcome]:
    """`views` frames of each of `ROWS`."""
    settings = settings or CanonicalizerSettings()
    engine = engines.make_engine(bundle, settings.engine, settings.threads)
    outcomes: list[Outcome] = []
    for row, pair, frame, homography, region in tqdm(
        _frames(views, seed), total=views * len(ROWS), unit="frame"
    ):
        rng = np.random.default_rng([seed, len(outcomes)])
        size = pair.face.shape[1], pair.face.shape[0]
        names = ("shown",) if row in VIEWS else ("shown", "other")
        models = [
            ObjectModel(name, photographed(rng, picture))
            for name, picture in zip(names, (pair.face, pair.other), strict=False)
        ]
        canonicalizer = Canonicalizer(bundle, models, settings, engine)
        answers: dict[str, Alignment] = {
            name: answer
            for name in names
            for answer in canonicalizer.process(frame, [replace(region, object_name=name)])
        }
        shown = answers.get("shown")
        corners = apply(homography, face_corners(size)).astype(np.float32)
        outcomes.append(
            Outcome(
                row,
                pair.share,
                float(np.sqrt(cv2.contourArea(corners))),
                np.inf if shown is None else corner_error(shown.homography, homography, size),
                0.0 if shown is None else shown.confidence,
                answers["other"].confidence if "other" in answers else 0.0,
                settings.threshold,
            )
        )
    return outcomes


def _frames(views: int, seed: int) -> Iterator[tuple[str, LookAlikes, Picture, Array, Region]]:
    """(row, the pair whose first face is shown, frame, canonical -> frame, region)."""
    rng = np.random.default_rng(seed)
    textures = Textures("held_out")
    for _ in range(views):
        for row in ROWS:
            pair = _pair(rng, textures, row)
            conditions: Conditions = _HALF_HIDDEN if row == HALF_HIDDEN else _CONDITIONS
            rendered = render_frame(rng, pair.face, textures.background, conditions, FRAME_SIZE)
            if row == GLARE:
                glare_disc(rng, rendered.frame, rendered.homography, rendered.size)
            region = Region("", *jittered(rng, rendered.box, FRAME_SIZE))
            yield row, pair, rendered.frame, rendered.homography, region


def _pair(rng: np.random.Generator, textures: Textures, row: str) -> LookAlikes:
    while True:
        face = textures.face(rng, 320)
        if row in VIEWS:
            return LookAlikes(partly_printed(rng, face) if row == PARTLY_PRINTED else face, face, 0)
        pair = look_alikes(rng, row, face, textures.face(rng, 320))
        # What is mirrored into itself is no other face.
        if pair.share >= (LEAST_SHARE if row == MIRRORED else LEAST_SHARE / 3):
            return pair


def markdown(outcomes: Sequence[Outcome], notes: Sequence[str]) -> str:
    """The tables as a page."""
    lines = ["# Benchmark: look-alikes", "", *[f"- {note}" for note in notes], ""]
    lines += [
        "| shown | frames | published and right | published and wrong |",
        "|---|---|---|---|",
    ]
    for row in ROWS:
        own = [o for o in outcomes if o.row == row]
        right, wrong = sum(o.published_right for o in own), sum(o.published_wrong for o in own)
        lines.append(f"| {row} | {len(own)} | {right} | {wrong} |")
    lines += [
        "",
        f"Differing by {LEAST_SHARE:.0%} of the face or more:",
        "",
        f"| look-alike | asked from {LARGE_PX:.0f} px | published | asked below | published | "
        "both taught: the one shown is the surer |",
        "|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        pairs = [o for o in outcomes if o.row == kind and o.share >= LEAST_SHARE]
        cells = []
        for large in (True, False):
            own = [o for o in pairs if (o.side >= LARGE_PX) == large]
            cells += [str(len(own)), str(sum(o.other >= o.threshold for o in own))]
        apart = sum(o.told_apart for o in pairs)
        lines.append(f"| {kind} | {' | '.join(cells)} | {apart} of {len(pairs)} |")
    return "\n".join(lines) + "\n"
