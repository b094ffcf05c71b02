"""`stn-ros explain`: a page with pictures on what a transformer did, and why."""

from __future__ import annotations

import argparse
from pathlib import Path

from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import OBJECT_FILE, find_object
from stn_ros.training.alignment.recipe import load_recipe

DESCRIPTION = """\
Write one HTML page with pictures on what a Spatial Transformer does to a data set, and why.

  stn-ros explain tea_box                      the shipped network on views of an object
  stn-ros explain config/recipes/corners.yaml  what `stn-ros train` made of a recipe

The page shows theta taken apart (rotation, scale, shear, translation, perspective) over the data
set; theta against the known transform, with correlations and errors; the sampling grid on inputs
beside the aligned view; every stage of the cascade, with its corner error; and which pixels theta
hangs on. Each picture says what to look for, and the page begins with what is wrong, if anything:
a transformer that is idle, leaves its input, takes the wrong way up, looks at the background.

The page stands alone: pictures are inside, it has no scripts and asks nothing of the network. Views
are rendered with exact truth, on backgrounds that no training saw. For networks and data of your
own: stn_ros.interpretation.networks.explain."""
RECIPES = (".yaml", ".yml")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument(
        "subject",
        metavar="OBJECT|RECIPE.yaml",
        help="an object by name or folder, or the recipe of a finished or running training",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        help="of the recipe's run, as of `stn-ros train` (default: out/train/RECIPE)",
    )
    parser.add_argument("--views", type=int, help="to look at (60 of an object, 200 of a recipe)")
    parser.add_argument("--seed", type=int, help="of the views (1, or the recipe's)")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="PAGE.html",
        help="the page (default: out/explain/NAME.html)",
    )


def run(args: argparse.Namespace) -> int:
    """Find out what is to be explained, write the page, say what is wrong."""
    if args.views is not None and args.views < 2:
        raise ValueError(f"--views is {args.views}: must be at least 2")
    if args.seed is not None and args.seed < 0:
        raise ValueError(f"--seed is {args.seed}: must not be negative")
    subject = Path(args.subject)
    is_recipe = subject.suffix in RECIPES
    page = (
        args.output or Path("out/explain") / f"{subject.stem if is_recipe else subject.name}.html"
    )
    if page.is_dir():
        raise ValueError(f"--output {page}: is a folder: name a file, such as {page / 'page.html'}")
    wrong = _explain_recipe(args, subject, page) if is_recipe else _explain_object(args, page)
    for text in wrong:
        print(f"- {text}")
    if not wrong:
        print("nothing wrong was found")
    print(f"open {page} in a browser")
    return 0


def _explain_object(args: argparse.Namespace, page: Path) -> list[str]:
    given = Path(args.subject)
    if given.suffix == ".ckpt" or (given.is_dir() and not (given / OBJECT_FILE).is_file()):
        folder = given.parent if given.suffix == ".ckpt" else given
        raise ValueError(
            f"{given}: is no object. If it is the run of a training, name its recipe too: "
            f"stn-ros explain RECIPE.yaml --folder {folder}"
        )
    if args.folder is not None:
        raise ValueError(f"--folder {args.folder}: is for recipes; {args.subject} is an object")
    model = ObjectModel.load(find_object(args.subject))
    try:
        from stn_ros.interpretation.objects import VIEWS, explain_object
    except ModuleNotFoundError as error:
        raise _missing(error) from None
    views = VIEWS if args.views is None else args.views
    return explain_object(model, page, views, 1 if args.seed is None else args.seed)


def _explain_recipe(args: argparse.Namespace, subject: Path, page: Path) -> list[str]:
    recipe = load_recipe(subject)
    model = ObjectModel.load(find_object(recipe.object))
    folder = args.folder or Path("out/train") / subject.stem
    try:
        from stn_ros.interpretation.recipes import VIEWS, explain_run
    except ModuleNotFoundError as error:
        raise _missing(error) from None
    views = VIEWS if args.views is None else args.views
    seed = recipe.seed if args.seed is None else args.seed
    return explain_run(recipe, model, folder, page, views, seed)


def _missing(error: ModuleNotFoundError) -> Exception:
    if error.name is None or error.name.startswith("stn_ros"):
        return error
    return ValueError(f"{error.name} is missing: pip install 'stn_ros[train]'")
