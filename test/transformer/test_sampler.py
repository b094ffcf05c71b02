"""Samplers against PyTorch, OpenCV, each other, hand-worked values and closed-form shifts."""

from functools import partial

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from torch.nn import functional  # noqa: E402

from stn_ros.transformer.families import Affine  # noqa: E402
from stn_ros.transformer.grid import target_grid  # noqa: E402
from stn_ros.transformer.sampler import (  # noqa: E402
    sample,
    sample_antialiased,
    sample_linearized,
    sample_plain,
)

MODES = ("nearest", "bilinear", "bicubic")
PADDINGS = ("zeros", "border", "reflection")
SIZES = {1: (9,), 2: (6, 7), 3: (4, 5, 6)}
PADDED_ROWS = {
    "zeros": [0.0, 1.0, 2.0, 3.0, 0.0],
    "border": [1.0, 1.0, 2.0, 3.0, 3.0],
    "reflection": [1.0, 1.0, 2.0, 3.0, 3.0],
}


def _case(dims, reach=1.6, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.rand(2, 3, *SIZES[dims], generator=generator, dtype=dtype)
    grid = torch.empty(2, *[4] * dims, dims, dtype=dtype).uniform_(
        -reach, reach, generator=generator
    )
    return pictures, grid


@pytest.mark.parametrize("sampler", [sample, sample_plain])
@pytest.mark.parametrize("padding", PADDINGS)
def test_padding_by_hand(sampler, padding):
    picture = torch.tensor([[[1.0, 2.0, 3.0]]])
    places = torch.tensor([-4.0, -2.0, 0.0, 2.0, 4.0]) / 3  # a pixel apart, centres
    read = sampler(picture, places.reshape(1, 5, 1), padding=padding)
    assert read.flatten().tolist() == pytest.approx(PADDED_ROWS[padding])


@pytest.mark.parametrize("sampler", [sample, sample_plain])
def test_values_by_hand(sampler):
    picture = torch.tensor([[[[0.0, 1.0], [2.0, 5.0]]]])
    middle = torch.zeros(1, 1, 1, 2)
    assert sampler(picture, middle).item() == 2.0
    # Between the centres at x = 0.25, y = 0.75: rows 0.25 and 2.75.
    at = torch.tensor([[[[-0.25, 0.25]]]])
    assert sampler(picture, at).item() == pytest.approx(0.25 * 0.25 + 0.75 * 2.75)
    assert sampler(picture, at, mode="nearest").item() == 2.0


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", PADDINGS)
def test_plain_and_fast_are_one(dims, mode, padding):
    if mode == "bicubic" and dims != 2:
        pytest.skip("bicubic is for pictures")
    pictures, grid = _case(dims)
    torch.testing.assert_close(
        sample_plain(pictures, grid, mode, padding), sample(pictures, grid, mode, padding)
    )


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("padding", PADDINGS)
def test_gradients_of_plain_and_fast_are_one(dims, padding):
    pictures, grid = _case(dims)
    found = []
    for sampler in (sample, sample_plain):
        p, g = pictures.clone().requires_grad_(), grid.clone().requires_grad_()
        found.append(torch.autograd.grad(sampler(p, g, padding=padding).square().sum(), (p, g)))
    for fast, plain in zip(*found, strict=True):
        torch.testing.assert_close(fast, plain)


@pytest.mark.parametrize("sampler", [sample, sample_plain])
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("padding", PADDINGS)
def test_gradcheck_bilinear(sampler, dims, padding):
    pictures, grid = _case(dims, reach=0.9)
    assert torch.autograd.gradcheck(
        partial(sampler, padding=padding),
        (pictures.requires_grad_(), grid.requires_grad_()),
        fast_mode=dims == 3,
    )


@pytest.mark.parametrize("sampler", [sample, sample_plain])
@pytest.mark.parametrize("padding", ["zeros", "border"])
def test_gradcheck_bicubic(sampler, padding):
    pictures, grid = _case(2, reach=0.9)
    check = partial(sampler, mode="bicubic", padding=padding)
    assert torch.autograd.gradcheck(check, (pictures.requires_grad_(), grid.requires_grad_()))


def test_nearest_has_gradients_by_the_pictures():
    pictures, grid = _case(2)
    check = partial(sample, grid=grid, mode="nearest")
    assert torch.autograd.gradcheck(check, pictures.requires_grad_())


def test_gradcheck_antialiased():
    pictures, _ = _case(2)
    grid = (1.3 * target_grid((3, 3), pictures)).expand(2, 3, 3, 2) + 0.01
    # By the pictures only: moving one point of a grid also moves the level it is read from.
    assert torch.autograd.gradcheck(
        lambda p: sample_antialiased(p, grid), pictures.requires_grad_()
    )


def test_plain_is_differentiable_twice():
    pictures, grid = _case(2, reach=0.9)
    inputs = (pictures.requires_grad_(), grid.requires_grad_())
    assert torch.autograd.gradgradcheck(sample_plain, inputs)


@pytest.mark.parametrize("mode", MODES)
def test_order_of_the_grid_in_memory_does_not_matter(mode):
    pictures, pairs = _case(2)
    apart = pairs.permute(3, 0, 1, 2).contiguous().permute(1, 2, 3, 0)
    assert apart.stride() != pairs.stride()
    found = []
    for grid in (pairs, apart):
        with torch.no_grad():
            alone = sample(pictures, grid, mode)
        inputs = pictures.clone().requires_grad_(), grid.clone().requires_grad_()
        read = sample(*inputs, mode)
        found.append((alone, read, *torch.autograd.grad(read.square().sum(), inputs)))
    for first, second in zip(*found, strict=True):
        torch.testing.assert_close(first, second)
    torch.testing.assert_close(found[0][0], found[0][1])


@pytest.mark.parametrize("mode", MODES)
def test_closed_form_shift(mode):
    pictures = torch.rand(1, 2, 8, 10, generator=torch.Generator().manual_seed(0))
    grid = target_grid((8, 10), pictures)[None] + torch.tensor([2 * 2 / 10, 2 * -1 / 8])
    read = sample(pictures, grid, mode)
    torch.testing.assert_close(read[..., 1:, :-2], pictures[..., :-1, 2:], atol=1e-5, rtol=0)
    assert (read[..., 0, :] == 0).all() or mode == "bicubic"


@pytest.mark.parametrize(
    ("mode", "flag", "tolerance"),
    [
        ("nearest", cv2.INTER_NEAREST, 0),
        ("bilinear", cv2.INTER_LINEAR, 0.02),
        ("bicubic", cv2.INTER_CUBIC, 0.02),
    ],
)
def test_equals_opencv(mode, flag, tolerance):
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.uniform(0, 1, (40, 50)).astype(np.float32), (0, 0), 1.5)
    # Off the ties of nearest; OpenCV counts in 1/32 of a pixel.
    columns, rows = np.meshgrid(np.arange(30) * 1.1 + 5.03, np.arange(20) * 1.2 + 6.04)
    wanted = cv2.remap(picture, columns.astype(np.float32), rows.astype(np.float32), flag)
    grid = np.stack([(2 * columns + 1) / 50 - 1, (2 * rows + 1) / 40 - 1], axis=-1)
    read = sample(torch.from_numpy(picture)[None, None], torch.from_numpy(grid)[None].float(), mode)
    np.testing.assert_allclose(read[0, 0].numpy(), wanted, atol=tolerance)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_pictures_keep_exact_coordinates(half):
    ramp = torch.arange(2048.0).reshape(1, 1, 1, 2048) / 2048
    grid = target_grid((1, 2048), ramp)[None] + torch.tensor([2 * 0.25 / 2048, 0.0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        read = sample(ramp.to(half), grid)
    assert read.dtype == half
    wanted = sample(ramp.to(half).float(), grid)
    torch.testing.assert_close(read.float(), wanted, atol=5e-3, rtol=0)


def test_antialiased_equals_bilinear_where_nothing_shrinks():
    pictures, _ = _case(2)
    grid = Affine().grid(torch.tensor([[-0.3, 0.1, 0.0, -0.1, -0.4, 0.1]] * 2).double(), (9, 9))
    torch.testing.assert_close(sample_antialiased(pictures, grid), sample(pictures, grid))


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_antialiased_halvings_are_box_means(factor):
    pictures = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    grid = target_grid((64 // factor,) * 2, pictures)[None]
    wanted = functional.avg_pool2d(pictures, factor)
    torch.testing.assert_close(sample_antialiased(pictures, grid), wanted, atol=1e-4, rtol=0)


def test_antialiased_removes_what_the_output_cannot_show():
    stripes = (torch.arange(240) % 2).float().expand(1, 1, 240, 240).contiguous()
    grid = target_grid((37, 37), stripes)[None]
    assert sample(stripes, grid).std() > 0.2
    assert sample_antialiased(stripes, grid).std() < 0.02


def test_linearized_has_bilinear_values_and_picture_gradients():
    pictures, grid = _case(2)
    p, g = pictures.requires_grad_(), grid.requires_grad_()
    read = sample_linearized(p, g)
    torch.testing.assert_close(read, sample(p, g))
    theirs = torch.autograd.grad(sample(p, g).square().sum(), p)[0]
    torch.testing.assert_close(torch.autograd.grad(read.square().sum(), p)[0], theirs)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_linearized_slope_of_a_plane_is_exact(dims):
    size = (32,) * dims
    slopes = torch.tensor([0.7, -0.3, 0.2], dtype=torch.float64)[:dims]
    pictures = (target_grid(size, slopes) * slopes).sum(dim=-1)[None, None]
    grid = torch.empty(1, *[3] * dims, dims, dtype=torch.float64).uniform_(-0.2, 0.2)
    grid.requires_grad_()
    found = torch.autograd.grad(sample_linearized(pictures, grid).sum(), grid)[0]
    torch.testing.assert_close(found, slopes.expand_as(found), atol=1e-4, rtol=0)


def test_linearized_sees_the_slope_where_bilinear_sees_noise():
    generator = torch.Generator().manual_seed(0)
    ramp = torch.linspace(-1, 1, 64).expand(1, 1, 64, 64)
    noisy = ramp + 0.1 * torch.randn(1, 1, 64, 64, generator=generator)
    grid = (0.5 * target_grid((16, 16), ramp)[None]).requires_grad_()
    near = torch.autograd.grad(sample(noisy, grid).sum(), grid)[0][..., 0]
    wide = torch.autograd.grad(
        sample_linearized(noisy, grid, neighbours=16, spread=4.0, generator=generator).sum(), grid
    )[0][..., 0]
    assert wide.std() < 0.3 * near.std()
    assert wide.mean().item() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    ("pictures", "grid", "options", "message"),
    [
        ((2, 3, 8, 8), (2, 4, 4, 2), {"mode": "linear"}, "mode is 'linear'"),
        ((2, 3, 8, 8), (2, 4, 4, 2), {"padding": "wrap"}, "padding is 'wrap'"),
        ((2, 3, 8, 8), (2, 4, 4, 3), {}, "do not go with a grid"),
        ((2, 3, 8, 8), (2, 4, 4, 4), {}, "do not go with a grid"),
        ((2, 3, 8, 8), (1, 4, 4, 2), {}, "2 pictures, but 1 grids"),
        ((2, 3, 8), (2, 4, 1), {"mode": "bicubic"}, "bicubic sampling is for pictures"),
    ],
)
def test_what_does_not_go_together_is_named(pictures, grid, options, message):
    for sampler in (sample, sample_plain):
        with pytest.raises(ValueError, match=message):
            sampler(torch.zeros(pictures), torch.zeros(grid), **options)


def test_too_little_for_a_plane_or_a_pyramid_is_named():
    pictures, grid = _case(2)
    with pytest.raises(ValueError, match="a plane takes at least 3"):
        sample_linearized(pictures, grid, neighbours=2)
    with pytest.raises(ValueError, match="at least 2 x 2"):
        sample_antialiased(pictures, grid[:, :1])
