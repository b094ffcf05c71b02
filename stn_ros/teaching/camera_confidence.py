"""How sure the network of one object may be in the camera it was tuned for.

The confidence is fitted on many objects and cameras. In a camera that sees badly right answers come
out less sure than there, and are kept back, while wrong ones are as unsure as ever. The sightings
of a film hold examples of both, and show how far the threshold can move.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from tqdm import tqdm

from stn_ros.geometry.homography import Array
from stn_ros.runtime.alignment import Region
from stn_ros.runtime.bundle import NetworkBundle, set_confidence_weights
from stn_ros.runtime.canonicalizer import Canonicalizer, CanonicalizerSettings
from stn_ros.runtime.confidence import RIGHT_PX, WRONG_PX, WRONG_WEIGHT
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.synthesis import artwork
from stn_ros.synthesis.scene import LabelledFrame
from stn_ros.teaching.sightings import JITTER, sighting_error

DISTRACTORS = 12
"""Faces that are asked for in turn where the object is."""
FAR_OFF = 0.45
"""How far the edges of a bad region are off at most, in its width and height."""


def adapt_confidence(
    model: ObjectModel, sightings: Sequence[LabelledFrame], seed: int = 0
) -> float:
    """Shift the confidence of an object's own network to where right and wrong answers part.

    In each sighting it is asked for the object in a region as a detector gives it, for the object
    in a bad region, which leads astray more often than not, and for a distractor.

    Args:
        model: with the folder of its own network, in which the bias of the confidence is replaced,
            and with the rotations under which it looks alike.

    Returns:
        The shift of the bias, see `confidence_shift`.

    Raises:
        ValueError: the object has no network of its own.
    """
    if model.network is None:
        raise ValueError(f"{model.name} has no network of its own: its confidence is everybody's")
    bundle = NetworkBundle.load(model.network)
    distractors = [
        ObjectModel(
            f"distractor_{i}", artwork.draw(i, model.size, split="train"), network=model.network
        )
        for i in range(DISTRACTORS)
    ]
    canonicalizer = Canonicalizer(bundle, [model, *distractors], CanonicalizerSettings(threads=0))
    rng = np.random.default_rng(seed)
    right: list[float] = []
    wrong: list[float] = []
    for index, sighting in enumerate(tqdm(sightings, desc="confidence", unit="frame")):
        box, distractor = np.array(sighting.box), distractors[index % DISTRACTORS].name
        regions = [
            Region(name, *(box + rng.uniform(-off, off, 4) * np.tile(box[2:], 2)).tolist())
            for name, off in ((model.name, JITTER), (model.name, FAR_OFF), (distractor, JITTER))
        ]
        for answer in canonicalizer.process(sighting.frame, regions):
            known = answer.object_name == model.name
            error = sighting_error(model, sighting, answer) if known else np.inf
            if answer.confidence > 0 and not RIGHT_PX <= error <= WRONG_PX:
                (right if error < RIGHT_PX else wrong).append(logit(answer.confidence))
    shift = confidence_shift(np.array(right), np.array(wrong))
    weights = bundle.confidence_weights
    set_confidence_weights(model.network, {**weights, "bias": weights["bias"] + shift})
    return shift


def confidence_shift(right: Array, wrong: Array) -> float:
    """What to add to the logits of right and wrong answers for them to lie on either side of 0.

    The most likely shift, by a logistic model in which wrong answers count `WRONG_WEIGHT` times, if
    a shift is normally distributed with deviation 1.

    Example:
        >>> round(confidence_shift(np.full(50, -1.0), np.full(50, -10.0)), 1)
        3.0
        >>> round(confidence_shift(np.full(50, 5.0), np.full(50, -1.0)), 1)
        -4.1
    """

    def slope(shift: float) -> float:
        pull = expit(-(right + shift)).sum() - WRONG_WEIGHT * expit(wrong + shift).sum()
        return shift - float(pull)

    most = len(right) + WRONG_WEIGHT * len(wrong) + 1.0
    return float(brentq(slope, -most, most))
