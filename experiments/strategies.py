#!/usr/bin/env python3
"""One alignment task, taught with many labels, few, wrong ones or none at all.

A Spatial Transformer is to bring the face of one flat object upright and square-on from cut-outs
of 96 x 96 pixels, as a detector would give them: turned, tilted, lit, partly covered. Views, steps
and network are the same for all; what teaches is not:

  supervised      as many views as have labels, exact ones
  weak            the same, and all other views without labels
  unsupervised    no labels: the reference picture alone (recipe photometric.yaml)
  loss alone      the same without refined answers as labels: only the photometric loss
  matching        no labels by hand: from SIFT features, checked (matching.yaml)
  believed        labels a little off, a share of them of another view, taken as they are
  doubted         the same; labels far off the rest pull less (wrong_labels.yaml)
  checked         the same, first held against the pixels of their views (checked_labels.yaml)
"""

from __future__ import annotations

import logging
import statistics
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import command
import torch
from runs import Runs

from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import find_object
from stn_ros.training.alignment.data import SIDE, Views, labelled, render_views
from stn_ros.training.alignment.recipe import Recipe
from stn_ros.training.alignment.task import figures, fit

EPILOG = """\
examples:
  python experiments/strategies.py --views 300 --epochs 2 --seeds 1
      the shortest look
  python experiments/strategies.py
      the table; interrupt it as you like, the same command goes on where it stopped
  python experiments/strategies.py --object my_box
      for an object that you taught
  python experiments/strategies.py --full
      20,000 views, 40 epochs: for a GPU

The folder of --out then holds
  runs.json        one entry for each finished run
  table.md         corner errors, and their ratio to those of supervised training
  strategies.png   the same against the number of labels, and against the share of wrong ones
"""

COUNTS = (30, 150)
"""Labelled views, where not all are."""
WRONG = (20, 40)
"""Labels of another view, percent; all labels are off by `NOISE`, too."""
NOISE = 0.03
"""Standard deviation of each coordinate of a noisy label, half-widths of the cut-out."""
HELD_OUT = 400
WATCHED = 50  # of these, after each epoch
NOISY: dict[str, dict[str, Any]] = {"believed": {}, "doubted": {"doubt": 3.0}}
NOISY["checked"] = {"check": True}


@dataclass(frozen=True)
class Settings:
    """How all are trained; Adam, see `Recipe`. Of the object, `views` to train on."""

    object: str
    views: int
    epochs: int
    batch: int = 32


Job = dict[str, str | int]
"""What names a run: way, labels (count), wrong (percent), seed."""


def jobs(settings: Settings, seeds: int) -> list[Job]:
    """All runs, one seed after the other."""
    counts = [count for count in COUNTS if count < settings.views]
    ways = [("supervised", n, 0) for n in (*counts, settings.views)]
    ways += [("weak", n, 0) for n in counts]
    ways += [(way, 0, 0) for way in ("unsupervised", "loss alone", "matching")]
    ways += [(way, settings.views, wrong) for way in NOISY for wrong in WRONG]
    return [
        {"way": way, "labels": labels, "wrong": wrong, "seed": seed}
        for seed in range(seeds)
        for way, labels, wrong in ways
    ]


def recipe(settings: Settings, way: str, wrong: int, seed: int) -> Recipe:
    """The recipe of a run."""
    strategies = {"unsupervised": "photometric", "loss alone": "photometric"}
    return Recipe(
        settings.object,
        strategies.get(way, way if way == "matching" else "corners"),
        noise=NOISE if wrong else 0.0,
        wrong=wrong / 100,
        trust=1.0 if way == "loss alone" else Recipe.trust,
        views=settings.views,
        epochs=settings.epochs,
        batch=settings.batch,
        seed=seed,
        **NOISY.get(way, {}),
    )


def training_views(views: Views, of: Recipe, way: str, labels: int) -> Views:
    """The views with the labels of a run; supervised ones are repeated, for as many steps."""
    views = labelled(views, of)
    index = torch.arange(len(views.pictures))
    if way == "supervised":
        return Views(*(part[index % labels] for part in views))
    if way == "weak":
        return views._replace(labelled=index < labels)
    return views


def run(settings: Settings, way: str, labels: int, wrong: int, seed: int) -> dict[str, Any]:
    """Train and measure: median and 90 % quantile of the held-out corner error, pixels."""
    model = ObjectModel.load(find_object(settings.object))
    of = recipe(settings, way, wrong, seed)
    views, held_out = _rendered(settings, seed)
    watched = Views(*(part[:WATCHED] for part in held_out))
    training = training_views(views, of, way, labels)
    with tempfile.TemporaryDirectory() as scratch:
        progress = sys.stderr.isatty()
        task = fit(of, model, training, watched, Path(scratch) / "run", progress=progress)
    found = figures(task.cpu(), held_out)
    return {"median": found["held-out corner error px"], "p90": found["held-out p90 px"]}


@lru_cache(maxsize=1)
def _rendered(settings: Settings, seed: int) -> tuple[Views, Views]:
    model = ObjectModel.load(find_object(settings.object))
    plain = Recipe(settings.object, seed=seed)
    return (
        render_views(model, plain, settings.views, "train"),
        render_views(model, plain, HELD_OUT, "held_out"),
    )


