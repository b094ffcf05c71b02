"""The finder: what each place of a frame looks like, to be compared with the references.

A face anywhere in the frame, at any rotation, is found by the cell at its centre: the embedding of
that cell's neighbourhood lies next to that of the face's reference seen at the same rotation and
size. References and frames go through the same network, so teaching an object takes no training.
Each level of an image pyramid answers for the faces of one octave of sizes (`BAND`).

In two parts, so that most of the work is done for few cells: a convolutional one says of every cell
whether a face has its centre there (`FinderNetwork.cells`), a fully connected one looks at the
neighbourhoods of the likeliest (`FinderNetwork.describe`).
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
NEIGHBOURHOOD = 7
"""Cells, across and down, that an embedding is made of."""
MIDDLE = (BAND[0] * BAND[1]) ** 0.5


class Cells(NamedTuple):
    """What the network says of N pictures of h x w cells.

    Attributes:
        features: (N, h, w, C).
        centred: (N, h, w), logit: a face that the level answers for has its centre in this cell.
    """

    features: Tensor
    centred: Tensor


class Description(NamedTuple):
    """What the network says of K neighbourhoods.

    Attributes:
        embedding: (K, E), of unit length.
        outline: (K, 5), of the face there: the way (x, y) from the middle cell's centre to its own,
            in cells; then the lower triangle L of its outline's second moments, L L^T, as
            (log l11, l21 / l11, log l22), in units of `MIDDLE` (a square of that side: 0, 0, 0).
    """

    embedding: Tensor
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
    """The convolutional part serves every picture size; see the module.

    Args:
        channels: width of the trunk. blocks: of the trunk. features: of a cell, as the second part
            sees them. hidden: width of the second part. embedding: length of an embedding.

    Example:
        >>> import torch
        >>> network = FinderNetwork(channels=16, blocks=1, features=8, embedding=12).eval()
        >>> cells = network.cells(torch.randint(0, 256, (2, 48, 64, 3), dtype=torch.uint8))
        >>> cells.features.shape, cells.centred.shape
        (torch.Size([2, 6, 8, 8]), torch.Size([2, 6, 8]))
        >>> picture, row, column = torch.tensor([0, 1, 1]), torch.tensor([2, 0, 5]), torch.arange(3)
        >>> around = neighbourhoods(cells.features, picture, row, column)
        >>> around.shape, network.describe(around).embedding.shape
        (torch.Size([3, 7, 7, 8]), torch.Size([3, 12]))
    """

    def __init__(
        self,
        channels: int = 96,
        blocks: int = 4,
        features: int = 32,
        hidden: int = 256,
        embedding: int = 96,
    ) -> None:
        super().__init__()
        self.settings = {
            "channels": channels,
            "blocks": blocks,
            "features": features,
            "hidden": hidden,
            "embedding": embedding,
        }
        self.trunk = nn.Sequential(
            _down(3, 16),
            _down(16, 40),
            _down(40, channels),
            *(_Block(channels) for _ in range(blocks)),
        )
        self.features = nn.Conv2d(channels, features, 1)
        self.centred = nn.Sequential(
            nn.Conv2d(channels, features, 1), nn.ReLU(), nn.Conv2d(features, 1, 1)
        )
        self.description = nn.Sequential(
            nn.Linear(NEIGHBOURHOOD**2 * features, hidden),
            nn.ReLU(),
            nn.Linear(hidden, embedding + 5),
        )
        self.embedding = embedding
        last = self.centred[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        nn.init.normal_(last.weight, std=0.01)
        nn.init.constant_(last.bias, -4.0)

    def cells(self, pictures: Tensor) -> Cells:
        """(N, H, W, 3) BGR in 0..255, sides multiples of `STRIDE` -> `Cells`."""
        x = self.trunk(pictures.float().permute(0, 3, 1, 2) / 64.0 - 2.0)
        return Cells(self.features(x).permute(0, 2, 3, 1), self.centred(x)[:, 0])

    def describe(self, around: Tensor) -> Description:
        """(K, `NEIGHBOURHOOD`, `NEIGHBOURHOOD`, C) features -> `Description`."""
        said = self.description(around.flatten(1))
        embedding, outline = said.split([self.embedding, 5], dim=1)
        return Description(functional.normalize(embedding, dim=1), outline)


def neighbourhoods(features: Tensor, picture: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Features around cells, zero outside the picture.

    Args:
        features: (N, h, w, C). picture, row, column: (K,) of the cells in the middle.

    Returns:
        (K, `NEIGHBOURHOOD`, `NEIGHBOURHOOD`, C), by rows and columns.
    """
    reach = NEIGHBOURHOOD // 2
    padded = functional.pad(features, (0, 0, reach, reach, reach, reach))
    steps = torch.arange(NEIGHBOURHOOD, device=features.device)
    rows, columns = row[:, None] + steps, column[:, None] + steps
    around: Tensor = padded[picture[:, None, None], rows[:, :, None], columns[:, None, :]]
    return around
