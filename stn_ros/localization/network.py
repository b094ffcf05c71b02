"""The reference-conditioned localization network.

One network serves every flat object. It sees two pictures of one size, the object's reference and
the current patch, both in the frame of the *canonical patch* (the face and a margin around it), and
answers for each cell of the reference where that cell's content lies in the patch and how sure it
is. A homography follows from these correspondences by weighted least squares (`solver`), so the
network is fully convolutional: the same weights work at every patch size, coarse to fine.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDE = 4
"""Patch pixels per cell."""


class Motion(NamedTuple):
    """What the network says of N patches of h x w cells.

    Attributes:
        flow: (N, 2, h, w), where each reference cell's content lies in the patch, relative to the
            same cell, in cells, (x, y).
        log_scale: (N, h, w), natural logarithm of the flow's expected error (Laplace scale, cells).
        present: (N,), logit: the patch shows this object, and the right way up.
        aligned: (N,), logit: the homography fitted to this flow is good to half a cell.
    """

    flow: Tensor
    log_scale: Tensor
    present: Tensor
    aligned: Tensor

    def float(self) -> Motion:
        """The same in 32 bits: the geometry that follows does not bear fewer."""
        return Motion(*(part.float() for part in self))


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    padding = dilation * (kernel - 1) // 2
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False)


class _Residual(nn.Module):
    """Two 3 x 3 convolutions around an identity (He et al. 2016)."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = _conv(channels, channels, 3, dilation=dilation)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = _conv(channels, channels, 3)
        self.second_norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.second_norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.first_norm(self.first(x)))
        return functional.relu(x + self.second_norm(self.second(inner)))


def normalise(pictures: Tensor) -> Tensor:
    """Bring uint8 pictures to zero mean per channel and unit contrast over their valid pixels.

    Args:
        pictures: (N, S, S, 4) uint8, BGR and validity (255 valid, 0 outside the picture).

    Returns:
        (N, 4, S, S) float32: normalised BGR, zero where invalid, and the validity in [0, 1].
    """
    x = pictures.float().permute(0, 3, 1, 2) / 255.0
    valid = x[:, 3:4]
    colour = x[:, :3]
    count = valid.sum(dim=(2, 3), keepdim=True) + 1.0
    mean = (colour * valid).sum(dim=(2, 3), keepdim=True) / count
    centred = (colour - mean) * valid
    power = centred.square().sum(dim=(2, 3), keepdim=True) / count
    contrast = (power.mean(dim=1, keepdim=True) + 1e-4).sqrt()
    return torch.cat([centred / contrast, valid], dim=1)


def local_correlation(reference: Tensor, patch: Tensor, radius: int) -> Tensor:
    """Inner products of each reference cell with the patch cells within `radius` of it.

    Row by row as matrix products, the diagonals of which are then lined up (the relative shift of
    Transformer-XL, Dai et al. 2019, appendix B), so that no copy of the features is made and only
    MatMul, Pad, Reshape and Slice reach an exported graph.

    Args:
        reference: (N, C, h, w). patch: (N, C, h, w). radius: reach in cells.

    Returns:
        (N, (2 radius + 1)^2, h, w); channel (dy + radius) * (2 radius + 1) + (dx + radius) holds
        the product with the patch cell at offset (dx, dy); zero outside the patch.

    Example:
        >>> import torch
        >>> cells = torch.zeros(1, 1, 3, 3)
        >>> cells[0, 0, 1, 1] = 1.0
        >>> moved = cells.roll(1, dims=3)  # a cell to the right: dx = 1, dy = 0
        >>> local_correlation(cells, moved, radius=1)[0, :, 1, 1].argmax().item()  # (0+1)*3 + 1+1
        5
    """
    n, _c, h, w = reference.shape
    side = 2 * radius + 1
    rows = reference.permute(0, 2, 3, 1)
    padded = functional.pad(patch, (radius, radius, radius, radius)).permute(0, 2, 1, 3)
    windows = []
    for dy in range(side):
        products = torch.matmul(rows, padded[:, dy : dy + h])
        flat = functional.pad(products.reshape(n, h, w * (w + 2 * radius)), (0, w))
        windows.append(flat.reshape(n, h, w, side + w)[..., :side])
    return torch.cat(windows, dim=3).permute(0, 3, 1, 2)


