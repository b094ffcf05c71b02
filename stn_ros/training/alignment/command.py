"""`stn-ros train`: train a Spatial Transformer for one object by a recipe."""

from __future__ import annotations

import argparse
from pathlib import Path

from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import find_object
from stn_ros.training.alignment.recipe import keep_recipe, load_recipe

DESCRIPTION = """\
Train a Spatial Transformer that aligns one object, by a recipe (YAML): with labelled corners, some
of them noisy or wrong; with boxes only; with a few labels among many views; with no labels at all,
by the reference picture alone or by matched features; or by aligning views with each other. See
config/recipes, and docs/training.md for when which is right.

The folder keeps a checkpoint an epoch: the same command goes on where it was, also after a crash,
and with more `epochs` in the recipe for longer.
With `devices: 2` in the recipe, or --devices 2, two processes or GPUs share each batch.
TensorBoard's log is beside it (tensorboard --logdir FOLDER). The figures printed at the end are
corner errors on held-out views, in pixels of a cut-out of 96 x 96.

This trains a transformer of its own, to study how it learns. The node needs no training: its one
network serves every object (stn-ros teach)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("recipe", type=Path, help="YAML file, see config/recipes")
    parser.add_argument("--folder", type=Path, help="of the run (default: out/train/RECIPE)")
    parser.add_argument("--devices", type=int, help="processes, or GPUs (the recipe's)")
    parser.add_argument(
        "--precision",
        choices=("32-true", "bf16-mixed", "16-mixed"),
        default="32-true",
        help="of the network; grids stay in 32 bits (32-true)",
    )


def run(args: argparse.Namespace) -> int:
    """Check the recipe, train, print the figures."""
    recipe = load_recipe(args.recipe)
    model = ObjectModel.load(find_object(recipe.object))
    try:
        # PyTorch Lightning is no part of the robot's install.
        from stn_ros.training.alignment.task import leads, train
    except ModuleNotFoundError as error:
        raise ValueError(f"{error.name} is missing: pip install 'stn_ros[train]'") from None
    folder = args.folder or Path("out/train") / args.recipe.stem
    if leads():
        keep_recipe(recipe, folder)
    figures = train(recipe, model, folder, args.devices, args.precision)
    if leads():
        for name, value in figures.items():
            print(f"{name}: {value:.2f}")
        print(f"checkpoint and log in {folder}")
    return 0
