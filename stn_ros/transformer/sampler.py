"""Differentiable image sampling (Jaderberg et al. 2015, section 3.3).

Four samplers of one signature, (pictures, grid) -> output, so that any can be given to a
`module.SpatialTransformer`; options are set with `functools.partial`:

- `sample`: nearest, bilinear or bicubic, as fast as PyTorch.
- `sample_plain`: the same in plain tensor operations: the reference of the tests, deterministic on
  every device, and differentiable any number of times.
- `sample_antialiased`: where the output is smaller than what it shows.
- `sample_linearized`: gradients from further around, for a grid that is far off.

Pictures are (N, C, L), (N, C, H, W) or (N, C, D, H, W); grids (N, ..., d) hold d normalised input
coordinates x, y, z for each output pixel, edges at +-1 (`align_corners=False`). Grids stay in 32
bits or more even where pictures do not: half-precision coordinates are off by a pixel on a large
picture.
"""

from __future__ import annotations

import functools
import itertools
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Mode = Literal["nearest", "bilinear", "bicubic"]
Padding = Literal["zeros", "border", "reflection"]
_MODES = ("nearest", "bilinear", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")
_KEYS = -0.75  # the parameter of the cubic kernel (Keys 1981) that PyTorch uses


def sample(
    pictures: Tensor, grid: Tensor, mode: Mode = "bilinear", padding: Padding = "zeros"
) -> Tensor:
    """Read `pictures` at `grid` (eq. 3; bilinear eq. 5, its gradients eqs. 6 and 7).

    Differentiable in the pictures and, but for "nearest", in the grid. Where PyTorch is told to use
    deterministic algorithms on a GPU, `sample_plain` does it.

    Args:
        pictures: (N, C, *S). grid: (N, *s, d). mode: in volumes and sequences "bilinear" is
            trilinear and linear; "bicubic" is for pictures only.
        padding: what lies outside: "zeros", the "border" pixel, or the "reflection" at the edge.

    Returns:
        (N, C, *s), of the pictures' type.

    Raises:
        ValueError: shapes, mode or padding do not go together.

    Example:
        >>> import torch
        >>> from stn_ros.transformer.grid import target_grid
        >>> picture = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
        >>> grid = target_grid((2, 2), picture)[None]
        >>> sample(picture, grid + torch.tensor([1.0, 0.0])).tolist()  # one pixel to the right
        [[[[2.0, 0.0], [4.0, 0.0]]]]
    """
    _check(pictures, grid, mode, padding)
    if pictures.is_cuda and torch.are_deterministic_algorithms_enabled():
        return sample_plain(pictures, grid, mode, padding)
    with torch.autocast(pictures.device.type, enabled=False):
        fine = grid if grid.dtype == torch.float64 else grid.float()
        values = pictures.to(fine.dtype)
        flat = fine.shape[-1] == 1
        if flat:  # a sequence is a picture of one row
            values = values.unsqueeze(2)
            fine = torch.cat([fine, torch.zeros_like(fine)], dim=-1).unsqueeze(1)
        if mode == "bicubic" and torch.is_grad_enabled() and not fine.is_cuda:
            # On a CPU, PyTorch's backward pass of this mode alone is slower where x and y lie
            # apart, by more than this copy costs; forward they are faster, see
            # `grid.apply_to_columns`.
            fine = fine.contiguous()
        read = functional.grid_sample(
            values, fine, mode=mode, padding_mode=padding, align_corners=False
        )
        return (read.squeeze(2) if flat else read).to(pictures.dtype)


def sample_plain(
    pictures: Tensor, grid: Tensor, mode: Mode = "bilinear", padding: Padding = "zeros"
) -> Tensor:
    """`sample` tap by tap, in indexing and products only. Same arguments, same result.

    Example:
        >>> import torch
        >>> from stn_ros.transformer.grid import target_grid
        >>> pictures = torch.rand(1, 3, 8, 8)
        >>> grid = 0.7 * target_grid((5, 5), pictures)[None]
        >>> torch.allclose(sample_plain(pictures, grid), sample(pictures, grid), atol=1e-6)
        True
    """
    _check(pictures, grid, mode, padding)
    with torch.autocast(pictures.device.type, enabled=False):
        fine = grid if grid.dtype == torch.float64 else grid.float()
        values = pictures.to(fine.dtype)
        lengths = pictures.shape[2:][::-1]  # x first, like the grid
        axes = [
            _taps((fine[..., axis] + 1) * (n / 2) - 0.5, n, mode, padding)
            for axis, n in enumerate(lengths)
        ]
        batch = torch.arange(len(values), device=grid.device).reshape(-1, *[1] * len(axes))
        channels_last = values.movedim(1, -1)
        total = torch.zeros((), dtype=fine.dtype, device=grid.device)
        for taps in itertools.product(*axes):
            index = (batch, *(position for position, _ in reversed(taps)))
            weight = functools.reduce(torch.mul, (weight for _, weight in taps))
            total = total + channels_last[index] * weight[..., None]
        return total.movedim(-1, 1).to(pictures.dtype)


def sample_antialiased(
    pictures: Tensor, grid: Tensor, padding: Padding = "zeros", levels: int = 5
) -> Tensor:
    """Bilinear reading from a pyramid of box averages (Williams, "Pyramidal parametrics", 1983).

    Where an output pixel spans r > 1 input pixels along the more stretched of its axes, it is read
    from the two levels next to log2(r), blended. At r <= 1 it equals `sample`. Differentiable in
    both; the choice of level counts as a constant.

    Args:
        pictures: (N, C, H, W). grid: (N, h, w, 2), h and w at least 2. padding: see `sample`.
        levels: of the pyramid beyond the picture itself; from r = 2 ** levels on it aliases.

    Returns:
        (N, C, h, w), of the pictures' type.

    Raises:
        ValueError: shapes or padding do not go together, or the output has no extent.

    Example:
        >>> import torch
        >>> from stn_ros.transformer.grid import target_grid
        >>> stripes = torch.tensor([0.0, 1.0]).repeat(32).expand(1, 1, 64, 64)
        >>> grid = target_grid((9, 9), stripes)[None]  # seven stripes a pixel
        >>> bool(sample_antialiased(stripes, grid).std() < 0.1 * sample(stripes, grid).std())
        True
    """
    _check(pictures, grid, "bilinear", padding)
    if grid.shape[-1] != 2 or min(grid.shape[1:3]) < 2:
        raise ValueError(
            "anti-aliased sampling takes pictures and outputs of at least 2 x 2; "
            f"got a grid of shape {tuple(grid.shape)}"
        )
    level = _span(grid.detach(), pictures.shape[2:]).log2().clamp(0.0, float(levels))
    total = torch.zeros((), dtype=pictures.dtype, device=pictures.device)
    # Levels that nobody reads are left out where asking costs nothing and nothing is recorded.
    any_level = pictures.is_cuda or torch.jit.is_tracing() or torch.compiler.is_compiling()
    finer = pictures
    for number in range(levels + 1):
        share = (1.0 - (level - number).abs()).clamp_min(0.0).unsqueeze(1).to(pictures.dtype)
        if any_level or share.any():
            total = total + share * sample(finer, grid, "bilinear", padding)
        if number < levels:
            height, width = (max(1, -(-int(n) // 2)) for n in finer.shape[2:])
            finer = functional.adaptive_avg_pool2d(finer, (height, width))
    return total


def sample_linearized(
    pictures: Tensor,
    grid: Tensor,
    padding: Padding = "zeros",
    neighbours: int = 8,
    spread: float = 2.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Bilinear values, gradients of a plane fitted to further samples around each one.

    Bilinear gradients see two pixels, and lead nowhere in a picture that is noisy or read from
    afar. Here the gradient by the grid is the slope of the least-squares plane through `neighbours`
    random samples around (Jiang et al., "Linearized multi-sampling", ICCV 2019, eqs. 5 to 8).
    Gradients by the pictures are the bilinear ones.

    Args:
        pictures: (N, C, *S). grid: (N, *s, d). padding: see `sample`.
        neighbours: at least d + 1. spread: standard deviation of their distance, input pixels.
        generator: of the places; the global one unless given.

    Returns:
        (N, C, *s), equal to bilinear `sample`.

    Raises:
        ValueError: shapes do not go together, or there are too few neighbours for a plane.

    Example:
        >>> import torch
        >>> from stn_ros.transformer.grid import target_grid
        >>> step = (target_grid((9, 9), torch.zeros(1))[..., 0] > 0.25).float()[None, None]
        >>> grid = torch.zeros(1, 1, 1, 2, requires_grad=True)  # two pixels from the step
        >>> near = torch.autograd.grad(sample(step, grid).sum(), grid)[0]
        >>> read = sample_linearized(step, grid, generator=torch.Generator().manual_seed(0))
        >>> wide = torch.autograd.grad(read.sum(), grid)[0]
        >>> near[..., 0].item(), wide[..., 0].item() > 0  # only the second sees it
        (0.0, True)
    """
    dims = grid.shape[-1]
    if neighbours < dims + 1:
        raise ValueError(f"neighbours is {neighbours}: a plane takes at least {dims + 1}")
    value = sample(pictures, grid.detach(), "bilinear", padding)
    if not grid.requires_grad:
        return value
    with torch.no_grad(), torch.autocast(pictures.device.type, enabled=False):
        here = grid if grid.dtype == torch.float64 else grid.float()
        n, *size = here.shape[:-1]
        pixel = here.new_tensor([2 * spread / side for side in reversed(pictures.shape[2:])])
        offsets = [
            scale
            * torch.randn(
                (n, neighbours, *size), generator=generator, dtype=here.dtype, device=here.device
            )
            for scale in pixel
        ]
        # All neighbours in one tall grid: one reading.
        moved = [
            place.unsqueeze(1) + off for place, off in zip(here.unbind(-1), offsets, strict=True)
        ]
        tall = torch.stack(moved).reshape(dims, n, -1, *size[1:]).movedim(0, -1)
        around = sample(pictures, tall, "bilinear", padding)
        around = around.reshape(n, -1, neighbours, *size)
        rise = (around - value.unsqueeze(2)).to(here.dtype)
        right = [(off.unsqueeze(1) * rise).sum(dim=2) for off in offsets]
        square = [[(a * b).sum(dim=1, keepdim=True) for b in offsets] for a in offsets]
        for axis, scale in enumerate(pixel):
            square[axis][axis] = square[axis][axis] + 1e-6 * scale.square()
        slope = torch.stack(_solved(square, right), dim=-1)
    away = (grid - grid.detach()).unsqueeze(1)  # zeros that carry the gradient
    return value + (slope * away).sum(dim=-1).to(value.dtype)


def _check(pictures: Tensor, grid: Tensor, mode: str, padding: str) -> None:
    if mode not in _MODES:
        raise ValueError(f"mode is {mode!r}: must be one of {', '.join(_MODES)}")
    if padding not in _PADDINGS:
        raise ValueError(f"padding is {padding!r}: must be one of {', '.join(_PADDINGS)}")
    dims = grid.shape[-1]
    if dims not in (1, 2, 3) or pictures.ndim != dims + 2 or grid.ndim != dims + 2:
        raise ValueError(
            f"pictures of shape {tuple(pictures.shape)} do not go with a grid of shape "
            f"{tuple(grid.shape)}: must be (N, C, *S) and (N, *s, d) with d = 1, 2 or 3 sizes"
        )
    if len(pictures) != len(grid):
        raise ValueError(f"{len(pictures)} pictures, but {len(grid)} grids: must be as many")
    if mode == "bicubic" and dims != 2:
        raise ValueError(f"bicubic sampling is for pictures; got {dims} dimensions")


def _taps(place: Tensor, n: int, mode: Mode, padding: Padding) -> list[tuple[Tensor, Tensor]]:
    """Positions and weights, along one axis of n pixels, of what is read at `place` (pixels)."""
    if mode == "bicubic":
        first = place.floor()
        off = place - first
        steps = [(step, _keys(off - step)) for step in (-1, 0, 1, 2)]
        return [_tap(_padded(first + step, n, padding), weight, n) for step, weight in steps]
    place = _padded(place, n, padding)
    if mode == "nearest":
        return [_tap(place.round(), torch.ones_like(place), n)]
    first = place.floor()
    off = place - first
    return [_tap(first, 1 - off, n), _tap(first + 1, off, n)]


def _tap(position: Tensor, weight: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """A position that can be read, and a weight that is zero where it lay outside."""
    inside = (position >= 0) & (position <= n - 1)
    safe = torch.nan_to_num(position).clamp(0, n - 1)
    return safe.long(), weight * inside


def _padded(place: Tensor, n: int, padding: Padding) -> Tensor:
    if padding == "zeros":
        return place
    if padding == "reflection":
        turned = (place + 0.5).remainder(2 * n)
        place = torch.where(turned < n, turned, 2 * n - turned) - 0.5
    return place.clamp(0, n - 1)


def _keys(distance: Tensor) -> Tensor:
    """Cubic convolution kernel (Keys 1981, eq. 4)."""
    t = distance.abs()
    near = ((_KEYS + 2) * t - (_KEYS + 3)) * t * t + 1
    far = ((_KEYS * t - 5 * _KEYS) * t + 8 * _KEYS) * t - 4 * _KEYS
    return torch.where(t <= 1, near, far * (t < 2))


def _solved(square: list[list[Tensor]], right: list[Tensor]) -> list[Tensor]:
    """Solve A x = b, elementwise: A positive definite, so that elimination needs no pivots.

    For as many tiny systems as a picture has pixels, far faster than `torch.linalg.solve`.
    """
    if len(right) == 1:
        return [right[0] / square[0][0]]
    (corner, *row), *below = square
    shares = [line[0] / corner for line in below]
    rest = [
        [a - share * b for a, b in zip(line[1:], row, strict=True)]
        for line, share in zip(below, shares, strict=True)
    ]
    others = _solved(
        rest, [b - share * right[0] for b, share in zip(right[1:], shares, strict=True)]
    )
    known = sum(a * x for a, x in zip(row, others, strict=True))
    return [(right[0] - known) / corner, *others]


def _span(grid: Tensor, size: torch.Size) -> Tensor:
    """(N, h, w): input pixels that each output pixel spans along its more stretched axis."""
    pixels = grid * grid.new_tensor([size[1] / 2, size[0] / 2])
    down, across = (_slope(pixels, axis).norm(dim=-1) for axis in (1, 2))
    return torch.maximum(down, across).clamp_min(1e-6)


def _slope(values: Tensor, axis: int) -> Tensor:
    """Central differences, one-sided at the ends: `torch.gradient`, which ONNX does not know."""
    n = values.shape[axis]
    step = values.narrow(axis, 1, n - 1) - values.narrow(axis, 0, n - 1)
    inner = (step.narrow(axis, 0, n - 2) + step.narrow(axis, 1, n - 2)) / 2
    return torch.cat([step.narrow(axis, 0, 1), inner, step.narrow(axis, n - 2, 1)], dim=axis)
