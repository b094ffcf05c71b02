"""What the network is trained to do: find each cell, know how well, and tell what it sees."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from stn_ros.geometry.patch import MARGIN
from stn_ros.localization.network import Motion
from stn_ros.localization.solver import cell_centres, face_cells, motion_homography
from stn_ros.transformer.grid import apply_homography

FAR = 4.0
"""Errors are held to this many cells in the loss: beyond the reach there is nothing to find."""
GOOD = 0.5
"""Mean corner error, in cells, up to which an answer counts as aligned."""


class Losses(NamedTuple):
    """Mean losses of a batch and, for the log, its corner errors.

    Attributes:
        flow: negative log-likelihood of the true flow (isotropic Laplace, cells).
        corner: log(1 + 4 e), e the mean corner error after the step, cells.
        present, aligned: binary cross-entropies of the two verdicts.
        before, after: (R,) mean corner error of each related sample, patch pixels.
    """

    flow: Tensor
    corner: Tensor
    present: Tensor
    aligned: Tensor
    before: Tensor
    after: Tensor

    @property
    def total(self) -> Tensor:
        """The sum that is minimised."""
        return self.flow + 0.5 * self.corner + 0.5 * self.present + 0.5 * self.aligned


def objective(
    motion: Motion, truth: Tensor, related: Tensor, present: Tensor, stride: int
) -> Losses:
    """Losses of one batch, computed in 32 bits, whatever autocast says.

    Args:
        motion: the network's answer. truth: (N, 3, 3), normalised patch coordinates.
        related: (N,) bool. present: (N,) int, see `samples.Batch`. stride: pixels per cell.
    """
    with torch.autocast(truth.device.type, enabled=False):
        return _objective(motion.float(), truth, related, present, stride)


def _objective(
    motion: Motion, truth: Tensor, related: Tensor, present: Tensor, stride: int
) -> Losses:
    n, _, h, w = motion.flow.shape
    device = motion.flow.device
    centres = cell_centres(h, w, motion.flow)
    cells = centres.new_tensor([w / 2.0, h / 2.0])
    target = (apply_homography(truth, centres.flatten(1).T) - centres.flatten(1).T) * cells
    target = target.clamp(-2 * FAR, 2 * FAR).transpose(1, 2).reshape(n, 2, h, w)
    error = (motion.flow - target).square().sum(dim=1).add(1e-4).sqrt().clamp_max(FAR)
    likelihood = error * torch.exp(-motion.log_scale) + 2 * motion.log_scale
    weight = face_cells(h, w, motion.flow).float() * related.float().reshape(n, 1, 1)
    flow = (likelihood * weight).sum() / weight.sum().clamp_min(1.0)

    square = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]], device=device) / MARGIN
    estimate = motion_homography(motion.flow, motion.log_scale)
    wanted = apply_homography(truth, square)
    distance = ((apply_homography(estimate, square) - wanted) * cells).norm(dim=2).mean(dim=1)
    start = ((square - wanted) * cells).norm(dim=2).mean(dim=1)
    count = related.float().sum().clamp_min(1.0)
    corner = (torch.log1p(4.0 * distance.clamp_max(20.0)) * related).sum() / count

    known = (present >= 0).float()
    present_loss = functional.binary_cross_entropy_with_logits(
        motion.present, present.clamp_min(0).float(), reduction="none"
    )
    good = (related & (distance.detach() < GOOD)).float()
    aligned = functional.binary_cross_entropy_with_logits(motion.aligned, good)
    return Losses(
        flow,
        corner,
        (present_loss * known).sum() / known.sum().clamp_min(1.0),
        aligned,
        start[related].detach() * stride,
        distance[related].detach() * stride,
    )
