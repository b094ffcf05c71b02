"""The page of some studies."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from stn_ros.interpretation import page, pictures
from stn_ros.interpretation.page import Figure, Section, Table
from stn_ros.interpretation.sensitivity import NOISE
from stn_ros.interpretation.study import Study, findings
from stn_ros.interpretation.theta import COMPONENTS

STRIPS = 3
"""Examples whose stages are shown."""
_MAPS = 4


def write(
    path: Path,
    title: str,
    summary: str,
    facts: Sequence[tuple[str, str]],
    studies: Sequence[Study],
) -> list[str]:
    """Write the page; returns what is wrong, a sentence each.

    Args:
        title, summary, facts: see `page.render`.
    """
    wrong, sections = [], []
    for study in studies:
        about = f"{study.name}: " if len(studies) > 1 else ""
        wrong += [about + text for text in findings(study)]
        sections += _sections(study, about)
    facts = [*facts, ("machine", machine())]
    looked_for = "theta that does not change, leaves the input, explodes or mirrors"
    if all(study.known is not None for study in studies):
        looked_for += (
            ", or does not follow the known transform; stages that make it worse; sensitivity "
            "beside the object"
        )
    else:
        looked_for += "; not errors, since the right transform is not known"
    page.write(path, page.render(title, summary, wrong, looked_for, facts, sections))
    return wrong


def chosen(errors: NDArray[np.floating] | None, inputs: int, count: int) -> list[tuple[int, str]]:
    """Which inputs are shown, and what kind they are: from the best to the worst, or evenly spread.

    Args:
        errors: (N,) corner errors, None where not known. inputs: N. count: how many, at most.
    """
    places = evenly(inputs, count)
    if errors is None:
        return [(place, f"input {place}") for place in places]
    order = np.argsort(errors, kind="stable")
    names = {0: "best", inputs - 1: "worst"}
    return [
        (int(order[place]), names.get(place, f"{place / (inputs - 1):.0%} are better"))
        for place in places
    ]


def evenly(count: int, most: int) -> list[int]:
    """Up to `most` of 0 .. count - 1, evenly spread, with both ends."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, most))})


