"""A step moves each hypothesis as its network says, and says how sure that is."""

from __future__ import annotations

import numpy as np
import pytest
from oracle_engine import (
    BLUE,
    FACE,
    PATCHES,
    Oracle,
    bundle,
    coordinate_frame,
    flat_model,
    moved,
    square_on,
    two_truths,
)

from stn_ros.geometry.homography import corner_error, longest_side, to_corners
from stn_ros.runtime.network_step import MIN_SIDE, Hypothesis, NetworkStep
from stn_ros.runtime.sampling import FrameSampler

NAMES = ("one", "two", "three")


@pytest.fixture
def oracle() -> Oracle:
    return Oracle(two_truths())


@pytest.fixture
def step(oracle: Oracle) -> NetworkStep:
    return NetworkStep([flat_model(name) for name in NAMES], bundle(), lambda _: oracle)


@pytest.fixture(scope="module")
def sampler() -> FrameSampler:
    return FrameSampler(coordinate_frame())


@pytest.mark.parametrize("stage", list(PATCHES))
def test_a_step_goes_where_the_network_points(
    stage: str, step: NetworkStep, oracle: Oracle, sampler: FrameSampler
):
    truth = oracle.truths["one"]
    start = Hypothesis(7, 0, moved(truth, (9, -4), (5, 6), (-7, 3), (2, -8)))
    (after,) = step(stage, sampler, [start])
    assert (after.query, after.model) == (7, 0)
    assert corner_error(start.homography, truth, FACE) > 7
    # A grey level of the frame stands for 2.5 pixels.
    assert corner_error(after.homography, truth, FACE) < 2
    apart = to_corners(after.homography, FACE) - to_corners(start.homography, FACE)
    share = np.linalg.norm(apart, axis=1).mean() / longest_side(to_corners(truth, FACE))
    assert after.moved == pytest.approx(share, rel=0.05)


def test_hypotheses_of_one_network_make_one_batch_and_only_polish_is_exact(
    step: NetworkStep, oracle: Oracle, sampler: FrameSampler
):
    both = [Hypothesis(i, i, oracle.truths[NAMES[i]]) for i in (0, 1)]
    for stage in PATCHES:
        step(stage, sampler, both)
    assert oracle.calls == [(2, side, stage == "polish") for stage, side in PATCHES.items()]


def test_each_object_is_compared_with_its_own_reference(
    step: NetworkStep, oracle: Oracle, sampler: FrameSampler
):
    hypotheses = [Hypothesis(0, i, oracle.truths["two"]) for i in (0, 1, 2)]
    scores = {each.model: each.score for each in step("refine", sampler, hypotheses)}
    assert scores[1] > -0.1
    assert max(scores.get(0, -99), scores.get(2, -99)) < -5


def test_scores_are_those_of_a_step(step: NetworkStep, oracle: Oracle, sampler: FrameSampler):
    hypotheses = [
        Hypothesis(0, 1, moved(oracle.truths["two"], (9, 9))),
        Hypothesis(1, 2, oracle.truths["two"]),
        Hypothesis(2, 0, oracle.truths["one"]),
    ]
    found = step("locate", sampler, hypotheses)
    scores = step.scores("locate", sampler, hypotheses)
    for each in found:
        assert scores[each.query] == pytest.approx(each.score)
    assert len(scores) == 3
    assert scores[1] < -5 < min(scores[0], scores[2])


def test_networks_of_their_own_get_batches_of_their_own(
    oracle: Oracle, sampler: FrameSampler, monkeypatch: pytest.MonkeyPatch, tmp_path
):
    others = bundle()
    others.patches["refine"] = 48
    own = Oracle(two_truths())
    monkeypatch.setattr("stn_ros.runtime.network_step.NetworkBundle.load", lambda folder: others)
    models = [flat_model("one"), flat_model("two", network=tmp_path), flat_model("three")]
    step = NetworkStep(models, bundle(), lambda of: own if of is others else oracle)
    hypotheses = [Hypothesis(i, i % 3, oracle.truths["two"]) for i in range(6)]
    step("refine", sampler, hypotheses)
    assert oracle.calls == [(4, 64, False)]
    assert own.calls == [(2, 48, False)]
    assert step.bundle(1) is others
    assert step.reference_patch(1, "refine").shape == (48, 48, 4)


class Counting(Oracle):
    """Counts the references it has encoded."""

    encoded = 0

    def features(self, pictures: np.ndarray) -> np.ndarray:
        self.encoded += len(pictures)
        return super().features(pictures)


def test_references_are_encoded_once_when_first_looked_at(sampler: FrameSampler):
    engine = Counting(two_truths())
    step = NetworkStep([flat_model(name) for name in NAMES], bundle(), lambda _: engine)
    at_start = engine.encoded
    assert at_start == 1  # that the network runs is known
    for _ in range(2):
        step("refine", sampler, [Hypothesis(i, 1, engine.truths["two"]) for i in range(3)])
    assert engine.encoded == at_start + 1
    step("polish", sampler, [Hypothesis(0, 1, engine.truths["two"])])
    assert step.reference_patch(2, "refine")[32, 32, 0] == BLUE["three"]
    assert engine.encoded == at_start + 3


def test_a_network_that_cannot_run_is_told_at_once(
    oracle: Oracle, monkeypatch: pytest.MonkeyPatch, tmp_path
):
    class Broken(Oracle):
        def features(self, pictures: np.ndarray) -> np.ndarray:
            raise ValueError("this graph cannot run")

    others = bundle()
    monkeypatch.setattr("stn_ros.runtime.network_step.NetworkBundle.load", lambda folder: others)
    models = [flat_model("one"), flat_model("two", network=tmp_path)]
    with pytest.raises(ValueError, match="this graph cannot run"):
        NetworkStep(models, bundle(), lambda of: Broken({}) if of is others else oracle)


def test_what_no_camera_can_see_is_dropped(
    step: NetworkStep, oracle: Oracle, sampler: FrameSampler
):
    oracle.truths["two"] = square_on(380, 260, scale=0.9 * MIN_SIDE / FACE[0])
    near = square_on(378, 259, scale=1.2 * MIN_SIDE / FACE[0])
    assert step("refine", sampler, [Hypothesis(0, 1, near)]) == []
    oracle.truths["two"] = square_on(380, 260, scale=1.1 * MIN_SIDE / FACE[0])
    assert len(step("refine", sampler, [Hypothesis(0, 1, near)])) == 1
    assert step("refine", sampler, []) == []


def test_covariance_is_in_frame_pixels(step: NetworkStep, oracle: Oracle, sampler: FrameSampler):
    """Twice as large in the frame, or twice the errors of the cells: four times the variance."""
    variances = []
    for scale, noise in ((2.0, 0.1), (4.0, 0.1), (2.0, 0.2)):
        oracle.truths["two"] = truth = square_on(40, 60, scale)
        oracle.noise = noise
        (after,) = step("polish", sampler, [Hypothesis(0, 1, truth)])
        variances.append(np.trace(after.covariance) / 8)
        assert after.evidence.spread == pytest.approx(0.5 * np.log(variances[-1]))
    assert variances[1] == pytest.approx(4 * variances[0], rel=0.2)
    assert variances[2] == pytest.approx(4 * variances[0], rel=0.2)
