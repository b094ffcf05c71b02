"""The pictures of the page, as PNG files in memory."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import cv2
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FormatStrFormatter, LogLocator
from numpy.typing import NDArray

from stn_ros.interpretation.sensitivity import MAPS, smoothed
from stn_ros.interpretation.study import Example, Study
from stn_ros.interpretation.theta import COMPONENTS, wrapped

Array = NDArray[np.float64]

FOUND, KNOWN, INK, FAINT = "#1f6fb2", "#d9730d", "#1c2530", "#9aa4b0"
GRID = "#ffd60a"
TRUTH = "#2ee6a6"
_WIDTH = 10.4  # inches, of every picture, so that the letters are of one size
_DPI = 110
_STYLE = {
    "font.size": 9,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 9.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": "#44505e",
    "ytick.color": "#44505e",
    "text.color": INK,
}
_styled = matplotlib.rc_context(_STYLE)


@_styled
def histograms(study: Study) -> bytes:
    """Each component of theta over the data set, the right ones as an outline."""
    found, known = study.components(), study.known_components()
    canvas, axes = _sheet(2, 4, 4.4)
    for axis, component in zip(axes.flat, COMPONENTS, strict=True):
        values = _finite(found[component.name])
        right = _finite(known[component.name]) if known else values[:0]
        count = int(np.clip(2 * math.sqrt(len(values)), 12, 40))
        limits = _limits(np.concatenate([values, right]), component.material)
        if component.circular:
            limits = max(limits[0], -180.0), min(limits[1], 180.0)
        bins = np.linspace(*limits, count + 1)
        axis.hist(values, bins, color=FOUND, alpha=0.75, label="found")
        if known:
            axis.hist(right, bins, histtype="step", color=KNOWN, linewidth=1.6, label="right")
        axis.set_title(component.name, loc="left", fontweight="bold")
        axis.set_xlabel(component.unit)
        axis.locator_params(axis="x", nbins=4)
        axis.set_yticks([])
        axis.spines["left"].set_visible(False)
    if known:
        canvas.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return _png(canvas)


@_styled
def scatter(study: Study) -> bytes:
    """Each component of theta against the right one."""
    found, known = study.components(), study.known_components()
    assert known is not None
    agreements = study.agreements()
    canvas, axes = _sheet(2, 4, 5.4)
    for axis, component in zip(axes.flat, COMPONENTS, strict=True):
        right, values = known[component.name], found[component.name]
        if component.circular:  # so that neighbours across 180 degrees are neighbours in the plot
            values = right + wrapped(values - right)
        low, high = _limits(_finite(np.concatenate([right, values])), component.material)
        axis.plot([low, high], [low, high], color=FAINT, linewidth=1, zorder=0)
        axis.scatter(right, values, s=11, color=FOUND, alpha=0.55, linewidths=0)
        axis.set_xlim(low, high)
        axis.set_ylim(low, high)
        axis.set_aspect("equal")
        axis.locator_params(nbins=4)
        each = agreements[component.name]
        said = "does not change"
        if not math.isnan(each.correlation):
            said = f"r = {each.correlation:.3f}, slope {each.slope:.2f}"
        axis.set_title(f"{component.name}\n{said}", loc="left", fontweight="bold")
    for axis in axes[-1]:
        axis.set_xlabel("right")
    for axis in axes[:, 0]:
        axis.set_ylabel("found")
    return _png(canvas)


@_styled
def grids(examples: Sequence[Example]) -> bytes:
    """The sampling grid on each input, beside what it was sampled to."""
    columns = min(3, len(examples))
    rows = -(-len(examples) // columns)
    canvas, axes = _sheet(rows, 2 * columns, 2.05 * rows)
    for axis in axes.flat:
        axis.set_axis_off()
    for i, example in enumerate(examples):
        row, column = divmod(i, columns)
        before, after = axes[row, 2 * column], axes[row, 2 * column + 1]
        _show(before, example.picture)
        _lay_grid(before, example.grid, thin=0.7)
        if example.known is not None:
            outline = np.vstack([example.known, example.known[:1]])
            before.plot(*outline.T, color=TRUTH, linewidth=1.6, linestyle=(0, (3, 2)))
        _show(after, example.output)
        before.set_title(example.label, loc="left")
        if example.error is not None:
            after.set_title(f"{example.error:.2f} px", loc="left")
    return _png(canvas)


@_styled
def sensitivity_maps(examples: Sequence[Example]) -> bytes:
    """Which pixels the corners, position, rotation and size hang on, for each example."""
    canvas, axes = _sheet(len(examples), 1 + len(MAPS), 2.05 * len(examples) + 0.25)
    for row, example in zip(axes, examples, strict=True):
        _show(row[0], example.seen)
        for axis, name in zip(row[1:], MAPS, strict=True):
            _glow(axis, example.seen, example.maps[name])
    for axis, name in zip(axes[0], ("input", *MAPS), strict=True):
        axis.set_title(name, loc="left", fontweight="bold")
    for axis in axes.flat:
        axis.set_axis_off()
    return _png(canvas)


@_styled
def strip(example: Example) -> bytes:
    """What each stage saw, and, where known, what its answer hangs on."""
    frames = example.strip
    rows = 2 if any(frame.sensitivity is not None for frame in frames) else 1
    widest = max(4, len(frames))
    canvas, axes = _sheet(rows, widest, _WIDTH / widest * rows * 1.05 + 0.35)
    for axis in axes.flat:
        axis.set_axis_off()
    for i, frame in enumerate(frames):
        _show(axes[0, i], frame.picture)
        error = "" if frame.error is None else f"\n{frame.error:.2f} px"
        axes[0, i].set_title(frame.name + error, loc="left")
        if frame.sensitivity is not None:
            _glow(axes[1, i], frame.picture, frame.sensitivity)
    return _png(canvas)


@_styled
def stages(study: Study) -> bytes:
    """Corner error after each stage, over the data set."""
    assert study.stage_errors is not None
    errors = np.maximum(study.stage_errors, 1e-3)
    canvas, axes = _sheet(1, 1, 3.2)
    axis = axes[0, 0]
    places = np.arange(errors.shape[1])
    for row in errors:
        axis.plot(places, row, color=FOUND, alpha=min(0.35, 15 / len(errors)), linewidth=0.8)
    kinds = ((0.5, "-", "median", -12), (0.9, (0, (4, 2)), "90 % below", 6))
    for quantile, style, label, lift in kinds:
        line = np.quantile(errors, quantile, axis=0)
        axis.plot(places, line, color=INK, linewidth=2, linestyle=style, label=label)
        for place, value in zip(places, line, strict=True):
            axis.annotate(
                f"{value:.2f}" if value < 9.95 else f"{value:.0f}",
                (place, value),
                (4, lift),
                textcoords="offset points",
                fontsize=8,
                fontweight="bold",
            )
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axis.minorticks_off()
    axis.set_xticks(places, study.stages)
    axis.set_xlim(-0.2, places[-1] + 0.35)
    axis.set_ylabel("corner error, px")
    axis.grid(axis="y", color="#e3e6ea", linewidth=0.7)
    axis.legend()
    return _png(canvas)


def _sheet(rows: int, columns: int, height: float) -> tuple[Canvas, NDArray[Any]]:
    canvas = Canvas(figsize=(_WIDTH, height), dpi=_DPI, layout="constrained")
    return canvas, canvas.subplots(rows, columns, squeeze=False)


def _png(canvas: Canvas) -> bytes:
    file = io.BytesIO()
    canvas.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _show(axis: Axes, picture: NDArray[np.uint8]) -> None:
    axis.imshow(picture, interpolation="nearest" if max(picture.shape[:2]) < 64 else "antialiased")
    height, width = picture.shape[:2]
    axis.set_xlim(-0.5, width - 0.5)
    axis.set_ylim(height - 0.5, -0.5)
    axis.set_anchor("N")


def _glow(axis: Axes, picture: NDArray[np.uint8], sensitivity: NDArray[np.floating]) -> None:
    """A map over its picture, which is faded to grey."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    _show(axis, np.dstack([128 + grey // 2] * 3))
    level = smoothed(sensitivity)
    brightest = float(np.quantile(level, 0.995))
    if brightest > 0:
        share = np.clip(level / brightest, 0, 1)
        axis.imshow(
            share,
            cmap="inferno_r",
            alpha=0.85 * np.sqrt(share),
            vmin=0,
            vmax=1.15,
            interpolation="bilinear",
        )


def _lay_grid(axis: Axes, grid: Array, thin: float) -> None:
    """Rows and columns of a grid (rows, columns, 2); its border is stronger, its top strongest."""
    lines = [*grid[1:-1], *grid.transpose(1, 0, 2)[1:-1]]
    axis.add_collection(LineCollection(lines, colors=GRID, linewidths=thin, alpha=0.8))
    border = [grid[-1], grid[:, 0], grid[:, -1]]
    axis.add_collection(LineCollection(border, colors=GRID, linewidths=1.6))
    axis.plot(*grid[0].T, color="#ff375f", linewidth=2.2)


def _finite(values: Array) -> Array:
    finite: Array = values[np.isfinite(values)]
    return finite


def _limits(values: Array, least: float) -> tuple[float, float]:
    """Between which a component is drawn: nearly all of it, and never less than what matters."""
    if not len(values):
        return -least, least
    low, high = np.quantile(values, [0.005, 0.995])
    room = max(0.06 * (high - low), 2 * least - (high - low) / 2)
    return float(low - room), float(high + room)
