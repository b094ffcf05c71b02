"""Homographies of a picture."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from stn_ros.transformer.families.base import MatrixFamily
from stn_ros.transformer.grid import apply_homography, constant, project_columns, target_columns

_SQUARE = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))
_FROM_SQUARE = ((-0.5, 0.0, 0.5), (-0.5, 0.5, 0.0), (0.0, 0.5, 0.5))
"""Inverse of `_basis` of the square; written out, since ONNX has no inverse."""


class Projective(MatrixFamily):
    """Eight parameters: shifts (x, y) of the corners TL, TR, BR, BL (DeTone et al. 2016, sec. 2).

    With a limit of 1 or less, bounded members keep each corner in its own quarter of the square.
    The four corners must stay a convex quadrilateral; limits up to 0.5 see to that.

    Example:
        >>> import torch
        >>> lower = torch.tensor([[0.0, 0.25, 0, 0, 0, 0, 0, 0]])  # the top left corner's y
        >>> corners = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
        >>> Projective().map(lower, corners).round(decimals=4).tolist()
        [[[-1.0, -0.75], [1.0, 1.0]]]
    """

    dims: ClassVar[int] = 2
    count = 8

    def matrix(self, parameters: Tensor) -> Tensor:
        """See `MatrixFamily`; the unit square's homography to the moved one's (Heckbert 1989)."""
        square = constant(_SQUARE, parameters)
        corners = square + parameters.reshape(-1, 4, 2)
        product = _basis(corners) @ constant(_FROM_SQUARE, parameters)
        return product / product[:, 2:, 2:]

    def parameters_of(self, matrix: Tensor) -> Tensor:
        """See `MatrixFamily`."""
        square = constant(_SQUARE, matrix)
        return (apply_homography(matrix, square) - square).flatten(1)

    def _mapped(self, parameters: Tensor, points: Tensor) -> Tensor:
        return apply_homography(self.matrix(parameters), points)

    def _on_grid(self, parameters: Tensor, size: tuple[int, ...]) -> Tensor:
        return project_columns(self.matrix(parameters), target_columns(size, parameters))


def _basis(corners: Tensor) -> Tensor:
    """(N, 4, 2) -> (N, 3, 3) that carry the projective unit basis onto the four corners."""
    a, b, c, d = corners.unbind(1)
    weights = torch.stack([_cross(c - b, d - b), -_cross(c - a, d - a), _cross(b - a, d - a)], 1)
    weights = weights / _cross(b - a, c - a)[:, None]
    columns = torch.cat([corners[:, :3], torch.ones_like(corners[:, :3, :1])], dim=2)
    return columns.transpose(1, 2) * weights[:, None]


def _cross(first: Tensor, second: Tensor) -> Tensor:
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
