import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

import stn_ros  # noqa: E402
from stn_ros.runtime.bundle import NetworkBundle  # noqa: E402
from stn_ros.runtime.paths import models_folder  # noqa: E402
from stn_ros.training.export import export_bundle, load_weights  # noqa: E402
from stn_ros.training.loop import Settings, Trainer  # noqa: E402
from stn_ros.transformer.network import LocalizationNetwork  # noqa: E402

SCRIPT = """
import sys
from pathlib import Path
from stn_ros.training.loop import Settings, Trainer
if __name__ == "__main__":
    Trainer(Settings(Path(sys.argv[1]), 30.0, workers=0, checkpoint_every=0.5,
                     check_every=1e9)).run(progress=False)
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
        while not (folder / "checkpoint.pt").exists():
            assert process.poll() is None, "training ended by itself"
            assert time.monotonic() < deadline, "no checkpoint came"
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    resumed = Trainer(Settings(folder, 30.0, workers=0))
    assert resumed.step >= 1
    assert resumed.samples >= resumed.step
    assert resumed.spent > 0
    # No minutes left: one more step, a check, a checkpoint.
    last = Trainer(Settings(folder, resumed.spent / 60, workers=0))
    last.run(progress=False)
    assert last.step == resumed.step + 1
    line = json.loads((folder / "log.jsonl").read_text().splitlines()[-1])
    assert line["step"] == last.step
    assert set(line) >= {"locate", "refine", "polish", "track"}


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
    begun = Trainer(Settings(tmp_path / "run", 1.0, start=models_folder() / "canonicalizer"))
    shipped = load_weights(models_folder() / "canonicalizer")
    torch.testing.assert_close(begun.network.features_net[0].weight, shipped.features_net[0].weight)
    again = export_bundle(network, patches, tmp_path / "net", {"bias": 1.0}, {})
    assert NetworkBundle.load(tmp_path / "net").judge == again.judge == {"bias": 1.0}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net", "run"]
