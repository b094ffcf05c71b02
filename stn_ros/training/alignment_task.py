"""Trains a Spatial Transformer by a recipe, with PyTorch Lightning.

Lightning brings checkpoints, resuming, mixed precision, several processes or GPUs, the progress bar
and TensorBoard's log; what is learnt from what is here.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Literal

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from stn_ros.runtime.object_model import ObjectModel
from stn_ros.training.alignment_data import SIDE, TEMPLATE, Views, render_views, template
from stn_ros.training.alignment_losses import (
    box_loss,
    congealing_loss,
    corner_errors,
    corner_loss,
    drift_loss,
    photometric_loss,
)
from stn_ros.training.recipe import Recipe
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


def build(recipe: Recipe) -> CompositionalTransformer:
    """The untrained transformer of a recipe: (N, 3, SIDE, SIDE) -> (N, 3, TEMPLATE, TEMPLATE)."""
    localizers = [_localizer() for _ in range(recipe.steps)]
    family = FAMILIES[recipe.family](limit=LIMIT)
    return CompositionalTransformer(localizers, FEATURES, family, (TEMPLATE, TEMPLATE))


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
        symmetry: turns of the object that look alike, degrees.
    """

    def __init__(self, recipe: Recipe, reference: Tensor, symmetry: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.recipe = recipe
        self.symmetry = symmetry
        self.transformer = build(recipe)
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
        self.log("loss", loss, prog_bar=True)
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
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.recipe.epochs)
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def _loss(self, views: Views, output: Tensor, corners: Tensor) -> Tensor:
        recipe = self.recipe
        if recipe.strategy == "photometric":
            return photometric_loss(output, self.reference)
        if recipe.strategy == "congealing":
            return congealing_loss(output) + drift_loss(corners[:, -1])
        known = views.labelled
        loss = output.new_zeros(())
        if known.any():
            labels = views.labels[known]
            each = [self._label_loss(step[known], labels) for step in corners.unbind(dim=1)]
            loss = loss + torch.stack(each).mean()
        if not known.all():
            unlike = photometric_loss(output[~known], self.reference)
            loss = loss + recipe.unlabelled_weight * unlike
        return loss

    def _label_loss(self, corners: Tensor, labels: Tensor) -> Tensor:
        if self.recipe.strategy == "boxes":
            return box_loss(corners, torch.cat([labels.amin(dim=1), labels.amax(dim=1)], dim=1))
        return corner_loss(corners, labels, self.symmetry, self.recipe.doubt)


def train(
    recipe: Recipe,
    model: ObjectModel,
    folder: Path,
    devices: int = 1,
    precision: Precision = "32-true",
    progress: bool = True,
) -> dict[str, float]:
    """Train by a recipe, going on from the last checkpoint in `folder` if there is one.

    Args:
        model: the object. folder: for checkpoints and TensorBoard's log. devices: processes, or
            GPUs. precision: Lightning's, such as "bf16-mixed".

    Returns:
        Held-out figures: median and 90 % quantile of the corner error, pixels of the cut-out.
    """
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    task = AlignmentTask(recipe, template(model), model.symmetry)
    training = render_views(model, recipe, recipe.views, "train", progress)
    held_out = render_views(model, recipe, max(100, recipe.views // 10), "held_out", progress)
    trainer = lightning.Trainer(
        max_epochs=recipe.epochs,
        default_root_dir=folder,
        accelerator="auto",
        devices=devices,
        precision=precision,
        logger=TensorBoardLogger(folder, name="log", version=""),
        callbacks=[ModelCheckpoint(folder, filename="last", enable_version_counter=False)],
        enable_progress_bar=progress,
        enable_model_summary=False,
        log_every_n_steps=10,
    )
    resumed = folder / LAST
    trainer.fit(
        task,
        DataLoader(TensorDataset(*training), recipe.batch, shuffle=True, drop_last=True),
        DataLoader(TensorDataset(*held_out), 256),
        ckpt_path=resumed if resumed.exists() else None,
        weights_only=True,
    )
    figures = trainer.validate(task, DataLoader(TensorDataset(*held_out), 10_000), verbose=False)
    return {name: float(value) for name, value in figures[0].items()}
