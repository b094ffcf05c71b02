"""12 bits in 16 are found by the largest value seen, and the finding stays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stn_ros.recordings.bit_depth import BitDepth


def row(*values: int) -> np.ndarray:
    return np.array([values], np.uint16)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.mark.parametrize(
    ("largest", "bits"),
    [
        (1, 10),
        (1023, 10),
        (1024, 12),
        (4095, 12),
        (4096, 14),
        (16383, 14),
        (16384, 16),
        (65535, 16),
    ],
)
def test_the_least_depth_that_holds_the_largest_value(largest: int, bits: int, told: list[str]):
    half, depth = largest // 2, BitDepth(told.append)
    found = depth.to_8_bits(row(0, half, largest), "mono16")
    assert found.dtype == np.uint8
    assert found.tolist() == [[value // 2 ** (bits - 8) for value in (0, half, largest)]]
    assert len(told) == (bits < 16)
    if told:
        assert f"'mono16': the largest of its 16-bit values is {largest}, so {bits} bits" in told[0]


def test_a_dark_frame_is_scaled_like_the_bright_one_before(told: list[str]):
    depth = BitDepth(told.append)
    for values, expected in (
        (row(4000, 16), [250, 1]),
        (row(100, 16), [6, 1]),
        (row(0, 0), [0, 0]),
        (row(4095, 16), [255, 1]),
    ):
        assert depth.to_8_bits(values, "mono16").tolist() == [expected]
    assert len(told) == 1


def test_a_16_bit_camera_never_flickers_in_the_dark(told: list[str]):
    depth = BitDepth(told.append)
    for values, expected in ((row(65000), 253), (row(3000), 11), (row(3000), 11)):
        assert depth.to_8_bits(values, "mono16").item() == expected
    assert told == []


def test_black_frames_tell_nothing(told: list[str]):
    depth = BitDepth(told.append)
    assert depth.to_8_bits(row(0, 0), "mono16").tolist() == [[0, 0]]
    assert told == []
    assert depth.to_8_bits(row(65535, 256), "mono16").tolist() == [[255, 1]]
    assert told == []


def test_a_depth_that_was_too_small_is_corrected_and_told(told: list[str]):
    depth = BitDepth(told.append)
    depth.to_8_bits(row(900), "mono16")
    assert depth.to_8_bits(row(60000), "mono16").item() == 234
    assert depth.to_8_bits(row(900), "mono16").item() == 3
    assert ["10 bits" in told[0], "60000, so 16 bits" in told[1], len(told)] == [True, True, 2]


def test_each_encoding_has_its_own_and_alpha_tells_nothing(told: list[str]):
    depth = BitDepth(told.append)
    pixel = np.array([[[4000, 2000, 160, 65535]]], np.uint16)
    assert depth.to_8_bits(pixel, "bgra16")[..., :3].tolist() == [[[250, 125, 10]]]
    assert depth.to_8_bits(row(65535), "mono16").item() == 255
    assert [text.split("'")[1] for text in told] == ["bgra16"]


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 65535), min_size=1, max_size=4), min_size=1, max_size=6))
def test_it_follows_the_largest_value_so_far(frames: list[list[int]]):
    told: list[str] = []
    depth, largest = BitDepth(told.append), 0
    for frame in frames:
        largest = max([largest, *frame])
        bits = min(bits for bits in (10, 12, 14, 16) if largest <= 2**bits - 1)
        found = depth.to_8_bits(row(*frame).astype(">u2"), "mono16")
        assert found.tolist() == [[value >> (bits - 8) for value in frame]]
    assert len(told) <= 4
    assert len(set(told)) == len(told)
