"""Which pixels a transform hangs on: its derivative by the input.

What moves are the corners c of the output in the input, pixels. Their gradient by the input I is
averaged over M noisy copies of it, which takes off most of the grain that the gradient of a network
has (SmoothGrad, Smilkov et al. 2017, section 3):

    G_k(p) = 1/M sum_m  d c_k / d I(p)  at  I + e_m,   e_m ~ N(0, s^2)

with s = `NOISE` of the input's range. The map is the length of G over corners and channels,

    S(p) = sqrt( sum_k sum_channels G_k(p)^2 ).

A rigid move of the corners splits into a shift, a rotation and a change of size (least squares, as
in Procrustes' problem), and so does G: maps of these say which pixels decide on what.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Picture = NDArray[np.float32]

DRAWS = 16
"""Noisy copies of an input."""
NOISE = 0.1
"""Their standard deviation, as a share of the input's range (Smilkov et al.: 10 to 20 %)."""
MAPS = ("corners", "position", "rotation", "size")
"""The maps that `maps` gives."""


def smooth_gradients(
    function: Callable[[Tensor], Tensor],
    inputs: Tensor,
    draws: int = DRAWS,
    noise: float = NOISE,
    seed: int = 0,
) -> Tensor:
    """Mean gradient of a function's answers by its input, over noisy copies of the input.

    Args:
        function: (N, *input) -> (N, *answer), each answer of its own input alone (a network in
            evaluation mode). inputs: (N, *input), floating point.
        draws, noise: see `DRAWS`, `NOISE`. seed: of the noise.

    Returns:
        (N, K, *input): the gradients of the K numbers of an answer; zeros where the function does
        not depend on the input at all. That of a linear function is its matrix, whatever the noise.

    Example:
        >>> weights = torch.tensor([[1.0, -2.0, 0.5]])
        >>> smooth_gradients(lambda x: x @ weights.T, torch.rand(1, 3)).tolist()
        [[[1.0, -2.0, 0.5]]]
    """
    generator = torch.Generator().manual_seed(seed)
    flat = inputs.detach().flatten(1)
    spread = noise * (flat.amax(dim=1) - flat.amin(dim=1))
    spread = spread.reshape(-1, *[1] * (inputs.ndim - 1))
    total = None
    for _ in range(draws):
        grain = torch.randn(inputs.shape, generator=generator).to(inputs)
        noisy = (inputs.detach() + spread * grain).requires_grad_()
        with torch.enable_grad():
            answers = function(noisy).flatten(1)
            rows = torch.stack([_gradient(answer, noisy) for answer in answers.unbind(1)], dim=1)
        total = rows if total is None else total + rows
    if total is None:
        raise ValueError(f"draws is {draws}: must be at least 1")
    return total / draws


def maps(gradients: Tensor, corners: Tensor) -> dict[str, Tensor]:
    """Sensitivity maps (N, H, W) by the names of `MAPS`, input pixels per unit of the input.

    The rotation and the size count by how far they move a corner.

    Args:
        gradients: (N, 8, C, H, W), of x, y of the corners TL, TR, BR, BL, see `smooth_gradients`.
        corners: (N, 4, 2), where these are, input pixels.
    """
    by_corner = gradients.unflatten(1, (4, 2))
    arms = corners - corners.mean(dim=1, keepdim=True)
    inertia = arms.square().sum(dim=(1, 2), keepdim=True)
    lever = arms / inertia * (inertia / 4).sqrt()
    across, down = by_corner[:, :, 0], by_corner[:, :, 1]
    x, y = (lever[..., i].reshape(*lever.shape[:2], 1, 1, 1) for i in (0, 1))
    parts = {
        "corners": gradients,
        "position": by_corner.mean(dim=1),
        "rotation": (x * down - y * across).sum(dim=1, keepdim=True),
        "size": (x * across + y * down).sum(dim=1, keepdim=True),
    }
    return {name: part.square().sum(dim=(1, 2)).sqrt() for name, part in parts.items()}


def smoothed(sensitivity: NDArray[np.floating]) -> Picture:
    """A map (H, W) for looking at: Gaussian blur with a sigma of a 64th of the longer side."""
    sigma = max(sensitivity.shape) / 64
    sharp = np.asarray(sensitivity, np.float32)
    return np.asarray(cv2.GaussianBlur(sharp, (0, 0), sigma), np.float32)


def share_inside(sensitivity: NDArray[np.floating], outline: NDArray[np.floating]) -> float:
    """Share of a map's power within a convex outline (K, 2), pixels; NaN of a map of zeros."""
    power = np.square(np.asarray(sensitivity, np.float64))
    mask = np.zeros(power.shape, np.uint8)
    # Far corners would not fit into OpenCV's 16 bits of whole pixels.
    shape = np.round(np.clip(outline, -1e4, 1e4) * 16).astype(np.int32)
    cv2.fillConvexPoly(mask, shape, 1, cv2.LINE_8, shift=4)
    total = float(power.sum())
    return float(power[mask > 0].sum()) / total if total > 0 else float("nan")


def _gradient(answer: Tensor, inputs: Tensor) -> Tensor:
    if not answer.requires_grad:
        return torch.zeros_like(inputs)
    (found,) = torch.autograd.grad(
        answer.sum(), inputs, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return found
