"""Shifts and stretches of a sequence."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from stn_ros.transformer.families.base import MatrixFamily, affine_matrix


class SequenceAffine(MatrixFamily):
    """Two parameters: log of the scale, and the shift, normalised: 2 is the sequence's length.

    Example:
        >>> import math, torch
        >>> second_half = torch.tensor([[math.log(0.5), 0.5]])
        >>> SequenceAffine().grid(second_half, (4,)).flatten().round(decimals=4).tolist()
        [0.125, 0.375, 0.625, 0.875]
    """

    dims: ClassVar[int] = 1
    count = 2

    def matrix(self, parameters: Tensor) -> Tensor:
        """See `MatrixFamily`."""
        return affine_matrix(parameters[:, :1, None].exp(), parameters[:, 1:])

    def parameters_of(self, matrix: Tensor) -> Tensor:
        """See `MatrixFamily`; of positive scales."""
        return torch.cat([matrix[:, 0, :1].log(), matrix[:, 0, 1:]], dim=1)
