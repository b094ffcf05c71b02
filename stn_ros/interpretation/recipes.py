"""Explains the transformer that `stn-ros train` made of a recipe."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from stn_ros.interpretation import networks, report
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.teaching.texture import symmetry_homographies
from stn_ros.training.alignment.data import TEMPLATE, Views, render_views, template
from stn_ros.training.alignment.recipe import Recipe
from stn_ros.training.alignment.task import LAST, AlignmentTask
from stn_ros.transformer.families import Projective

VIEWS = 200
_BATCH = 64
_SQUARE = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])


def explain_run(
    recipe: Recipe,
    model: ObjectModel,
    folder: Path,
    path: str | Path,
    views: int = VIEWS,
    seed: int | None = None,
    progress: bool = True,
) -> list[str]:
    """Write a page on a trained transformer, on held-out views with known corners.

    Args:
        recipe, model: what was trained for what. folder: of the run. path: of the page, HTML.
        views: rendered. seed: of them, the recipe's by default: the views it was validated on.
        progress: show progress bars.

    Returns:
        What is wrong, a sentence each.

    Raises:
        ValueError: no checkpoint is in the folder, or that of another recipe.
    """
    seed = recipe.seed if seed is None else seed
    task, epochs = load_task(recipe, model, folder)
    held_out = render_views(model, replace(recipe, seed=seed), views, "held_out", progress)
    kept = networks.record(
        task.transformer, _batches(held_out), _right, inputs=views, progress=progress
    )
    symmetries = symmetry_homographies((TEMPLATE, TEMPLATE), model.symmetry)
    studies = networks.study_layer(
        task.transformer, kept[""], symmetries, bgr=True, seed=seed, progress=progress
    )
    facts = [
        ("recipe", f"{recipe.strategy}, {recipe.family}, {recipe.steps} step(s), on {model.name}"),
        ("checkpoint", f"{folder / LAST}, after {epochs} of {recipe.epochs} epochs"),
        ("views", f"{views} held-out ones, rendered with exact truth"),
        ("seed of the views", str(seed)),
        ("seed of the training", str(recipe.seed)),
    ]
    summary = (
        f"What the transformer trained by `{recipe.strategy}` for `{model.name}` does to {views} "
        "cut-outs it has not seen."
    )
    title = f"{model.name} by {recipe.strategy}, explained"
    return report.write(Path(path), title, summary, facts, studies)


def load_task(recipe: Recipe, model: ObjectModel, folder: Path) -> tuple[AlignmentTask, int]:
    """The trained task of a run, and the epochs it has seen; see `explain_run`."""
    path = folder / LAST
    if not path.is_file():
        raise ValueError(f"{path}: no such checkpoint: train with `stn-ros train` first")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        state, epochs = saved["state_dict"], int(saved["epoch"]) + 1
    except (pickle.UnpicklingError, RuntimeError, KeyError, EOFError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path}: is no checkpoint of `stn-ros train`: {reason}") from None
    task = AlignmentTask(recipe, template(model), model.symmetry)
    try:
        task.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(
            f"{path}: is of another recipe than this one ({recipe.family}, {recipe.steps} "
            f"step(s)): {str(error).splitlines()[-1].strip()}"
        ) from None
    return task.eval(), epochs


def _batches(views: Views) -> Iterator[Sequence[Tensor]]:
    """Pictures in 0..1 as the task gives them to its transformer, and the true corners."""
    pairs = zip(views.pictures.split(_BATCH), views.corners.split(_BATCH), strict=True)
    for pictures, corners in pairs:
        yield pictures.float() / 255, corners


def _right(batch: networks.Batch) -> Tensor:
    return Projective().matrix((batch[1] - _SQUARE).flatten(1))
