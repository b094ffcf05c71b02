"""The self-test says what is so: of a good face, of one that looks alike turned, of a poor one."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import yaml

from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.synthesis import artwork
from stn_ros.teaching.self_test import mistaken_distractors, self_test, table

ART = artwork.draw(3, (256, 170), "product_box")


@pytest.fixture(scope="module")
def bundle() -> NetworkBundle:
    return NetworkBundle.load()


def test_a_good_face_is_recognised_at_every_tilt_and_distance(bundle: NetworkBundle) -> None:
    tested = self_test(bundle, ObjectModel("box", ART, (0.256, 0.17)))
    rows = tested.report["cells"]
    assert len(rows) == 9
    assert np.mean([row["right"] for row in rows]) > 0.95
    assert np.median([row["corner_error_px"] for row in rows]) < 1.0
    assert tested.report["right"] > 0.95
    assert 0 < tested.report["corner_error_px"] < 1.0
    near = [row for row in rows if row["long_side_px"] == [180, 260] and row["tilt_deg"][0] >= 15]
    assert all(row["rotation_error_deg"] < 3 for row in near)
    assert all(row["position_error_percent"] < 1 for row in near)
    assert near[0]["distance_m"] == [0.591, 0.853]
    assert tested.symmetry == ()
    assert tested.warnings == ()
    assert yaml.safe_load(yaml.safe_dump(tested.report)) == tested.report
    assert tested.picture.shape == (600, 1200, 3)
    assert "px" in table(tested.report)


def test_a_face_that_looks_alike_rotated_is_said_to(bundle: NetworkBundle) -> None:
    half = cv2.resize(ART, (256, 100), interpolation=cv2.INTER_AREA)
    tested = self_test(bundle, ObjectModel("card", np.vstack([half, half[::-1, ::-1]])))
    assert tested.symmetry == (180,)
    assert any("180 degrees" in warning for warning in tested.warnings)
    assert np.mean([row["right"] for row in tested.report["cells"]]) > 0.9


def test_a_face_with_too_little_texture_is_said_to_have_it(bundle: NetworkBundle) -> None:
    poor = np.full((160, 256, 3), 150, np.uint8)
    cv2.circle(poor, (70, 60), 30, (170, 160, 150), -1, cv2.LINE_AA)
    tested = self_test(bundle, ObjectModel("pebble", poor))
    assert tested.report["texture"] == "poor"
    assert any("too little texture" in warning for warning in tested.warnings)


@pytest.mark.slow
def test_distractors_taken_for_the_object_are_counted(bundle: NetworkBundle) -> None:
    model = ObjectModel("box", ART)
    assert mistaken_distractors(bundle, model) <= 1
    credulous = replace(bundle, confidence_weights={**bundle.confidence_weights, "bias": 1000.0})
    assert mistaken_distractors(credulous, model) > 40
