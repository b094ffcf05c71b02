"""docs/tutorial.py runs, and what it says is so."""

import os
import runpy
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

pytestmark = pytest.mark.slow

TUTORIAL = Path(__file__).resolve().parents[1] / "docs" / "tutorial.py"


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory):
    before, threads = Path.cwd(), torch.get_num_threads()
    folder = tmp_path_factory.mktemp("tutorial")
    os.chdir(folder)
    torch.set_num_threads(1)
    try:
        return folder, runpy.run_path(str(TUTORIAL))
    finally:
        os.chdir(before)
        torch.set_num_threads(threads)


def test_the_grid_undoes_itself_and_the_layer_begins_as_the_identity(tutorial):
    _, said = tutorial
    assert said["there_and_back"] < 0.03
    assert said["untouched"] < 1e-4


def test_reading_alone_teaches_it_to_align(tutorial):
    _, said = tutorial
    assert said["accuracy"] > 0.9
    assert said["spread_after"] < 0.5 * said["spread_before"]
    angles = torch.stack([said["known"][:, 0], -said["found"][:, 0]])
    assert torch.corrcoef(angles)[0, 1] > 0.8


def test_the_monitor_speaks_of_the_wild_one_only(tutorial):
    _, said = tutorial
    assert said["said"] == []
    assert any("lies outside the input" in trouble for trouble in said["troubles"])


def test_the_graphs_do_what_the_layer_does(tutorial):
    _, said = tutorial
    assert said["off"] < 1e-3
    assert said["off_large"] < 0.02
    assert said["sharp"].shape == (len(said["test"]), 1, 112, 112)


def test_pictures_and_graphs_are_where_it_says(tutorial):
    folder, said = tutorial
    written = {path.name: path.stat().st_size for path in (folder / said["FOLDER"]).iterdir()}
    assert {"aligned.png", "angles.png", "whole.onnx", "localize.onnx", "transform.onnx"} == set(
        written
    )
    assert min(written.values()) > 1000
