import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import models_folder
from stn_ros.simulation import sample_objects
from stn_ros.simulation.sample_objects import SAMPLES, SEEDS, sample_object


@pytest.mark.skipif(cv2.__version__ >= "5", reason="drawn by OpenCV 4: OpenCV 5 has other fonts")
@pytest.mark.parametrize("name", SAMPLES)
def test_the_shipped_folder_is_what_the_command_draws(name: str):
    shipped = ObjectModel.load(models_folder() / "objects" / name)
    drawn = sample_object(name)
    # Rounding differs a little between builds of OpenCV.
    difference = np.abs(shipped.reference.astype(int) - drawn.reference)
    assert difference.mean() < 1
    assert shipped.size_m == drawn.size_m
    assert SAMPLES[name][1] in SEEDS


def test_the_command_writes_loadable_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["sample_objects", str(tmp_path)])
    sample_objects.main()
    for name in SAMPLES:
        assert ObjectModel.load(tmp_path / name).name == name


def test_unknown_sample_is_named():
    with pytest.raises(ValueError, match="tea_box"):
        sample_object("kettle")
