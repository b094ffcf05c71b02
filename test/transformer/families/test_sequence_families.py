"""Transforms of sequences by hand and by property."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from stn_ros.transformer.families import SequenceAffine, SequenceMonotone  # noqa: E402


def test_sequence_affine_by_hand():
    # The second half of the sequence.
    points = torch.tensor([[-1.0], [0.0], [1.0]])
    moved = SequenceAffine().map(torch.tensor([[math.log(0.5), 0.5]]), points)[0]
    assert moved.flatten().tolist() == pytest.approx([0.0, 0.5, 1.0])


def test_sequence_monotone_by_hand():
    # Three quarters of the input in the first half of the output: shares 3 to 1.
    points = torch.tensor([[-1.0], [-0.5], [0.0], [0.5], [1.0]])
    moved = SequenceMonotone(2).map(torch.tensor([[math.log(3.0), 0.0]]), points)[0]
    assert moved.flatten().tolist() == pytest.approx([-1.0, -0.25, 0.5, 0.75, 1.0])


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-4, 4), min_size=5, max_size=5),
    st.lists(st.floats(-1.3, 1.3), min_size=2, max_size=9, unique=True),
)
def test_sequence_monotone_keeps_order_and_ends(parameters, places):
    family = SequenceMonotone(5)
    parameters = torch.tensor([parameters], dtype=torch.float64)
    points = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    torch.testing.assert_close(family.map(parameters, points)[0], points)
    ordered = torch.tensor(sorted(places), dtype=torch.float64)[:, None]
    moved = family.map(parameters, ordered)[0, :, 0]
    assert (moved.diff() >= 0).all()


def test_too_few_pieces_are_named():
    with pytest.raises(ValueError, match="pieces is 1"):
        SequenceMonotone(1)
