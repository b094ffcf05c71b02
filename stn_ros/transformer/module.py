"""The Spatial Transformer as a layer (Jaderberg et al. 2015, figure 2): localize, grid, sample.

A layer takes feature maps and gives feature maps, so it stands anywhere in a network, in front of
it or in its middle, several in a row or side by side. It starts as the identity, whatever the
localization network: its last layer, the head, belongs to the transformer and starts at zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stn_ros.transformer.families import Family, MatrixFamily
from stn_ros.transformer.sampler import sample

Sampler = Callable[[Tensor, Tensor], Tensor]
"""(pictures, grid) -> output; see `sampler`."""


@dataclass(frozen=True)
class Aligned:
    """What a transformer did in its last forward pass, with gradients.

    Attributes:
        parameters: (N, T, count) of the family, T transforms a picture.
        grid: (N, T, *size, d) normalised input coordinates, see `Family.grid`.
    """

    parameters: Tensor
    grid: Tensor


class ConvolutionalLocalizer(nn.Sequential):
    """The localization network of the paper's MNIST models (appendix A.4): small, on half the size.

    Two 5 x 5 convolutions of 20 channels, each after a 2 x 2 pooling, and a hidden layer. Their
    ReLUs are leaky, unlike the paper's: units that die in the first steps, while the rest of the
    network is still of no help, leave a transformer that does the same to all pictures.

    Args:
        channels: of the input. size: (H, W) of the input. features: of the hidden layer.
        batch_norm: before each ReLU (Ioffe & Szegedy 2015), for a network that has it elsewhere;
            one without it falls behind. Training then takes batches of at least 2.

    Raises:
        ValueError: the input is too small for the convolutions.
    """

    def __init__(
        self, channels: int, size: tuple[int, int], features: int = 20, batch_norm: bool = False
    ) -> None:
        left = [((side // 2 - 4) // 2) - 4 for side in size]
        if min(left) < 1:
            raise ValueError(f"size is {size}: this localizer takes pictures of at least 28 x 28")
        layers = [
            nn.MaxPool2d(2),
            nn.Conv2d(channels, 20, 5, bias=not batch_norm),
            nn.BatchNorm2d(20) if batch_norm else None,
            nn.LeakyReLU(0.1),
            nn.MaxPool2d(2),
            nn.Conv2d(20, 20, 5, bias=not batch_norm),
            nn.BatchNorm2d(20) if batch_norm else None,
            nn.LeakyReLU(0.1),
            nn.Flatten(),
            nn.Linear(20 * left[0] * left[1], features, bias=not batch_norm),
            nn.BatchNorm1d(features) if batch_norm else None,
            nn.LeakyReLU(0.1),
        ]
        super().__init__(*(layer for layer in layers if layer is not None))


class SpatialTransformer(nn.Module):
    """One or several transforms of the input, found by a localization network.

    Args:
        localizer: (N, C, *S) -> (N, features). features: what it gives.
        family: the transforms to choose from.
        size: of the output as the tensor's axes go; None for that of the input.
        transforms: how many in parallel; their outputs follow each other along the channels.
        initial: (transforms, count) parameters to begin at. By default the identity, or for several
            transforms tiles of the picture, see `tiled`.
        sampler: how pictures are read.

    Attributes:
        last: what the last forward pass did; None before the first.

    Raises:
        ValueError: `initial` or the localizer's output does not fit.

    Example:
        >>> import torch
        >>> from stn_ros.transformer.families import Affine
        >>> localizer = ConvolutionalLocalizer(1, (28, 28))
        >>> layer = SpatialTransformer(localizer, 20, Affine())
        >>> digits = torch.rand(2, 1, 28, 28)
        >>> torch.allclose(layer(digits), digits, atol=1e-5)  # untrained: the identity
        True
        >>> layer.last.parameters.shape
        torch.Size([2, 1, 6])
    """

    def __init__(
        self,
        localizer: nn.Module,
        features: int,
        family: Family,
        size: Sequence[int] | None = None,
        transforms: int = 1,
        initial: Tensor | None = None,
        sampler: Sampler = sample,
    ) -> None:
        super().__init__()
        if initial is None:
            initial = family.identity() if transforms == 1 else tiled(family, transforms)
        if initial.shape != (transforms, family.count):
            raise ValueError(
                f"initial has the shape {tuple(initial.shape)}: must be ({transforms}, "
                f"{family.count}), the transforms and the family's parameters"
            )
        self.localizer = localizer
        self.family = family
        self.head = nn.Linear(features, transforms * family.count)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.initial: Tensor
        self.register_buffer("initial", initial.clone())
        self.size = None if size is None else tuple(size)
        self.sampler = sampler
        self.last: Aligned | None = None

    def localize(self, pictures: Tensor) -> Tensor:
        """(N, C, *S) -> parameters (N, transforms, count), within the limit of `initial`."""
        found = self.localizer(pictures)
        if found.ndim != 2 or found.shape[1] != self.head.in_features:
            raise ValueError(
                f"the localizer gave the shape {tuple(found.shape)}: must be "
                f"(N, {self.head.in_features})"
            )
        raw = self.head(found).reshape(-1, *self.initial.shape)
        return self.initial + self.family.bounded(raw)

    def transform(self, pictures: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Apply given parameters (N, transforms, count); returns the output and the grid."""
        n, transforms, _ = parameters.shape
        size = self.size or tuple(pictures.shape[2:])
        grid = self.family.grid(parameters.flatten(0, 1), size)
        if transforms > 1:
            pictures = pictures.repeat_interleave(transforms, dim=0)
        output = self.sampler(pictures, grid)
        return output.reshape(n, -1, *size), grid.reshape(n, transforms, *grid.shape[1:])

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, C, *S) -> (N, transforms * C, *size)."""
        parameters = self.localize(pictures)
        output, grid = self.transform(pictures, parameters)
        self.last = Aligned(parameters, grid)
        return output


class CompositionalTransformer(nn.Module):
    """Transforms found one after another, each on what the ones before have brought nearer.

    The inverse-compositional Spatial Transformer (Lin & Lucey 2017): not the pictures but the
    transforms are handed on, so the input is sampled only once for each step, always from its full
    resolution, and nothing is blurred or cut off on the way.

    Args:
        localizers: of each step; the same module in several places shares its weights.
        features, size, sampler: see `SpatialTransformer`. family: one that composes.

    Attributes:
        last: what the last forward pass did; its T transforms are those after each step.

    Example:
        >>> import torch
        >>> from stn_ros.transformer.families import Similarity
        >>> localizer = ConvolutionalLocalizer(1, (28, 28))
        >>> layer = CompositionalTransformer([localizer, localizer], 20, Similarity())
        >>> digits = torch.rand(3, 1, 28, 28)
        >>> layer(digits).shape, layer.last.parameters.shape
        (torch.Size([3, 1, 28, 28]), torch.Size([3, 2, 4]))
    """

    def __init__(
        self,
        localizers: Sequence[nn.Module],
        features: int,
        family: MatrixFamily,
        size: Sequence[int] | None = None,
        sampler: Sampler = sample,
    ) -> None:
        super().__init__()
        if not isinstance(family, MatrixFamily):
            raise ValueError(
                f"{type(family).__name__} does not compose: choose one of the matrix families"
            )
        self.family = family
        unique = {id(localizer): localizer for localizer in localizers}
        heads = {key: nn.Linear(features, family.count) for key in unique}
        for head in heads.values():
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        self.localizers = nn.ModuleList(localizers)
        self.heads = nn.ModuleList(heads[id(localizer)] for localizer in localizers)
        self.size = None if size is None else tuple(size)
        self.sampler = sampler
        self.last: Aligned | None = None

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, C, *S) -> (N, C, *size), through the transform after the last step."""
        size = self.size or tuple(pictures.shape[2:])
        parameters = self.family.identity(pictures.shape[0]).to(pictures.device)
        grid = self.family.grid(parameters, size)
        output = self.sampler(pictures, grid)
        done, grids = [], []
        for localizer, head in zip(self.localizers, self.heads, strict=True):
            step = self.family.bounded(head(localizer(output)))
            parameters = self.family.compose(parameters, step)
            grid = self.family.grid(parameters, size)
            output = self.sampler(pictures, grid)
            done.append(parameters)
            grids.append(grid)
        self.last = Aligned(torch.stack(done, dim=1), torch.stack(grids, dim=1))
        return output


