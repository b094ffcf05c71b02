"""The finder's losses, on embeddings made by hand."""

import math

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from stn_ros.localization.finder import Cells, Description  # noqa: E402
from stn_ros.training.finder.objective import Losses, Places, Truth, objective, places  # noqa: E402

SHARPNESS = torch.tensor(20.0)


class Scene:
    """A picture of 6 x 8 cells with face 7 in cell (2, 3), and two crops.

    Four cells are looked at: the face's own and one beside it, both alike axis 0, and two others,
    alike axis 3. Crop 0, the right one, is alike axis 0, and crop 1 axis 1.
    """

    def __init__(self) -> None:
        centred = torch.full((1, 6, 8), -20.0)
        centred[0, 2, 3] = 20.0
        self.cells = Cells(torch.zeros(1, 6, 8, 4), centred)
        self.seen = Places(
            torch.zeros(4, dtype=torch.long),
            torch.tensor([2, 3, 5, 0]),
            torch.tensor([3, 2, 7, 0]),
            torch.tensor([0, 0, -1, -1]),
        )
        outline = torch.zeros(4, 5)
        outline[1, :2] = torch.tensor([1.0, -1.0])  # one to the right, one up
        self.said = Description(torch.eye(4)[[0, 0, 3, 3]], outline)
        self.crops = torch.eye(4)[:2]
        self.truth = Truth(
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

    def losses(self) -> Losses:
        return objective(
            self.cells,
            self.seen,
            self.said,
            self.crops,
            self.truth,
            SHARPNESS,
        )


def test_what_is_all_right_costs_nothing():
    losses = Scene().losses()
    assert float(losses.total) == pytest.approx(0, abs=1e-6)
    assert float(losses.first) == 1


def test_another_crop_nearer_than_the_own_costs():
    scene = Scene()
    scene.said.embedding[0] = torch.eye(4)[1]
    losses = scene.losses()
    # ln(1 + e^20) for one of two: the other crop is 1 nearer, times the sharpness.
    assert float(losses.named) == pytest.approx(10, abs=1e-4)
    assert float(losses.first) == 0.5


def test_a_cell_elsewhere_that_is_alike_costs():
    scene = Scene()
    scene.said.embedding[2] = torch.eye(4)[0]
    assert float(scene.losses().located) == pytest.approx(math.log(2), abs=1e-4)


def test_a_centre_where_none_is_costs_unless_it_is_not_asked():
    scene = Scene()
    scene.cells.centred[0, 5, 5] = 20.0
    assert float(scene.losses().centred) > 10
    scene.truth.ignored[0, 5, 5] = True
    assert float(scene.losses().centred) == pytest.approx(0, abs=1e-6)


def test_an_outline_that_is_off_costs():
    scene = Scene()
    scene.said.outline[0, 4] = 1.0
    # Smooth L1 with beta 0.1: 1 - 0.05 for one of ten numbers.
    assert float(scene.losses().outline) == pytest.approx(0.095, abs=1e-5)


def test_places_are_the_faces_cells_ones_beside_them_and_the_likeliest_elsewhere():
    scene = Scene()
    scene.cells.centred[0, 4, 4] = 10.0  # within two cells of the face's
    scene.cells.centred[0, 0, 7] = 5.0
    scene.cells.centred[0, 5, 6] = 4.0
    torch.manual_seed(0)
    seen = places(scene.cells, scene.truth, 2)
    assert seen.target.tolist() == [0, 0, -1, -1]
    assert (seen.row[0], seen.column[0]) == (2, 3)
    assert abs(int(seen.row[1]) - 2) <= 1
    assert abs(int(seen.column[1]) - 3) <= 1
    assert list(zip(seen.row[2:].tolist(), seen.column[2:].tolist(), strict=True)) == [
        (0, 7),
        (5, 6),
    ]
