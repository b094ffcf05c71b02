"""Labels found, not given: where a network sees an object in the frames of a recording.

The object is followed, and each answer is refined on its pixels. So what is found is finer than the
network's own answer, and holds frames in which the network would not have found the object anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from stn_ros.geometry.homography import compose, corner_error, longest_side
from stn_ros.recordings.recording import Recording
from stn_ros.runtime.alignment import Alignment, Region
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.canonicalizer import Canonicalizer, CanonicalizerSettings
from stn_ros.runtime.confidence import RIGHT_PX
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.pipeline import Pipeline
from stn_ros.runtime.region_source import WholeImage
from stn_ros.runtime.sampling import FrameSampler
from stn_ros.synthesis.scene import LabelledFrame, clipped_box, nearby
from stn_ros.teaching.texture import symmetry_homographies

LEAST = 30
"""Sightings from which a network can be tuned and judged."""
MOST = 200
"""Sightings that are kept of a recording of any length, up to twice as many."""
MOVED = 0.03
"""How far the corners must have moved on the average for another sighting, in face lengths."""
SEARCHES = 6
"""Windows searched in a frame in which nothing is followed."""
HELD_OUT = 0.2
"""Share of the sightings, the last ones, that a network is judged on."""
JITTER = 0.07
"""How far the edges of a region are off at most, in its width and height."""


class Found(NamedTuple):
    """What was found in a recording: frames read, those with the object, and sightings kept."""

    read: int
    answered: int
    sightings: list[LabelledFrame]


class Agreement(NamedTuple):
    """How well a network finds anew, each frame on its own, what was seen by following.

    Attributes:
        right: share of the sightings found again and accepted, within `RIGHT_PX`.
        error: median corner error of the network's answer before its pixels refine it, pixels;
            infinite if most have none.
    """

    right: float
    error: float


def find_sightings(bundle: NetworkBundle, model: ObjectModel, recording: Recording) -> Found:
    """Follow an object through a recording; sightings that differ, in order of time.

    Only accepted answers count. Occluders are not known: `visible` is the share in the frame.

    Raises:
        ValueError: fewer than `LEAST` sightings, or see `Recording`.
    """
    canonicalizer = Canonicalizer(bundle, [model], CanonicalizerSettings(threads=0))
    pipeline = Pipeline(canonicalizer)
    source = WholeImage(pipeline.finder, most=SEARCHES)
    kept: list[LabelledFrame] = []
    read = answered = seen = 0
    every, last = 1, None
    bar = tqdm(recording, total=recording.count or None, desc="frames", unit="frame")
    for stamp, frame, _ in bar:
        read += 1
        found = [one.alignment for one in pipeline.update(frame, stamp, source).sightings]
        best = max(found, key=lambda answer: answer.confidence, default=None)
        if best is None:
            continue
        answered += 1
        if last is not None and not _moved(last, best):
            continue
        last = best
        if seen % every == 0:
            kept.append(_sighting(frame, best, model))
        seen += 1
        if len(kept) == 2 * MOST:
            kept, every = kept[::2], 2 * every
    if len(kept) < LEAST:
        raise ValueError(
            f"{model.name} was seen in {answered} of {read} frames, and {len(kept)} of these show "
            f"it from another place than the one before; {LEAST} are needed: record it nearer, "
            "sharper or for longer, and move it or the camera"
        )
    return Found(read, answered, kept)


def agreement(
    bundle: NetworkBundle, model: ObjectModel, sightings: Sequence[LabelledFrame], seed: int = 0
) -> Agreement:
    """Find the object anew in regions around where it was seen, as a detector would give them.

    An object with a network of its own is looked for with that, any other with `bundle`.
    """
    rng = np.random.default_rng(seed)
    refining = Canonicalizer(bundle, [model], CanonicalizerSettings(threads=0))
    bare = Canonicalizer(bundle, [model], CanonicalizerSettings(threads=0, photometric_steps=0))
    right, errors = 0, []
    for sighting in sightings:
        box = np.array(sighting.box)
        off = rng.uniform(-JITTER, JITTER, 4) * np.tile(box[2:], 2)
        region = Region(model.name, *(box + off).tolist())
        refined = refining.process(sighting.frame, [region])
        right += any(a.accepted and sighting_error(model, sighting, a) < RIGHT_PX for a in refined)
        plain = bare.process(sighting.frame, [region])
        errors.append(min((sighting_error(model, sighting, a) for a in plain), default=np.inf))
    return Agreement(right / len(sightings), float(np.median(errors)))


def sighting_error(model: ObjectModel, sighting: LabelledFrame, answer: Alignment) -> float:
    """Corner error of an answer in pixels, the least over the rotations that look alike."""
    rotations = symmetry_homographies(model.size, model.symmetry)
    truths = [compose(sighting.homography, rotation) for rotation in rotations]
    return min(corner_error(answer.homography, truth, model.size) for truth in truths)


def _moved(last: Alignment, now: Alignment) -> bool:
    apart = np.linalg.norm(now.corners - last.corners, axis=1).mean()
    return bool(apart > MOVED * longest_side(now.corners))


def _sighting(frame: NDArray[np.uint8], answer: Alignment, model: ObjectModel) -> LabelledFrame:
    left, top, right, bottom = nearby(answer.corners, (frame.shape[1], frame.shape[0]))
    seen = FrameSampler(frame).sample(answer.homography, model.size)[..., 3]
    shift = np.array([[1.0, 0, -left], [0, 1.0, -top], [0, 0, 1.0]])
    return LabelledFrame(
        frame=frame[top:bottom, left:right].copy(),
        homography=shift @ answer.homography,
        box=clipped_box(answer.corners - (left, top), (right - left, bottom - top)),
        visible=float((seen > 0).mean()),
    )
