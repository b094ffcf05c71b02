"""Affine maps of a picture."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from stn_ros.transformer.families.base import MatrixFamily, with_last_row
from stn_ros.transformer.grid import constant

_IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))


class Affine(MatrixFamily):
    """Six parameters: what theta adds to the identity, by rows (Jaderberg et al. 2015, eq. 1).

    Example:
        >>> import torch
        >>> half = torch.tensor([[-0.5, 0.0, 0.0, 0.0, -0.5, 0.0]])  # of the input, its middle
        >>> Affine().map(half, torch.tensor([[1.0, 1.0]])).tolist()  # the output's corner
        [[[0.5, 0.5]]]
    """

    dims: ClassVar[int] = 2
    count = 6

    def matrix(self, parameters: Tensor) -> Tensor:
        """See `MatrixFamily`."""
        return with_last_row(self._rows(parameters))

    def parameters_of(self, matrix: Tensor) -> Tensor:
        """See `MatrixFamily`."""
        return (matrix - torch.eye(3, dtype=matrix.dtype, device=matrix.device))[:, :2].flatten(1)

    def _rows(self, parameters: Tensor) -> Tensor:
        return parameters.reshape(-1, 2, 3) + constant(_IDENTITY, parameters)
