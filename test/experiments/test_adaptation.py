"""Films of one camera with one look; runs that go on; a table that sums up what was measured."""

import json

import adaptation
import numpy as np
import pytest
from adaptation import Camera, Settings, absent, film, held_out, jobs
from runs import Runs

from stn_ros.recordings.registry import open_recording

SETTINGS = Settings(0.01, 40, 4)


def test_a_camera_keeps_its_look_and_its_frames_their_truth():
    first, second = Camera("novel", 1), Camera("novel", 1)
    for t in (0.0, 7.5):
        frame, truth = first.frame(t)
        again, _ = second.frame(t)
        np.testing.assert_array_equal(frame, again)
        assert truth.homography.tolist() == first.world.truth(t)[0].homography.tolist()
    clean, _ = first.world.render(0.0)
    assert frame.mean() < 0.5 * clean.mean()
    assert Camera("novel", 2).frame(0.0)[0].tolist() != first.frame(0.0)[0].tolist()


def test_the_film_is_a_bag_and_what_is_judged_on_comes_later(tmp_path):
    pytest.importorskip("rosbags", reason="rosbags is not installed: pip install 'stn_ros[bags]'")
    camera, settings = Camera("tea_box", 0), Settings(1.0, 3, 4)
    film(camera, settings, tmp_path / "bag")
    read = list(open_recording(str(tmp_path / "bag")))
    assert [frame.stamp for frame in read] == pytest.approx([0, 0.1, 0.2])
    np.testing.assert_array_equal(read[2].picture, camera.frame(0.2)[0])
    trials = list(held_out(camera, settings, 0))
    assert len(trials) == 4
    filmed = [camera.world.truth(t)[0].homography for t, *_ in read]
    assert not any(np.allclose(trial.truth, h) for trial in trials for h in filmed)
    assert (trials[0].model.reference != camera.world.render(0.0)[0][0, 0]).any()


def test_where_the_object_is_absent_the_same_camera_shows_others():
    camera = Camera("tea_box", 0)
    trials = list(absent(camera, SETTINGS, 0))
    assert len(trials) == 4
    assert all(trial.truth is None and trial.model is camera.model for trial in trials)
    clean = camera.world.render(0.0)[0].mean()
    assert all(trial.frame.mean() < 0.5 * clean for trial in trials)
    begin = SETTINGS.frames / adaptation.RATE + adaptation.LATER
    shown = [camera.frame(begin + i * adaptation.APART)[0] for i in range(20)]
    assert not any(np.array_equal(trial.frame, frame) for trial in trials for frame in shown)


def test_all_ways_of_a_film_come_together():
    found = [(job["seed"], job["object"], job["way"]) for job in jobs(["novel", "tea_box"], 2)]
    assert found[:4] == [
        (0, "novel", "shipped"),
        (0, "novel", "photo"),
        (0, "novel", "frames"),
        (0, "tea_box", "shipped"),
    ]
    assert len(found) == 12


def test_an_interrupted_run_goes_on(tmp_path, monkeypatch, capsys):
    made, run = [], adaptation.run

    def interrupted(settings, **job):
        if made:
            raise KeyboardInterrupt
        made.append(job)
        return run(settings, **job)

    monkeypatch.setattr(adaptation, "WAYS", ("shipped",))
    monkeypatch.setattr(adaptation, "run", interrupted)
    command = ["--objects", "novel", "tea_box", "--seeds", "1", "--held-out", "4"]
    command += ["--minutes", "0.01", "--out", str(tmp_path)]
    adaptation.main(command)
    assert "interrupted" in capsys.readouterr().out
    monkeypatch.setattr(adaptation, "run", run)
    adaptation.main(command)
    kept = json.loads((tmp_path / "runs.json").read_text("utf-8"))
    assert [entry["object"] for entry in kept] == ["novel", "tea_box"]
    assert all(0 <= entry["right"] <= 1 and entry["median"] > 0 for entry in kept)
    assert {p.name for p in tmp_path.iterdir()} == {"runs.json", "table.md", "adaptation.png"}


def test_the_table_sums_up_by_object_and_of_all(tmp_path):
    runs = Runs(tmp_path, {})
    errors = {"novel": {"shipped": [1.0, 3.0], "frames": [1.0]}, "tea_box": {"shipped": [2.0]}}
    for name, ways in errors.items():
        for way, medians in ways.items():
            for seed, median in enumerate(medians):
                runs.add(
                    object=name,
                    way=way,
                    seed=seed,
                    right=0.75,
                    published_right=0.5,
                    published_wrong=float("nan") if seed else 0.25,
                    published_absent=0.1,
                    median=median,
                    p90=2 * median,
                    alone=3 * median,
                    steps=90,
                    kept=way == "frames",
                    seconds=30.0,
                    machine="a machine",
                )
    page = adaptation.table(runs, SETTINGS)
    shares = "75.0 ± 0.0 % | 50.0 ± 0.0 % | 25.0 % | 10.0 ± 0.0 %"
    errors = "2.00 ± 1.41 | 4.00 ± 2.83 | 6.00 ± 4.24 |"
    assert f"| novel | shipped | {shares} | {errors}  |  | 2 |" in page
    assert (
        "| novel | frames | 75.0 % | 50.0 % | 25.0 % | 10.0 % | 1.00 | 2.00 | 3.00 | 90 | 1 | 1 |"
        in page
    )
    wrong = "25.0 ± 0.0 % | 10.0 ± 0.0 %"
    assert f"| all | shipped | 75.0 ± 0.0 % | 50.0 ± 0.0 % | {wrong} | 2.00 ± 1.00 |" in page
    assert "photo" not in page
    assert "4 runs, 2.0 minutes: a machine." in page


def test_a_film_that_shows_too_little_teaches_nothing(capsys):
    pytest.importorskip("rosbags", reason="rosbags is not installed: pip install 'stn_ros[bags]'")
    measured = adaptation.run(Settings(0.01, 2, 4), object="novel", way="frames", seed=0)
    assert (measured["sightings"], measured["steps"], measured["kept"]) == (0, 0, False)
    assert "of 2 frames" in capsys.readouterr().out


@pytest.mark.slow
def test_a_tuned_network_is_measured_on_what_the_film_taught():
    pytest.importorskip("rosbags", reason="rosbags is not installed: pip install 'stn_ros[bags]'")
    measured = adaptation.run(Settings(0.01, 60, 4), object="city_map", way="frames", seed=1)
    assert measured["sightings"] >= 24
    assert measured["steps"] >= 1
    assert measured["median"] > 0