def machine() -> str:
    """Processor, threads and versions."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.is_file() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    name = models[0] if models else platform.machine()
    return (
        f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} thread(s), Python "
        f"{platform.python_version()}, PyTorch {torch.__version__}"
    )


def _sections(study: Study, about: str) -> list[Section]:
    sections = [_theta(study)]
    if study.known is not None:
        sections.append(_against_known(study))
    sections += [_grids(study), *_stages(study), _sensitivity(study)]
    return [Section(about + section.title, section.text, section.content) for section in sections]


def _theta(study: Study) -> Section:
    text = [
        "Each transform maps output pixels to the input pixels they are read from (theta). Here it "
        "is taken apart at the output's middle: translation * rotation * shear * scale * "
        "perspective. The translation is where the middle lands, a scale of 0.5 packs two output "
        "pixels into one of the input.",
        *study.notes,
    ]
    if study.bend is not None:
        text.append(
            "The family bends: what is shown is the affine map nearest to each transform, which "
            f"departs from it by {np.median(study.bend):.2f} px (root mean square, median of the "
            f"inputs) and at most {study.bend.max():.2f} px."
        )
    caption = "Look for spikes: a component that is one thin bar is the same for every input"
    caption += (
        ", and blue should fill the orange outline of the right transforms."
        if study.known is not None
        else ", and if all of them are, the transformer is idle."
    )
    figure = Figure(pictures.histograms(study), caption)
    return Section("What theta does, over the data set", text, [figure])


def _against_known(study: Study) -> Section:
    errors = study.errors()
    assert errors is not None
    median, most, worst = (float(np.quantile(errors, q)) for q in (0.5, 0.9, 1.0))
    text = [
        f"Corner error, the mean distance of the output's four corners from where they should lie: "
        f"median {median:.2f} px, 90 % below {most:.2f} px, worst {worst:.2f} px, in pixels of the "
        f"{study.input_size[0]} x {study.input_size[1]} input."
    ]
    rows = []
    for component in COMPONENTS:
        each = study.agreements()[component.name]
        values = (each.correlation, each.slope, each.error, each.offset, each.scatter, each.spread)
        cells = ["-" if math.isnan(value) else f"{value:.3f}" for value in values]
        rows.append([f"{component.name} ({component.unit})", *cells])
    table = Table(
        [
            "component",
            "correlation",
            "slope",
            "median error",
            "offset",
            "error without it",
            "spread",
        ],
        rows,
        "Look for correlations and slopes below 1 where the known transform's spread (standard "
        "deviation) is large, and for offsets, which all inputs share; a dash is a component that "
        "never changes. "
        "Rotations correlate by Fisher & Lee's measure for angles.",
    )
    figure = Figure(
        pictures.scatter(study),
        "Look for points on the grey line: a flat cloud ignores the input, a parallel one has an "
        "offset, stray points are inputs it got wrong.",
    )
    return Section("Theta against the known transform", text, [figure, table])


def _grids(study: Study) -> Section:
    caption = (
        "Look whether the yellow grid lies on the object, its red edge along the object's top, and "
        "whether the outputs beside it all look alike"
    )
    caption += "; the green dashes are the right outline." if study.known is not None else "."
    figure = Figure(pictures.grids(study.examples), caption)
    return Section("Where the output is read from", [], [figure])


def _stages(study: Study) -> list[Section]:
    content: list[Figure | Table] = []
    if study.stage_errors is not None:
        content.append(
            Figure(
                pictures.stages(study),
                "Look for stages after which the black lines do not fall, and for thin lines (one "
                "an input) that rise: that stage does harm there.",
            )
        )
        rows = [
            [name, *(f"{value:.2f}" for value in np.quantile(study.stage_errors, q, axis=0))]
            for name, q in (("median", 0.5), ("90 % below", 0.9), ("worst", 1.0))
        ]
        caption = (
            "The same in figures: corner error after each stage, px; look for growth in a row."
        )
        content.append(Table(["", *study.stages], rows, caption))
    shown = [each for each in study.examples if each.strip]
    for example in (shown[place] for place in evenly(len(shown), STRIPS)):
        maps = any(frame.sensitivity is not None for frame in example.strip)
        caption = (
            f"{example.label.capitalize()}: look for the stage at which the face, squeezed to a "
            "square, stops coming nearer to upright and to filling its frame"
        )
        caption += "; below, dark is what that stage's answer hangs on." if maps else "."
        content.append(Figure(pictures.strip(example), caption))
    return [Section("Stage by stage", [], content)] if content else []


def _sensitivity(study: Study) -> Section:
    shares = np.array([each.inside for each in study.examples])
    text = [
        f"How far the output's corners move with each pixel of {study.sensitivity_of}: "
        "`S(p) = sqrt(sum_k sum_channels G_k(p)^2)` with `G_k(p)` the mean of `d c_k / d I(p)` "
        f"over {study.draws} copies of the input with noise of {NOISE:.0%} of its range, `c_k` the "
        "eight corner coordinates in pixels (SmoothGrad, Smilkov et al. 2017), then blurred by a "
        "64th of the side. Position, rotation and size are the parts of a rigid move of the "
        "corners. Each map has its own scale; dark is strongest."
    ]
    shares = shares[np.isfinite(shares).all(axis=1)]
    if len(shares):
        inside, area = np.median(shares, axis=0)
        whose = "the right outline" if study.known is not None else "the outline of what is shown"
        text.append(
            f"{inside:.0%} of the map's power lies within {whose}, which covers {area:.0%} of the "
            "picture (medians of the examples)."
        )
    figure = Figure(
        pictures.sensitivity_maps(
            [study.examples[place] for place in evenly(len(study.examples), _MAPS)]
        ),
        "Look whether the dark spots lie on the object and its print: spots on the surroundings "
        "mean that theta hangs on what has nothing to do with the object.",
    )
    return Section("What theta hangs on", text, [figure])
