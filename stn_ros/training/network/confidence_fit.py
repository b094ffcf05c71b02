"""Fits the confidence: what an answer of the whole cascade looks like when it is right.

Answers to questions with known truth are collected on training pictures: objects that are there, in
easy and in hopeless views, and objects that are not. A logistic regression then tells right answers
from wrong ones; wrong ones weigh more, because a pose that is not true is worse than none.
"""

from __future__ import annotations

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

_VIEWS = (
    Conditions(),
    replace(SHARP, tilt=(0.0, 60.0), blur=(0.0, 2.5), long_side=(60.0, 250.0)),
    replace(
        Conditions(),
        long_side=(35, 120),
        blur=(1.0, 4.0),
        occluded_share=0.8,
        occluded=(0.2, 0.6),
        tilt=(20.0, 70.0),
    ),
)


class Answers(NamedTuple):
    """Answers to fit on.

    Attributes:
        rows: (N, len(NAMES)) features. right: (N,) whether the corners are within 3 px.
        ratios: (N,) squared corner errors over the variances that were stated.
    """

    rows: NDArray[np.float64]
    right: NDArray[np.bool_]
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
    quarter = -(-min(FACES, answers) // 4)
    faces = [textures.face(rng, 320) for _ in range(2 * quarter)]
    # Further faces in pairs of one style: an even one and the odd one after it are siblings.
    for _ in range(quarter):
        faces.extend(textures.siblings(rng, 320))
    canonicalizer = Canonicalizer(
        bundle,
        [ObjectModel(f"face_{i}", photographed(rng, face)) for i, face in enumerate(faces)],
        CanonicalizerSettings(photometric_steps=photometric_steps),
    )
    rows, right, ratios = [], [], []
    for count in tqdm(range(answers), unit="answer", disable=not progress, desc="confidence"):
        shown = int(rng.integers(len(faces)))
        rendered = render_frame(rng, faces[shown], textures.background, _VIEWS[count % len(_VIEWS)])
        asked = shown
        if rng.random() < ABSENT_SHARE:
            paired = shown >= 2 * quarter
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
            offsets = answer.corners - to_corners(rendered.homography, rendered.size)
            ratios.append((offsets**2).sum() / np.trace(answer.corner_covariance))
    return Answers(np.array(rows), np.array(right), np.array(ratios))


def corner_scale(bundle: NetworkBundle, answers: int, seed: int, progress: bool = True) -> float:
    """What `NetworkBundle.corner_scale` must be for the network's covariances to be true.

    On the average over its own answers, without the photometric refinement. The worst twentieth of
    the right ones is left out: outliers are the confidence's business.
    """
    own = collect(bundle, answers, seed, progress, photometric_steps=0)
    return bundle.corner_scale * _trimmed_mean(own.ratios[own.right])


def _trimmed_mean(values: NDArray[np.float64]) -> float:
    return float(np.sort(values)[: max(1, int(0.95 * len(values)))].mean())


def fit(rows: NDArray[np.float64], right: NDArray[np.bool_]) -> dict[str, float]:
    """Weights by name for `runtime.confidence`; at 0.5 a wrong answer counts `WRONG_WEIGHT` times.

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
    cost = RIDGE * np.where(right, 1.0, WRONG_WEIGHT)
    shrunk = np.array([name != "bias" for name in NAMES])

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = scaled @ weights
        value = cost @ np.logaddexp(0.0, -margin) + 0.5 * (weights[shrunk] ** 2).sum()
        return value, shrunk * weights - (cost * expit(-margin)) @ scaled

    limits = {0: (None, None), 1: (0.0, None), -1: (None, 0.0)}
    bounds = [limits[sign] for sign in SIGNS.values()]
    found = minimize(loss, np.zeros(len(NAMES)), jac=True, method="L-BFGS-B", bounds=bounds)
    return {name: float(w) for name, w in zip(NAMES, found.x / spread, strict=True)}
