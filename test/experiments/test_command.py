"""Options are checked, unfinished runs are made once, and a page's parts say what the runs say."""

import math
from pathlib import Path

import command
import pytest
from runs import Runs


def test_options_name_what_is_wrong(capsys):
    parser = command.parser("What it does.", "An example.", "name")
    assert command.options(parser, []).out == Path("out/experiments/name")
    with pytest.raises(SystemExit):
        command.options(parser, ["--seeds", "0"])
    assert "--seeds is 0: must be at least 1" in capsys.readouterr().err


def test_an_interrupted_loop_goes_on(tmp_path, capsys):
    jobs = [{"model": model, "seed": seed} for seed in range(2) for model in "ab"]
    made = []

    def run(model, seed):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append((model, seed))
        return {"error": 1.0 + seed}

    runs = Runs(tmp_path, {})
    command.complete(runs, jobs, run)
    assert "interrupted" in capsys.readouterr().out
    made.append("the one that was interrupted")
    command.complete(runs, jobs, run)
    command.complete(runs, jobs, run)
    assert [m for m in made if len(m) == 2] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert command.taken(runs.runs(), "error", model="b") == [1.0, 2.0]
    assert all(run["seconds"] >= 0 and run["machine"] for run in runs.runs())


def test_taken_leaves_out_what_is_not_there():
    runs = [{"model": "a", "off": 1.0}, {"model": "a"}, {"model": "a", "off": None}, {"off": 2.0}]
    assert command.taken(runs, "off", model="a") == [1.0]


def test_spread():
    assert command.spread([]) == ""
    assert command.spread([2.0]) == "2.00"
    assert command.spread([1.0, 3.0], 1) == f"2.0 ± {math.sqrt(2):.1f}"


def test_markdown_and_effort():
    assert command.markdown(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
    runs = [{"seconds": 30, "machine": "one"}, {"seconds": 60.0, "machine": "two"}]
    assert command.effort(runs) == "2 runs, 1.5 minutes: one; two."


def test_some_of_what_there_is_are_chosen(capsys):
    made = command.parser("about", "examples", "thing")
    command.add_some(made, "models", {"cnn": "plain", "st": "with a transformer"})
    command.add_some(made, "kinds", ["a", "b"], ["b"])
    assert command.options(made, []).models == ["cnn", "st"]
    assert command.options(made, []).kinds == ["b"]
    assert command.options(made, ["--kinds", "a", "b", "--models", "st"]).kinds == ["a", "b"]
    with pytest.raises(SystemExit):
        command.options(made, ["--models", "rnn"])
    assert "rnn" in capsys.readouterr().err
    assert "st: with a transformer (default: all)" in " ".join(made.format_help().split())
