"""Distortions do what their numbers say, and draw the numbers of the paper."""

import math

import pytest
import torch
from distortions import (
    DISTORTIONS,
    bent,
    cluttered,
    convex,
    placed,
    stretched,
)

ONE = torch.ones(1)


@pytest.fixture
def pictures():
    """Two smooth blobs each, off the centre, away from the edge."""
    y, x = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    blobs = [
        torch.exp(-((x - a) ** 2 + (y - b) ** 2) / 6) for a, b in [(9, 12), (18, 10), (14, 19)]
    ]
    return torch.stack([blobs[0] + 0.5 * blobs[1], blobs[2]])[:, None]


def centre(picture):
    """x, y of the centre of mass, pixels."""
    y, x = torch.meshgrid(*map(torch.arange, picture.shape), indexing="ij")
    return torch.stack([(picture * x).sum(), (picture * y).sum()]) / picture.sum()


def test_zero_numbers_are_the_identity(pictures):
    n = len(pictures)
    same = placed(pictures, torch.zeros(n), torch.ones(n), torch.zeros(n, 2), 28)
    assert torch.allclose(same, pictures, atol=1e-5)
    assert torch.allclose(
        stretched(pictures, torch.ones(n), torch.zeros(n, 4, 2)), pictures, atol=1e-4
    )
    assert torch.allclose(bent(pictures, torch.ones(n), torch.zeros(n, 16, 2)), pictures, atol=1e-4)


def test_a_quarter_turn_is_anticlockwise(pictures):
    turned = placed(pictures[:1], ONE * math.pi / 2, ONE, torch.zeros(1, 2), 28)
    assert torch.allclose(turned[0, 0], pictures[0, 0].rot90(), atol=1e-4)


def test_pictures_keep_their_pixels_wherever_they_are_put(pictures):
    # Top left corner at row 3, column 10 of 42.
    place = torch.tensor([[10 + 14.0, 3 + 14.0]]) / 21 - 1
    put = placed(pictures[:1], torch.zeros(1), ONE, place, 42)
    assert torch.allclose(put[0, 0, 3:31, 10:38], pictures[0, 0], atol=1e-4)
    assert put.sum() == pytest.approx(pictures[0].sum().item(), rel=1e-3)


def test_scale_is_of_lengths_and_turns_keep_the_place(pictures):
    place = torch.tensor([[0.2, -0.1]])
    turn = ONE * 0.6
    blob = pictures[1:]
    put = placed(blob, turn, ONE * 1.2, place, 42)
    assert put.sum() == pytest.approx(1.44 * blob.sum().item(), rel=1e-2)
    x, y = (centre(blob[0, 0]) - 13.5).tolist()
    c, s = math.cos(0.6), math.sin(0.6)
    expected = torch.tensor([c * x + s * y, c * y - s * x]) * 1.2 + 20.5 + 21 * place[0]
    assert torch.allclose(centre(put[0, 0]), expected, atol=0.02)


def test_corners_moved_alike_shift_the_picture(pictures):
    moved = stretched(pictures, torch.ones(2), torch.tensor([2.0, -3.0]).expand(2, 4, 2))
    assert torch.allclose(moved, pictures.roll((-3, 2), dims=(2, 3)), atol=1e-3)


def test_corners_go_where_they_are_moved():
    picture = torch.zeros(1, 1, 28, 28)
    picture[..., :2, :2] = 1.0
    corners = torch.zeros(1, 4, 2)
    corners[0, 0] = torch.tensor([5.0, 4.0])
    found = centre(stretched(picture, ONE, corners)[0, 0])
    assert torch.allclose(found, torch.tensor([5.2, 4.2]), atol=0.5)


def test_control_points_moved_alike_shift_the_picture(pictures):
    moved = bent(pictures, torch.ones(2), torch.tensor([-2.0, 3.0]).expand(2, 16, 2))
    assert torch.allclose(moved, pictures.roll((-3, 2), dims=(2, 3)), atol=1e-3)


