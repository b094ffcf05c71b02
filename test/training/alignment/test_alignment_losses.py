"""Losses of alignment by hand and by what must not change them."""

import math

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from stn_ros.training.alignment.losses import (  # noqa: E402
    box_loss,
    congealing_loss,
    corner_errors,
    corner_loss,
    drift_loss,
    photometric_loss,
)
from stn_ros.transformer.families import Translation  # noqa: E402
from stn_ros.transformer.sampler import sample  # noqa: E402

SQUARE = torch.tensor([[[-1.0, -1], [1, -1], [1, 1], [-1, 1]]])


def _picture(seed=0, n=1):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 12, 12, generator=generator)
    return torch.nn.functional.interpolate(coarse, (64, 64), mode="bicubic").clamp(0, 1)


def test_corner_errors_by_hand():
    moved = SQUARE + torch.tensor([0.3, 0.4])
    assert corner_errors(moved, SQUARE).tolist() == pytest.approx([0.5])


@pytest.mark.parametrize(("symmetry", "rotation"), [((180,), 2), ((90, 180, 270), 1)])
def test_rotations_that_look_alike_cost_nothing(symmetry, rotation):
    rotated = SQUARE.roll(-rotation, dims=1)
    assert corner_errors(rotated, SQUARE).item() > 1.9
    assert corner_errors(rotated, SQUARE, symmetry).item() == 0.0


def test_a_doubted_label_pulls_less_the_further_it_is_off_the_rest():
    off = torch.tensor([0.1, 0.1, 0.1, 0.3, 3.0])
    found = (SQUARE + off[:, None, None] * torch.tensor([1.0, 0.0])).requires_grad_()
    loss = corner_loss(found, SQUARE.expand_as(found), doubt=3.0)
    loss.backward()
    # The median is 0.1, so errors count e / (1 + e / 0.3), and pull 1 / (1 + e / 0.3)^2.
    counted = off / (1 + off / 0.3)
    assert loss.item() == pytest.approx(counted.mean().item(), rel=1e-5)
    pulls = found.grad.norm(dim=2).sum(dim=1) * len(off)
    torch.testing.assert_close(pulls, 1 / (1 + off / 0.3) ** 2, rtol=1e-4, atol=0)
    assert pulls[3].item() == pytest.approx(0.25, rel=1e-4)


def test_doubt_says_nothing_where_all_are_right():
    found = SQUARE.clone().requires_grad_()
    loss = corner_loss(found, SQUARE, doubt=3.0)
    loss.backward()
    assert loss.item() == 0.0
    assert found.grad.isfinite().all()


def test_box_loss_by_hand():
    boxes = torch.tensor([[-1.0, -1.0, 1.0, 1.0]])
    assert box_loss(SQUARE, boxes).item() == 0.0
    diamond = torch.tensor([[[0.0, -1], [1, 0], [0, 1], [-1, 0]]])
    assert box_loss(diamond, boxes).item() == 0.0
    assert box_loss(SQUARE * 0.5, boxes).item() == pytest.approx(0.5)


def test_photometric_loss_does_not_see_light():
    picture = _picture()
    assert photometric_loss(picture, picture[0]).item() < 0.02
    darker = 0.4 * picture + 0.1
    assert photometric_loss(darker, picture[0]).item() < 0.05
    assert photometric_loss(_picture(1), picture[0]).item() > 0.4


def test_an_occluder_costs_little_and_pulls_nowhere_else():
    picture = _picture()
    covered = picture.clone()
    covered[..., :20, :20] = _picture(3)[..., :20, :20]
    assert photometric_loss(covered, picture[0]) < 0.4 * photometric_loss(_picture(3), picture[0])


@pytest.mark.parametrize("shift", [0.05, 0.15, 0.25])
def test_photometric_loss_leads_back_from_afar(shift):
    family = Translation()
    blobs = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    blobs = torch.nn.functional.interpolate(blobs, (64, 64), mode="bicubic").clamp(0, 1)
    picture = 0.3 * _picture() + 0.7 * blobs
    parameters = torch.tensor([[shift, 0.0]], requires_grad=True)
    output = sample(picture, family.grid(parameters, (64, 64)), padding="border")
    photometric_loss(output, picture[0]).backward()
    assert parameters.grad[0, 0] > 0  # descending it reduces the shift


def test_congealing_prefers_what_is_aligned():
    same = _picture().expand(6, 3, 64, 64)
    scattered = torch.cat([_picture().roll(int(s), dims=3) for s in (-12, -6, 0, 5, 9, 14)])
    assert congealing_loss(same) < 0.5 * congealing_loss(scattered)
    with pytest.raises(ValueError, match="at least 2"):
        congealing_loss(_picture())


def test_drift_is_of_the_mean_only():
    scattered = SQUARE + torch.tensor([[[0.2, 0.0]], [[-0.2, 0.0]]])
    assert drift_loss(scattered).item() == pytest.approx(0.0, abs=1e-12)
    assert drift_loss(SQUARE + 0.2).item() == pytest.approx(0.04)


def test_gradients():
    found = (SQUARE + 0.1 * torch.randn(1, 4, 2)).double().requires_grad_()
    labels = SQUARE.double()
    assert torch.autograd.gradcheck(lambda f: corner_loss(f, labels, (180,)), found)
    assert torch.autograd.gradcheck(
        lambda f: box_loss(f, labels.reshape(1, 8)[:, [0, 1, 4, 5]]), found
    )
    assert math.isfinite(drift_loss(found).item())


def test_a_picture_smaller_than_a_window_is_named():
    with pytest.raises(ValueError, match="smaller than a window"):
        photometric_loss(torch.rand(1, 3, 32, 32), torch.rand(3, 32, 32))