class LocalizationNetwork(nn.Module):
    """Localization network of the Spatial Transformer (Jaderberg et al. 2015, section 3.1).

    Conditioned on a reference picture, and answering with a field of correspondences in place of
    theta; `solver.fit_homography` turns the field into theta.

    Args:
        channels: width of the features.
        radius: reach of the correlation, in cells.

    Example:
        >>> import torch
        >>> network = LocalizationNetwork(channels=16).eval()
        >>> reference = torch.randint(0, 256, (2, 48, 48, 4), dtype=torch.uint8)
        >>> network(reference, reference).flow.shape
        torch.Size([2, 2, 12, 12])
    """

    def __init__(self, channels: int = 64, radius: int = 4) -> None:
        super().__init__()
        self.channels = channels
        self.radius = radius
        offsets = (2 * radius + 1) ** 2
        half = channels // 2
        self.features_net = nn.Sequential(
            _conv(4, half, 5, stride=2),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            _Residual(half),
            _conv(half, channels, 3, stride=2),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            _Residual(channels),
            _Residual(channels),
            nn.Conv2d(channels, channels, 1),
        )
        self.mix = nn.Sequential(
            nn.Conv2d(offsets + 2 * channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            _Residual(channels, dilation=2),
            _Residual(channels, dilation=4),
            _Residual(channels),
        )
        self.offset_logits = nn.Conv2d(channels, offsets, 1)
        self.residual = nn.Conv2d(channels, 3, 1)
        self.judge = nn.Sequential(
            nn.Linear(3 * channels + 2, channels), nn.ReLU(), nn.Linear(channels, 2)
        )
        self.temperature = nn.Parameter(torch.tensor(8.0))
        nn.init.normal_(self.offset_logits.weight, std=0.01)
        nn.init.normal_(self.residual.weight, std=0.01)
        assert self.residual.bias is not None
        nn.init.zeros_(self.residual.bias)
        steps = torch.arange(-radius, radius + 1, dtype=torch.float32)
        dy, dx = torch.meshgrid(steps, steps, indexing="ij")
        self.register_buffer("offsets", torch.stack([dx.flatten(), dy.flatten()]), persistent=False)

    def features(self, pictures: Tensor) -> Tensor:
        """(N, S, S, 4) uint8 pictures -> (N, C, S/4, S/4) features."""
        features: Tensor = self.features_net(normalise(pictures))
        return features

    def match(self, reference: Tensor, patch: Tensor) -> Motion:
        """Compare features of N references with those of N patches; see `Motion`."""
        scale = self.channels**-0.25
        unit_reference = functional.normalize(reference, dim=1)
        unit_patch = functional.normalize(patch, dim=1)
        correlation = local_correlation(unit_reference, unit_patch, self.radius)
        mixed = self.mix(torch.cat([correlation, reference * scale, patch * scale], dim=1))
        logits = self.offset_logits(mixed) + self.temperature * correlation
        probability = logits.softmax(dim=1)
        expected = torch.einsum("nkhw,ck->nchw", probability, self.offsets)
        residual = self.residual(mixed)
        flow = expected + residual[:, :2]
        log_scale = 3.0 * torch.tanh(residual[:, 2] / 3.0)
        sureness = torch.exp(-log_scale).unsqueeze(1)
        share = sureness / sureness.sum(dim=(2, 3), keepdim=True)
        pooled = torch.cat(
            [
                mixed.mean(dim=(2, 3)),
                (mixed * share).sum(dim=(2, 3)),
                (reference * patch).mean(dim=(2, 3)) * scale,
                log_scale.mean(dim=(1, 2)).unsqueeze(1),
                probability.amax(dim=1).mean(dim=(1, 2)).unsqueeze(1),
            ],
            dim=1,
        )
        verdict = self.judge(pooled)
        return Motion(flow, log_scale, verdict[:, 0], verdict[:, 1])

    def forward(self, reference: Tensor, patch: Tensor) -> Motion:
        """(N, S, S, 4) uint8 reference and patch pictures -> `Motion`."""
        both = self.features(torch.cat([reference, patch]))
        return self.match(*both.chunk(2))
