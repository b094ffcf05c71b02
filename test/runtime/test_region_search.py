"""A search: which hypotheses start, which are kept, which answer wins."""

from __future__ import annotations

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
    square_on,
    two_truths,
)

from stn_ros.geometry.box import Box
from stn_ros.geometry.homography import corner_error, to_corners
from stn_ros.runtime.alignment import Region
from stn_ros.runtime.network_step import Hypothesis, NetworkStep
from stn_ros.runtime.region_search import (
    PROPOSAL_STAGES,
    ROTATIONS,
    SEARCH_STAGES,
    Place,
    RegionSearch,
    best_of_each,
)
from stn_ros.runtime.sampling import FrameSampler
from stn_ros.runtime.verification import Verifier

NAMES = ("one", "two", "three")


@pytest.fixture
def oracle() -> Oracle:
    return Oracle(two_truths())


@pytest.fixture
def search(oracle: Oracle) -> RegionSearch:
    models = [flat_model(name) for name in NAMES]
    step = NetworkStep(models, bundle(), lambda _: oracle)
    return RegionSearch(models, step, Verifier(models, step, 0.5, photometric_steps=0))


@pytest.fixture(scope="module")
def sampler() -> FrameSampler:
    return FrameSampler(coordinate_frame())


def asked(oracle: Oracle, of: str, name: str, rotation: float | None = None):
    box = Box.around(to_corners(oracle.truths[of], FACE))
    return Place(Region(name, *box, rotation=rotation), box)


def test_regions_are_answered_in_their_order(
    search: RegionSearch, oracle: Oracle, sampler: FrameSampler
):
    regions = [asked(oracle, "two", "two"), asked(oracle, "one", "one")]
    found = search.search(sampler, regions)
    assert [answer.object_name for answer in found] == ["two", "one"]
    for answer, place in zip(found, regions, strict=True):
        assert answer.accepted
        assert answer.region is place.region
        assert not answer.tracked
        assert corner_error(answer.homography, oracle.truths[answer.object_name], FACE) < 0.7


def test_a_region_without_a_name_is_the_best_objects(
    search: RegionSearch, oracle: Oracle, sampler: FrameSampler
):
    (answer,) = search.search(sampler, [asked(oracle, "two", "")])
    assert answer.object_name == "two"
    assert answer.accepted


def test_what_is_not_there_is_refused_with_the_reason(
    search: RegionSearch, oracle: Oracle, sampler: FrameSampler
):
    for answer in search.search(sampler, [asked(oracle, "two", "three")]):
        assert not answer.accepted
        assert answer.reason == "three: confidence 0.00 is below 0.50"


def test_all_rotations_are_tried_and_few_are_kept(
    search: RegionSearch, oracle: Oracle, sampler: FrameSampler
):
    search.search(sampler, [asked(oracle, "two", "two")])
    kept = [count for _, count in SEARCH_STAGES[:-1]]
    assert [count for count, _, _ in oracle.calls] == [ROTATIONS, *kept]
    assert not any(exact for _, _, exact in oracle.calls)


@pytest.mark.parametrize("rotation", [0.0, 90.0, 200.0])
def test_a_known_rotation_is_started_from(
    rotation: float, search: RegionSearch, oracle: Oracle, sampler: FrameSampler
):
    turn, middle = np.radians(rotation), (np.array(FACE) - 1) / 2
    linear = 2.0 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    truth = np.eye(3)
    truth[:2, :2], truth[:2, 2] = linear, np.array([320, 240]) - linear @ middle
    oracle.truths["two"] = truth
    (answer,) = search.search(sampler, [asked(oracle, "two", "two", rotation)])
    assert oracle.calls[0][0] == 3
    assert answer.accepted
    assert corner_error(answer.homography, truth, FACE) < 0.7
    oracle.calls.clear()
    wrong = search.search(sampler, [asked(oracle, "two", "two", rotation + 180)])
    assert not any(each.accepted for each in wrong)


def proposed(name: str, homography: np.ndarray) -> Place:
    region = Region.of_face(name, homography, FACE)
    return Place(region, region.box, homography)


def test_a_face_of_which_it_is_known_how_it_lies_takes_one_hypothesis(
    search: RegionSearch, oracle: Oracle, sampler: FrameSampler
):
    start = moved(oracle.truths["one"], (6, -5), (4, 4), (-3, 6), (5, 5))
    place = proposed("one", start)
    (answer,) = search.search(sampler, [place])
    assert answer.accepted
    assert answer.region is place.region
    # To a cell's part at 64 px, without the pixels.
    assert corner_error(answer.homography, oracle.truths["one"], FACE) < 2
    sides = [PATCHES["locate"], *(PATCHES[stage] for stage in PROPOSAL_STAGES)]
    assert [(count, side) for count, side, _ in oracle.calls] == [(1, side) for side in sides]


def test_what_is_not_where_it_was_proposed_takes_no_more_than_a_look(
    search: RegionSearch, oracle: Oracle, sampler: FrameSampler
):
    elsewhere = [proposed("one", square_on(400, 50)), proposed("three", oracle.truths["two"])]
    assert search.search(sampler, [*elsewhere, proposed("two", oracle.truths["two"])])
    first, *others = oracle.calls
    assert first[0] == 3
    assert {count for count, _, _ in others} == {1}


def test_regions_and_proposals_are_answered_together_in_their_order(
    search: RegionSearch, oracle: Oracle, sampler: FrameSampler
):
    places = [proposed("two", oracle.truths["two"]), asked(oracle, "one", "one")]
    assert [one.object_name for one in search.search(sampler, places)] == ["two", "one"]


def test_the_quota_is_each_objects_own_in_each_region():
    scored = [
        Hypothesis(query, model, square_on(0, 0), score)
        for query, model, score in [
            (0, 0, -1.0),
            (0, 0, -2.0),
            (0, 0, -3.0),
            (0, 1, -50.0),
            (1, 0, -70.0),
            (1, 0, -60.0),
            (0, 1, -40.0),
            (0, 1, -45.0),
        ]
    ]
    kept = best_of_each(scored, 2)
    assert [(h.query, h.model, h.score) for h in kept] == [
        (0, 0, -1.0),
        (0, 0, -2.0),
        (0, 1, -40.0),
        (0, 1, -45.0),
        (1, 0, -60.0),
        (1, 0, -70.0),
    ]