def tiled(family: Family, transforms: int) -> Tensor:
    """Parameters (transforms, count) that spread several transforms over the picture.

    The least square number of equal tiles that is not less, one tile a transform, row by row, so
    that each begins with a part of its own (Jaderberg et al. 2015, section 4.3 begins likewise).

    Raises:
        ValueError: the family has no crops of pictures.

    Example:
        >>> from stn_ros.transformer.families import Affine
        >>> tiled(Affine(), 2)[1].tolist()  # half the size, the upper right quarter
        [-0.5, 0.0, 0.5, 0.0, -0.5, -0.5]
    """
    if not isinstance(family, MatrixFamily) or family.dims != 2:
        raise ValueError(
            f"{type(family).__name__} has no tiles to begin with: give `initial` for "
            f"{transforms} transforms"
        )
    side = math.isqrt(transforms - 1) + 1
    matrices = torch.eye(3).repeat(transforms, 1, 1)
    for i in range(transforms):
        row, column = divmod(i, side)
        matrices[i, 0, 0] = matrices[i, 1, 1] = 1 / side
        matrices[i, :2, 2] = (torch.tensor([column, row]) * 2 + 1) / side - 1
    return family.parameters_of(matrices)


def transformers(
    model: nn.Module,
) -> list[tuple[str, SpatialTransformer | CompositionalTransformer]]:
    """All transformers of a network, by name."""
    kinds = (SpatialTransformer, CompositionalTransformer)
    return [(name, part) for name, part in model.named_modules() if isinstance(part, kinds)]


