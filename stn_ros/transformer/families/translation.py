"""Shifts of a picture."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from stn_ros.transformer.families.base import MatrixFamily, affine_matrix


class Translation(MatrixFamily):
    """Two parameters: the shift (x, y), normalised: 2 is the width of the picture.

    Example:
        >>> import torch
        >>> from stn_ros.transformer.sampler import sample
        >>> row = torch.tensor([[[[1.0, 2.0, 3.0, 4.0]]]])
        >>> a_pixel_right = torch.tensor([[2 / 4, 0.0]])  # looks there, so the picture moves left
        >>> sample(row, Translation().grid(a_pixel_right, (1, 4))).tolist()
        [[[[2.0, 3.0, 4.0, 0.0]]]]
    """

    dims: ClassVar[int] = 2
    count = 2

    def matrix(self, parameters: Tensor) -> Tensor:
        """See `MatrixFamily`."""
        eye = torch.eye(2, dtype=parameters.dtype, device=parameters.device)
        return affine_matrix(eye.expand(parameters.shape[0], 2, 2), parameters)

    def parameters_of(self, matrix: Tensor) -> Tensor:
        """See `MatrixFamily`."""
        return matrix[:, :2, 2]
