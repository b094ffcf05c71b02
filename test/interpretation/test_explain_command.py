"""`stn-ros explain`, for real on a tiny run, and its errors."""

import sys

import pytest

from stn_ros.cli import main
from stn_ros.runtime.paths import find_object

RECIPE = "object: tea_box\nviews: 8\nbatch: 4\nepochs: 1\nfamily: affine\nsteps: 1\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A recipe, and the folder it was trained in, for an epoch of two batches."""
    pytest.importorskip("lightning", reason="the train extra is not installed")
    folder = tmp_path_factory.mktemp("tiny")
    recipe = folder / "tiny.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    assert main(["train", str(recipe), "--folder", str(folder / "run")]) == 0
    return recipe, folder / "run"


def test_a_run_that_learnt_nothing_is_explained(run, tmp_path, monkeypatch, capsys):
    recipe, folder = run
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "out" / "explain" / "tiny.html"
    arguments = ["explain", str(recipe), "--folder", str(folder), "--views", "12"]
    assert main([*arguments, "--seed", "5"]) == 0
    said = capsys.readouterr().out
    assert "The transformer is idle" in said
    assert "out/explain/tiny.html" in said
    text = page.read_text(encoding="utf-8")
    for wanted in (
        "The transformer is idle", "after 1 of 1 epochs", "12 held-out ones",
        "<dt>seed of the views</dt><dd>5</dd>", "<dt>seed of the training</dt><dd>1</dd>",
        "step 1", "<dt>machine</dt>",
    ):  # fmt: skip
        assert wanted in text
    assert text.count("data:image/png;base64,") == 8


def test_a_checkpoint_of_another_recipe_is_named(run, tmp_path, capsys):
    other = tmp_path / "other.yaml"
    other.write_text(RECIPE.replace("affine", "projective"), encoding="utf-8")
    page = tmp_path / "page.html"
    assert main(["explain", str(other), "--folder", str(run[1]), "--output", str(page)]) == 2
    said = capsys.readouterr().err
    assert "last.ckpt: is of another recipe than this one (projective, 1 step(s))" in said
    assert not page.exists()


def test_what_can_not_be_explained_is_named(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch", reason="the train extra is not installed")
    monkeypatch.chdir(tmp_path)
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    (tmp_path / "run").mkdir()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "last.ckpt").write_bytes(b"PK torn")
    for arguments, message in (
        (["nothing"], "object 'nothing'"),
        (["nothing.yaml"], "nothing.yaml: can not be read"),
        (["run"], "run: is no object. If it is the run of a training, name its recipe too"),
        (["run/last.ckpt"], "stn-ros explain RECIPE.yaml --folder run"),
        (["tea_box", "--folder", "run"], "--folder run: is for recipes; tea_box is an object"),
        (["tea_box", "--views", "1"], "--views is 1"),
        (["tea_box", "--seed", "-3"], "--seed is -3"),
        (["tea_box", "--output", "run"], "--output run: is a folder"),
        (["tiny.yaml"], "out/train/tiny/last.ckpt: no such checkpoint: train with `stn-ros"),
        (["tiny.yaml", "--folder", "torn"], "torn/last.ckpt: is no checkpoint"),
    ):
        assert main(["explain", *arguments]) == 2, arguments
        said = capsys.readouterr().err
        assert message in said
        assert said.startswith("stn-ros explain: ")
        assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_without_pytorch_it_is_named(monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith(("stn_ros.interp", "stn_ros.tr"))]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("torch", "matplotlib"):
        monkeypatch.setitem(sys.modules, name, None)  # as where it is not installed
    folder = find_object("tea_box")
    assert main(["explain", str(folder)]) == 2
    assert "is missing: pip install 'stn_ros[train]'" in capsys.readouterr().err
