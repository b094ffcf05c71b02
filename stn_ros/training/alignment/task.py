"""Trains a Spatial Transformer by a recipe, with PyTorch Lightning.

Lightning brings checkpoints, resuming, mixed precision, several processes or GPUs, the progress bar
and TensorBoard's log; what is learnt from what is here.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Literal

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from stn_ros.runtime.object_model import ObjectModel
from stn_ros.training.alignment.data import (
    AROUND,
    SIDE,
    TEMPLATE,
    Views,
    render_views,
    template,
)
from stn_ros.training.alignment.labels import Refiner, checked, matched
from stn_ros.training.alignment.losses import (
    box_loss,
    congealing_loss,
    corner_errors,
    corner_loss,
    drift_loss,
    photometric_loss,
)
from stn_ros.training.alignment.recipe import Recipe
from stn_ros.transformer.families import (
    Affine,
    MatrixFamily,
    Projective,
    Similarity,
    Translation,
)
from stn_ros.transformer.module import CompositionalTransformer, in_frame_penalty, parameter_groups
from stn_ros.transformer.monitor import CollapseMonitor

FAMILIES: dict[str, type[MatrixFamily]] = {
    "translation": Translation,
    "similarity": Similarity,
    "affine": Affine,
    "projective": Projective,
}
LIMIT = 0.8
"""Of each parameter in one step, see `families.Family`."""
FEATURES = 128
LAST = "last.ckpt"
Precision = Literal["32-true", "16-mixed", "bf16-mixed"]
_CHECK_EVERY = 50  # steps between looks at the transformer's health


def build(recipe: Recipe, size: tuple[int, int] | None = None) -> CompositionalTransformer:
    """The untrained transformer of a recipe: (N, 3, SIDE, SIDE) -> (N, 3, TEMPLATE, TEMPLATE).

    Args:
        size: (width, height) of the face. With it, the first step begins with the face as large as
            the detector's box says, upright and square-on, as near to it as the family comes; else
            with the whole cut-out.
    """
    localizers = [_localizer() for _ in range(recipe.steps)]
    family = FAMILIES[recipe.family](limit=LIMIT)
    layer = CompositionalTransformer(localizers, FEATURES, family, (TEMPLATE, TEMPLATE))
    if size is not None:
        extent = torch.tensor(size) / (max(size) * AROUND)
        start = family.parameters_of(torch.diag(torch.cat([extent, torch.ones(1)]))[None])[0]
        head = layer.heads[0]
        assert isinstance(head, nn.Linear)
        with torch.no_grad():  # through the inverse of `Family.bounded`
            head.bias.copy_(family.limit * torch.atanh(start / family.limit))
    return layer


def _localizer() -> nn.Module:
    """Four strided convolutions of whatever is in the frame now, and a hidden layer."""
    widths = (3, 24, 32, 48, 64)
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(8, after), nn.ReLU()]
    flat = nn.Flatten()
    cells = (TEMPLATE // 16) ** 2
    return nn.Sequential(*layers, flat, nn.Linear(widths[-1] * cells, FEATURES), nn.ReLU())


class AlignmentTask(lightning.LightningModule):
    """A transformer, and what its recipe teaches it with.

    Args:
        recipe: what to do. reference: (3, TEMPLATE, TEMPLATE) 0..1, the face square-on.
        symmetry: rotations of the object that look alike, degrees. size: see `build`.
    """

    def __init__(
        self,
        recipe: Recipe,
        reference: Tensor,
        symmetry: tuple[int, ...] = (),
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.recipe = recipe
        self.symmetry = symmetry
        self.transformer = build(recipe, size)
        self.refiner = Refiner(reference)
        self.reference: Tensor
        self.register_buffer("reference", reference)
        self._monitor = CollapseMonitor(self.transformer)

    def corners(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, SIDE, SIDE) uint8 -> aligned pictures and corners (N, steps, 4, 2), normalised."""
        output = self.transformer(pictures.float() / 255)
        assert self.transformer.last is not None
        square = output.new_tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
        found = self.transformer.last.parameters
        mapped = self.transformer.family.map(found.flatten(0, 1), square)
        return output, mapped.reshape(*found.shape[:2], 4, 2)

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        """The loss of a batch of `Views`."""
        views = Views(*batch)
        output, corners = self.corners(views.pictures)
        loss = self._loss(views, output, corners)
        loss = loss + self.recipe.penalty * in_frame_penalty(self.transformer)
        error = corner_errors(corners[:, -1].detach(), views.corners, self.symmetry)
        self.log("loss", loss, prog_bar=True, sync_dist=True)
        self.log("corner error px", error.median() * SIDE / 2, prog_bar=True)
        if index % _CHECK_EVERY == 0:
            for trouble in self._monitor.check():
                self.print(trouble)
        return loss

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        """Corner errors of held-out views, pixels of the cut-out."""
        views = Views(*batch)
        _, corners = self.corners(views.pictures)
        errors = corner_errors(corners[:, -1], views.corners, self.symmetry) * SIDE / 2
        self.log("held-out corner error px", errors.median(), prog_bar=True)
        self.log("held-out p90 px", errors.quantile(0.9))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam, its rate falling along a cosine; everything here localizes, so all learn alike."""
        groups = parameter_groups(self, self.recipe.learning_rate, localizer_share=1.0)
        optimizer = torch.optim.Adam(groups)
        steps = self.trainer.estimated_stepping_batches

        def share(step: int) -> float:
            return 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _loss(self, views: Views, output: Tensor, corners: Tensor) -> Tensor:
        recipe = self.recipe
        if recipe.strategy == "congealing":
            return congealing_loss(output) + drift_loss(corners[:, -1])
        known, share = views.labelled, 1 / len(output)
        if recipe.strategy == "photometric":
            known = torch.zeros_like(known)
        loss = output.new_zeros(())
        if known.any():
            labels = views.labels[known]
            each = [self._label_loss(step[known], labels) for step in corners.unbind(dim=1)]
            loss = loss + known.sum() * share * torch.stack(each).mean()
        if known.all():
            return loss
        rest = ~known
        if recipe.trust < 1:
            refined = self.refiner(views.pictures.float() / 255, corners[:, -1].detach())
            sure = rest & (refined.mean_weight >= recipe.trust)
            rest = rest & ~sure
            if sure.any():
                labels = refined.corners[sure]
                each = [corner_loss(c[sure], labels, self.symmetry) for c in corners.unbind(dim=1)]
                loss = loss + sure.sum() * share * torch.stack(each).mean()
        if rest.any():
            unlike = photometric_loss(output[rest], self.reference)
            loss = loss + rest.sum() * share * recipe.unlabelled_weight * unlike
        return loss

    def _label_loss(self, corners: Tensor, labels: Tensor) -> Tensor:
        if self.recipe.strategy == "boxes":
            return box_loss(corners, torch.cat([labels.amin(dim=1), labels.amax(dim=1)], dim=1))
        return corner_loss(corners, labels, self.symmetry, self.recipe.doubt)


def leads() -> bool:
    """Whether this is the one process that speaks, of those that share a training."""
    return getattr(rank_zero_only, "rank", 0) == 0


def train(
    recipe: Recipe,
    model: ObjectModel,
    folder: Path,
    devices: int | None = None,
    precision: Precision = "32-true",
    progress: bool = True,
) -> dict[str, float]:
    """Render views and train by a recipe; see `fit`.

    Args:
        model: the object. devices: instead of the recipe's.

    Returns:
        Held-out figures, see `figures`.
    """
    if devices is not None:
        recipe = replace(recipe, devices=devices)
    shown = progress and leads()
    training = render_views(model, recipe, recipe.views, "train", shown)
    held_out = render_views(model, recipe, max(100, recipe.views // 10), "held_out", shown)
    return figures(fit(recipe, model, training, held_out, folder, precision, progress), held_out)


def fit(
    recipe: Recipe,
    model: ObjectModel,
    training: Views,
    held_out: Views,
    folder: Path,
    precision: Precision = "32-true",
    progress: bool = True,
) -> AlignmentTask:
    """Train on views, going on from the last checkpoint in `folder` if there is one.

    A checkpoint is written after each epoch, whole or not at all. However many devices share the
    batches, and wherever a run was cut off, the batches are the same.

    Args:
        model: the object. training, held_out: its views; what the recipe says on rendering and
            labels is not read here. folder: for checkpoints and TensorBoard's log. precision:
            Lightning's, such as "bf16-mixed".

    Raises:
        ValueError: there are fewer views than a batch takes.
    """
    if len(training.pictures) < recipe.batch:
        raise ValueError(
            f"{len(training.pictures)} views are less than a batch of {recipe.batch}: give more "
            "`views` or a smaller `batch`"
        )
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    task = AlignmentTask(recipe, template(model), model.symmetry, model.size)
    if recipe.strategy == "matching":
        training = matched(training, model, progress and leads())
    if recipe.strategy == "matching" or recipe.check:
        training = checked(training, task.refiner, recipe.trust)
    trainer = lightning.Trainer(
        max_epochs=recipe.epochs,
        default_root_dir=folder,
        accelerator="auto",
        devices=recipe.devices,
        precision=precision,
        logger=TensorBoardLogger(folder, name="log", version=""),
        callbacks=[ModelCheckpoint(folder, filename="last", enable_version_counter=False)],
        enable_progress_bar=progress,
        enable_model_summary=False,
        log_every_n_steps=1,
        use_distributed_sampler=False,
    )
    # Device i of n takes every n-th view of an order that all share: batches are made of the same
    # views for every n.
    data = TensorDataset(*training)
    order: DistributedSampler[tuple[Tensor, ...]] = DistributedSampler(
        data, trainer.world_size, trainer.global_rank, seed=recipe.seed, drop_last=True
    )
    share = recipe.batch // recipe.devices
    resumed = folder / LAST
    trainer.fit(
        task,
        DataLoader(data, share, sampler=order, drop_last=True),
        DataLoader(TensorDataset(*held_out), 256),
        ckpt_path=resumed if resumed.exists() else None,
        weights_only=True,
    )
    return task


@torch.no_grad()
def figures(task: AlignmentTask, views: Views) -> dict[str, float]:
    """Median and 90 % quantile of the corner error, pixels of the cut-out."""
    parts = zip(views.pictures.split(256), views.corners.split(256), strict=True)
    found = [
        corner_errors(
            task.corners(pictures.to(task.device))[1][:, -1], truth.to(task.device), task.symmetry
        )
        for pictures, truth in parts
    ]
    errors = torch.cat(found) * SIDE / 2
    return {
        "held-out corner error px": errors.median().item(),
        "held-out p90 px": errors.quantile(0.9).item(),
    }
