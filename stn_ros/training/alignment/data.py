"""Views of one flat object, cut out as a detector would, with the corners to be found."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from stn_ros.geometry.homography import (
    apply,
    invert,
    normalised_to_pixel,
    to_corners,
)
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.sampling import FrameSampler
from stn_ros.synthesis.scene import SHARP, Conditions, render_frame
from stn_ros.synthesis.textures import Textures
from stn_ros.training.alignment.recipe import Recipe
from stn_ros.training.network.samples import jittered_box

SIDE = 96
"""Of the cut-out, pixels."""
TEMPLATE = 64
"""Side of the aligned picture, pixels: the face, squeezed to a square."""
AROUND = 1.25
"""Half-width of the cut-out in half-widths of the detector's box."""


class Views(NamedTuple):
    """N cut-outs.

    Attributes:
        pictures: (N, 3, SIDE, SIDE) uint8 BGR.
        corners: (N, 4, 2) where the face's corners TL, TR, BR, BL truly are, normalised.
        labels: (N, 4, 2) where the labels say they are. labelled: (N,) bool.
    """

    pictures: Tensor
    corners: Tensor
    labels: Tensor
    labelled: Tensor


def template(model: ObjectModel) -> Tensor:
    """(3, TEMPLATE, TEMPLATE) float 0..1 BGR: the reference as an aligned picture shows it."""
    to_face = normalised_to_pixel(model.size) @ invert(normalised_to_pixel((TEMPLATE, TEMPLATE)))
    picture = FrameSampler(model.reference).sample(to_face, (TEMPLATE, TEMPLATE))
    return torch.from_numpy(picture[..., :3].copy()).permute(2, 0, 1).float() / 255


def render_views(
    model: ObjectModel, recipe: Recipe, count: int, split: str = "train", progress: bool = True
) -> Views:
    """Render `count` views of an object as a recipe asks for, see `labelled`.

    Args:
        split: of the backgrounds, see `Textures`; "held_out" views are other ones and all labelled
            truly.
    """
    rng = np.random.default_rng([recipe.seed, split == "held_out"])
    textures = Textures(split)
    conditions = replace(
        SHARP,
        tilt=(0.0, recipe.tilt),
        roll=(-recipe.roll, recipe.roll),
        long_side=(90.0, 250.0),
        occluded_share=0.3,
    )
    pictures = np.empty((count, SIDE, SIDE, 3), np.uint8)
    corners = np.empty((count, 4, 2))
    for i in tqdm(range(count), desc=f"views, {split}", unit="view", disable=not progress):
        pictures[i], corners[i] = _view(rng, model, textures, conditions)
    exact = torch.from_numpy(corners).float()
    views = Views(
        torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(),
        exact,
        exact,
        torch.ones(count, dtype=torch.bool),
    )
    return labelled(views, recipe) if split == "train" else views


def labelled(views: Views, recipe: Recipe) -> Views:
    """Views with labels as few, noisy and wrong as a recipe asks for."""
    rng = np.random.default_rng([recipe.seed, 2])
    labels = views.corners.numpy()
    count = len(labels)
    known = rng.random(count) < recipe.labelled
    labels = labels + recipe.noise * rng.normal(size=labels.shape)
    wrong = np.flatnonzero(rng.random(count) < recipe.wrong)
    labels[wrong] = labels[rng.integers(0, count, len(wrong))]
    return views._replace(labels=torch.from_numpy(labels).float(), labelled=torch.from_numpy(known))


def _view(
    rng: np.random.Generator,
    model: ObjectModel,
    textures: Textures,
    conditions: Conditions,
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A cut-out and its corners."""
    rendered = render_frame(rng, model.reference, textures.background, conditions)
    left, top, width, height = jittered_box(rng, rendered.box)
    side = max(width, height) * AROUND
    centre = np.array([left + width / 2, top + height / 2])
    # Normalised cut-out -> frame pixels.
    to_frame = np.array([[side / 2, 0, centre[0]], [0, side / 2, centre[1]], [0, 0, 1]])
    read = to_frame @ invert(normalised_to_pixel((SIDE, SIDE)))
    picture = FrameSampler(rendered.frame).sample(read, (SIDE, SIDE))[..., :3]
    return picture, apply(invert(to_frame), to_corners(rendered.homography, model.size))
