"""Shifts of a picture."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from stn_ros.transformer.families.base import MatrixFamily, affine_matrix


class Translation(MatrixFamily):
    """Two parameters: the shift (x, y), normalised: 2 is the width of the picture."""

    dims: ClassVar[int] = 2
    count = 2

    def matrix(self, parameters: Tensor) -> Tensor:
        """See `MatrixFamily`."""
        eye = torch.eye(2, dtype=parameters.dtype, device=parameters.device)
        return affine_matrix(eye.expand(parameters.shape[0], 2, 2), parameters)

    def parameters_of(self, matrix: Tensor) -> Tensor:
        """See `MatrixFamily`."""
        return matrix[:, :2, 2]
