"""Tells when a Spatial Transformer goes wrong in training, in words."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stn_ros.transformer.grid import target_grid
from stn_ros.transformer.module import Aligned, SpatialTransformer, transformers

OUTSIDE = 0.5
"""Share of the grid points outside the input from which a transformer has left it."""
TINY, HUGE = 0.02, 25.0
"""Area of the input that the output shows, as a share of it: below it is a speck, above a speck is
left of the input."""
SATURATED = 0.9
"""Share of the parameters that are at their limit."""
IDLE = 0.03
"""Normalised r.m.s. distance (1 is half the input's side) by which grids must differ from picture
to picture; below it nothing is aligned."""


class CollapseMonitor:
    """Looks at the transformers of a network after a forward pass, and speaks once of each trouble.

    What users of Spatial Transformers meet: theta explodes, the output goes black, every picture
    is shown through the same corner, or simply as it is: the transformer is idle. Call `check` now
    and then while training, and log what it returns.

    Transformers begin as the identity, so an idle one is spoken of only when it was idle at the
    check before, too. It takes batches of several different pictures to tell.

    Args:
        model: any network with transformers in it.

    Example:
        >>> import torch
        >>> from stn_ros.transformer.families import Translation
        >>> lost = torch.full((1, 2), 2.5)
        >>> layer = SpatialTransformer(nn.Flatten(), 4, Translation(), initial=lost)
        >>> monitor = CollapseMonitor(layer)
        >>> _ = layer(torch.rand(1, 1, 2, 2))
        >>> monitor.check()[0][:59]
        'transformer of the network: 100% of what it samples lies ou'
        >>> monitor.check()  # said once
        []
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._told: set[tuple[str, str]] = set()
        self._idle: set[str] = set()

    def check(self) -> list[str]:
        """New troubles since the last call, each with what helps; one that ended may come again."""
        troubles: dict[tuple[str, str], str] = {}
        idle: set[str] = set()
        for name, part in transformers(self._model):
            if part.last is None:
                continue
            limit = part.family.limit
            initial = part.initial if isinstance(part, SpatialTransformer) else None
            found = _troubles(part.last, initial, limit)
            if not found and (text := _idle(part.last)):
                idle.add(name)
                found = [("idle", text)] if name in self._idle else []
            for kind, text in found:
                troubles[name, kind] = f"transformer {name or 'of the network'}: {text}"
        new = [text for key, text in troubles.items() if key not in self._told]
        self._told, self._idle = set(troubles), idle
        return new


def _troubles(last: Aligned, initial: Tensor | None, limit: float) -> list[tuple[str, str]]:
    with torch.no_grad():
        grid, parameters = last.grid.float(), last.parameters.float()
        if not (torch.isfinite(grid).all() and torch.isfinite(parameters).all()):
            return [("infinite", "its parameters are not finite: lower the learning rate")]
        found = []
        outside = (grid.abs() > 1).any(dim=-1).float().mean().item()
        if outside > OUTSIDE:
            found.append(
                (
                    "outside",
                    f"{outside:.0%} of what it samples lies outside the input: add "
                    "in_frame_penalty to the loss, or lower the localizer's learning rate",
                )
            )
        area = _area(grid)
        if area < TINY:
            found.append(
                ("tiny", f"it shows {area:.1%} of the input: lower the localizer's learning rate")
            )
        elif area > HUGE:
            found.append(
                ("huge", f"the input is a speck in its output (1/{area:.0f}): lower `limit`")
            )
        if initial is not None:
            off = (parameters - initial).abs() > 0.97 * limit
            if off.float().mean().item() > SATURATED:
                found.append(
                    ("saturated", "nearly all its parameters are at their limit: raise `limit`")
                )
        return found


@torch.no_grad()
def _idle(last: Aligned) -> str | None:
    """What a transformer does that does the same to all pictures; None if it does not."""
    grid = last.grid.float()
    if len(grid) < 2:
        return None
    mean = grid.mean(dim=0)
    if _distance(grid, mean) > IDLE:
        return None
    does = "the same to all pictures"
    if _distance(mean, target_grid(grid.shape[2:-1], grid)) <= IDLE:
        does = "nothing: its output is its input"
    return (
        f"it does {does}: look for hidden units that are zero for all pictures (leaky ReLU or "
        "batch norm in the localizer), and train the rest more slowly"
    )


def _distance(grids: Tensor, other: Tensor) -> float:
    """Between grids, r.m.s. over points and pictures, normalised coordinates."""
    return float((grids - other).square().sum(dim=-1).mean().sqrt())


def _area(grid: Tensor) -> float:
    """Median extent of the grids, as a share of the input's: product of the sides' lengths."""
    flat = grid.flatten(2, -2)
    span = (flat.amax(dim=2) - flat.amin(dim=2)) / 2
    return float(span.prod(dim=-1).median())
