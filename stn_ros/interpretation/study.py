"""What one transformer did to a data set, as data, and what is found wrong with it, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stn_ros.interpretation import theta
from stn_ros.interpretation.theta import COMPONENTS, Agreement

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]
Size = tuple[int, int]
"""(width, height), pixels."""

IDLE = 0.01
"""Share of the input's longer side by which corners must differ between inputs, at least."""
FOLLOWS = 0.5
"""Correlation with the known transform, or slope over it, below which it is not followed."""
FAR = 0.05
"""Median corner error, as a share of the output's extent in the input, from which it is far off."""
ROTATED = 45.0
"""Rotation error from which an output counts as rotated the wrong way, degrees."""
BESIDE = 0.8
"""Share of the sensitivity inside an outline over its share of the area, from which it is looked
at."""
SOME = 0.02
"""Share of the inputs from which something is said of them."""


@dataclass(frozen=True)
class Frame:
    """One picture of a film strip.

    Attributes:
        name: of the stage that saw it, or "result". picture: (h, w, 3) RGB.
        error: corner error of the transform it was sampled with, input pixels; None where the right
            one is not known.
        sensitivity: (h, w) of the stage's answer to the picture; None where that has no gradient.
    """

    name: str
    picture: Picture
    error: float | None = None
    sensitivity: NDArray[np.floating] | None = None


@dataclass(frozen=True)
class Example:
    """One input, in pictures; all coordinates are pixels of `picture`.

    Attributes:
        picture: (h, w, 3) RGB, the input or the part of it that matters.
        output: (h, w, 3) RGB, what the transformer made of it.
        grid: (rows, columns, 2), where some of the output's pixels were read, edge to edge.
        known: (4, 2) where the output's corners should lie; None where that is not known.
        error: corner error, input pixels. label: what kind of example this is.
        strip: the stages in turn. seen: (h, w, 3) RGB, what the maps lie on.
        maps: (h, w) by the names of `sensitivity.MAPS`.
        inside: share of the map's power inside the output's true outline (the found one, where
            that is not known), and what share of the area this is.
    """

    picture: Picture
    output: Picture
    grid: Array
    known: Array | None
    error: float | None
    label: str
    strip: tuple[Frame, ...]
    seen: Picture
    maps: Mapping[str, NDArray[np.floating]]
    inside: tuple[float, float]


@dataclass(frozen=True)
class Study:
    """What one transform of a transformer did to N inputs.

    Attributes:
        name: for the heading. input_size, output_size: of the pictures.
        found: (N, 3, 3), output pixels -> input pixels; of a family that bends, the nearest affine.
        known: (N, 3, 3) likewise, the right ones; None where they are not known.
        stages: names of "before" and the steps. stage_errors: (N, stages) corner errors after each,
            input pixels; None where `known` is.
        start: (3, 3), what it began at, for all inputs alike; None where each had its own.
        bend: (N,) root mean square distance of the map from `found`, input pixels; None for
            families that do not bend.
        troubles: what the collapse monitor said.
        examples: some inputs in pictures.
        sensitivity_of: of what the maps are, for reading. draws: noisy copies behind them.
        notes: what else the reader should know of how this came about.
    """

    name: str
    input_size: Size
    output_size: Size
    found: Array
    known: Array | None
    stages: tuple[str, ...]
    stage_errors: Array | None
    start: Array | None
    bend: Array | None
    troubles: tuple[str, ...]
    examples: tuple[Example, ...]
    sensitivity_of: str
    draws: int
    notes: tuple[str, ...] = ()

    def components(self) -> dict[str, Array]:
        """Of the transforms found, see `theta.components`."""
        return theta.components(self.found, self.output_size)

    def known_components(self) -> dict[str, Array] | None:
        """Of the right transforms."""
        return None if self.known is None else theta.components(self.known, self.output_size)

    def agreements(self) -> dict[str, Agreement]:
        """Each component against the right one; empty where that is not known."""
        known = self.known_components()
        return {} if known is None else theta.compare(self.components(), known)

    def errors(self) -> Array | None:
        """(N,) corner errors of what was found, input pixels."""
        if self.known is None:
            return None
        return theta.corner_errors(self.found, self.known, self.output_size)


