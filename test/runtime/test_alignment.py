"""The aligned view is made when it is asked for, once, from the frame it was found in."""

from dataclasses import replace

import numpy as np
import pytest

from stn_ros.geometry.box import Box
from stn_ros.geometry.homography import to_corners
from stn_ros.runtime.alignment import Alignment, Region
from stn_ros.runtime.sampling import FrameSampler


class CountingSampler(FrameSampler):
    """Counts what it samples."""

    sampled = 0

    def sample_bgr(self, homography, size):
        self.sampled += 1
        return super().sample_bgr(homography, size)


def alignment(sampler: FrameSampler | None) -> Alignment:
    homography = np.array([[2.0, 0, 10], [0, 2, 20], [0, 0, 1]])
    corners = to_corners(homography, (16, 12))
    return Alignment(
        "box",
        (16, 12),
        homography,
        1.0,
        True,
        "",
        corners,
        np.eye(8),
        tracked=False,
        region=None,
        sampler=sampler,
    )


def test_the_view_is_sampled_once_and_only_when_asked_for():
    frame = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    sampler = CountingSampler(frame)
    found = alignment(sampler)
    assert sampler.sampled == 0
    np.testing.assert_array_equal(
        found.view, FrameSampler(frame).sample_bgr(found.homography, (16, 12))
    )
    assert found.view is found.view
    assert sampler.sampled == 1


def test_a_copy_elsewhere_has_a_view_of_its_own():
    frame = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    found = alignment(FrameSampler(frame))
    first = found.view
    other = replace(found, homography=found.homography @ np.diag([1.0, 0.5, 1]))
    assert not np.array_equal(other.view, first)


def test_a_view_whose_frame_is_gone_says_so():
    with pytest.raises(ValueError, match="view of box was not kept"):
        _ = alignment(None).view


def test_a_region_is_a_box():
    assert Region("box", 1, 2, 3, 4).box == Box(1, 2, 3, 4)
