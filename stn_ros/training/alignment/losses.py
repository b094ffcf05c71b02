"""What a Spatial Transformer can be taught with: corners, boxes, pictures, or each other.

Corners are (N, 4, 2): where the output's corners TL, TR, BR, BL lie in the input, normalised. All
losses are means over the batch, and differentiable in whatever they compare.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

WINDOW = 16
"""Side of the windows that are compared, pixels of each scale."""
_HALFWAY = 0.5  # of 1 - correlation: where a window counts half as much as it can
_FAINT = 1e-4  # variance below which a window shows nothing; pictures are 0..1


def corner_errors(found: Tensor, truth: Tensor, symmetry: Sequence[int] = ()) -> Tensor:
    """(N,) mean distance of the corners, the least over rotations that look alike.

    Args:
        found, truth: (N, 4, 2). symmetry: rotations of the object in degrees, multiples of 90, that
            can not be told apart; none by default.
    """
    rotations = [0, *(rotation // 90 for rotation in symmetry)]
    errors = [(found - truth.roll(-each, dims=1)).norm(dim=2).mean(dim=1) for each in rotations]
    return torch.stack(errors).amin(dim=0)


def corner_loss(
    found: Tensor, labels: Tensor, symmetry: Sequence[int] = (), doubt: float = 0.0
) -> Tensor:
    """Mean corner error; with `doubt`, labels that are far off the rest pull less and less.

    Args:
        found, labels: (N, 4, 2). symmetry: see `corner_errors`.
        doubt: corner error, in medians of the batch, at which a label pulls a quarter of what a
            right one does; an error e counts e / (1 + e / doubt) then (the shape of Geman & McClure
            1987, on distances). What is far off follows the batch: little is doubted at first. 0
            believes every label.
    """
    errors = corner_errors(found, labels, symmetry)
    if doubt:
        scale = doubt * errors.detach().median()
        errors = errors * scale / (errors + scale).clamp_min(torch.finfo(errors.dtype).tiny)
    return errors.mean()


def box_loss(found: Tensor, boxes: Tensor) -> Tensor:
    """How far the bounding boxes of corners are from those that were labelled.

    Args:
        found: (N, 4, 2). boxes: (N, 4), left, top, right, bottom, normalised.
    """
    outline = torch.cat([found.amin(dim=1), found.amax(dim=1)], dim=1)
    return (outline - boxes).abs().mean()


def photometric_loss(output: Tensor, template: Tensor, scales: Sequence[int] = (1, 2, 4)) -> Tensor:
    """How unlike a template pictures look, whatever the light and whatever covers part of them.

    One minus the correlation of each window, pressed so that a window that does not fit at all
    (an occluder) pulls little, averaged over windows and scales. Windows have 16 pixels at each
    scale, so the coarsest sees the whole picture and leads from afar, the finest is exact.

    Args:
        output: (N, C, H, W), 0..1. template: (C, H, W) or (N, C, H, W).
        scales: by which the pictures are shrunk.

    Raises:
        ValueError: a scale leaves less than a window.
    """
    template = template.expand_as(output)
    if min(output.shape[2:]) // max(scales) < WINDOW:
        raise ValueError(
            f"pictures of {tuple(output.shape[2:])} at scale {max(scales)} are smaller than a "
            f"window of {WINDOW} pixels"
        )
    losses = []
    for scale in scales:
        first, second = (functional.avg_pool2d(p, scale) for p in (output, template))
        unlike = 1.0 - _window_correlation(first, second)
        losses.append((unlike / (unlike + _HALFWAY)).mean())
    return torch.stack(losses).mean()


def congealing_loss(output: Tensor, scales: Sequence[int] = (1, 2, 4)) -> Tensor:
    """How unlike each other pictures of one thing look, without a template.

    Each is compared with the mean of the batch (least-squares congealing, Cox et al., CVPR 2008,
    in the measure of `photometric_loss`). What all could do together, drift or shrink onto a plain
    patch, is not in it: hold the transforms with `drift_loss`.

    Args:
        output: (N, C, H, W), 0..1, N at least 2. scales: see `photometric_loss`.
    """
    if len(output) < 2:
        raise ValueError("congealing compares pictures with each other: give at least 2")
    return photometric_loss(output, output.mean(dim=0).detach(), scales)


def drift_loss(found: Tensor) -> Tensor:
    """How far the mean of the corners (N, 4, 2) is from the square: holds the set in place."""
    square = found.new_tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    return (found.mean(dim=0) - square).square().mean()


def _window_correlation(first: Tensor, second: Tensor) -> Tensor:
    """(N, rows, columns): correlation of half-overlapping windows, all channels together."""

    def mean(values: Tensor) -> Tensor:
        pooled = functional.avg_pool2d(values, WINDOW, stride=WINDOW // 2)
        return pooled.mean(dim=1)

    middle_first = functional.avg_pool2d(first, WINDOW, stride=WINDOW // 2)
    middle_second = functional.avg_pool2d(second, WINDOW, stride=WINDOW // 2)
    product = mean(first * second) - (middle_first * middle_second).mean(dim=1)
    power_first = mean(first * first) - middle_first.square().mean(dim=1)
    power_second = mean(second * second) - middle_second.square().mean(dim=1)
    power = (power_first.clamp_min(0) + _FAINT) * (power_second.clamp_min(0) + _FAINT)
    return product / power.sqrt()
