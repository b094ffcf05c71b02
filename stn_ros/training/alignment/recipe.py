"""What to train and how, as a YAML file that is checked before anything starts."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import yaml

Strategy = Literal["corners", "boxes", "photometric", "matching", "congealing"]
RECIPE_FILE = "recipe.yaml"
MAY_CHANGE = ("epochs", "devices")
"""What a run may go on with, where it was begun with something else."""
FamilyName = Literal["translation", "similarity", "affine", "projective"]


def _between(low: float, high: float, default: float) -> Any:  # noqa: ANN401, it stands for a field
    return field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True)
class Recipe:
    """A training of a Spatial Transformer on views of one flat object.

    Attributes:
        object: a taught object or sample by name, or its folder.
        strategy: what teaches: "corners" (labels), "boxes" (their bounding boxes only),
            "photometric" (the reference picture, no labels), "matching" (labels from SIFT features,
            none given), "congealing" (each other).
        family: of the transforms. steps: transforms composed one after another.
        labelled: share of the views that have labels. noise: standard deviation of the labelled
            corners, as a share of the view's half-width. wrong: share of the labels that belong to
            another view. doubt: see `losses.corner_loss`. check: labels are first held
            against their pixels, see `labels.checked`.
        trust: mean weight from which a refined answer, see `labels.Refiner`, is the label
            of a view that has none; 1 trusts none. unlabelled_weight: of the photometric loss that
            teaches by the other views without labels.
        views: rendered for training. roll, tilt: their greatest angles, degrees.
        epochs, batch, learning_rate: of Adam; the rate falls along a cosine.
        penalty: weight of `module.in_frame_penalty`.
        devices: processes, or GPUs, that share a batch.
        seed: of views, labels and weights.
    """

    object: str
    strategy: Strategy = "corners"
    family: FamilyName = "projective"
    steps: int = _between(1, 8, 2)
    labelled: float = _between(0.0, 1.0, 1.0)
    noise: float = _between(0.0, 1.0, 0.0)
    wrong: float = _between(0.0, 0.9, 0.0)
    doubt: float = _between(0.0, 100.0, 0.0)
    check: bool = False
    trust: float = _between(0.0, 1.0, 0.75)
    unlabelled_weight: float = _between(0.0, 10.0, 0.15)
    views: int = _between(2, 1_000_000, 2000)
    roll: float = _between(0.0, 180.0, 30.0)
    tilt: float = _between(0.0, 70.0, 40.0)
    epochs: int = _between(1, 10_000, 20)
    batch: int = _between(2, 4096, 64)
    learning_rate: float = _between(1e-7, 1.0, 1e-3)
    penalty: float = _between(0.0, 100.0, 0.1)
    devices: int = _between(1, 64, 1)
    seed: int = _between(0, 2**31 - 1, 1)

    def __post_init__(self) -> None:
        hints = get_type_hints(Recipe)
        for each in fields(self):
            _check(each.name, getattr(self, each.name), hints[each.name], each.metadata)
        if self.batch % self.devices:
            raise ValueError(
                f"batch is {self.batch}: must be a multiple of devices, {self.devices}, which "
                "share it"
            )


def load_recipe(path: str | Path) -> Recipe:
    """Read a recipe.

    Raises:
        ValueError: the file can not be read, or names what a recipe does not have, lacks what it
            needs, or holds a value of the wrong kind or out of range; with the file and the key.
    """
    try:
        described = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: can not be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not YAML: {error}") from None
    if not isinstance(described, dict):
        raise ValueError(f"{path}: must be a mapping such as `object: tea_box`")
    known = [each.name for each in fields(Recipe)]
    for key in described:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
            raise ValueError(f"{path}: {key!r} is no key of a recipe{hint}")
    if "object" not in described:
        raise ValueError(f"{path}: 'object' is missing: name what is to be aligned")
    try:
        return Recipe(**described)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def keep_recipe(recipe: Recipe, folder: Path) -> None:
    """Write `recipe.yaml` into the folder of a run, where it says what the checkpoint is.

    `MAY_CHANGE` may differ from what an earlier run there was trained by.

    Raises:
        ValueError: something else differs.
    """
    path = folder / RECIPE_FILE
    if path.is_file():
        before = load_recipe(path)
        changed = [
            f"{key} was {getattr(before, key)}, is {value}"
            for key, value in asdict(recipe).items()
            if key not in MAY_CHANGE and value != getattr(before, key)
        ]
        if changed:
            raise ValueError(
                f"{folder}: holds a run by another recipe ({'; '.join(changed)}): take another "
                "--folder, or delete this one"
            )
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(asdict(recipe), sort_keys=False), encoding="utf-8")


def _check(name: str, value: object, kind: type, limits: Mapping[str, float]) -> None:
    choices = get_args(kind)
    if choices:
        if value not in choices:
            raise ValueError(f"{name} is {value!r}: must be one of {', '.join(choices)}")
        return
    wanted = (int, float) if kind is float else kind
    if not isinstance(value, wanted) or isinstance(value, bool) != (kind is bool):
        names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
        raise ValueError(f"{name} is {value!r}: must be {names[kind]}")
    if not limits or not isinstance(value, int | float):
        return
    if not limits["low"] <= value <= limits["high"]:
        raise ValueError(f"{name} is {value!r}: must lie in {limits['low']:g}..{limits['high']:g}")
