import hashlib
import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml

from stn_ros.runtime.bundle import BUNDLE_FILE, NetworkBundle, set_confidence_weights
from stn_ros.runtime.engines import make_engine
from stn_ros.runtime.paths import models_folder


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(models_folder() / "canonicalizer", tmp_path / "network")


def test_shipped_network_loads_and_answers():
    bundle = NetworkBundle.load()
    engine = make_engine(bundle)
    patch = bundle.patches["locate"]
    pictures = np.random.default_rng(0).integers(0, 256, (3, patch, patch, 4), dtype=np.uint8)
    pictures[..., 3] = 255
    motion = engine.match(engine.features(pictures), pictures)
    cells = patch // 4
    assert motion.flow.shape == (3, 2, cells, cells)
    assert np.abs(motion.flow).mean() < 0.2
    fast = engine.match(engine.features(pictures), pictures, exact=False)
    assert 0 < np.abs(fast.flow - motion.flow).mean() < 0.1
    one = engine.match(engine.features(pictures[1:2]), pictures[1:2])
    np.testing.assert_allclose(one.flow[0], motion.flow[1], atol=1e-4)


def test_the_confidence_weights_can_be_replaced_and_nothing_else(folder):
    before = NetworkBundle.load(folder)
    names = {path.name for path in folder.iterdir()}
    set_confidence_weights(folder, {"bias": -1.5, "present": 0.25})
    after = NetworkBundle.load(folder)
    assert after.confidence_weights == {"bias": -1.5, "present": 0.25}
    assert replace(after, confidence_weights=before.confidence_weights) == before
    assert {path.name for path in folder.iterdir()} == names


def test_missing_folder(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere.*can not be read"):
        NetworkBundle.load(tmp_path / "nowhere")


def test_missing_file(folder):
    (folder / "match.onnx").unlink()
    with pytest.raises(ValueError, match=r"match\.onnx: missing"):
        NetworkBundle.load(folder)


def test_damaged_file(folder):
    path = folder / "features.onnx"
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    with path.open("r+b") as file:
        file.seek(1000)
        file.write(b"\x00\x01\x02")
    after = hashlib.sha256(path.read_bytes()).hexdigest()
    said = rf"features\.onnx: sha256 is {after[:12]}\.\.\., .* says {before[:12]}\.\.\.: damaged"
    with pytest.raises(ValueError, match=said):
        NetworkBundle.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "format 99"),
        ({"format": 1}, "format 1, this version reads 2: export"),
        ({"patches": {"locate": 48}}, "entry missing or malformed"),
        ({"confidence_weights": None}, "entry missing or malformed"),
        ({"match": "match.onnx"}, "entry missing or malformed"),
    ],
)
def test_malformed_description(folder, change, message):
    path = folder / BUNDLE_FILE
    described = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**described, **change}))
    with pytest.raises(ValueError, match=message):
        NetworkBundle.load(folder)


@pytest.mark.parametrize("content", ["- a list", "a: [", ""])
def test_not_a_description(folder, content):
    (folder / BUNDLE_FILE).write_text(content)
    with pytest.raises(ValueError, match=BUNDLE_FILE):
        NetworkBundle.load(folder)
