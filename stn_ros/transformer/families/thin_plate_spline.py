"""Smooth bends of a picture: thin-plate splines."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from stn_ros.transformer.families.base import Family
from stn_ros.transformer.grid import target_grid


class ThinPlateSpline(Family):
    """Shifts (x, y) of a lattice of control points; between them the plate bends least.

    The interpolating spline (Bookstein, "Principal warps", PAMI 1989) is linear in the shifts: its
    system is solved once, its influence on each pixel of an output found once, and from then on a
    transform costs one matrix product. The control points are the centres of `side` x `side` equal
    tiles, row by row, so a spline extrapolates little.

    Its members are no group: they have neither a composition nor an inverse in the family.

    Args:
        side: control points along each axis, at least 2. limit: see `Family`.

    Attributes:
        control: (side ** 2, 2) control points, float64. No buffer: a network in half precision
            would round the spline.

    Raises:
        ValueError: `side` is less than 2.

    Example:
        >>> family = ThinPlateSpline(side=3)
        >>> family.count, family.control[0].tolist()
        (18, [-0.6666666666666667, -0.6666666666666667])
        >>> parameters = family.identity()
        >>> parameters[0, 0] = 0.2  # x of the first point
        >>> moved = family.map(parameters, family.control) - family.control
        >>> moved[0, :2].round(decimals=4).abs().tolist()  # no other point moves
        [[0.2, 0.0], [0.0, 0.0]]
    """

    dims: ClassVar[int] = 2

    def __init__(self, side: int = 4, limit: float = 1.0) -> None:
        super().__init__(limit)
        if side < 2:
            raise ValueError(f"side is {side}: a thin-plate spline takes at least 2 x 2 points")
        self.count = 2 * side * side
        self.side = side
        self.control, self._solved = _system(side)

    def _mapped(self, parameters: Tensor, points: Tensor) -> Tensor:
        return _moved(parameters, points.T, _influence(self.control, self._solved, points))

    def _on_grid(self, parameters: Tensor, size: tuple[int, ...]) -> Tensor:
        if torch.jit.is_tracing():  # sizes may be part of the graph
            return super()._on_grid(parameters, size)
        return _moved(parameters, *_kept(self.side, size, parameters.dtype, parameters.device))


def _moved(parameters: Tensor, points: Tensor, influence: Tensor) -> Tensor:
    """(N, 2 k) shifts of the control points, (2, K) points, (k, K) influence -> (N, K, 2)."""
    count = influence.shape[0]
    shifts = parameters.reshape(-1, count, 2).transpose(1, 2).reshape(-1, count)
    return ((shifts @ influence).reshape(-1, *points.shape) + points).transpose(1, 2)


def _system(side: int) -> tuple[Tensor, Tensor]:
    """Control points (k, 2), and what solves the spline's equations: (k + 3, k), k = side ** 2."""
    control = target_grid((side, side), torch.zeros(1, dtype=torch.float64)).reshape(-1, 2)
    k = len(control)
    system = torch.zeros(k + 3, k + 3, dtype=torch.float64)
    system[:k, :k] = _bending(control, control)
    system[:k, k], system[:k, k + 1 :] = 1.0, control
    system[k:, :k] = system[:k, k:].T
    # Only the columns of the control points: the other equations have zeros on the right.
    return control, torch.linalg.inv(system)[:, :k]


@lru_cache(maxsize=4)
def _kept(
    side: int, size: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Pixel centres (2, K) and their `_influence`, kept for the last few sizes."""
    with torch.inference_mode(False), torch.no_grad():
        points = target_grid(size, torch.zeros(1, dtype=torch.float64)).reshape(-1, 2)
        influence = _influence(*_system(side), points)
        return points.T.to(device, dtype), influence.to(device, dtype)


def _influence(control: Tensor, solved: Tensor, points: Tensor) -> Tensor:
    """(k, K): how far each of (K, 2) points moves with each control point."""
    control, solved = control.to(points), solved.to(points)
    basis = torch.cat([_bending(control, points), torch.ones_like(points[:, :1]).T, points.T])
    return solved.T @ basis


def _bending(first: Tensor, second: Tensor) -> Tensor:
    """Radial basis r^2 log r^2 of all distances, (K, 2) and (M, 2) -> (K, M); 0 at r = 0."""
    squared = (first[:, None] - second[None]).square().sum(dim=2)
    return squared * squared.clamp_min(1e-12).log()
