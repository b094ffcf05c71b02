"""Theta in terms a person reads, over a data set, and how far it follows the right one.

A transform is a homography, *output* pixels -> *input* pixels: the direction in which a picture is
sampled. Its components are those at the middle of the output.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stn_ros.geometry.decomposition import decompose
from stn_ros.geometry.homography import compose, to_corners

Array = NDArray[np.float64]
Size = tuple[int, int]
"""(width, height), pixels."""


class Component(NamedTuple):
    """One of the numbers a transform is made of.

    Attributes:
        name: for reading. unit: of the values. material: the change that matters to a reader, in
            that unit. circular: an angle, which begins anew after 360 degrees.
    """

    name: str
    unit: str
    material: float
    circular: bool = False


COMPONENTS = (
    Component("rotation", "deg", 2.0, circular=True),
    Component("scale x", "input px / output px", 0.03),
    Component("scale y", "input px / output px", 0.03),
    Component("shear", "px / px", 0.03),
    Component("translation x", "input px", 1.0),
    Component("translation y", "input px", 1.0),
    Component("perspective x", "% of depth, middle to edge", 2.0),
    Component("perspective y", "% of depth, middle to edge", 2.0),
)
"""What `components` gives, in its order. The translation is where the output's middle lands."""


@dataclass(frozen=True)
class Agreement:
    """How far the values of one component follow the right ones; NaN is what can not be said.

    Attributes:
        correlation: Pearson's. Of angles the T-linear association of Fisher & Lee ("A correlation
            coefficient for circular data", Biometrika 1983, eq. 2): sines of the differences of all
            pairs take the place of deviations from the mean, which angles all around the circle do
            not have. NaN where one side does not change.
        slope: of the values over the right ones (least squares): 1 moves as far as it should, 0
            does not move.
        error: median distance from the right value.
        offset: what all have in common: the median difference, of angles the mean direction.
        scatter: median distance from the right value once the offset is taken off.
        spread: standard deviation of the right values; of angles, about their mean direction.
        count: of pairs that could be compared.
    """

    correlation: float
    slope: float
    error: float
    offset: float
    scatter: float
    spread: float
    count: int


def components(homographies: ArrayLike, size: Size) -> dict[str, Array]:
    """Take transforms apart at the middle of the output.

    Args:
        homographies: (N, 3, 3), output pixels -> input pixels. size: of the output.

    Returns:
        (N,) values by the names of `COMPONENTS`; NaN where a transform can not be taken apart.
    """
    width, height = size
    about = ((width - 1) / 2, (height - 1) / 2)
    rows = []
    for homography in np.asarray(homographies, np.float64):
        try:
            parts = decompose(homography, about)
        except ValueError:
            rows.append([math.nan] * len(COMPONENTS))
            continue
        rows.append(
            [
                math.degrees(parts.rotation),
                *parts.scale,
                parts.shear,
                *parts.translation,
                50 * width * parts.perspective[0],
                50 * height * parts.perspective[1],
            ]
        )
    table = np.reshape(rows, (-1, len(COMPONENTS)))
    return {each.name: table[:, i] for i, each in enumerate(COMPONENTS)}


def compare(found: Mapping[str, Array], known: Mapping[str, Array]) -> dict[str, Agreement]:
    """`agreement` of each of `COMPONENTS`."""
    return {
        each.name: agreement(found[each.name], known[each.name], each.circular)
        for each in COMPONENTS
    }


def agreement(found: ArrayLike, known: ArrayLike, circular: bool = False) -> Agreement:
    """Compare values (N,) with the right ones; pairs that are not finite are left out.

    Args:
        circular: values are angles in degrees.
    """
    values, right = np.asarray(found, np.float64), np.asarray(known, np.float64)
    finite = np.isfinite(values) & np.isfinite(right)
    values, right = values[finite], right[finite]
    if not len(values):
        return Agreement(math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, 0)
    apart: Array = values - right
    if circular:
        apart = wrapped(apart)
        offset = mean_direction(apart)
        left = wrapped(apart - offset)
        spread = float(wrapped(right - mean_direction(right)).std())
        power, own, whole = _pairs_of_angles(values, right)
    else:
        offset = float(np.median(apart))
        left = apart - offset
        spread = float(right.std())
        power, own, whole = _deviations(values, right)
    correlation = power / math.sqrt(own * whole) if min(own, whole) > 0 else math.nan
    return Agreement(
        correlation,
        power / whole if whole > 0 else math.nan,
        float(np.median(np.abs(apart))),
        offset,
        float(np.median(np.abs(left))),
        spread,
        len(values),
    )


def wrapped(degrees: ArrayLike) -> Array:
    """Angles brought into -180..180."""
    return (np.asarray(degrees, np.float64) + 180.0) % 360.0 - 180.0


def mean_direction(degrees: ArrayLike) -> float:
    """Of angles, in degrees: that of the sum of their unit vectors."""
    radians = np.radians(np.asarray(degrees, np.float64))
    return math.degrees(math.atan2(float(np.sin(radians).sum()), float(np.cos(radians).sum())))


def corners(homographies: ArrayLike, size: Size) -> Array:
    """(N, 4, 2): where the output's corners TL, TR, BR, BL lie in the input, pixels."""
    return np.reshape([to_corners(each, size) for each in np.asarray(homographies)], (-1, 4, 2))


def corner_errors(found: ArrayLike, known: ArrayLike, size: Size) -> Array:
    """(N,) mean distance of the four corners, input pixels; infinite where one is."""
    apart = corners(found, size) - corners(known, size)
    errors: Array = np.linalg.norm(apart, axis=2).mean(axis=1)
    return np.nan_to_num(errors, nan=math.inf)


def nearest_symmetric(
    found: ArrayLike, known: ArrayLike, symmetries: Sequence[ArrayLike], size: Size
) -> Array:
    """The right transforms (N, 3, 3), each under the symmetry that is nearest to what was found.

    Args:
        found, known: (N, 3, 3), output -> input pixels. symmetries: output -> output homographies
            under which the object looks alike, the identity among them. size: of the output.
    """
    candidates = np.array(
        [[compose(each, symmetry) for symmetry in symmetries] for each in np.asarray(known)]
    )
    errors = np.stack(
        [corner_errors(found, candidates[:, i], size) for i in range(len(symmetries))], axis=1
    )
    nearest: Array = candidates[np.arange(len(candidates)), errors.argmin(axis=1)]
    return nearest


def _deviations(found: Array, known: Array) -> tuple[float, float, float]:
    """Covariance and variances; 0 where values differ by rounding only."""
    one, two = found - found.mean(), known - known.mean()
    own, right = (
        0.0 if each.std() <= 1e-9 * (1.0 + np.abs(values).max()) else float((each * each).mean())
        for each, values in ((one, found), (two, known))
    )
    return float((one * two).mean()), own, right


def _pairs_of_angles(found: Array, known: Array) -> tuple[float, float, float]:
    """`_deviations` of angles in degrees, by the sines of the differences of all pairs."""
    one, two = (np.sin(np.radians(angles[:, None] - angles[None])) for angles in (found, known))
    powers = (float((each * each).mean()) for each in (one, two))
    own, right = (power if power > 1e-12 else 0.0 for power in powers)
    return float((one * two).mean()), own, right
