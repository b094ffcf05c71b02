"""The training loop of the shipped network: batches rendered as it goes, resumable, timed.

The length of a training is given in minutes, and the learning rate follows the time spent, so a
run interrupted anywhere goes on where it was. A checkpoint holds everything that takes.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from tqdm import tqdm

from stn_ros.synthesis.scene import Sighting
from stn_ros.training.device_samples import device_batches
from stn_ros.training.export import load_weights
from stn_ros.training.objective import Losses, objective
from stn_ros.training.samples import STAGES, Batch, SampleMaker, Stage
from stn_ros.transformer.network import STRIDE, LocalizationNetwork

EMA_DECAY = 0.998
HELD_OUT_SEED = 424_242
HELD_OUT_SAMPLES = 192
RENDERERS = ("auto", "workers", "device")


@dataclass(frozen=True)
class Settings:
    """A training run.

    Attributes:
        folder: where checkpoint and log are kept. minutes: length of the whole training.
        learning_rate: at the start; falls to 1 % of it along a cosine.
        norm_share: share of the time from which the batch statistics are frozen, so that the
            stages, which have different ones, are trained as they will be run.
        start: network folder to begin from; None begins with random weights.
        seed: of weights and data. threads: of the network, 0 = all.
        renderer: who renders the samples, one of `RENDERERS`: worker processes with OpenCV, or the
            device that trains with PyTorch; "auto" is the device if it is a GPU.
        workers: processes that render; where the device does, that draw new faces for it (0: the
            first ones are used throughout).
        checkpoint_every, check_every: seconds; no checks at all if infinite.
        faces: BGR pictures of faces to be known above all, see `SampleMaker`.
        sightings: of the one face given, see `SampleMaker`; only worker processes show them, so
            "auto" is then the workers.
        batch_factor: a batch has so many times the samples of `STAGES`; for a GPU, which takes as
            long for one sample as for hundreds.
    """

    folder: Path
    minutes: float
    learning_rate: float = 1e-3
    norm_share: float = 0.25
    start: Path | None = None
    seed: int = 1
    renderer: str = "auto"
    workers: int = 2
    threads: int = 0
    checkpoint_every: float = 60.0
    check_every: float = 300.0
    faces: tuple[NDArray[np.uint8], ...] = ()
    sightings: tuple[Sighting, ...] = ()
    batch_factor: int = 1


class _Stream(IterableDataset[tuple[int, list[Tensor]]]):
    """Batches of all stages in turn, each worker with a seed of its own."""

    def __init__(self, seed: int, settings: Settings) -> None:
        self._seed = seed
        self._settings = settings

    def __iter__(self) -> Iterator[tuple[int, list[Tensor]]]:
        cv2.setNumThreads(1)
        worker = get_worker_info()
        seed = self._seed * 1000 + (worker.id if worker else 0)
        settings = self._settings
        maker = SampleMaker(seed, given=settings.faces, sightings=settings.sightings)
        order = [i for i, stage in enumerate(STAGES) for _ in range(stage.weight)]
        while True:
            for index in order:
                stage = STAGES[index]
                yield index, to_tensors(maker.batch(stage, settings.batch_factor * stage.batch))


def to_tensors(batch: Batch) -> list[Tensor]:
    """The fields of a batch, in their order, without a copy."""
    return [
        torch.from_numpy(np.ascontiguousarray(array))
        for array in (batch.reference, batch.patch, batch.motion, batch.related, batch.present)
    ]


class Trainer:
    """Trains a `LocalizationNetwork`; resumes from `settings.folder` if it holds a checkpoint.

    Attributes:
        network, average: as trained, and the average over the last steps, which is what is used.
        step, samples, spent: so far, of all runs; `spent` in seconds.
        trained_on: the devices that ran it, in words, with what rendered.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.renderer not in RENDERERS:
            raise ValueError(
                f"renderer is {settings.renderer!r}; use one of {', '.join(RENDERERS)}"
            )
        self.settings = settings
        settings.folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(settings.seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if settings.sightings and settings.renderer == "device":
            raise ValueError("the device does not show sightings; use the renderer 'workers'")
        on_gpu = self.device.type == "cuda" and not settings.sightings
        automatic = "device" if on_gpu else "workers"
        self.renderer = automatic if settings.renderer == "auto" else settings.renderer
        self.network = LocalizationNetwork().to(self.device)
        self.average = LocalizationNetwork().to(self.device).eval()
        self.average.load_state_dict(self.network.state_dict())
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=settings.learning_rate,
            weight_decay=1e-4,
            fused=self.device.type == "cuda",
        )
        self.step, self.samples, self.spent = 0, 0, 0.0
        self.trained_on: tuple[str, ...] = ()
        self._checkpoint = settings.folder / "checkpoint.pt"
        if self._checkpoint.exists():
            self._load()
        elif settings.start is not None:
            self.network.load_state_dict(load_weights(settings.start).state_dict())
            self.average.load_state_dict(self.network.state_dict())

    def run(self, progress: bool = True) -> None:
        """Train until `settings.minutes` are spent, all runs of this folder counted."""
        settings = self.settings
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self.trained_on = tuple(dict.fromkeys((*self.trained_on, self._machine())))
        held_out = held_out_batches() if math.isfinite(settings.check_every) else None
        total = settings.minutes * 60
        recent: dict[str, float] = {}
        saved = checked = last = time.monotonic()
        bar = tqdm(
            total=round(total),
            initial=round(self.spent),
            unit="s",
            disable=not progress,
            mininterval=2,
            bar_format="{l_bar}{bar}| {n:.0f}/{total:.0f} s {postfix}",
        )
        for index, tensors in self._batches():
            losses = self._train_step(STAGES[index], [t.to(self.device) for t in tensors])
            now = time.monotonic()
            self.spent += now - last
            bar.update(min(now - last, bar.total - bar.n))
            last = now
            name = STAGES[index].name
            error = float(losses.after.median()) if len(losses.after) else 0.0
            recent[name] = 0.98 * recent.get(name, error) + 0.02 * error
            if self.step % 20 == 0:
                rate = self.samples / max(self.spent, 1e-9)
                bar.set_postfix_str(
                    f"step {self.step}, {rate:.0f} samples/s, corner error px "
                    + ", ".join(f"{k} {v:.2f}" for k, v in recent.items()),
                    refresh=False,
                )
            done = self.spent >= total
            if held_out and (done or now - checked > settings.check_every):
                self._log(self.check(held_out))
                checked = last = time.monotonic()
            if done or now - saved > settings.checkpoint_every:
                self._save()
                saved = time.monotonic()
            if done:
                break
        bar.close()

    def check(self, batches: dict[str, list[Tensor]]) -> dict[str, dict[str, float]]:
        """Held-out figures of the averaged network, stage by stage."""
        figures = {}
        for stage in STAGES:
            with torch.no_grad():
                tensors = [t.to(self.device) for t in batches[stage.name]]
                reference, patch, motion, related, present = tensors
                answers = [
                    self.average(r, p)
                    for r, p in zip(reference.split(32), patch.split(32), strict=True)
                ]
                answer = type(answers[0])(
                    *(torch.cat(parts) for parts in zip(*answers, strict=True))
                )
                losses = objective(answer, motion, related, present, STRIDE)
                known = present >= 0
                right = ((answer.present > 0) == (present == 1))[known].float().mean()
                figures[stage.name] = {
                    "before_px": float(losses.before.median()),
                    "after_px": float(losses.after.median()),
                    "after_p90_px": float(losses.after.quantile(0.9)),
                    "flow": float(losses.flow),
                    "present_right": float(right),
                }
        return figures

    def _machine(self) -> str:
        on_gpu = self.device.type == "cuda"
        name = torch.cuda.get_device_name(self.device) if on_gpu else "CPU"
        return f"{name}, rendered by {self.renderer}"

    def _batches(self) -> Iterator[tuple[int, list[Tensor]]]:
        settings = self.settings
        seed = settings.seed + self.step
        if self.renderer == "device":
            return device_batches(
                seed, self.device, settings.faces, settings.workers, settings.batch_factor
            )
        loader = DataLoader(
            _Stream(seed, settings),
            batch_size=None,
            num_workers=settings.workers,
            prefetch_factor=4 if settings.workers else None,
        )
        return iter(loader)

    def _train_step(self, stage: Stage, tensors: list[Tensor]) -> Losses:
        share = min(1.0, self.spent / (self.settings.minutes * 60))
        rate = self.settings.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))
        rate *= min(1.0, (self.step + 1) / 200)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.network.train()
        if share >= self.settings.norm_share:
            for module in self.network.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.eval()
        reference, patch, motion, related, present = tensors
        with torch.autocast(self.device.type, torch.bfloat16):
            answer = self.network(reference, patch)
        losses = objective(
            type(answer)(*(part.float() for part in answer)), motion, related, present, STRIDE
        )
        self.optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        if torch.isfinite(norm):
            self.optimizer.step()
        with torch.no_grad():
            decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))
            slow, fast = (
                list(network.state_dict().values()) for network in (self.average, self.network)
            )
            floats = [tensor.dtype.is_floating_point for tensor in slow]
            get_ema_multi_avg_fn(decay)(
                list(compress(slow, floats)), list(compress(fast, floats)), self.step
            )
        self.step += 1
        self.samples += len(reference)
        return losses

    def _log(self, figures: dict[str, dict[str, float]]) -> None:
        line = {
            "step": self.step,
            "samples": self.samples,
            "minutes": round(self.spent / 60, 2),
            **figures,
        }
        with (self.settings.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")

    def _save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "samples": self.samples,
            "spent": self.spent,
            "trained_on": self.trained_on,
        }
        part = self._checkpoint.with_suffix(".part")
        torch.save(state, part)
        part.replace(self._checkpoint)

    def _load(self) -> None:
        state = torch.load(self._checkpoint, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.samples, self.spent = state["step"], state["samples"], state["spent"]
        self.trained_on = state["trained_on"]


def held_out_batches() -> dict[str, list[Tensor]]:
    """The same held-out samples at every call, a batch for each stage."""
    maker = SampleMaker(HELD_OUT_SEED, split="held_out", faces=60)
    return {stage.name: to_tensors(maker.batch(stage, HELD_OUT_SAMPLES)) for stage in STAGES}
