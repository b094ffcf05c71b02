"""Turns, one scale and a shift."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from stn_ros.transformer.families.base import MatrixFamily, affine_matrix


class Similarity(MatrixFamily):
    """Four parameters: rotation (radians, clockwise as seen), log of the scale, shift (x, y).

    The rotation is one of the normalised square: in a picture that is not square it shears. That of
    a composition or an inverse lies in (-pi, pi].

    Example:
        >>> import math, torch
        >>> quarter = torch.tensor([[math.pi / 2, 0.0, 0.0, 0.0]])
        >>> Similarity().map(quarter, torch.tensor([[1.0, 0.0]])).round(decimals=4).abs().tolist()
        [[[0.0, 1.0]]]
    """

    dims: ClassVar[int] = 2
    count = 4

    def matrix(self, parameters: Tensor) -> Tensor:
        """See `MatrixFamily`."""
        scale = parameters[:, 1].exp()
        cosine, sine = scale * parameters[:, 0].cos(), scale * parameters[:, 0].sin()
        linear = torch.stack([cosine, -sine, sine, cosine], dim=1).reshape(-1, 2, 2)
        return affine_matrix(linear, parameters[:, 2:])

    def parameters_of(self, matrix: Tensor) -> Tensor:
        """See `MatrixFamily`."""
        cosine, sine = matrix[:, 0, 0], matrix[:, 1, 0]
        angle, scale = torch.atan2(sine, cosine), torch.linalg.vector_norm(matrix[:, :2, 0], dim=1)
        return torch.cat([angle[:, None], scale[:, None].log(), matrix[:, :2, 2]], dim=1)
