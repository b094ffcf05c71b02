"""Which means are spent on an object that is expected, and when."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from oracle_engine import (
    FACE,
    PATCHES,
    Oracle,
    bundle,
    coordinate_frame,
    flat_model,
    moved,
    two_truths,
)

from stn_ros.geometry.homography import corner_error, to_corners
from stn_ros.runtime.alignment import Alignment
from stn_ros.runtime.follow import PATIENCE, Follower
from stn_ros.runtime.network_step import NetworkStep
from stn_ros.runtime.sampling import FrameSampler
from stn_ros.runtime.verification import Verifier

NAMES = ("one", "two", "three")
LOCATE, REFINE, TRACK, POLISH = PATCHES.values()


@pytest.fixture
def oracle() -> Oracle:
    return Oracle(two_truths())


@pytest.fixture
def follower(oracle: Oracle) -> Follower:
    models = [flat_model(name) for name in NAMES]
    step = NetworkStep(models, bundle(), lambda _: oracle)
    verifier = Verifier(models, step, 0.5, photometric_steps=0)
    return Follower({name: i for i, name in enumerate(NAMES)}, step, verifier)


@pytest.fixture(scope="module")
def sampler() -> FrameSampler:
    return FrameSampler(coordinate_frame())


def expected(name: str, homography: np.ndarray, missed: int = 0) -> Alignment:
    return Alignment(
        name,
        FACE,
        homography,
        0.9,
        True,
        "",
        to_corners(homography, FACE),
        np.eye(8),
        tracked=True,
        region=None,
        confidence_inputs={"pixels": 0.0},
        missed=missed,
    )


def sides(oracle: Oracle) -> list[int]:
    return [side for _, side, _ in oracle.calls]


def test_an_object_in_its_place_takes_one_coarse_step(
    follower: Follower, oracle: Oracle, sampler: FrameSampler
):
    (found,) = follower.follow(sampler, [expected("two", oracle.truths["two"])])
    assert found.accepted
    assert found.tracked
    assert found.age == 0
    assert sides(oracle) == [REFINE]


def test_one_that_moved_takes_a_finer_step(
    follower: Follower, oracle: Oracle, sampler: FrameSampler
):
    truth = oracle.truths["two"]
    (found,) = follower.follow(sampler, [expected("two", moved(truth, (12, -9)))])
    assert sides(oracle) == [REFINE, TRACK]
    assert found.accepted
    assert corner_error(found.homography, truth, FACE) < 0.6


@pytest.mark.parametrize(("noise", "steps"), [(0.1, [REFINE]), (0.25, [REFINE, TRACK])])
def test_one_whose_corners_are_uncertain_takes_a_finer_step(
    noise: float, steps: list[int], follower: Follower, oracle: Oracle, sampler: FrameSampler
):
    """Though it hardly moves: noise of a quarter of a cell shifts it by less than `SETTLED`."""
    oracle.noise = noise
    (found,) = follower.follow(sampler, [expected("two", oracle.truths["two"])])
    assert found.accepted
    assert sides(oracle) == steps


def test_one_that_seems_lost_goes_the_whole_way(
    follower: Follower, oracle: Oracle, sampler: FrameSampler
):
    """Steps that stop half-way leave it refused; from where it was expected more are taken."""
    oracle.gain, oracle.verdict = 0.6, 0.4
    truth = oracle.truths["two"]
    (found,) = follower.follow(sampler, [expected("two", moved(truth, (30, 0)))])
    assert sides(oracle) == [REFINE, TRACK, REFINE, REFINE, TRACK, POLISH]
    assert [exact for _, _, exact in oracle.calls] == [False] * 5 + [True]
    assert found.accepted
    assert corner_error(found.homography, truth, FACE) < 2


def test_answers_keep_the_order_of_what_was_expected(
    follower: Follower, oracle: Oracle, sampler: FrameSampler
):
    far = expected("one", moved(oracle.truths["one"], (25, 10)))
    found = follower.follow(sampler, [far, expected("two", oracle.truths["two"])])
    assert [each.object_name for each in found] == ["one", "two"]


@pytest.mark.parametrize("missed", range(PATIENCE))
def test_one_that_is_just_lost_is_sought_with_all_means(
    missed: int, follower: Follower, oracle: Oracle, sampler: FrameSampler
):
    gone = expected("three", oracle.truths["two"], missed)
    assert not any(each.accepted for each in follower.follow(sampler, [gone]))
    assert sides(oracle)[-1] == POLISH


def test_one_lost_for_longer_gets_a_glance(
    follower: Follower, oracle: Oracle, sampler: FrameSampler
):
    gone = expected("three", oracle.truths["two"], PATIENCE)
    assert follower.follow(sampler, [gone]) == []
    assert oracle.calls == [(1, LOCATE, False)]


def test_a_glance_that_recognises_it_brings_it_back_at_once(
    follower: Follower, oracle: Oracle, sampler: FrameSampler
):
    back = expected("two", moved(oracle.truths["two"], (20, 15)), missed=17)
    (found,) = follower.follow(sampler, [back])
    assert found.accepted
    assert (found.missed, found.tracked) == (0, True)
    assert sides(oracle)[0] == LOCATE
    assert corner_error(found.homography, oracle.truths["two"], FACE) < 1


@pytest.mark.parametrize(("logit", "worth"), [(-4.5, True), (-5.2, False)])
def test_a_glance_that_scores_above_minus_five_is_worth_all_means(
    logit: float, worth: bool, follower: Follower, oracle: Oracle, sampler: FrameSampler
):
    """The score is about the logit where that is low and the other verdict is sure."""
    gone = expected("two", oracle.truths["two"], missed=17)
    oracle.verdict, oracle.gain = logit, 0.0
    assert bool(follower.follow(sampler, [gone])) == worth
    assert (len(oracle.calls) > 1) == worth


def test_of_many_lost_ones_each_gets_its_turn(
    follower: Follower, oracle: Oracle, sampler: FrameSampler
):
    gone = [expected("three", oracle.truths["two"], PATIENCE + i) for i in range(3)]
    back = expected("one", oracle.truths["one"], PATIENCE)
    frames = 0
    while frames < 8:
        calls = len(oracle.calls)
        found = follower.follow(sampler, [*gone, back])
        frames += 1
        if found:
            break
        assert len(oracle.calls) == calls + 1
        gone = [replace(each, missed=each.missed + 1) for each in gone]
        back = replace(back, missed=back.missed + 1)
    assert found[0].object_name == "one"
    assert frames <= 4


def test_those_in_view_are_followed_as_if_nothing_were_lost(
    follower: Follower, oracle: Oracle, sampler: FrameSampler
):
    gone = expected("three", oracle.truths["one"], missed=9)
    found = follower.follow(sampler, [gone, expected("two", oracle.truths["two"])])
    assert [each.object_name for each in found] == ["two"]
    assert sorted(sides(oracle)) == [LOCATE, REFINE]
