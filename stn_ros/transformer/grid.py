"""Grid generator: where each output pixel looks (Jaderberg et al. 2015, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

_NEAREST = 0.05
"""Least depth that a homography divides by."""


def target_grid(size: Sequence[int], like: Tensor) -> Tensor:
    """Normalised coordinates of the output's pixel centres, edges at +-1.

    `align_corners=False`: the centre of pixel i of n lies at (2 i + 1) / n - 1.

    Args:
        size: as the tensor's axes go: (L,), (H, W) or (D, H, W). like: gives type and device.

    Returns:
        (*size, d), the last axis x, y, z: x runs along the tensor's last axis.

    Example:
        >>> import torch
        >>> target_grid((1, 2), torch.zeros(1)).tolist()
        [[[-0.5, 0.0], [0.5, 0.0]]]
    """
    axes = [(torch.arange(n, dtype=like.dtype, device=like.device) * 2 + 1) / n - 1 for n in size]
    return torch.stack(torch.meshgrid(axes, indexing="ij")[::-1]).movedim(0, -1)


def apply_matrix(matrix: Tensor, points: Tensor) -> Tensor:
    """(N, r, d + 1) applied to (K, d) points made homogeneous -> (N, K, r)."""
    return apply_to_columns(matrix, _columns(points))


def apply_homography(matrix: Tensor, points: Tensor) -> Tensor:
    """(N, 3, 3) applied to (K, 2) or (N, K, 2) points -> (N, K, 2).

    Points at or behind the horizon are pushed far away instead of changing sign.
    """
    if points.dim() == 2:
        return project_columns(matrix, _columns(points))
    mapped = points @ matrix[:, :, :2].transpose(1, 2) + matrix[:, :, 2].unsqueeze(1)
    return mapped[..., :2] / mapped[..., 2:].clamp_min(_NEAREST)


def apply_to_columns(matrix: Tensor, columns: Tensor) -> Tensor:
    """(N, r, d + 1) applied to homogeneous points (d + 1, K) -> (N, K, r).

    One matrix product for the whole batch. In memory the coordinates lie one after another, each in
    one piece, which PyTorch's sampler reads faster than pairs: beside `affine_grid` and
    `grid_sample` that is what makes ours the faster, see benchmarks/sampler.py.
    """
    n, rows, width = matrix.shape
    return (matrix.reshape(-1, width) @ columns).reshape(n, rows, -1).transpose(1, 2)


def project_columns(matrix: Tensor, columns: Tensor) -> Tensor:
    """`apply_homography` (N, 3, 3) to homogeneous points (3, K) -> (N, K, 2)."""
    mapped = apply_to_columns(matrix, columns).transpose(1, 2)
    return (mapped[:, :2] / mapped[:, 2:].clamp_min(_NEAREST)).transpose(1, 2)


def target_columns(size: Sequence[int], like: Tensor) -> Tensor:
    """`target_grid` as homogeneous points (d + 1, K), K pixels row by row; kept for each size.

    To be read only. Making them anew takes ten small steps, which on a GPU last longer than the
    sampling itself.
    """
    if torch.jit.is_tracing() or torch.compiler.is_compiling():  # sizes may be part of the graph
        return _columns(target_grid(size, like).reshape(-1, len(size)))
    return _kept_columns(tuple(size), like.dtype, like.device)


def constant(values: Sequence[Sequence[float]], like: Tensor) -> Tensor:
    """A small matrix, of the type and on the device of `like`; kept, and to be read only."""
    if torch.jit.is_tracing() or torch.compiler.is_compiling():
        return torch.tensor(values, dtype=like.dtype, device=like.device)
    return _kept_constant(tuple(map(tuple, values)), like.dtype, like.device)


def projective_grid(theta: Tensor, height: int, width: int) -> Tensor:
    """Sampling grid of homographies (Jaderberg et al. 2015, eq. 1, projective).

    Args:
        theta: (N, 3, 3), normalised output -> normalised input coordinates.

    Returns:
        (N, height, width, 2), for `sampler.sample`.

    Example:
        >>> import torch
        >>> theta = torch.tensor([[[1.0, 0.0, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])
        >>> projective_grid(theta, 1, 2).tolist()  # 2 is the width
        [[[[0.0, 0.0], [1.0, 0.0]]]]
    """
    columns = target_columns((height, width), theta)
    return project_columns(theta, columns).reshape(-1, height, width, 2)


def _columns(points: Tensor) -> Tensor:
    return torch.cat([points.T, torch.ones_like(points[:, :1]).T])


# Outside inference mode: what is made within it can not be part of a gradient later.
@lru_cache(maxsize=16)
def _kept_columns(size: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False), torch.no_grad():
        exact = target_grid(size, torch.zeros(1, dtype=torch.float64))
        return _columns(exact.reshape(-1, len(size))).to(device, dtype)


@lru_cache(maxsize=64)
def _kept_constant(
    values: tuple[tuple[float, ...], ...], dtype: torch.dtype, device: torch.device
) -> Tensor:
    with torch.inference_mode(False), torch.no_grad():
        return torch.tensor(values, dtype=dtype, device=device)
