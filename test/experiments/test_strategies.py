"""Strategies are compared on the same views and steps, and an interrupted comparison goes on."""

import json

import pytest
import strategies
import torch
from runs import Runs
from strategies import Settings, jobs, recipe, training_views

from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import find_object
from stn_ros.training.alignment.data import render_views

SETTINGS = Settings("tea_box", 40, 1, batch=8)


@pytest.fixture(scope="module")
def views():
    model = ObjectModel.load(find_object("tea_box"))
    return render_views(model, recipe(SETTINGS, "supervised", 0, 3), 40, progress=False)


def test_all_ways_see_as_many_views(views):
    for job in jobs(SETTINGS, 1):
        way, labels, wrong = job["way"], job["labels"], job["wrong"]
        of = recipe(SETTINGS, way, wrong, 3)
        training = training_views(views, of, way, labels)
        assert len(training.pictures) == 40
        if way == "weak":
            assert training.labelled.sum() == labels
        if way == "supervised":
            assert training.labelled.all()
            assert len(training.pictures.flatten(1).unique(dim=0)) == labels
            assert torch.equal(training.labels, training.corners)


def test_wrong_labels_are_the_same_for_all_that_get_them(views):
    first, second, third = (
        training_views(views, recipe(SETTINGS, way, 40, 3), way, 40).labels
        for way in ("believed", "doubted", "checked")
    )
    assert torch.equal(first, second)
    assert torch.equal(first, third)
    off = (first - views.corners).norm(dim=2).mean(dim=1)
    assert 0.1 < (off > 0.12).float().mean() < 0.7


def test_recipes_are_what_they_are_called():
    of = {way: recipe(SETTINGS, way, 20, 0) for way in ("unsupervised", "loss alone", "matching")}
    assert [r.strategy for r in of.values()] == ["photometric", "photometric", "matching"]
    assert of["loss alone"].trust == 1.0 > of["unsupervised"].trust
    assert recipe(SETTINGS, "doubted", 20, 0).doubt == 3.0
    assert recipe(SETTINGS, "checked", 20, 0).check
    assert recipe(SETTINGS, "believed", 20, 0).wrong == 0.2


def test_an_interrupted_comparison_goes_on(tmp_path, monkeypatch, capsys):
    wanted = [job for job in jobs(SETTINGS, 2) if job["way"] in ("supervised", "unsupervised")]
    wanted = [job for job in wanted if job["labels"] in (0, 40)]
    monkeypatch.setattr(strategies, "jobs", lambda settings, seeds: wanted[: 2 * seeds])
    monkeypatch.setattr(strategies, "HELD_OUT", 12)
    made, fit = [], strategies.fit

    def interrupted(*arguments, **options):
        if len(made) == 1:
            raise KeyboardInterrupt
        made.append(arguments)
        return fit(*arguments, **options)

    monkeypatch.setattr(strategies, "fit", interrupted)
    command = ["--views", "40", "--epochs", "1", "--seeds", "1", "--out", str(tmp_path)]
    strategies.main(command)
    assert "interrupted" in capsys.readouterr().out
    before = json.loads((tmp_path / "runs.json").read_text("utf-8"))
    assert [run["way"] for run in before] == ["supervised"]
    monkeypatch.setattr(strategies, "fit", fit)
    strategies.main(command)
    after = json.loads((tmp_path / "runs.json").read_text("utf-8"))
    assert after[:1] == before
    assert [run["way"] for run in after] == ["supervised", "unsupervised"]
    assert all(run["median"] > 0 for run in after)
    assert {p.name for p in tmp_path.iterdir()} == {"runs.json", "table.md", "strategies.png"}


def test_the_table_divides_by_the_same_views(tmp_path):
    runs = Runs(tmp_path, {})
    errors = {("supervised", 40, 0): [1.0, 2.0], ("unsupervised", 0, 0): [1.5, 2.0]}
    errors[("checked", 40, 20)] = [1.0]
    for (way, labels, wrong), medians in errors.items():
        for seed, median in enumerate(medians):
            kept = {"median": median, "p90": 2 * median, "seconds": 30.0, "machine": "a machine"}
            runs.add(way=way, labels=labels, wrong=wrong, seed=seed, **kept)
    page = strategies.table(runs, SETTINGS)
    assert "| supervised | 40 |  | 1.50 ± 0.71 | 3.00 ± 1.41 | 1.00 ± 0.00 | 2 |" in page
    assert "| 1.75 ± 0.35 | 3.50 ± 0.71 | 1.25 ± 0.35 (wanted: at most 1.5) | 2 |" in page
    assert "| checked | 40 | 20 % | 1.00 | 2.00 | 1.00 (wanted: at most 1.2) | 1 |" in page
    assert "weak" not in page
    assert "5 runs, 2.5 minutes: a machine." in page