def findings(study: Study) -> list[str]:
    """What is wrong, a sentence each; empty if nothing that is looked for was found."""
    found = list(study.troubles)
    corners = theta.corners(study.found, study.output_size)
    finite = np.asarray(np.isfinite(corners).all(axis=(1, 2)))
    if not finite.all():
        found.append(f"{_share(~finite)} of the transforms send a corner to infinity.")
    if not finite.any():
        return found
    side = max(study.input_size)
    spread = _spread(corners[finite])
    idle = spread < IDLE * side and (
        study.known is None
        or _spread(theta.corners(study.known, study.output_size)) > 3 * IDLE * side
    )
    if idle:
        found.append(_idle(study, spread))
    mirrored = study.components()["scale y"] < 0
    if mirrored.mean() > SOME:
        found.append(
            f"{_share(mirrored)} of the outputs are mirrored: bound the transform more tightly "
            "(`limit`), or choose a family that can not flip (similarity, attention)."
        )
    if study.known is not None:
        found += _accuracy(study, idle)
    found += _attention(study)
    return found


def _idle(study: Study, spread: float) -> str:
    begun = study.start is not None and _at_start(study)
    which = "what it began with" if begun else "not what it began with, but one fixed crop"
    return (
        f"The transformer is idle: theta is the same for every input ({which}; the corners differ "
        f"by {spread:.2g} px between inputs), so nothing is aligned. Train longer, look for hidden "
        "units of the localizer that are zero for all inputs, and check that the loss reaches it."
    )


def _at_start(study: Study) -> bool:
    assert study.start is not None
    away = theta.corner_errors(
        study.found, np.broadcast_to(study.start, study.found.shape), study.output_size
    )
    return float(np.median(away)) < IDLE * max(study.input_size)


def _accuracy(study: Study, idle: bool) -> list[str]:
    """What is said against the right transforms."""
    errors, agreements, found = study.errors(), study.agreements(), []
    assert errors is not None
    assert study.known is not None
    assert study.stage_errors is not None
    typical, before = float(np.median(errors)), float(np.median(study.stage_errors[:, 0]))
    extent = float(np.median(np.ptp(theta.corners(study.known, study.output_size), axis=1)))
    if typical >= 0.9 * before:
        found.append(
            f"Aligning gains nothing: the corner error is {typical:.2f} px in the median, and "
            f"{before:.2f} px before it."
        )
    elif typical > FAR * extent:
        found.append(
            f"The outputs are far off: {typical:.2f} px of corner error in the median, "
            f"{typical / extent:.0%} of their extent in the input."
        )
    if not idle:
        found += [
            text
            for component in COMPONENTS
            if (text := _following(component, agreements[component.name]))
        ]
    rotation = theta.wrapped(
        study.components()["rotation"]
        - theta.components(study.known, study.output_size)["rotation"]
    )
    rotated = np.abs(np.nan_to_num(rotation)) > ROTATED
    if rotated.mean() > SOME:
        found.append(
            f"{_share(rotated)} of the outputs are rotated by more than {ROTATED:.0f} degrees "
            "against the right one: it takes the wrong way up for the right one."
        )
    medians = np.median(study.stage_errors, axis=0)
    for name, last, now in zip(study.stages[1:], medians, medians[1:], strict=False):
        if now > 1.1 * last and now - last > 0.05:
            found.append(
                f"The stage {name} makes it worse: the median corner error rises from {last:.2f} "
                f"to {now:.2f} px."
            )
    return found


def _following(component: theta.Component, agreement: Agreement) -> str:
    """What is wrong with one component; "" if nothing is, or the known one hardly changes."""
    name = component.name
    if agreement.spread > component.material:
        if math.isnan(agreement.correlation):
            return (
                f"The {name} never changes, and should: the family of transforms may not have it, "
                "or it was not learnt."
            )
        if agreement.correlation < FOLLOWS:
            return (
                f"The {name} hardly follows the known one: correlation {agreement.correlation:.2f}."
            )
        if agreement.slope < FOLLOWS:
            return f"The {name} moves too little: {agreement.slope:.0%} of how far it should."
    if abs(agreement.offset) > max(2 * component.material, 3 * agreement.scatter):
        return (
            f"The {name} is off by {agreement.offset:+.3g} {component.unit} for all inputs alike: "
            "consistent, but towards a pose of its own."
        )
    return ""


def _attention(study: Study) -> list[str]:
    shares = np.array([each.inside for each in study.examples]).reshape(-1, 2)
    shares = shares[np.isfinite(shares).all(axis=1)]
    if not len(shares):
        return []
    inside, area = np.median(shares, axis=0)
    if inside >= BESIDE * area:
        return []
    whose = "the object's outline" if study.known is not None else "what it shows"
    return [
        f"It looks beside {whose}: {inside:.0%} of the sensitivity lies inside, which is "
        f"{area:.0%} of the picture, less than by chance."
    ]


def _spread(corners: Array) -> float:
    """Root mean square distance of the corners from their mean over the inputs, pixels."""
    return float(np.sqrt(np.square(corners - corners.mean(axis=0)).sum(axis=2).mean()))


def _share(flags: NDArray[np.bool_]) -> str:
    return f"{flags.mean():.0%}"
