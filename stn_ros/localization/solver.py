"""From a field of correspondences to a homography: weighted least squares, differentiable.

Coordinates are normalised to the canonical patch, [-1, 1] with pixel edges at +-1
(align_corners=False).
"""

from __future__ import annotations

import torch
from torch import Tensor

from stn_ros.geometry.patch import MARGIN
from stn_ros.transformer.grid import target_grid


def cell_centres(height: int, width: int, like: Tensor) -> Tensor:
    """(2, height, width) normalised (x, y) of the cell centres."""
    return target_grid((height, width), like).permute(2, 0, 1)


def face_cells(height: int, width: int, like: Tensor) -> Tensor:
    """(height, width) bool: the cells whose centre lies on the face, not in its margin."""
    return cell_centres(height, width, like).abs().amax(dim=0) <= 1.0 / MARGIN


def fit_homography(points: Tensor, targets: Tensor, weights: Tensor, ridge: float = 1e-3) -> Tensor:
    """Homographies H with H(points) ~ targets in the weighted algebraic least-squares sense.

    The direct linear transform with h33 = 1 (Hartley & Zisserman 2004, section 4.1), solved for the
    departure from the identity with a small ridge, so that few or collinear points give a modest
    motion and not an explosion.

    Args:
        points: (K, 2) normalised. targets: (N, K, 2) normalised. weights: (N, K), >= 0.
        ridge: Tikhonov weight relative to weights that sum to one.

    Returns:
        (N, 3, 3), points -> targets.

    Example:
        >>> import torch
        >>> square = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1], [0, 0]])
        >>> shift = torch.tensor([0.2, 0.0])
        >>> found = fit_homography(square, (square + shift)[None], torch.ones(1, 5), ridge=1e-7)
        >>> torch.allclose(found[0, :, 2], torch.tensor([0.2, 0.0, 1.0]), atol=1e-3)
        True
    """
    weights = weights / weights.sum(dim=1, keepdim=True).clamp_min(1e-12)
    x, y = points[:, 0], points[:, 1]
    u, v = targets[..., 0], targets[..., 1]
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    n = targets.shape[0]
    linear_u = torch.stack([x, y, one, zero, zero, zero], dim=1).expand(n, -1, -1)
    linear_v = torch.stack([zero, zero, zero, x, y, one], dim=1).expand(n, -1, -1)
    rows_u = torch.cat([linear_u, torch.stack([-u * x, -u * y], dim=2)], dim=2)
    rows_v = torch.cat([linear_v, torch.stack([-v * x, -v * y], dim=2)], dim=2)
    rows = torch.cat([rows_u, rows_v], dim=1)
    error = torch.cat([u - x, v - y], dim=1)
    weighted = rows * torch.cat([weights, weights], dim=1).unsqueeze(2)
    normal = weighted.transpose(1, 2) @ rows + ridge * torch.eye(8, device=rows.device)
    departure = torch.linalg.solve(normal, weighted.transpose(1, 2) @ error.unsqueeze(2))[..., 0]
    identity = torch.eye(3, dtype=rows.dtype, device=rows.device).reshape(9)
    padded = torch.cat([departure, torch.zeros_like(departure[:, :1])], dim=1)
    return (identity + padded).reshape(n, 3, 3)


def motion_homography(flow: Tensor, log_scale: Tensor) -> Tensor:
    """Homography of a `network.Motion`: canonical patch -> where it was found, normalised.

    Cells count by the inverse of their expected error, squared; the margin does not count.

    Args:
        flow: (N, 2, h, w) cells. log_scale: (N, h, w).

    Returns:
        (N, 3, 3).
    """
    _, _, h, w = flow.shape
    centres = cell_centres(h, w, flow)
    keep = face_cells(h, w, flow).flatten()
    points = centres.flatten(1).T[keep]
    step = flow.new_tensor([2.0 / w, 2.0 / h]).reshape(1, 2, 1, 1)
    targets = (centres + flow * step).flatten(2).transpose(1, 2)[:, keep]
    weights = torch.exp(-2.0 * log_scale).flatten(1)[:, keep]
    return fit_homography(points, targets, weights)
