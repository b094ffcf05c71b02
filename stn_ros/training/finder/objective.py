"""What the finder learns: to find each face's reference among many, and each face in a frame."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from stn_ros.localization.finder import Cells

CENTRE = 5
"""Row and column of a crop's middle cell."""
_FOCUS = 2.0


class Truth(NamedTuple):
    """The fields of `samples.FinderBatch` but the pictures, as tensors."""

    crop_face: Tensor
    picture: Tensor
    row: Tensor
    column: Tensor
    face: Tensor
    crop: Tensor
    rivals: Tensor
    outline: Tensor
    ignored: Tensor


class Losses(NamedTuple):
    """Parts of the loss, and how often the own crop was the nearest of all (`first`).

    Attributes:
        named: of a face's cell, which reference it is. located: of a reference, where it is.
        centred: which cells are centres. outline: of the outlines. total: their weighted sum.
    """

    named: Tensor
    located: Tensor
    centred: Tensor
    outline: Tensor
    first: Tensor
    total: Tensor


def crop_embeddings(cells: Cells) -> Tensor:
    """(N, C) of pictures made of 3 x 2 crops: (P, C, 22, 33) -> (6 P, C), as they were laid."""
    side = 2 * CENTRE + 1
    middles = cells.embedding[:, :, CENTRE::side, CENTRE::side]
    return middles.flatten(2).transpose(1, 2).flatten(0, 1)


def objective(
    cells: Cells, crops: Tensor, truth: Truth, bank: Tensor, bank_face: Tensor, sharpness: Tensor
) -> Losses:
    """The losses of a batch.

    Args:
        cells: of the pictures. crops: (M, C) embeddings of the crops. truth: of the batch.
        bank: (B, C) embeddings of earlier crops, no gradient. bank_face: (B,) their faces.
        sharpness: factor on inner products (inverse temperature of InfoNCE, van den Oord 2018).
    """
    own = cells.embedding[truth.picture, :, truth.row, truth.column]
    to_crops = sharpness * own @ crops.T
    # Its own crop, all its rivals, and earlier crops of other faces.
    silent = ~truth.rivals
    silent = silent.scatter(1, truth.crop[:, None], False)
    logits = to_crops.masked_fill(silent, -1e4)
    if len(bank):
        same = (bank_face[None] == truth.face[:, None]) | (-bank_face - 1 == truth.face[:, None])
        logits = torch.cat([logits, (sharpness * own @ bank.T).masked_fill(same, -1e4)], dim=1)
    named = functional.cross_entropy(logits, truth.crop)
    first = (logits.argmax(dim=1) == truth.crop).float().mean()

    # Where a reference is, among all cells but those beside it and those of the same face.
    everywhere = cells.embedding.permute(0, 2, 3, 1).flatten(0, 2)
    to_cells = sharpness * crops[truth.crop] @ everywhere.T
    _, height, width = truth.ignored.shape
    index = (truth.picture * height + truth.row) * width + truth.column
    beside = torch.zeros_like(to_cells, dtype=torch.bool)
    for down in (-2, -1, 0, 1, 2):
        for right_ in (-2, -1, 0, 1, 2):
            rows = (truth.row + down).clamp(0, height - 1)
            columns = (truth.column + right_).clamp(0, width - 1)
            near = (truth.picture * height + rows) * width + columns
            beside.scatter_(1, near[:, None], True)
    same_face = truth.face[:, None] == truth.face[None]
    beside.scatter_(1, index[None].expand(len(index), -1), same_face)
    beside.scatter_(1, index[:, None], False)
    located = functional.cross_entropy(to_cells.masked_fill(beside, -1e4), index)

    target = torch.zeros_like(cells.centred)
    target[truth.picture, truth.row, truth.column] = 1.0
    asked = (~truth.ignored).float()
    asked[truth.picture, truth.row, truth.column] = 1.0
    chance = torch.sigmoid(cells.centred)
    missed = (target - chance).abs().pow(_FOCUS)
    entropy = functional.binary_cross_entropy_with_logits(cells.centred, target, reduction="none")
    weight = torch.where(target > 0, 3.0, 1.0)
    centred = (entropy * missed * weight * asked).sum() / max(1, len(index))

    seen = cells.outline[truth.picture, :, truth.row, truth.column]
    outline = functional.smooth_l1_loss(seen, truth.outline, beta=0.1)
    total = named + 0.5 * located + 0.3 * centred + outline
    return Losses(named, located, centred, outline, first, total)
