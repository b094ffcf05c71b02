"""Where each source sends the search."""

from types import SimpleNamespace

import numpy as np

from stn_ros.runtime.alignment import Region
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.region_source import FixedRegions, GivenRegions, Request, WholeImage
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


def test_the_whole_image_is_searched_at_a_pace_that_leaves_time():
    face = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    source = WholeImage([ObjectModel("box", face), ObjectModel("mug", face)])
    searched = 0
    for frame in range(30):
        search = source.search(request("box", arrival=frame / 30))
        assert {region.object_name for region in search.regions} <= {"mug"}
        assert len(search.regions) == search.most
        searched += search.most
        # One search takes as long as six frames: while something is followed it gets half of them.
        source.took(search.most, 0.2 * search.most)
    assert 2 <= searched <= 4
    assert source.search(request("box", "mug", arrival=1.1)).regions == []


def test_the_whole_image_can_be_searched_at_a_pace_of_frames():
    face = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    source = WholeImage([ObjectModel("box", face)], searches=6)
    for frame in range(4):
        search = source.search(request(arrival=0.001 * frame))
        assert (len(search.regions), search.most) == (6, 6)
        source.took(6, 10.0)
    assert source.search(request("box")).regions == []
