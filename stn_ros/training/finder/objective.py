"""What the finder learns: to find each face's reference among many, and each face in a frame."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from stn_ros.localization.finder import Cells, Description

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


class Places(NamedTuple):
    """Cells (K,) that are looked at: picture, row and column, and which face (of `Truth`, by its
    place there) has its centre in or beside each; -1 for none.
    """

    picture: Tensor
    row: Tensor
    column: Tensor
    target: Tensor


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


def places(cells: Cells, truth: Truth, likeliest: int) -> Places:
    """The cells to look at: each face's own, one beside it, and in each picture the likeliest.

    The likeliest within two cells of a face's centre are left out.
    """
    count, height, width = cells.centred.shape
    device = truth.row.device
    faces = len(truth.row)
    beside = torch.randint(-1, 2, (2, faces), device=device)
    row = torch.cat([truth.row, (truth.row + beside[0]).clamp(0, height - 1)])
    column = torch.cat([truth.column, (truth.column + beside[1]).clamp(0, width - 1)])
    picture = truth.picture.repeat(2)
    target = torch.arange(faces, device=device).repeat(2)
    score = cells.centred.detach().clone()
    for down in range(-2, 3):
        for across in range(-2, 3):
            rows = (truth.row + down).clamp(0, height - 1)
            columns = (truth.column + across).clamp(0, width - 1)
            score[truth.picture, rows, columns] = -torch.inf
    best = score.flatten(1).topk(likeliest, dim=1).indices.flatten()
    others = torch.arange(count, device=device).repeat_interleave(likeliest)
    return Places(
        torch.cat([picture, others]),
        torch.cat([row, best // width]),
        torch.cat([column, best % width]),
        torch.cat([target, torch.full_like(best, -1)]),
    )


def objective(
    cells: Cells,
    seen: Places,
    said: Description,
    crops: Tensor,
    truth: Truth,
    sharpness: Tensor,
) -> Losses:
    """The losses of a batch.

    Args:
        cells: of the pictures. seen: cells that were looked at, and what was `said` of them.
        crops: (M, C) embeddings of the crops. truth: of the batch.
        sharpness: factor on inner products (inverse temperature of InfoNCE, van den Oord 2018).
    """
    shown = seen.target >= 0
    target = seen.target[shown]
    own, crop, face = said.embedding[shown], truth.crop[target], truth.face[target]
    # Its own crop and all its rivals.
    silent = (~truth.rivals[target]).scatter(1, crop[:, None], False)
    logits = (sharpness * own @ crops.T).masked_fill(silent, -1e4)
    named = functional.cross_entropy(logits, crop)
    first = (logits.argmax(dim=1) == crop).float().mean()

    # Where a reference is, among all cells looked at but those of the same face.
    to_cells = sharpness * crops[crop] @ said.embedding.T
    of_cell = torch.where(shown, truth.face[seen.target.clamp(min=0)], -1)
    index = shown.nonzero()[:, 0]
    alike = (of_cell[None] == face[:, None]).scatter(1, index[:, None], False)
    located = functional.cross_entropy(to_cells.masked_fill(alike, -1e4), index)

    wanted = torch.zeros_like(cells.centred)
    wanted[truth.picture, truth.row, truth.column] = 1.0
    asked = (~truth.ignored).float()
    asked[truth.picture, truth.row, truth.column] = 1.0
    missed = (wanted - torch.sigmoid(cells.centred)).abs().pow(_FOCUS)
    entropy = functional.binary_cross_entropy_with_logits(cells.centred, wanted, reduction="none")
    weight = torch.where(wanted > 0, 3.0, 1.0)
    centred = (entropy * missed * weight * asked).sum() / max(1, len(truth.row))

    # From a cell beside the face's own, its centre is as much nearer or farther.
    shift = torch.stack(
        [
            truth.column[target] - seen.column[shown],
            truth.row[target] - seen.row[shown],
        ],
        dim=1,
    )
    outline = truth.outline[target].clone()
    outline[:, :2] += shift
    outlined = functional.smooth_l1_loss(said.outline[shown], outline, beta=0.1)
    total = named + 0.5 * located + 0.3 * centred + 2 * outlined
    return Losses(named, located, centred, outlined, first, total)
