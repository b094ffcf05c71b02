"""The shipped network explained on a shipped object, for real."""

import math

import numpy as np
import pytest

pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("matplotlib", reason="the train extra is not installed")

from stn_ros.geometry.homography import apply, corner_error, invert, to_corners
from stn_ros.geometry.patch import patch_to_canonical
from stn_ros.interpretation import objects
from stn_ros.interpretation.objects import CONDITIONS, Stages, explain_object, study_object
from stn_ros.interpretation.sensitivity import MAPS, share_inside
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import find_object
from stn_ros.synthesis.scene import render_frame
from stn_ros.synthesis.textures import Textures


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    """The sensitivity of eleven stages at one draw each, not at six."""
    monkeypatch.setattr(objects, "DRAWS", 1)


@pytest.fixture(scope="module")
def tea_box():
    return ObjectModel.load(find_object("tea_box"))


def test_a_walk_goes_from_the_region_to_the_pixel(tea_box):
    rng = np.random.default_rng(4)
    view = render_frame(rng, tea_box.reference, Textures("held_out").background, CONDITIONS)
    stages = Stages(tea_box)
    walk = stages.walk(view.frame, view.box)
    errors = [corner_error(each, view.homography, view.size) for each in walk.homographies]
    assert len(errors) == len(stages.names) + 1
    assert errors[0] > 3
    assert errors[1] < 0.6 * errors[0]
    assert errors[-1] < 0.6
    sides = [len(patch) for patch in walk.patches]
    assert sides == [48, 64, 112, 112]

    # What decides at the end lies on the face, more than its share of the patch.
    maps = stages.maps(walk, 3)
    assert {name: each.shape for name, each in maps.items()} == dict.fromkeys(MAPS, (112, 112))
    to_patch = invert(walk.homographies[4] @ patch_to_canonical(128, tea_box.size))
    outline = apply(to_patch, to_corners(view.homography, view.size))
    area = share_inside(np.ones((128, 128)), outline)
    assert area == pytest.approx(0.64, abs=0.05)  # the margin of 1.25 on both axes
    assert share_inside(maps["corners"], outline) > area + 0.1


@pytest.mark.slow
def test_a_page_on_a_shipped_object(tea_box, tmp_path):
    page = tmp_path / "page.html"
    wrong = explain_object(tea_box, page, views=4, seed=2, progress=False)
    assert wrong == []
    said = page.read_text(encoding="utf-8")
    for text in ("tea_box, explained", "Nothing wrong was found", "photometric", "PyTorch 2"):
        assert text in said
    # Histograms, scatter, grids, stages, three strips, sensitivity.
    assert said.count("data:image/png;base64,") == 8
    assert "<script" not in said


def test_theta_of_the_robot_follows_the_known_transform(tea_box):
    study = study_object(tea_box, 4, seed=3, progress=False)
    agreements = study.agreements()
    for name in ("rotation", "scale x", "scale y", "translation x", "translation y"):
        assert agreements[name].correlation > 0.999, name
        assert agreements[name].slope == pytest.approx(1.0, abs=0.02), name
    errors = study.errors()
    assert np.median(errors) < 1.0
    assert study.stage_errors.shape == (4, 6)
    # The way walked again in PyTorch ends where the robot does.
    np.testing.assert_allclose(study.stage_errors[:, -1], errors, atol=0.5)
    assert [example.label for example in study.examples] == [
        "best", "33% are better", "67% are better", "worst",
    ]  # fmt: skip
    assert study.examples[0].error <= study.examples[-1].error
    strip = study.examples[0].strip
    assert [frame.name for frame in strip] == [
        "locate", "refine", "track", "track again", "photometric", "result",
    ]  # fmt: skip
    assert [frame.sensitivity is None for frame in strip] == 4 * [False] + 2 * [True]
    assert strip[-1].error == pytest.approx(study.stage_errors[:, -1].min(), abs=1.0)


@pytest.mark.slow
def test_a_network_that_was_never_trained_is_found_wrong(tea_box, tmp_path):
    import torch

    from stn_ros.localization.network import LocalizationNetwork
    from stn_ros.runtime.bundle import NetworkBundle
    from stn_ros.training.network.export import export_bundle

    shipped = NetworkBundle.load()
    torch.manual_seed(0)
    export_bundle(
        LocalizationNetwork(), shipped.patches, tmp_path / "raw", shipped.confidence_weights, {}
    )
    model = ObjectModel("raw", tea_box.reference, network=tmp_path / "raw")
    page = tmp_path / "page.html"
    wrong = explain_object(model, page, views=2, progress=False)
    assert any("far off" in text or "gains nothing" in text for text in wrong)
    assert "its own (tuned)" in page.read_text(encoding="utf-8")


def test_one_view_is_too_few(tea_box, tmp_path):
    with pytest.raises(ValueError, match="views is 1"):
        explain_object(tea_box, tmp_path / "page.html", views=1)


def test_confidence_that_errs_is_named():
    accepted = np.array([True, True, False, True])
    assert objects._confidence_troubles(accepted, np.array([0.1, 20.0, 0.2, math.inf])) == [
        "2 of 4 answers are off by more than 8 px and would be published nevertheless.",
        "25% of the answers are right within 3 px and would be withheld: confidence below the "
        "threshold.",
    ]
