"""Grid generator: where each output pixel looks (Jaderberg et al. 2015, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


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
    """(N, r, d + 1) applied to homogeneous (K, d) points, the last 1 left out -> (N, K, r).

    One matrix product for the whole batch. In memory the coordinates lie one after another, each in
    one piece, which PyTorch's sampler reads faster than pairs: beside `affine_grid` and
    `grid_sample` that is what makes ours the faster, see benchmarks/sampler.py.
    """
    n, rows, columns = matrix.shape
    flat = matrix.reshape(-1, columns)
    return torch.addmm(flat[:, -1:], flat[:, :-1], points.T).reshape(n, rows, -1).transpose(1, 2)


def apply_homography(matrix: Tensor, points: Tensor) -> Tensor:
    """(N, 3, 3) applied to (K, 2) or (N, K, 2) points -> (N, K, 2).

    Points at or behind the horizon are pushed far away instead of changing sign.
    """
    if points.dim() == 2:
        place, depth = apply_matrix(matrix[:, :2], points), apply_matrix(matrix[:, 2:], points)
    else:
        mapped = points @ matrix[:, :, :2].transpose(1, 2) + matrix[:, :, 2].unsqueeze(1)
        place, depth = mapped.split((2, 1), dim=-1)
    return place / depth.clamp_min(0.05)


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
    points = target_grid((height, width), theta).reshape(-1, 2)
    return apply_homography(theta, points).reshape(-1, height, width, 2)
