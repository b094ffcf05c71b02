"""Finished runs are kept, found again, and never mixed with those of other settings."""

import doctest
import json

import pytest
import runs
import torch
from runs import Runs, machine


def test_runs_are_kept_in_order_beside_what_they_have_in_common(tmp_path):
    runs = Runs(tmp_path / "new" / "folder", {"data": "digits", "sizes": (3, 4)})
    assert runs.runs() == []
    runs.add(model="b", seed=0)
    runs.add(model="a", seed=1, said=["a word"])
    expected = [
        {"data": "digits", "sizes": [3, 4], "model": "b", "seed": 0},
        {"data": "digits", "sizes": [3, 4], "model": "a", "seed": 1, "said": ["a word"]},
    ]
    assert runs.runs() == expected
    again = Runs(runs.folder, {"data": "digits", "sizes": (3, 4)})
    assert again.runs() == expected
    assert json.loads((runs.folder / "runs.json").read_text("utf-8")) == expected


def test_done_asks_for_all_of_a_key(tmp_path):
    runs = Runs(tmp_path, {})
    runs.add(model="a", seed=0)
    assert runs.done(model="a", seed=0)
    assert runs.done(seed=0)
    assert not runs.done(model="a", seed=1)
    assert not runs.done(model="a", fold=0)


def test_runs_with_other_settings_are_kept_apart(tmp_path):
    first, other = (Runs(tmp_path, {"epochs": n}) for n in (1, 2))
    more = Runs(tmp_path, {"epochs": 1, "rate": 0.1})
    first.add(seed=0)
    assert not other.done(seed=0)
    assert not more.done(seed=0)
    other.add(seed=0)
    assert len(first.runs()) == len(other.runs()) == 1


def test_an_interrupted_add_loses_nothing(tmp_path, monkeypatch):
    runs = Runs(tmp_path, {})
    runs.add(seed=0)

    def interrupted(path, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(tmp_path), "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        runs.add(seed=1)
    monkeypatch.undo()
    assert [run["seed"] for run in runs.runs()] == [0]
    runs.add(seed=2)
    assert [run["seed"] for run in runs.runs()] == [0, 2]


def test_what_cannot_be_kept_is_refused_and_nothing_lost(tmp_path):
    runs = Runs(tmp_path, {"epochs": 1})
    runs.add(seed=0)
    with pytest.raises(TypeError):
        runs.add(seed=torch.zeros(1))
    with pytest.raises(ValueError, match="epochs"):
        runs.add(epochs=2)
    assert len(runs.runs()) == 1


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "runs.json").write_text("[{")
    with pytest.raises(ValueError, match=r"runs\.json.*delete"):
        Runs(tmp_path, {}).runs()


def test_machine_names_the_threads():
    assert f"{torch.get_num_threads()} thread(s), PyTorch {torch.__version__}" in machine()


def test_the_example_runs():
    assert doctest.testmod(runs).attempted > 0
    assert doctest.testmod(runs).failed == 0
