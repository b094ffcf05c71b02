"""Recipes: what is wrong with one is named, with its file."""

from dataclasses import replace

import pytest

from stn_ros.runtime.paths import models_folder
from stn_ros.training.alignment.recipe import Recipe, keep_recipe, load_recipe

RECIPES = sorted((models_folder().parent / "config" / "recipes").glob("*.yaml"))


def _written(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_that_ship_are_valid(path):
    assert load_recipe(path).object == "tea_box"


def test_there_is_one_of_each_strategy():
    assert {load_recipe(path).strategy for path in RECIPES} == {
        "corners", "boxes", "photometric", "matching", "congealing",
    }  # fmt: skip


def test_what_is_left_out_has_a_default(tmp_path):
    assert load_recipe(_written(tmp_path, "object: novel\nviews: 50\n")) == Recipe(
        "novel", views=50
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("object: novel\nepoch: 3", "'epoch' is no key of a recipe; did you mean 'epochs'"),
        ("object: novel\nxyz: 3", "'xyz' is no key of a recipe; known: object, strategy"),
        ("views: 3", "'object' is missing"),
        ("object: novel\nstrategy: magic", "strategy is 'magic': must be one of corners"),
        ("object: novel\nviews: 1", r"views is 1: must lie in 2\.\."),
        ("object: novel\nviews: 10.5", "views is 10.5: must be a whole number"),
        ("object: novel\ntilt: steep", "tilt is 'steep': must be a number"),
        ("object: novel\nepochs: true", "epochs is True: must be a whole number"),
        ("object: 3", "object is 3: must be a text"),
        ("object: novel\ncheck: 1", "check is 1: must be true or false"),
        ("object: novel\ndevices: 0", r"devices is 0: must lie in 1\.\."),
        ("object: novel\ndevices: 3", "batch is 64: must be a multiple of devices, 3"),
        ("- object", "must be a mapping"),
        ("object: [", "not YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, message):
    path = _written(tmp_path, text)
    with pytest.raises(ValueError, match=message) as caught:
        load_recipe(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nothing\.yaml: can not be read"):
        load_recipe(tmp_path / "nothing.yaml")


def test_a_run_goes_on_by_its_own_recipe_only(tmp_path):
    recipe = Recipe("tea_box", epochs=3)
    folder = tmp_path / "run"
    keep_recipe(recipe, folder)
    assert load_recipe(folder / "recipe.yaml") == recipe
    longer = replace(recipe, epochs=5, devices=2)
    keep_recipe(longer, folder)
    assert load_recipe(folder / "recipe.yaml") == longer
    with pytest.raises(
        ValueError, match=r"run.*family was projective, is affine; seed was 1, is 2"
    ):
        keep_recipe(replace(recipe, family="affine", seed=2), folder)
    assert load_recipe(folder / "recipe.yaml") == longer
