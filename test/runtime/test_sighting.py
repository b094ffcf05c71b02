"""A sighting speaks for its alignment."""

from __future__ import annotations

import numpy as np

from stn_ros.runtime.alignment import Alignment
from stn_ros.runtime.sampling import FrameSampler
from stn_ros.runtime.sighting import Sighting

FRAME = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
SHIFT = np.array([[1.0, 0, 5], [0, 1, 3], [0, 0, 1]])
CORNERS = np.array([[4.5, 2.5], [12.5, 2.5], [12.5, 8.5], [4.5, 8.5]])


def alignment() -> Alignment:
    return Alignment(
        "box",
        (8, 6),
        SHIFT,
        0.7,
        True,
        "",
        CORNERS,
        np.eye(8),
        tracked=False,
        region=None,
        instance=2,
        sampler=FrameSampler(FRAME),
    )


def test_a_sighting_says_what_its_alignment_says():
    found = Sighting(alignment())
    assert (found.object_name, found.instance, found.confidence) == ("box", 2, 0.7)
    np.testing.assert_array_equal(found.homography, SHIFT)
    np.testing.assert_array_equal(found.corners, CORNERS)
    np.testing.assert_array_equal(found.view, FRAME[3:9, 5:13])


def test_sightings_are_told_apart_and_can_be_counted():
    """Two instances that look the same are two; arrays cannot say in a word whether they agree."""
    first, second = Sighting(alignment()), Sighting(alignment())
    assert first != second
    assert [first, second].index(second) == 1
    assert len({first, second, first}) == 2