@pytest.mark.parametrize("distort", [stretched, bent])
def test_scale_comes_first(pictures, distort):
    still = torch.zeros(2, 4 if distort is stretched else 16, 2)
    small = distort(pictures, torch.full((2,), 0.75), still)
    assert small.sum() == pytest.approx(0.75**2 * pictures.sum().item(), rel=1e-2)


def test_fragments_are_copied_and_the_brighter_is_seen():
    pictures = torch.zeros(1, 1, 20, 20)
    pictures[0, 0, 4, 4] = 5.0
    others = torch.rand(2, 1, 10, 10)
    result = cluttered(
        pictures,
        others,
        torch.tensor([[1]]),
        torch.tensor([[[2, 3]]]),
        torch.tensor([[[4, 4]]]),
    )
    fragment = others[1, 0, 2:8, 3:9].clone()
    fragment[0, 0] = 5.0
    assert torch.equal(result[0, 0, 4:10, 4:10], fragment)
    assert (result > 0).sum() == 36
    assert (pictures > 0).sum() == 1  # the input stays


def test_convex():
    corners = torch.zeros(3, 4, 2)
    corners[1, 0] = 20.0  # beyond the middle: a dent
    corners[2, 0], corners[2, 1] = torch.tensor([28.0, 0.0]), torch.tensor([-28.0, 0.0])  # crossed
    assert convex(corners, 28).tolist() == [True, False, False]


def test_no_distortion(pictures):
    assert torch.equal(DISTORTIONS["N"].draw(pictures, torch.Generator()), pictures)


@pytest.mark.parametrize("name", [name for name in DISTORTIONS if name != "N"])
def test_draws(name, pictures):
    distortion = DISTORTIONS[name]
    many = pictures.repeat(100, 1, 1, 1)
    drawn, again, other = (
        distortion.draw(many, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert drawn.shape == (200, 1, distortion.side, distortion.side)
    assert torch.isfinite(drawn).all()
    assert 0 <= drawn.min() <= drawn.max() <= many.max() + 1e-5
    assert torch.equal(drawn, again)
    assert not torch.allclose(drawn, other, atol=0.1)
    assert (drawn[0] - drawn[2]).abs().max() > 0.1  # each picture for itself


def test_ranges_of_turns_sizes_and_places():
    dot = torch.zeros(1, 1, 28, 28)
    dot[0, 0, 13:15, 19:21] = 1.0  # 6 pixels to the right of the centre
    generator = torch.Generator().manual_seed(0)
    many = dot.expand(500, 1, 28, 28)
    away = torch.stack([centre(p[0]) for p in DISTORTIONS["R"].draw(many, generator)]) - 13.5
    turns = torch.atan2(-away[:, 1], away[:, 0])
    assert away.norm(dim=1).allclose(torch.tensor(6.0), atol=0.1)
    assert 1.5 < turns.abs().max() < math.pi / 2 + 0.02
    assert turns.mean().abs() < 0.15

    middle = torch.zeros(1, 1, 28, 28)
    middle[0, 0, 11:17, 11:17] = 1.0
    put = DISTORTIONS["RTS"].draw(middle.expand(500, 1, 28, 28), generator)
    scale = (put.sum(dim=(1, 2, 3)) / 36).sqrt()
    assert scale.min() > 0.69
    assert scale.max() < 1.21
    places = torch.stack([centre(p[0]) for p in put])
    assert 14 * 0.69 < places.min() < 14
    assert 28 < places.max() < 42 - 14 * 0.69


def test_clutter_is_of_other_digits_and_leaves_the_digit():
    digits = torch.zeros(2, 1, 28, 28)
    digits[0, 0, 4:24, 4:24], digits[1, 0, 4:24, 4:24] = 0.25, 0.75
    drawn = DISTORTIONS["TC"].draw(digits, torch.Generator().manual_seed(0))
    assert (drawn[0] > 0.7).any()
    assert (drawn[1] > 0.7).sum() == pytest.approx(400, abs=45)
    assert ((drawn[1] > 0.2) & (drawn[1] < 0.3)).any()
