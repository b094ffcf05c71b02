"""Differentiable image sampling (Jaderberg et al. 2015, section 3.3)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def sample(pictures: Tensor, grid: Tensor) -> Tensor:
    """Bilinear reading of `pictures` at `grid`, zero outside (eq. 5; gradients eqs. 6 and 7).

    Differentiable in the pictures and in the grid. The grid stays in 32 bits or more even where
    the pictures do not: half-precision coordinates are off by a pixel on a large frame.

    Args:
        pictures: (N, C, H, W). grid: (N, h, w, 2) normalised (x, y), edges at +-1.

    Returns:
        (N, C, h, w), of the pictures' type.
    """
    read = functional.grid_sample(
        pictures.to(grid.dtype), grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )
    return read.to(pictures.dtype)
