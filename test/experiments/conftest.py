"""The experiments are scripts in a folder of their own; their tests import them from there."""

import dataclasses
import itertools
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
sys.path.append(str(EXPERIMENTS))

TORCH_MISSING = find_spec("torch") is None
collect_ignore_glob = ["test_*.py"] if TORCH_MISSING else []
if not TORCH_MISSING:
    import torch
    from fitting import fit


@pytest.fixture
def float64():
    """What is made is of 64 bits, so that rounding decides nothing."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def one_batch(monkeypatch):
    """Makes an experiment fit its first batch alone, in float64.

    How a training on ever new batches ends is luck; whether one batch is fitted is not. Called with
    the experiment's module and a number of steps, it gives a list to which each training adds the
    batch's loss before and after.
    """

    def make(module, steps):
        losses = []

        def overfit(model, batches, loss, _, learning_rate, localizer_share=1.0):
            batch = _in_float64(next(batches))
            was = torch.get_default_dtype()
            torch.set_default_dtype(torch.float64)
            try:
                model.double().train()
                before = loss(batch).item()
                fit(model, itertools.repeat(batch), loss, steps, learning_rate, localizer_share)
                losses.append((before, loss(batch).item()))
            finally:
                torch.set_default_dtype(was)
                model.to(was)
            return []

        monkeypatch.setattr(module, "fit", overfit)
        return losses

    return make


def _in_float64(batch):
    if isinstance(batch, torch.Tensor):
        return batch.double() if batch.is_floating_point() else batch
    if isinstance(batch, tuple):
        parts = [_in_float64(part) for part in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else tuple(parts)
    if dataclasses.is_dataclass(batch):
        return type(batch)(*(_in_float64(part) for part in vars(batch).values()))
    return batch
