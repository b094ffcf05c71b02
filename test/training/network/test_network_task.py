import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from lightning.pytorch.callbacks import Timer  # noqa: E402
from tensorboard.backend.event_processing.event_accumulator import (  # noqa: E402
    EventAccumulator,
)

import stn_ros  # noqa: E402
from stn_ros.localization.network import LocalizationNetwork  # noqa: E402
from stn_ros.runtime.bundle import NetworkBundle  # noqa: E402
from stn_ros.runtime.paths import models_folder  # noqa: E402
from stn_ros.training.network import data as network_data  # noqa: E402
from stn_ros.training.network import task as network_task  # noqa: E402
from stn_ros.training.network.data import TrainingSettings  # noqa: E402
from stn_ros.training.network.export import export_bundle, load_weights  # noqa: E402
from stn_ros.training.network.samples import STAGES  # noqa: E402
from stn_ros.training.network.task import LAST, NetworkTask, train  # noqa: E402

SCRIPT = """
import sys
from pathlib import Path
from stn_ros.training.network.data import TrainingSettings
from stn_ros.training.network.task import train
if __name__ == "__main__":
    settings = TrainingSettings(Path(sys.argv[1]), 30.0, workers=0, checkpoint_every=0.5)
    train(settings, progress=False)
"""


@pytest.mark.slow
def test_a_killed_training_goes_on_where_it_was(tmp_path):
    script, folder = tmp_path / "train.py", tmp_path / "run"
    script.write_text(SCRIPT)
    root = str(Path(stn_ros.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *sys.path])}
    process = subprocess.Popen([sys.executable, str(script), str(folder)], env=environment)
    try:
        deadline = time.monotonic() + 240
        while not (folder / LAST).exists():
            assert process.poll() is None, "training ended by itself"
            assert time.monotonic() < deadline, "no checkpoint came"
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept = torch.load(folder / LAST, weights_only=True)
    steps, samples, trained_on = kept["so far"]
    assert samples >= steps >= 1
    # Hardly any time left: a step or two, then the last checkpoint.
    spent = kept["callbacks"]["Timer"]["time_elapsed"]["train"]
    settings = TrainingSettings(folder, spent / 60 + 1e-4, workers=0)
    resumed = train(settings, progress=False)
    assert resumed.steps > steps
    assert resumed.samples > samples
    assert resumed.trained_on == trained_on
    assert not resumed.network.training
    # No time left at all: what was learnt, as it was.
    again = train(replace(settings, minutes=spent / 60), progress=False)
    assert again.steps == resumed.steps
    for name, weight in resumed.network.state_dict().items():
        torch.testing.assert_close(again.network.state_dict()[name], weight)


def test_checks_use_the_average_and_are_logged(tmp_path, monkeypatch):
    monkeypatch.setattr(network_data, "HELD_OUT_SAMPLES", 4)
    settings = TrainingSettings(tmp_path, 0.05, workers=0, check_every=0.1)
    task = train(settings, progress=False, held_out=network_data.held_out_batches())
    log = EventAccumulator(str(tmp_path / "log")).Reload()
    for stage in STAGES:
        values = [event.value for event in log.Scalars(f"held-out after_px/{stage.name}")]
        assert values
        assert np.isfinite(values).all()
    # The average of few steps lags behind.
    last = torch.load(tmp_path / LAST, weights_only=True)
    assert set(last["state_dict"]) == {f"network.{name}" for name in task.network.state_dict()}


def test_mixed_precision_leaves_the_geometry_exact(monkeypatch):
    monkeypatch.setattr(network_data, "HELD_OUT_SAMPLES", 8)
    network = load_weights(models_folder() / "canonicalizer")
    for tensors in network_data.held_out_batches().values():
        exact = network_task.figures(network, tensors)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = network_task.figures(network, tensors)
        assert mixed["before_px"] == exact["before_px"]
        assert mixed["after_px"] == pytest.approx(exact["after_px"], abs=0.1)


def test_the_learning_rate_is_soon_at_its_peak_and_falls_to_a_hundredth():
    assert network_task.schedule(0, 0.0) == pytest.approx(1 / 200)
    assert network_task.schedule(199, 0.0) == 1.0
    # A short training of few steps: all but a twentieth of it learns in earnest.
    assert network_task.schedule(3, 0.025) == pytest.approx(0.5, abs=0.01)
    assert network_task.schedule(5, 0.05) > 0.99
    assert network_task.schedule(20, 0.5) == pytest.approx(0.505)
    assert network_task.schedule(40, 1.0) == pytest.approx(0.01)


def test_the_average_is_short_at_first_and_long_later():
    slow, fast = [torch.zeros(1)], [torch.ones(1)]
    network_task.average_weights(slow, fast, 1)
    assert slow[0].item() == pytest.approx(1 - 2 / 11)
    slow = [torch.zeros(1)]
    network_task.average_weights(slow, fast, 100_000)
    assert slow[0].item() == pytest.approx(1 - network_task.EMA_DECAY)


def test_a_bundle_is_checked_against_the_network(tmp_path):
    torch.manual_seed(0)
    network = LocalizationNetwork(channels=16)
    patches = {"locate": 32, "refine": 48, "polish": 64, "track": 48}
    bundle = export_bundle(network, patches, tmp_path / "net", {"bias": 0.0}, {"note": "untrained"})
    assert bundle.patches == patches
    assert bundle.card == {"note": "untrained"}
    restored = load_weights(tmp_path / "net")
    for name, weight in network.state_dict().items():
        torch.testing.assert_close(restored.state_dict()[name], weight)
    settings = TrainingSettings(tmp_path / "run", 1.0, start=models_folder() / "canonicalizer")
    begun = NetworkTask(settings, Timer())
    shipped = load_weights(models_folder() / "canonicalizer")
    torch.testing.assert_close(begun.network.features_net[0].weight, shipped.features_net[0].weight)
    again = export_bundle(network, patches, tmp_path / "net", {"bias": 1.0}, {})
    assert NetworkBundle.load(tmp_path / "net").confidence_weights == {"bias": 1.0}
    assert again.confidence_weights == {"bias": 1.0}
    assert [path.name for path in tmp_path.iterdir()] == ["net"]
