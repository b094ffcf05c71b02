"""Crops: one scale and a shift."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from stn_ros.transformer.families.base import MatrixFamily, affine_matrix


class Attention(MatrixFamily):
    """Three parameters: log of the scale, shift (x, y) (Jaderberg et al. 2015, eq. 2).

    The logarithm keeps the scale positive, so a crop is never flipped.

    Example:
        >>> import math, torch
        >>> crop = torch.tensor([[math.log(0.5), 0.25, 0.0]])  # half the size, right of the middle
        >>> Attention().map(crop, torch.tensor([[-1.0, -1.0]])).round(decimals=4).tolist()
        [[[-0.25, -0.5]]]
    """

    dims: ClassVar[int] = 2
    count = 3

    def matrix(self, parameters: Tensor) -> Tensor:
        """See `MatrixFamily`."""
        eye = torch.eye(2, dtype=parameters.dtype, device=parameters.device)
        scale = parameters[:, :1, None].exp()
        return affine_matrix(scale * eye, parameters[:, 1:])

    def parameters_of(self, matrix: Tensor) -> Tensor:
        """See `MatrixFamily`."""
        return torch.cat([matrix[:, 0, :1].log(), matrix[:, :2, 2]], dim=1)
