"""Smooth bends of a picture: thin-plate splines."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from stn_ros.transformer.families.base import Family
from stn_ros.transformer.grid import target_grid


class ThinPlateSpline(Family):
    """Shifts (x, y) of a lattice of control points; between them the plate bends least.

    The interpolating spline (Bookstein, "Principal warps", PAMI 1989) is linear in the shifts: its
    system is solved once, here, and a transform costs two matrix products. The control points are
    the centres of `side` x `side` equal tiles, row by row, so a spline extrapolates little.

    Its members are no group: they have neither a composition nor an inverse in the family.

    Args:
        side: control points along each axis, at least 2. limit: see `Family`.

    Raises:
        ValueError: `side` is less than 2.
    """

    dims: ClassVar[int] = 2

    def __init__(self, side: int = 4, limit: float = 1.0) -> None:
        super().__init__(limit)
        if side < 2:
            raise ValueError(f"side is {side}: a thin-plate spline takes at least 2 x 2 points")
        self.count = 2 * side * side
        control = target_grid((side, side), torch.zeros(1, dtype=torch.float64)).reshape(-1, 2)
        k = len(control)
        system = torch.zeros(k + 3, k + 3, dtype=torch.float64)
        system[:k, :k] = _bending(control, control)
        system[:k, k], system[:k, k + 1 :] = 1.0, control
        system[k:, :k] = system[:k, k:].T
        # Only the columns of the control points: the other equations have zeros on the right.
        solved = torch.linalg.inv(system)[:, :k]
        self.control: Tensor
        self.solved: Tensor
        self.register_buffer("control", control, persistent=False)
        self.register_buffer("solved", solved, persistent=False)

    def _mapped(self, parameters: Tensor, points: Tensor) -> Tensor:
        dtype = parameters.dtype
        shifts = parameters.reshape(len(parameters), -1, 2)
        control = self.control.to(dtype)
        ones = torch.ones_like(points[:, :1])
        basis = torch.cat([_bending(points, control), ones, points], dim=1)
        return points + (basis @ self.solved.to(dtype)) @ shifts


def _bending(first: Tensor, second: Tensor) -> Tensor:
    """Radial basis r^2 log r^2 of all distances, (K, 2) and (M, 2) -> (K, M); 0 at r = 0."""
    squared = (first[:, None] - second[None]).square().sum(dim=2)
    return squared * squared.clamp_min(1e-12).log()
