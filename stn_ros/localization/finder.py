"""The finder: one embedding a cell of a frame, to be compared with those of the references.

A face anywhere in the frame, at any rotation, is found by the cell at its centre: the cell's
embedding lies next to that of the face's reference seen at the same rotation and size. References
and frames go through the same network, so teaching an object takes no training. Each level of an
image pyramid answers for the faces of one octave of sizes (`BAND`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDE = 8
"""Pixels of a level per cell."""
BAND = (32.0, 64.0)
"""Sizes (root of the area, pixels of a level) of the faces that a level answers for."""
MIDDLE = (BAND[0] * BAND[1]) ** 0.5


class Cells(NamedTuple):
    """What the network says of N pictures of h x w cells.

    Attributes:
        embedding: (N, C, h, w), of unit length.
        centred: (N, h, w), logit: a face that the level answers for has its centre in this cell.
        outline: (N, 5, h, w), of that face: the way (x, y) from the cell's centre to its own, in
            cells; then the lower triangle L of its outline's second moments, L L^T, as
            (log l11, l21 / l11, log l22), in units of `MIDDLE` (a square of that side: 0, 0, 0).
    """

    embedding: Tensor
    centred: Tensor
    outline: Tensor


class _Block(nn.Module):
    """Depthwise and pointwise convolution around an identity (Howard et al. 2017)."""

    def __init__(self, channels: int, kernel: int = 5) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False
        )
        self.depthwise_norm = nn.BatchNorm2d(channels)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.pointwise_norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.pointwise_norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.depthwise_norm(self.depthwise(x)))
        return functional.relu(x + self.pointwise_norm(self.pointwise(inner)))


def _down(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, 2, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class FinderNetwork(nn.Module):
    """Fully convolutional: the same weights serve every picture size.

    Args:
        channels: width of the trunk. embedding: length of an embedding. blocks: of the trunk.

    Example:
        >>> import torch
        >>> network = FinderNetwork(channels=16, embedding=8, blocks=1).eval()
        >>> cells = network(torch.randint(0, 256, (2, 48, 64, 3), dtype=torch.uint8))
        >>> cells.embedding.shape, cells.outline.shape
        (torch.Size([2, 8, 6, 8]), torch.Size([2, 5, 6, 8]))
    """

    def __init__(self, channels: int = 112, embedding: int = 96, blocks: int = 6) -> None:
        super().__init__()
        self.settings = {"channels": channels, "embedding": embedding, "blocks": blocks}
        self.trunk = nn.Sequential(
            _down(3, 16),
            _down(16, 40),
            _down(40, channels),
            *(_Block(channels) for _ in range(blocks)),
        )
        self.embedding = nn.Conv2d(channels, embedding, 1)
        self.place = nn.Sequential(
            nn.Conv2d(channels, channels // 2, 1), nn.ReLU(), nn.Conv2d(channels // 2, 6, 1)
        )
        last = self.place[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        nn.init.normal_(last.weight, std=0.01)
        with torch.no_grad():
            last.bias.copy_(torch.tensor([-4.0, 0, 0, 0, 0, 0]))

    def forward(self, pictures: Tensor) -> Cells:
        """(N, H, W, 3) BGR in 0..255, sides multiples of `STRIDE` -> `Cells`."""
        x = pictures.float().permute(0, 3, 1, 2) / 64.0 - 2.0
        features = self.trunk(x)
        place = self.place(features)
        return Cells(
            functional.normalize(self.embedding(features), dim=1), place[:, 0], place[:, 1:]
        )
