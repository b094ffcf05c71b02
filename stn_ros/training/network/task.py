"""Trains the shipped network with PyTorch Lightning: resumable, timed, on CPU or GPU.

The length of a training is given in minutes, and the learning rate follows the time spent, so a
run interrupted anywhere goes on where it was. Lightning brings checkpoints, mixed precision, the
averaging of weights and TensorBoard's log.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, Timer, WeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn
from tqdm import tqdm

from stn_ros.localization.network import STRIDE, LocalizationNetwork, Motion
from stn_ros.training.network.data import NetworkData, TrainingSettings
from stn_ros.training.network.export import load_weights
from stn_ros.training.network.objective import objective
from stn_ros.training.network.samples import STAGES

EMA_DECAY = 0.998
LAST = "last.ckpt"
ERROR = "corner error px"
"""Logged by stage: the median of a batch."""
_GRADIENT = 2.0  # norm that gradients are cut to
_WARM_STEPS, _WARM_SHARE = 200, 0.05


class NetworkTask(lightning.LightningModule):
    """A `LocalizationNetwork`, and how it learns.

    Args:
        settings: see there. clock: of the training.

    Attributes:
        network: the average over the last steps once a training has ended.
        steps, samples: so far, of all runs. trained_on: the devices that ran it, in words, and
            what rendered.
    """

    def __init__(self, settings: TrainingSettings, clock: Timer) -> None:
        super().__init__()
        self.settings = replace(settings, faces=(), sightings=())  # the average copies all of this
        self.clock = clock
        self.network = LocalizationNetwork()
        if settings.start is not None:
            self.network.load_state_dict(load_weights(settings.start).state_dict())
        self.steps, self.samples = 0, 0
        self.trained_on: list[str] = []

    @property
    def share(self) -> float:
        """Of the time that is spent."""
        return min(1.0, self.clock.time_elapsed() / (self.settings.minutes * 60))

    def on_train_start(self) -> None:
        """Note the device."""
        on_gpu = self.device.type == "cuda"
        name = torch.cuda.get_device_name(self.device) if on_gpu else "CPU"
        said = f"{name}, rendered by {self.settings.rendered_by(self.device)}"
        self.trained_on = list(dict.fromkeys([*self.trained_on, said]))

    def on_train_batch_start(self, batch: tuple[int, list[Tensor]], batch_idx: int) -> None:
        """Set the learning rate; keep the batch statistics from `norm_share` on."""
        rate = self.settings.learning_rate * schedule(self.steps, self.share)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate
        self.network.train()
        if self.share >= self.settings.norm_share:
            for module in self.network.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.eval()

    def training_step(self, batch: tuple[int, list[Tensor]], batch_idx: int) -> Tensor:
        """The loss of a batch, see `data.NetworkData`."""
        index, (reference, patch, motion, related, present) = batch
        answer = self.network(reference, patch)
        losses = objective(answer, motion, related, present, STRIDE)
        self.steps += 1
        self.samples += len(reference)
        self.log("loss", losses.total)
        if len(losses.after):
            self.log(f"{ERROR}/{STAGES[index].name}", losses.after.median())
        return losses.total

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Cut the gradients, and learn nothing from one that is not finite."""
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), _GRADIENT)
        if not torch.isfinite(norm):
            optimizer.zero_grad(set_to_none=True)

    def validation_step(self, batch: tuple[str, list[Tensor]], batch_idx: int) -> None:
        """Held-out figures of a stage."""
        name, tensors = batch
        found = figures(self.network, tensors)
        self.log_dict({f"held-out {key}/{name}": v for key, v in found.items()}, batch_size=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW; its rate is set before each step."""
        return torch.optim.AdamW(
            self.network.parameters(),
            lr=self.settings.learning_rate,
            weight_decay=1e-4,
            fused=self.device.type == "cuda",
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """How far it is goes with the weights."""
        checkpoint["so far"] = [self.steps, self.samples, self.trained_on]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """See `on_save_checkpoint`."""
        self.steps, self.samples, self.trained_on = checkpoint["so far"]

    def on_train_end(self) -> None:
        """The last checkpoint, whatever the clock says of the next."""
        self.trainer.save_checkpoint(self.settings.folder / LAST)


class _Bar(Callback):
    """Time spent and left, rate and errors."""

    def __init__(self, task: NetworkTask) -> None:
        self._task = task
        self._recent: dict[str, float] = {}

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:  # noqa: ANN401
        """Begin where an earlier run ended."""
        task = self._task
        self._begun = task.samples, task.clock.time_elapsed()
        self._bar = tqdm(
            total=round(task.settings.minutes * 60),
            initial=round(task.clock.time_elapsed()),
            unit="s",
            desc=f"on {trainer.strategy.root_device}",
            mininterval=2,
            bar_format="{l_bar}{bar}| {n:.0f}/{total:.0f} s {postfix}",
        )

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: Any,  # noqa: ANN401
        outputs: Any,  # noqa: ANN401
        batch: tuple[int, list[Tensor]],
        batch_idx: int,
    ) -> None:
        """Move on."""
        task, seconds = self._task, self._task.clock.time_elapsed()
        stage = STAGES[batch[0]].name
        error = trainer.callback_metrics.get(f"{ERROR}/{stage}")
        if error is not None:
            recent = self._recent.get(stage, float(error))
            self._recent[stage] = 0.98 * recent + 0.02 * float(error)
        self._bar.update(min(seconds, self._bar.total) - self._bar.n)
        if task.steps % 20 == 0:
            rate = (task.samples - self._begun[0]) / max(1e-9, seconds - self._begun[1])
            errors = ", ".join(f"{name} {recent:.2f}" for name, recent in self._recent.items())
            self._bar.set_postfix_str(
                f"step {task.steps}, {rate:.0f} samples/s, {ERROR} {errors}", refresh=False
            )

    def on_train_end(self, trainer: lightning.Trainer, *_: Any) -> None:  # noqa: ANN401
        """Leave it as it is."""
        self._bar.close()


def train(
    settings: TrainingSettings,
    progress: bool = True,
    held_out: Mapping[str, list[Tensor]] | None = None,
) -> NetworkTask:
    """Train until `settings.minutes` are spent, all runs of `settings.folder` counted.

    At least one step is taken, unless an earlier run has spent them.

    Args:
        progress: show a bar. held_out: what is checked on, see `data.held_out_batches`;
            None checks nothing.

    Returns:
        The task; its network is the average over the last steps, in evaluation mode, on the CPU.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    lightning.seed_everything(settings.seed, workers=True, verbose=False)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    data = NetworkData(settings, held_out or {})
    clock = Timer(timedelta(minutes=settings.minutes), verbose=False)
    task = NetworkTask(settings, clock)
    saver = ModelCheckpoint(
        settings.folder,
        filename=Path(LAST).stem,
        train_time_interval=timedelta(seconds=settings.checkpoint_every),
        enable_version_counter=False,
    )
    average = WeightAveraging(use_buffers=False, multi_avg_fn=average_weights)
    trainer = lightning.Trainer(
        max_epochs=-1,
        default_root_dir=settings.folder,
        accelerator="gpu" if torch.cuda.is_available() else "cpu",
        devices=1,
        precision="bf16-mixed",
        logger=TensorBoardLogger(settings.folder, name="log", version=""),
        callbacks=[clock, average, saver, *([_Bar(task)] if progress else [])],
        val_check_interval=timedelta(seconds=settings.check_every) if held_out else None,
        limit_val_batches=None if held_out else 0,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    last = settings.folder / LAST
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Checkpoint directory .* is not empty")
        warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")
        # Where the device renders there are none, by design.
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        trainer.fit(
            task, datamodule=data, ckpt_path=last if last.exists() else None, weights_only=True
        )
    task.network.cpu().eval()
    return task


@torch.no_grad()
def figures(network: LocalizationNetwork, tensors: list[Tensor]) -> dict[str, float]:
    """How a network does on samples of one stage: `data.held_out_batches`."""
    device = next(network.parameters()).device
    network.eval()
    reference, patch, motion, related, present = (tensor.to(device) for tensor in tensors)
    parts = zip(reference.split(32), patch.split(32), strict=True)
    answers = [network(*part) for part in parts]
    answer = Motion(*(torch.cat(each) for each in zip(*answers, strict=True)))
    losses = objective(answer, motion, related, present, STRIDE)
    known = present >= 0
    right = ((answer.present > 0) == (present == 1))[known].float().mean()
    return {
        "before_px": float(losses.before.median()),
        "after_px": float(losses.after.median()),
        "after_p90_px": float(losses.after.quantile(0.9)),
        "flow": float(losses.flow),
        "present_right": float(right),
    }


def schedule(steps: int, share: float) -> float:
    """The learning rate after `steps` and a share of the time, as a factor of its peak.

    It grows over 200 steps or a twentieth of the time, whichever is shorter, and falls along a
    cosine to 1 %.
    """
    warmth = max((steps + 1) / _WARM_STEPS, share / _WARM_SHARE)
    return min(1.0, warmth) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))


def average_weights(averaged: list[Tensor], current: list[Tensor], number: Tensor | int) -> None:
    """Exponential; of the first steps, a shorter one."""
    decay = min(EMA_DECAY, (1 + int(number)) / (10 + int(number)))
    get_ema_multi_avg_fn(decay)(averaged, current, number)
