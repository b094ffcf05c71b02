"""A confidence that a bad camera keeps down comes up; what is wrong stays out."""

import shutil

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the train extra is not installed")

import cv2
from hypothesis import given
from hypothesis import strategies as st

from stn_ros.runtime.alignment import Region
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.canonicalizer import Canonicalizer
from stn_ros.runtime.confidence import WRONG_WEIGHT
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import find_object, models_folder
from stn_ros.simulation.world import World
from stn_ros.synthesis.scene import LabelledFrame
from stn_ros.teaching.camera_confidence import adapt_confidence, confidence_shift
from stn_ros.teaching.sightings import agreement

MARGINS = st.lists(st.floats(-20, 20), max_size=20).map(np.array)


@given(MARGINS, MARGINS)
def test_the_shift_is_the_most_likely_one(right, wrong):
    def cost(shift: float) -> float:
        astray = np.logaddexp(0, -(right + shift)).sum()
        return astray + WRONG_WEIGHT * np.logaddexp(0, wrong + shift).sum() + shift**2 / 2

    found = confidence_shift(right, wrong)
    assert cost(found) <= min(cost(found - 0.01), cost(found + 0.01))


def test_nothing_seen_changes_nothing_and_one_wrong_answer_outweighs_many():
    assert confidence_shift(np.array([]), np.array([])) == 0
    assert confidence_shift(np.zeros(40), np.full(40, -12.0)) > 1
    assert confidence_shift(np.zeros(40), np.append(np.full(39, -12.0), 0.5)) < -0.5


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ObjectModel:
    """An object with a network of its own, in which nothing is tuned."""
    folder = tmp_path_factory.mktemp("own") / "network"
    shutil.copytree(models_folder() / "canonicalizer", folder)
    shown = ObjectModel.load(find_object("board_game"))
    return ObjectModel(shown.name, shown.reference, shown.size_m, network=folder)


def _films(model: ObjectModel, shown: ObjectModel, count: int) -> list[LabelledFrame]:
    """Dim, blurred and noisy frames of an object; the truth stands in for what would be found."""
    rng, world = np.random.default_rng(0), World([shown], (480, 360), seed=3, blur=0.0, noise=0.0)
    seen = []
    for index in range(count):
        frame, (truth,) = world.render(0.4 * index)
        dim = cv2.GaussianBlur(frame, (0, 0), 2.5) * 0.1 + rng.normal(0, 6, frame.shape)
        picture = dim.clip(0, 255).astype(np.uint8)
        seen.append(LabelledFrame(picture, truth.homography, truth.box, truth.visible))
    return seen


@pytest.mark.slow
def test_in_a_bad_camera_more_right_answers_come_out_and_no_wrong_ones(model):
    assert model.network is not None
    before = {path.name: path.read_bytes() for path in model.network.iterdir()}
    shipped = NetworkBundle.load(model.network)
    seen = _films(model, model, 24)
    published = agreement(shipped, model, seen).right
    assert 0 < published < 0.9
    shift = adapt_confidence(model, seen)
    own = NetworkBundle.load(model.network)
    assert shift > 0.3
    assert own.confidence_weights["bias"] == pytest.approx(
        shipped.confidence_weights["bias"] + shift
    )
    assert {**own.confidence_weights, "bias": 0} == {**shipped.confidence_weights, "bias": 0}
    assert own.card == shipped.card
    changed = {p.name for p in model.network.iterdir() if p.read_bytes() != before.get(p.name)}
    assert changed == {"network.yaml"}
    assert agreement(shipped, model, seen).right > published + 0.05
    canonicalizer = Canonicalizer(own, [model])
    other = ObjectModel.load(find_object("novel"))
    for stranger in _films(model, other, 12):
        region = Region(model.name, *stranger.box)
        assert not any(a.accepted for a in canonicalizer.process(stranger.frame, [region]))


def test_without_a_network_of_its_own_an_object_is_refused(model):
    shared = ObjectModel(model.name, model.reference)
    with pytest.raises(ValueError, match="no network of its own"):
        adapt_confidence(shared, [])
