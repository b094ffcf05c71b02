"""The inverse-compositional Spatial Transformer (Lin & Lucey 2017), in PyTorch, differentiable.

This is what `runtime.canonicalizer` runs on the robot, in the form that gradients flow through:
for training end to end. The robot's sampler is anti-aliased and its fit robust; this one's are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from stn_ros.localization.network import LocalizationNetwork, Motion
from stn_ros.localization.solver import motion_homography
from stn_ros.transformer.grid import projective_grid
from stn_ros.transformer.sampler import sample


class Step(NamedTuple):
    """One step of the cascade.

    Attributes:
        theta: (N, 3, 3) after the step, normalised canonical patch -> normalised frame.
        patch: (N, S, S, 4) what the step saw. motion: what the network said of it.
    """

    theta: Tensor
    patch: Tensor
    motion: Motion


class Cascade(nn.Module):
    """Samples, localizes and composes, over and over, from the full-resolution frame.

    Args:
        network: does the localizing. patches: side of the patch in each step, in turn.

    Example:
        >>> import torch
        >>> cascade = Cascade(LocalizationNetwork(channels=16).eval(), patches=(32, 48))
        >>> references = [torch.randint(0, 256, (1, side, side, 4)) for side in (32, 48)]
        >>> frames = torch.randint(0, 256, (1, 60, 80, 3), dtype=torch.uint8)
        >>> steps = cascade(references, frames, torch.eye(3)[None])
        >>> [(tuple(step.patch.shape), tuple(step.theta.shape)) for step in steps]
        [((1, 32, 32, 4), (1, 3, 3)), ((1, 48, 48, 4), (1, 3, 3))]
    """

    def __init__(self, network: LocalizationNetwork, patches: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.patches = tuple(patches)

    def forward(self, references: Sequence[Tensor], frames: Tensor, theta: Tensor) -> list[Step]:
        """Align each frame's face with its reference; all but the network in 32 bits or more.

        Args:
            references: for each step, (N, S, S, 4) BGR and validity in 0..255, canonical patch.
            frames: (N, H, W, 3) BGR in 0..255.
            theta: (N, 3, 3), where to begin: normalised canonical patch -> normalised frame.

        Returns:
            One `Step` for each patch size.
        """
        pictures = frames.float().permute(0, 3, 1, 2)
        opaque = torch.cat([pictures, torch.full_like(pictures[:, :1], 255.0)], dim=1)
        steps = []
        for size, reference in zip(self.patches, references, strict=True):
            with torch.autocast(theta.device.type, enabled=False):
                patch = sample(opaque, projective_grid(theta, size, size)).permute(0, 2, 3, 1)
            motion = self.network(reference, patch).float()
            with torch.autocast(theta.device.type, enabled=False):
                theta = theta @ motion_homography(motion.flow, motion.log_scale)
                theta = theta / theta[:, 2:, 2:]
            steps.append(Step(theta, patch, motion))
        return steps
