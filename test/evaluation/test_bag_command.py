"""A made bag's folder holds what a replay needs: bag, objects, truth."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags", reason="rosbags is not installed: pip install 'stn_ros[bags]'")
from stn_ros.evaluation.bag_command import BAG, OBJECTS, START, TRUTH, write_bag
from stn_ros.evaluation.trials import Trial
from stn_ros.recordings.registry import open_recording
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.synthesis import artwork
from stn_ros.synthesis.scene import face_homography, paste_face

ART = artwork.draw(11, (256, 180), "magazine")
HOMOGRAPHY = face_homography((256, 180), (300, 240), 220, 0.7, 0.5, 1.0, 600, (319.5, 239.5))


@pytest.fixture
def frame() -> np.ndarray:
    picture = cv2.resize(artwork.draw(12, (320, 240), "marble"), (640, 480))
    paste_face(picture, ART, HOMOGRAPHY)
    return picture


def test_a_bag_folder_holds_objects_and_truth(tmp_path: Path, frame: np.ndarray) -> None:
    model = ObjectModel("book", ART)
    trial = Trial("box_in_scene", model, frame, (180, 120, 240, 240), HOMOGRAPHY)
    write_bag(tmp_path / "out", [trial], frames=4, rate=10, seed=0)
    read = ObjectModel.load(tmp_path / "out" / OBJECTS / "book")
    assert read.size_m == pytest.approx((0.19, 0.19 * 180 / 256))
    truth = json.loads((tmp_path / "out" / TRUTH).read_text())
    np.testing.assert_allclose(truth["book"], HOMOGRAPHY)
    frames = list(open_recording(str(tmp_path / "out" / BAG)))
    np.testing.assert_allclose([each.stamp for each in frames], START * 1e-9 + np.arange(4) / 10)
    for each in frames:
        np.testing.assert_array_equal(each.picture, frame)
        assert each.camera.K[0].tolist() == [640, 0, 319.5]
