"""Training of the finder: Lightning's loop, checkpoints, held-out figures."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import cv2
import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, Timer, WeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from tqdm import tqdm

from stn_ros.localization.finder import (
    STRIDE,
    Cells,
    Description,
    FinderNetwork,
    neighbourhoods,
)
from stn_ros.training.finder.objective import Losses, Truth, objective, places
from stn_ros.training.finder.samples import CROP, MOSAIC, FinderBatch, FinderSamples
from stn_ros.training.network.task import LAST, average_weights, schedule

PICTURES, CROPS = 10, 108
LIKELIEST = 24
"""Cells of a picture that are looked at beside those of its faces."""
HELD_OUT_SEED = 515_151
HELD_OUT_BATCHES = 12
CONNECTED_SHARE = 0.3
"""Of the learning rate, for the fully connected part."""
_GRADIENT = 5.0


@dataclass(frozen=True)
class FinderSettings:
    """A training run.

    Attributes:
        folder: of checkpoint and log. minutes: of all its runs together, checks included.
        learning_rate: at the start; falls along a cosine. seed: of weights and data.
        workers: processes that render. threads: of the network, 0 = all.
        batch_factor: a batch has so many times the usual pictures; for a GPU.
        start: weights to begin from, a file that `save_weights` wrote; None begins at random.
        checkpoint_every, check_every: seconds.
    """

    folder: Path
    minutes: float
    learning_rate: float = 1e-3
    seed: int = 1
    workers: int = 1
    threads: int = 0
    batch_factor: int = 1
    start: Path | None = None
    checkpoint_every: float = 60.0
    check_every: float = 300.0


class FinderTask(lightning.LightningModule):
    """A `FinderNetwork`, and how it learns.

    Args:
        settings: see there. clock: of the training.

    Attributes:
        network: the average over the last steps once a training has ended.
        steps: so far, of all runs.
    """

    def __init__(self, settings: FinderSettings, clock: Timer) -> None:
        super().__init__()
        self.settings = settings
        self.clock = clock
        self.network = FinderNetwork()
        if settings.start is not None:
            self.network.load_state_dict(read_weights(settings.start))
        self.log_sharpness = torch.nn.Parameter(torch.tensor(2.7))
        self.steps = 0

    @property
    def share(self) -> float:
        """Of the time that is spent."""
        return min(1.0, self.clock.time_elapsed() / (self.settings.minutes * 60))

    def losses(self, batch: list[Tensor]) -> Losses:
        """Losses of a batch (`to_tensors`)."""
        pictures, crops, *rest = batch
        truth = Truth(*rest)
        cells = self.network.cells(torch.cat([pictures, mosaics(crops)]))
        in_pictures = Cells(*(part[: len(pictures)] for part in cells))
        seen = places(in_pictures, truth, LIKELIEST)
        middle = torch.arange(len(crops), device=crops.device)
        side, (across, down) = CROP // STRIDE, MOSAIC
        around = neighbourhoods(
            cells.features,
            torch.cat([seen.picture, len(pictures) + middle // (across * down)]),
            torch.cat([seen.row, middle // across % down * side + side // 2]),
            torch.cat([seen.column, middle % across * side + side // 2]),
        )
        said = self.network.describe(around)
        known = said.embedding[len(seen.row) :]
        of_pictures = Description(*(part[: len(seen.row)] for part in said))
        sharpness = self.log_sharpness.clamp(max=3.7).exp()
        return objective(in_pictures, seen, of_pictures, known, truth, sharpness)

    def on_train_batch_start(self, batch: list[Tensor], batch_idx: int) -> None:
        """Set the learning rate."""
        rate = self.settings.learning_rate * schedule(self.steps, self.share)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate * group["share"]

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """The loss of a batch."""
        losses = self.losses(batch)
        self.steps += 1
        self.log_dict({name: value.detach() for name, value in losses._asdict().items()})
        return losses.total

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Cut the gradients, and learn nothing from one that is not finite."""
        norm = torch.nn.utils.clip_grad_norm_(self.parameters(), _GRADIENT)
        if not torch.isfinite(norm):
            optimizer.zero_grad(set_to_none=True)

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        """Held-out figures."""
        losses = self.losses(batch)
        self.log_dict(
            {f"held-out {name}": value for name, value in losses._asdict().items()}, batch_size=1
        )

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW; its rates are set before each step.

        The fully connected part sums over a thousand inputs: it bears a smaller one.
        """
        connected = list(self.network.description.parameters())
        others = [p for p in self.parameters() if all(p is not own for own in connected)]
        return torch.optim.AdamW(
            [
                {"params": others, "share": 1.0},
                {"params": connected, "share": CONNECTED_SHARE},
            ],
            lr=self.settings.learning_rate,
            weight_decay=1e-3,
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """How far it is goes with the weights."""
        checkpoint["so far"] = [self.steps]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """See `on_save_checkpoint`."""
        (self.steps,) = checkpoint["so far"]

    def on_train_end(self) -> None:
        """The last checkpoint, whatever the clock says of the next."""
        self.trainer.save_checkpoint(self.settings.folder / LAST)


class _Stream(IterableDataset[list[Tensor]]):
    def __init__(self, seed: int, factor: int) -> None:
        self._seed, self._factor = seed, factor

    def __iter__(self) -> Iterator[list[Tensor]]:
        cv2.setNumThreads(1)
        worker = get_worker_info()
        samples = FinderSamples(self._seed * 1000 + (worker.id if worker else 0))
        while True:
            yield to_tensors(samples.batch(PICTURES * self._factor, CROPS * self._factor))


class _Bar(Callback):
    """Time spent and left, and how often the own reference is the nearest."""

    def __init__(self, task: FinderTask) -> None:
        self._task = task
        self._recent: dict[str, float] = {}

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:  # noqa: ANN401
        """Begin where an earlier run ended."""
        self._bar = tqdm(
            total=round(self._task.settings.minutes * 60),
            initial=round(self._task.clock.time_elapsed()),
            unit="s",
            desc=f"on {trainer.strategy.root_device}",
            mininterval=2,
            bar_format="{l_bar}{bar}| {n:.0f}/{total:.0f} s {postfix}",
        )

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:  # noqa: ANN401
        """Move on."""
        seconds = self._task.clock.time_elapsed()
        for name in ("named", "located", "centred", "outline", "first"):
            value = float(trainer.callback_metrics[name])
            self._recent[name] = 0.98 * self._recent.get(name, value) + 0.02 * value
        self._bar.update(min(seconds, self._bar.total) - self._bar.n)
        if self._task.steps % 20 == 0:
            said = ", ".join(f"{name} {value:.3f}" for name, value in self._recent.items())
            held_out = trainer.callback_metrics.get("held-out first")
            if held_out is not None:
                said += f", held-out first {float(held_out):.3f}"
            self._bar.set_postfix_str(f"step {self._task.steps}, {said}", refresh=False)

    def on_train_end(self, trainer: lightning.Trainer, *_: Any) -> None:  # noqa: ANN401
        """Leave it as it is."""
        self._bar.close()


class _Saver(Callback):
    """The averaged weights, beside the checkpoint, at every check."""

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:  # noqa: ANN401
        """Write them."""
        save_weights(pl_module.network, pl_module.settings.folder / "weights.npz")


def train(settings: FinderSettings, progress: bool = True) -> FinderTask:
    """Train until `settings.minutes` are spent, all runs of `settings.folder` counted.

    Returns:
        The task; its network is the average over the last steps, in evaluation mode, on the CPU.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    lightning.seed_everything(settings.seed, workers=True, verbose=False)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    clock = Timer(timedelta(minutes=settings.minutes), verbose=False)
    task = FinderTask(settings, clock).to(memory_format=torch.channels_last)
    saver = ModelCheckpoint(
        settings.folder,
        filename=Path(LAST).stem,
        train_time_interval=timedelta(seconds=settings.checkpoint_every),
        enable_version_counter=False,
    )
    average = WeightAveraging(use_buffers=False, multi_avg_fn=average_weights)
    last = settings.folder / LAST
    on_gpu = torch.cuda.is_available()
    trainer = lightning.Trainer(
        max_epochs=-1,
        default_root_dir=settings.folder,
        accelerator="gpu" if on_gpu else "cpu",
        devices=1,
        precision="bf16-mixed" if on_gpu else "32-true",
        logger=TensorBoardLogger(settings.folder, name="log", version=""),
        callbacks=[clock, average, saver, _Saver(), *([_Bar(task)] if progress else [])],
        val_check_interval=timedelta(seconds=settings.check_every),
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    stream = _Stream(settings.seed + _steps(last), settings.batch_factor)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Checkpoint directory .* is not empty")
        warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        trainer.fit(
            task,
            DataLoader(
                stream,
                batch_size=None,
                num_workers=settings.workers,
                prefetch_factor=4 if settings.workers else None,
            ),
            DataLoader(held_out_batches(), batch_size=None),  # type: ignore[arg-type]
            ckpt_path=last if last.exists() else None,
            weights_only=True,
        )
    task.network.cpu().eval()
    return task


def held_out_batches() -> list[list[Tensor]]:
    """The same held-out batches at every call."""
    samples = FinderSamples(HELD_OUT_SEED, split="held_out", faces=200)
    return [to_tensors(samples.batch(PICTURES, CROPS)) for _ in range(HELD_OUT_BATCHES)]


@torch.no_grad()
def held_out_figures(task: FinderTask) -> dict[str, float]:
    """The losses on `held_out_batches`, means, by name."""
    task.network.eval()
    found = [task.losses(batch) for batch in held_out_batches()]
    return {
        name: float(np.mean([float(getattr(losses, name)) for losses in found]))
        for name in Losses._fields
    }


def to_tensors(batch: FinderBatch) -> list[Tensor]:
    """The fields of a batch in their order."""
    return [torch.from_numpy(np.ascontiguousarray(array)) for array in vars(batch).values()]


def mosaics(crops: Tensor) -> Tensor:
    """(M, S, S, 3) crops -> pictures of as many as `MOSAIC` says, row by row."""
    across, down = MOSAIC
    rows = crops.reshape(-1, down, across, CROP, CROP, 3).permute(0, 1, 3, 2, 4, 5)
    return rows.reshape(-1, down * CROP, across * CROP, 3)


def save_weights(network: FinderNetwork, path: Path) -> None:
    """Write the weights as plain arrays."""
    with path.with_suffix(".new").open("wb") as file:
        np.savez(file, **{name: w.cpu().numpy() for name, w in network.state_dict().items()})
    path.with_suffix(".new").replace(path)


def read_weights(path: Path) -> dict[str, Tensor]:
    """What `save_weights` wrote."""
    with np.load(path) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def _steps(last: Path) -> int:
    """Steps of a checkpoint, so that each run sees other data."""
    if not last.exists():
        return 0
    return int(torch.load(last, weights_only=True)["so far"][0])
