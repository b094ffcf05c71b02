"""Where each source sends the search."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from stn_ros.runtime.alignment import Region
from stn_ros.runtime.finder.bundle import FinderBundle
from stn_ros.runtime.finder.finder import Finder
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.region_source import (
    AT_ONCE,
    SCALES,
    FixedRegions,
    GivenRegions,
    Request,
    WholeImage,
)
from stn_ros.runtime.tracker import SEARCHES

FRAME = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
BOX, MUG = Region("box", 10, 20, 30, 40), Region("mug", 50, 60, 70, 80)


def request(*in_view: str, arrival: float = 0.0) -> Request:
    corners = np.array([[0.0, 0], [90, 0], [90, 90], [0, 90]])
    seen = [SimpleNamespace(object_name=name, corners=corners) for name in in_view]
    return Request(FRAME, arrival, arrival, seen)


def test_given_regions_are_searched_whatever_is_in_view():
    assert GivenRegions([BOX, MUG]).search(request("box")) == ([BOX, MUG], SEARCHES)
    assert GivenRegions(None).search(request()).regions is None


def test_fixed_regions_are_searched_for_what_is_not_in_view():
    source = FixedRegions([BOX, MUG])
    assert source.search(request()).regions == [BOX, MUG]
    assert source.search(request("box")).regions == [MUG]
    assert source.search(request("box", "mug")).regions == []


@pytest.fixture(scope="module")
def finder() -> Finder:
    rng = np.random.default_rng(1)
    models = [
        ObjectModel(name, rng.integers(0, 255, (64, 96, 3), np.uint8)) for name in ("box", "mug")
    ]
    return Finder(models, FinderBundle.load())


def test_places_all_over_the_image_are_looked_at_the_likeliest_first(finder: Finder):
    search = WholeImage(finder, most=3).search(request())
    likeliest = finder.propose(FRAME, 3)
    assert search.most == len(search.regions) == 3
    for region, proposal in zip(search.regions, likeliest, strict=True):
        assert_allclose(region.homography, proposal.homography)


def test_what_was_looked_at_in_vain_waits_until_the_rest_had_its_turn(finder: Finder):
    source, seen = WholeImage(finder, most=3), []
    for frame in range(4):
        for region in source.search(request(arrival=0.01 * frame)).regions:
            seen.append((region.object_name, *np.round(region.homography.ravel(), 6)))
        source.took(3, 10.0)
    assert len(set(seen)) == 12
    # Long after, it starts anew.
    (again, *_) = source.search(request(arrival=5.0)).regions
    (likeliest,) = finder.propose(FRAME, 1, SCALES[4 % len(SCALES)])
    assert_allclose(again.homography, likeliest.homography)


def test_nothing_is_looked_for_where_an_object_is_in_view(finder: Finder):
    covered = np.array([[0.0, 0], [639, 0], [639, 479], [0, 479]])
    known = SimpleNamespace(object_name="box", corners=covered)
    seen = Request(FRAME, 0.0, 0.0, [known])
    assert WholeImage(finder, most=5).search(seen).regions == []
    left = SimpleNamespace(object_name="box", corners=covered * [0.5, 1])
    regions = WholeImage(finder, most=5).search(Request(FRAME, 0.0, 0.0, [left])).regions
    assert regions
    for region in regions:
        assert region.left + region.width / 2 > 300


def test_while_something_is_followed_searching_takes_its_share_of_the_time(finder: Finder):
    source = WholeImage(finder)
    source.took(0, 0.01)
    searched = 0
    for frame in range(100):
        search = source.search(request("box", arrival=frame * 0.1))
        searched += len(search.regions)
        # A look takes as long as a frame: of 9 s that following leaves, half at the very most.
        source.took(len(search.regions), 0.01 + 0.1 * len(search.regions))
    assert 1 <= searched <= 46


def test_time_that_stands_still_allows_no_search(finder: Finder):
    source = WholeImage(finder)
    first = source.search(request("box"))
    source.took(len(first.regions), 0.5)
    assert source.search(request("box")).regions == []


def test_while_nothing_is_followed_every_frame_is_searched(finder: Finder):
    source = WholeImage(finder)
    for frame in range(3):
        assert len(source.search(request(arrival=0.001 * frame)).regions) == AT_ONCE
        source.took(AT_ONCE, 10.0)
