"""Affine maps of a volume."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from stn_ros.transformer.families.base import MatrixFamily, with_last_row
from stn_ros.transformer.grid import constant

_IDENTITY = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0))


class Affine3d(MatrixFamily):
    """Twelve parameters: what the rows of the 3x4 matrix add to the identity; x, y, z in order.

    Example:
        >>> Affine3d().grid(Affine3d().identity(), (4, 5, 6)).shape
        torch.Size([1, 4, 5, 6, 3])
    """

    dims: ClassVar[int] = 3
    count = 12

    def matrix(self, parameters: Tensor) -> Tensor:
        """See `MatrixFamily`."""
        return with_last_row(self._rows(parameters))

    def parameters_of(self, matrix: Tensor) -> Tensor:
        """See `MatrixFamily`."""
        return (matrix - torch.eye(4, dtype=matrix.dtype, device=matrix.device))[:, :3].flatten(1)

    def _rows(self, parameters: Tensor) -> Tensor:
        return parameters.reshape(-1, 3, 4) + constant(_IDENTITY, parameters)
