"""The finder's losses, on embeddings made by hand."""

import math

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from stn_ros.localization.finder import Cells  # noqa: E402
from stn_ros.training.finder.objective import (  # noqa: E402
    CENTRE,
    Truth,
    crop_embeddings,
    objective,
)

NO_BANK = torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)
SHARPNESS = torch.tensor(20.0)


def scene(own: int = 0) -> tuple[Cells, torch.Tensor, Truth]:
    """A picture of 6 x 8 cells with face 7 in cell (2, 3), all others alike axis 3; two crops.

    The face's cell is alike axis `own`; crop 0, the right one, axis 0, and crop 1 axis 1.
    """
    embedding = torch.zeros(1, 4, 6, 8)
    embedding[:, 3] = 1
    embedding[0, :, 2, 3] = torch.eye(4)[own]
    centred = torch.full((1, 6, 8), -20.0)
    centred[0, 2, 3] = 20.0
    outline = torch.zeros(1, 5, 6, 8)
    truth = Truth(
        crop_face=torch.tensor([7, 8]),
        picture=torch.tensor([0]),
        row=torch.tensor([2]),
        column=torch.tensor([3]),
        face=torch.tensor([7]),
        crop=torch.tensor([0]),
        rivals=torch.tensor([[False, True]]),
        outline=torch.zeros(1, 5),
        ignored=torch.zeros(1, 6, 8, dtype=torch.bool),
    )
    return Cells(embedding, centred, outline), torch.eye(4)[:2], truth


def test_what_is_all_right_costs_nothing():
    cells, crops, truth = scene()
    losses = objective(cells, crops, truth, *NO_BANK, SHARPNESS)
    assert float(losses.total) == pytest.approx(0, abs=1e-6)
    assert float(losses.first) == 1


def test_another_crop_nearer_than_the_own_costs():
    losses = objective(*scene(own=1), *NO_BANK, SHARPNESS)
    # ln(1 + e^20): the other is 1 nearer, times the sharpness.
    assert float(losses.named) == pytest.approx(20, abs=1e-4)
    assert float(losses.first) == 0


def test_cells_beside_the_centre_may_be_alike():
    cells, crops, truth = scene()
    cells.embedding[0, :, 1:4, 2:5] = torch.eye(4)[0][:, None, None]
    assert float(objective(cells, crops, truth, *NO_BANK, SHARPNESS).located) < 1e-6
    cells.embedding[0, :, 5, 7] = torch.eye(4)[0]
    # One cell far away is just as alike.
    found = float(objective(cells, crops, truth, *NO_BANK, SHARPNESS).located)
    assert found == pytest.approx(math.log(2), abs=1e-4)


def test_earlier_crops_count_but_those_of_the_same_face():
    cells, crops, truth = scene()
    bank = torch.eye(4)[[0, 0, 0]]
    same = objective(cells, crops, truth, bank, torch.tensor([7, 7, -8]), SHARPNESS)
    assert float(same.named) == pytest.approx(0, abs=1e-6)
    other = objective(cells, crops, truth, bank[:1], torch.tensor([9]), SHARPNESS)
    assert float(other.named) == pytest.approx(math.log(2), abs=1e-4)


def test_a_centre_where_none_is_costs_unless_it_is_not_asked():
    cells, crops, truth = scene()
    cells.centred[0, 5, 5] = 20.0
    assert float(objective(cells, crops, truth, *NO_BANK, SHARPNESS).centred) > 10
    truth.ignored[0, 5, 5] = True
    found = float(objective(cells, crops, truth, *NO_BANK, SHARPNESS).centred)
    assert found == pytest.approx(0, abs=1e-6)


def test_embeddings_of_crops_are_their_middles_in_the_order_they_were_laid():
    side = 2 * CENTRE + 1
    number = torch.zeros(1, 1, 2 * side, 3 * side)
    for row in range(2):
        for column in range(3):
            number[0, 0, row * side + CENTRE, column * side + CENTRE] = 3 * row + column
    cells = Cells(number, torch.zeros(1), torch.zeros(1))
    assert crop_embeddings(cells)[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
