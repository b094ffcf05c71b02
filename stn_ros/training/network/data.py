"""What the shipped network is trained on: batches rendered as it goes, by processes or a GPU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from stn_ros.synthesis.scene import LabelledFrame
from stn_ros.training.network.device_samples import device_batches
from stn_ros.training.network.samples import STAGES, Batch, SampleMaker

HELD_OUT_SEED = 424_242
HELD_OUT_SAMPLES = 192
RENDERERS = ("auto", "workers", "device")


@dataclass(frozen=True)
class TrainingSettings:
    """A training run.

    Attributes:
        folder: where checkpoint and log are kept. minutes: length of the whole training, checks
            included.
        learning_rate: at the start; falls to 1 % of it along a cosine.
        norm_share: share of the time from which the batch statistics are frozen, so that the
            stages, which have different ones, are trained as they will be run.
        start: network folder to begin from; None begins with random weights.
        seed: of weights and data. threads: of the network, 0 = all.
        renderer: who renders the samples, one of `RENDERERS`: worker processes with OpenCV, or the
            device that trains with PyTorch; "auto" is the device if it is a GPU.
        workers: processes that render; where the device does, that draw new faces for it (0: the
            first ones are used throughout).
        checkpoint_every, check_every: seconds.
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
    sightings: tuple[LabelledFrame, ...] = ()
    batch_factor: int = 1

    def __post_init__(self) -> None:
        if self.renderer not in RENDERERS:
            raise ValueError(f"renderer is {self.renderer!r}; use one of {', '.join(RENDERERS)}")
        if self.sightings and self.renderer == "device":
            raise ValueError("the device does not show sightings; use the renderer 'workers'")

    def rendered_by(self, device: torch.device) -> str:
        """Who renders where `device` trains: "workers" or "device"."""
        if self.renderer != "auto":
            return self.renderer
        return "device" if device.type == "cuda" and not self.sightings else "workers"


class _Stream(IterableDataset[tuple[int, list[Tensor]]]):
    """Batches of all stages in turn, each worker with a seed of its own."""

    def __init__(self, seed: int, settings: TrainingSettings) -> None:
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


class _DeviceStream(IterableDataset[tuple[int, list[Tensor]]]):
    """The same, rendered by a device; to be read in the process that trains."""

    def __init__(self, seed: int, settings: TrainingSettings, device: torch.device) -> None:
        self._arguments = seed, device, settings.faces, settings.workers, settings.batch_factor

    def __iter__(self) -> Iterator[tuple[int, list[Tensor]]]:
        return device_batches(*self._arguments)


class _Listed(Dataset[tuple[str, list[Tensor]]]):
    def __init__(self, items: list[tuple[str, list[Tensor]]]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> tuple[str, list[Tensor]]:
        return self._items[index]


class NetworkData(lightning.LightningDataModule):
    """Endless batches to train on, others in each run, and held-out samples of each stage.

    Args:
        settings: of the training. held_out: see `held_out_batches`; nothing is checked if empty.
    """

    def __init__(self, settings: TrainingSettings, held_out: Mapping[str, list[Tensor]]) -> None:
        super().__init__()
        self.settings = settings
        self._held_out = list(held_out.items())

    def train_dataloader(self) -> DataLoader[Any]:
        """Items are the index of a stage and the fields of `samples.Batch`, as tensors."""
        settings, trainer = self.settings, self.trainer
        assert trainer is not None
        seed, device = settings.seed + trainer.global_step, trainer.strategy.root_device
        if settings.rendered_by(device) == "device":
            return DataLoader(_DeviceStream(seed, settings, device), batch_size=None)
        return DataLoader(
            _Stream(seed, settings),
            batch_size=None,
            num_workers=settings.workers,
            prefetch_factor=4 if settings.workers else None,
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """Items are the name of a stage and its samples."""
        return DataLoader(_Listed(self._held_out), batch_size=None)


def to_tensors(batch: Batch) -> list[Tensor]:
    """The fields of a batch, in their order, without a copy."""
    return [
        torch.from_numpy(np.ascontiguousarray(array))
        for array in (batch.reference, batch.patch, batch.motion, batch.related, batch.present)
    ]


def held_out_batches() -> dict[str, list[Tensor]]:
    """The same held-out samples at every call, a batch for each stage."""
    maker = SampleMaker(HELD_OUT_SEED, split="held_out", faces=60)
    return {stage.name: to_tensors(maker.batch(stage, HELD_OUT_SAMPLES)) for stage in STAGES}