def table(runs: Runs, settings: Settings) -> str:
    """Corner errors in Markdown."""
    done = runs.runs()
    full = {r["seed"]: r["median"] for r in done if _names(r, "supervised", settings.views)}
    wanted = {"unsupervised": "1.5", "checked": "1.2"}
    rows = []
    for job in jobs(settings, 1):
        of = [r for r in done if all(r[k] == v for k, v in job.items() if k != "seed")]
        if not of:
            continue
        ratios = [r["median"] / full[r["seed"]] for r in of if r["seed"] in full]
        bound = wanted.get(job["way"], "") if job["wrong"] in (0, 20) else ""
        rows.append(
            [
                f"{job['way']}",
                f"{job['labels']:,}",
                f"{job['wrong']} %" if job["wrong"] else "",
                command.spread([r["median"] for r in of]),
                command.spread([r["p90"] for r in of]),
                command.spread(ratios) + (f" (wanted: at most {bound})" if bound else ""),
                str(len(of)),
            ]
        )
    header = ["what teaches", "labels", "of these wrong", "median, px", "90 %, px"]
    header += ["median over supervised's", "seeds"]
    return "\n".join(
        [
            "# Strategies",
            "",
            f"Corner error on {HELD_OUT} held-out views of {settings.object}, pixels of a cut-out "
            f"of {SIDE} x {SIDE}: mean ± standard deviation over the seeds. {settings.views:,} "
            f"views, {settings.epochs} epochs, batches of {settings.batch}; where labels are "
            f"wrong, the right ones are off by {NOISE * SIDE / 2:.1f} px a coordinate. Ratios are "
            "those of runs on the same views.",
            "",
            command.markdown(header, rows),
            "",
            command.effort(done),
            "",
        ]
    )


def plot(runs: Runs, settings: Settings) -> None:
    """Corner error against the number of labels, and against the share of wrong ones."""
    from matplotlib.figure import Figure

    done = runs.runs()
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    counts = [n for n in (*COUNTS, settings.views) if n <= settings.views]
    for way in ("supervised", "weak"):
        _curve(left, way, counts, [_medians(done, way, n, 0) for n in counts])
    for way, style in (("unsupervised", "--"), ("loss alone", ":"), ("matching", "-.")):
        if values := _medians(done, way, 0, 0):
            left.axhline(statistics.mean(values), ls=style, color="k", label=f"{way}: no labels")
    left.set(xscale="log", xlabel="labelled views", ylabel="corner error, px", yscale="log")
    exact = _medians(done, "supervised", settings.views, 0)
    for way in NOISY:
        values = [_medians(done, way, settings.views, wrong) for wrong in WRONG]
        _curve(right, way, WRONG, values)
    if exact:
        right.axhline(statistics.mean(exact), ls="--", color="k", label="exact labels")
    right.set(xlabel="labels of another view, %", xticks=WRONG)
    for axes in (left, right):
        axes.legend()
        axes.grid(alpha=0.3, which="both")
    figure.savefig(runs.folder / "strategies.png", dpi=150)


def main(arguments: list[str] | None = None) -> None:
    """Run what is not yet there, then write table and plot."""
    parser = command.parser(__doc__ or "", EPILOG, "strategies")
    parser.add_argument(
        "--object", default="tea_box", help="a sample or taught one (default: %(default)s)"
    )
    parser.add_argument("--views", type=int, default=1500, help="to train on (default: 1500)")
    parser.add_argument("--epochs", type=int, default=4, help="passes over them (default: 4)")
    parser.add_argument("--full", action="store_true", help="20,000 views, 40 epochs")
    options = command.options(parser, arguments)
    settings = Settings(options.object, options.views, options.epochs)
    if options.full:
        settings = Settings(options.object, 20_000, 40)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    runs = Runs(options.out, {"settings": asdict(settings), "held_out": HELD_OUT})
    command.complete(runs, jobs(settings, options.seeds), partial(run, settings))
    if not runs.runs():
        return
    page = table(runs, settings)
    plot(runs, settings)
    command.write(page, options.out)


def _names(run: dict[str, Any], way: str, labels: int, wrong: int = 0) -> bool:
    return (run["way"], run["labels"], run["wrong"]) == (way, labels, wrong)


def _medians(runs: list[dict[str, Any]], way: str, labels: int, wrong: int) -> list[float]:
    return command.taken(runs, "median", way=way, labels=labels, wrong=wrong)


def _curve(axes: Any, label: str, at: Sequence[int], values: list[list[float]]) -> None:  # noqa: ANN401 (matplotlib)
    """Means with the spread over the seeds as whiskers, where there are runs."""
    points = [(x, v) for x, v in zip(at, values, strict=False) if v]
    if points:
        axes.errorbar(
            [x for x, _ in points],
            [statistics.mean(v) for _, v in points],
            [statistics.stdev(v) if len(v) > 1 else 0.0 for _, v in points],
            marker="o",
            capsize=3,
            label=label,
        )


if __name__ == "__main__":
    main()
