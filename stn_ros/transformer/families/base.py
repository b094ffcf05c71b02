"""What all families of transforms share.

Convention: a transform maps *output* points to *input* points, the direction in which a picture is
sampled (Jaderberg et al. 2015, eq. 1). Coordinates are normalised, [-1, 1] from edge to edge of the
picture (`align_corners=False`), ordered x, y(, z), where x runs along the tensor's last axis. Zero
parameters are the identity. Everything is computed in 32 bits or more, whatever autocast says: in
half precision a grid is off by pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from stn_ros.transformer.grid import (
    apply_matrix,
    apply_to_columns,
    constant,
    target_columns,
    target_grid,
)


class Family(nn.Module, ABC):
    """A family of transforms, each named by a vector of parameters.

    Args:
        limit: bound on each parameter, see `bounded`.

    Attributes:
        dims: of the space: 1 for sequences, 2 for pictures, 3 for volumes.
        count: of parameters.

    Raises:
        ValueError: `limit` is not positive.
    """

    dims: ClassVar[int]
    count: int

    def __init__(self, limit: float = 1.0) -> None:
        super().__init__()
        if not limit > 0:
            raise ValueError(f"limit is {limit}: must be positive")
        self.limit = limit

    def identity(self, n: int = 1) -> Tensor:
        """Parameters (n, count) of the identity: zeros."""
        return torch.zeros(n, self.count)

    def bounded(self, raw: Tensor) -> Tensor:
        """Any numbers, pressed smoothly into (-limit, limit); nearly unchanged near zero.

        Example:
            >>> import torch
            >>> from stn_ros.transformer.families import Translation
            >>> Translation(limit=0.5).bounded(torch.tensor([0.01, 9.0]))
            tensor([0.0100, 0.5000])
        """
        return self.limit * torch.tanh(raw / self.limit)

    def grid(self, parameters: Tensor, size: Sequence[int]) -> Tensor:
        """Sampling grid: where each output pixel looks.

        Args:
            parameters: (N, count). size: of the output, as the tensor's axes go: (L,), (H, W) or
                (D, H, W).

        Returns:
            (N, *size, dims) normalised input coordinates, float32 or float64.

        Raises:
            ValueError: `parameters` or `size` does not fit the family.

        Example:
            >>> from stn_ros.transformer.families import Affine
            >>> grid = Affine().grid(Affine().identity(n=2), (3, 4))
            >>> grid.shape, grid[0, 0, :, 0].tolist()  # x of the pixel centres
            (torch.Size([2, 3, 4, 2]), [-0.75, -0.25, 0.25, 0.75])
        """
        values = self._checked(parameters)
        if len(size) != self.dims:
            raise ValueError(
                f"{type(self).__name__} has {self.dims} dimensions; got the size {tuple(size)}"
            )
        with torch.autocast(values.device.type, enabled=False):
            return self._on_grid(values, tuple(size)).reshape(-1, *size, self.dims)

    def map(self, parameters: Tensor, points: Tensor) -> Tensor:
        """Map output points to input points.

        Args:
            parameters: (N, count). points: (K, dims), normalised.

        Returns:
            (N, K, dims).
        """
        values = self._checked(parameters)
        with torch.autocast(values.device.type, enabled=False):
            return self._mapped(values, points.to(values.dtype))

    @abstractmethod
    def _mapped(self, parameters: Tensor, points: Tensor) -> Tensor:
        """`map`, of checked parameters and points of one type."""

    def _on_grid(self, parameters: Tensor, size: tuple[int, ...]) -> Tensor:
        """`_mapped`, of the pixel centres; for families that keep something for each size."""
        return self._mapped(parameters, target_grid(size, parameters).reshape(-1, self.dims))

    def _checked(self, parameters: Tensor) -> Tensor:
        if parameters.ndim != 2 or parameters.shape[1] != self.count:
            raise ValueError(
                f"{type(self).__name__} takes parameters of shape (N, {self.count}); "
                f"got {tuple(parameters.shape)}"
            )
        return parameters if parameters.dtype == torch.float64 else parameters.float()


class MatrixFamily(Family):
    """A family whose members are matrices acting on homogeneous points; a group.

    Example:
        >>> import torch
        >>> from stn_ros.transformer.families import Affine
        >>> family, parameters = Affine(), torch.tensor([[0.1, 0.2, 0.3, -0.2, 0.1, 0.4]])
        >>> back = family.compose(parameters, family.inverse(parameters))
        >>> torch.allclose(back, family.identity(), atol=1e-6)
        True
    """

    @abstractmethod
    def matrix(self, parameters: Tensor) -> Tensor:
        """Parameters (N, count) -> (N, dims + 1, dims + 1), last entry 1, output -> input."""

    @abstractmethod
    def parameters_of(self, matrix: Tensor) -> Tensor:
        """Inverse of `matrix`; of a matrix outside the family, the parameters are of no meaning."""

    def compose(self, first: Tensor, second: Tensor) -> Tensor:
        """Parameters (N, count) of the transform that applies `second`, then `first`.

        As matrices multiply, `matrix(first) @ matrix(second)`: a cascade in which `second` is found
        on what `first` has sampled (Lin & Lucey 2017, eq. 5).
        """
        product = self.matrix(self._checked(first)) @ self.matrix(self._checked(second))
        return self.parameters_of(product / product[:, -1:, -1:])

    def inverse(self, parameters: Tensor) -> Tensor:
        """Parameters (N, count) of the transforms input -> output."""
        inverse = torch.linalg.inv(self.matrix(self._checked(parameters)))
        return self.parameters_of(inverse / inverse[:, -1:, -1:])

    def _rows(self, parameters: Tensor) -> Tensor:
        """`matrix` without its last row, which is that of the identity."""
        return self.matrix(parameters)[:, :-1]

    def _mapped(self, parameters: Tensor, points: Tensor) -> Tensor:
        return apply_matrix(self._rows(parameters), points)

    def _on_grid(self, parameters: Tensor, size: tuple[int, ...]) -> Tensor:
        return apply_to_columns(self._rows(parameters), target_columns(size, parameters))


def affine_matrix(linear: Tensor, shift: Tensor) -> Tensor:
    """(N, d, d) and (N, d) -> homogeneous matrices (N, d + 1, d + 1)."""
    top = torch.cat([linear, shift[:, :, None]], dim=2)
    return with_last_row(top)


def with_last_row(rows: Tensor) -> Tensor:
    """(N, d, d + 1) -> (N, d + 1, d + 1), the last row that of the identity."""
    last = constant([[0.0] * (rows.shape[2] - 1) + [1.0]], rows)
    return torch.cat([rows, last.expand(rows.shape[0], 1, -1)], dim=1)
