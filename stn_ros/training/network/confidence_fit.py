"""Fits the confidence: what an answer of the whole cascade looks like when it is right.

Answers to questions with known truth are collected on training pictures: objects that are there, in
easy and in hopeless views, and objects that are not, a look-alike in their place among them. A
logistic regression then tells right answers from wrong ones; wrong ones weigh more, because a pose
that is not true is worse than none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from tqdm import tqdm

from stn_ros.geometry.homography import corner_error, to_corners
from stn_ros.runtime import photometric
from stn_ros.runtime.alignment import Region
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.canonicalizer import Canonicalizer, CanonicalizerSettings
from stn_ros.runtime.confidence import RIGHT_PX, WRONG_PX, WRONG_WEIGHT
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.synthesis.drawing import Picture
from stn_ros.synthesis.look_alikes import KINDS, glare_disc, look_alikes, partly_printed
from stn_ros.synthesis.scene import SHARP, Conditions, photographed, render_frame
from stn_ros.synthesis.textures import Textures
from stn_ros.training.network.samples import jittered_box

SIGNS = {
    "bias": 0,
    "present": 1,
    "aligned": 1,
    "agreement": 1,
    "log_scale": -1,
    "spread": -1,
    "pixels": 1,
    "overall": 1,
    "tint": -1,
    "patchwork": -1,
    "hue": -1,
    "misprint": -1,
}
"""What is weighed, and which way it may count: what speaks for an answer never speaks against it. A
fit without these bounds trades one weight against another, and fails on what it has not seen."""
NAMES = tuple(SIGNS)
RIDGE = 0.03
"""Inverse ridge. The answers are to faces that the network was trained on, where its own verdict is
surer than elsewhere: a strong ridge shares the weight among all that speaks."""
FACES = 400
"""Objects known, of as many faces; no more than there are answers."""
ABSENT_SHARE = 0.4
LOOK_ALIKE_WEIGHT = 2.0
"""How many right answers a look-alike counts for: at the weight of other wrong answers, what is
half hidden would be given up for it."""
LEAST_DIFFERENCE = 0.03
"""Share of the face that must differ for a look-alike to be fitted on."""

_SHOWN = replace(SHARP, tilt=(0.0, 60.0), blur=(0.0, 2.5), long_side=(60.0, 250.0))
_VIEWS = (
    Conditions(),
    _SHOWN,
    replace(
        Conditions(),
        long_side=(35, 120),
        blur=(1.0, 4.0),
        occluded_share=0.8,
        occluded=(0.2, 0.6),
        tilt=(20.0, 70.0),
    ),
    replace(_SHOWN, occluded_share=1.0, occluded=(0.2, 0.5)),
    replace(_SHOWN, harsh_light=1.0),
)
_GLARE_SHARE = 0.1  # of the views


class Answers(NamedTuple):
    """Answers to fit on.

    Attributes:
        rows: (N, len(NAMES)) features. right: (N,) whether the corners are within 3 px.
        look_alike: (N,) whether another object was shown that looks alike.
        ratios: (N,) squared corner errors over the variances that were stated.
    """

    rows: NDArray[np.float64]
    right: NDArray[np.bool_]
    look_alike: NDArray[np.bool_]
    ratios: NDArray[np.float64]


def collect(
    bundle: NetworkBundle,
    answers: int,
    seed: int,
    progress: bool = True,
    photometric_steps: int = photometric.STEPS,
) -> Answers:
    """Let the cascade answer; answers between right and wrong (3 to 8 px) are left out."""
    rng = np.random.default_rng(seed)
    textures = Textures("train")
    sixth = -(-min(FACES, answers) // 6)
    faces = [textures.face(rng, 320) for _ in range(2 * sixth)]
    faces[::4] = [partly_printed(rng, face) for face in faces[::4]]
    # Further faces in pairs, an even one and the odd one after it: of one style, then look-alikes.
    for _ in range(sixth):
        faces.extend(textures.siblings(rng, 320))
    for index in range(sixth):
        faces.extend(_look_alikes(rng, textures, KINDS[index % len(KINDS)]))
    canonicalizer = Canonicalizer(
        bundle,
        [ObjectModel(f"face_{i}", photographed(rng, face)) for i, face in enumerate(faces)],
        CanonicalizerSettings(photometric_steps=photometric_steps),
    )
    rows, right, look_alike, ratios = [], [], [], []
    for count in tqdm(range(answers), unit="answer", disable=not progress, desc="confidence"):
        shown = int(rng.integers(len(faces)))
        rendered = render_frame(rng, faces[shown], textures.background, _VIEWS[count % len(_VIEWS)])
        if rng.random() < _GLARE_SHARE:
            glare_disc(rng, rendered.frame, rendered.homography, rendered.size)
        asked = shown
        if rng.random() < ABSENT_SHARE:
            paired = shown >= 2 * sixth
            asked = shown ^ 1 if paired else int(rng.integers(len(faces)))
        region = Region(f"face_{asked}", *jittered_box(rng, rendered.box))
        for answer in canonicalizer.process(rendered.frame, [region]):
            error = corner_error(answer.homography, rendered.homography, rendered.size)
            if asked != shown:
                error = np.inf
            if RIGHT_PX <= error <= WRONG_PX:
                continue
            rows.append([answer.confidence_inputs[name] for name in NAMES])
            right.append(error < RIGHT_PX)
            look_alike.append(asked == shown ^ 1 and shown >= 4 * sixth)
            offsets = answer.corners - to_corners(rendered.homography, rendered.size)
            ratios.append((offsets**2).sum() / np.trace(answer.corner_covariance))
    return Answers(np.array(rows), np.array(right), np.array(look_alike), np.array(ratios))


def _look_alikes(rng: np.random.Generator, textures: Textures, kind: str) -> list[Picture]:
    """Two faces of one size that look alike, and differ as far as can be asked for."""
    while True:
        pair = look_alikes(rng, kind, textures.face(rng, 320), textures.face(rng, 320))
        if pair.share >= LEAST_DIFFERENCE:
            return [pair.face, pair.other]


def corner_scale(bundle: NetworkBundle, answers: int, seed: int, progress: bool = True) -> float:
    """What `NetworkBundle.corner_scale` must be for the network's covariances to be true.

    On the average over its own answers, without the photometric refinement. The worst twentieth of
    the right ones is left out: outliers are the confidence's business.
    """
    own = collect(bundle, answers, seed, progress, photometric_steps=0)
    return bundle.corner_scale * _trimmed_mean(own.ratios[own.right])


def _trimmed_mean(values: NDArray[np.float64]) -> float:
    return float(np.sort(values)[: max(1, int(0.95 * len(values)))].mean())


def fit(
    rows: NDArray[np.float64],
    right: NDArray[np.bool_],
    look_alike: NDArray[np.bool_],
    known: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Weights by name for `runtime.confidence`.

    At 0.5 a wrong answer counts `WRONG_WEIGHT` times, a look-alike `LOOK_ALIKE_WEIGHT` times.

    Args:
        rows, right, look_alike: see `Answers`. known: weights that are kept as they are.

    Raises:
        ValueError: only right or only wrong answers were collected.
    """
    if right.all() or not right.any():
        raise ValueError(
            f"{len(right)} answers, all {'right' if right.all() else 'wrong'}: "
            "collect more, or train the network longer"
        )
    spread = np.concatenate([[1.0], rows[:, 1:].std(axis=0) + 1e-9])
    scaled = rows / spread * np.where(right, 1.0, -1.0)[:, None]
    wrong = np.where(look_alike, LOOK_ALIKE_WEIGHT, WRONG_WEIGHT)
    cost = RIDGE * np.where(right, 1.0, wrong)
    shrunk = np.array([name != "bias" for name in NAMES])

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = scaled @ weights
        value = cost @ np.logaddexp(0.0, -margin) + 0.5 * (weights[shrunk] ** 2).sum()
        return value, shrunk * weights - (cost * expit(-margin)) @ scaled

    limits = {0: (None, None), 1: (0.0, None), -1: (None, 0.0)}
    bounds = [
        (known[name] * scale,) * 2 if known and name in known else limits[sign]
        for (name, sign), scale in zip(SIGNS.items(), spread, strict=True)
    ]
    found = minimize(loss, np.zeros(len(NAMES)), jac=True, method="L-BFGS-B", bounds=bounds)
    return {name: float(w) for name, w in zip(NAMES, found.x / spread, strict=True)}