def parameter_groups(
    model: nn.Module, learning_rate: float, localizer_share: float = 0.1
) -> list[dict[str, object]]:
    """Parameter groups for an optimizer: what localizes learns more slowly than the rest.

    A localization network that moves fast leaves the picture before the rest has learnt what to
    look for. Everything within a transformer gets `localizer_share` of the learning rate.

    Example:
        >>> from stn_ros.transformer.families import Affine
        >>> layer = SpatialTransformer(ConvolutionalLocalizer(1, (28, 28)), 20, Affine())
        >>> network = nn.Sequential(layer, nn.Flatten(), nn.Linear(784, 10))
        >>> optimizer = torch.optim.Adam(parameter_groups(network, 0.01))
        >>> [group["lr"] for group in optimizer.param_groups]
        [0.01, 0.001]
    """
    slow = {id(p) for _, part in transformers(model) for p in part.parameters()}
    groups = [
        {"params": [p for p in model.parameters() if id(p) not in slow], "lr": learning_rate},
        {
            "params": [p for p in model.parameters() if id(p) in slow],
            "lr": learning_rate * localizer_share,
        },
    ]
    return [group for group in groups if group["params"]]


def in_frame_penalty(model: nn.Module) -> Tensor:
    """Mean squared distance by which the last grids leave the input, normalised coordinates.

    Add it to the loss, weighted, where transforms wander off into the padding. Zero for grids that
    stay inside; the mean over all transformers of `model`.

    Raises:
        ValueError: no transformer has run yet.

    Example:
        >>> import torch
        >>> from stn_ros.transformer.families import Translation
        >>> layer = SpatialTransformer(nn.Flatten(), 4, Translation(), initial=torch.ones(1, 2))
        >>> _ = layer(torch.rand(1, 1, 2, 2))  # x and y: 0.5 and 1.5
        >>> in_frame_penalty(layer).item()
        0.125
    """
    grids = [part.last.grid for _, part in transformers(model) if part.last is not None]
    if not grids:
        raise ValueError("no transformer has run yet: call the network first")
    return torch.stack([(g.abs() - 1).clamp_min(0).square().mean() for g in grids]).mean()
