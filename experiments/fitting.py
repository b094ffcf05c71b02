"""The training loop that experiments with a loss per batch share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from stn_ros.transformer.module import parameter_groups
from stn_ros.transformer.monitor import CollapseMonitor

CHECKS = 10
"""How often in a training the collapse monitor looks."""


def fit(
    model: nn.Module,
    batches: Iterator[Any],
    loss: Callable[[Any], Tensor],
    steps: int,
    learning_rate: float,
    localizer_share: float = 1.0,
) -> list[str]:
    """Train in place: Adam, its rate rising over a tenth of the steps, then falling to zero.

    Args:
        batches: at least `steps` of whatever `loss` takes. loss: of a batch, a scalar; it runs
            `model`. learning_rate: the peak. localizer_share: of it, for the transformers.

    Returns:
        What the collapse monitor said.

    Raises:
        ValueError: the batches end too soon.
    """
    optimizer = torch.optim.Adam(parameter_groups(model, learning_rate, localizer_share))
    peaks = [group["lr"] for group in optimizer.param_groups]
    # Not 0.1: a rise of exactly one step, in ten, divides by zero.
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peaks, steps, pct_start=0.1001)
    monitor, said = CollapseMonitor(model), []
    model.train()
    with tqdm(total=steps, unit="step", leave=False) as bar:
        for step in range(1, steps + 1):
            batch = next(batches, None)
            if batch is None:
                raise ValueError(f"the batches ended after {step - 1} of {steps} steps")
            value = loss(batch)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()
            bar.update()
            if step % max(1, steps // CHECKS) == 0:
                bar.set_postfix(loss=f"{value.item():.3f}")
                said += [f"step {step}: {text}" for text in monitor.check()]
    return said


def weights(model: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
