"""The distortions of Jaderberg et al. 2015, section 4.1 and appendix A.4, drawn by the library.

Pictures are (N, 1, 28, 28). Each distortion comes in two parts: what it does with given numbers
(`placed`, `stretched`, `bent`, `cluttered`), and the numbers it draws (`DISTORTIONS`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from stn_ros.transformer.families import Projective, Similarity, ThinPlateSpline
from stn_ros.transformer.grid import projective_grid
from stn_ros.transformer.sampler import sample

FRAGMENT = 6
"""Side of a piece of clutter, pixels."""
FRAGMENTS = 16
"""Pieces of clutter in a picture; the number is a choice of ours."""
_SIMILARITY, _PROJECTIVE, _SPLINE = Similarity(), Projective(), ThinPlateSpline(side=4)


@dataclass(frozen=True)
class Distortion:
    """One way to distort.

    Attributes:
        title: in words. side: of the pictures it makes, pixels.
        draw: pictures (N, 1, 28, 28) and a generator -> (N, 1, side, side), each distorted anew.
    """

    title: str
    side: int
    draw: Callable[[Tensor, torch.Generator], Tensor]


def placed(pictures: Tensor, turn: Tensor, scale: Tensor, place: Tensor, side: int) -> Tensor:
    """Turn, scale and put pictures into an empty larger one.

    Args:
        turn: (N,) radians, anticlockwise as seen. scale: (N,) of their size in pixels.
        place: (N, 2) x, y of their centres in the larger picture, [-1, 1] from edge to edge.
        side: of the larger picture, pixels.
    """
    zoom = (side / pictures.shape[-1]) / scale
    around_zero = torch.stack([turn, zoom.log(), *torch.zeros(2, len(turn))], dim=1)
    # At `place` the new picture must show the old one's centre.
    shift = -(_SIMILARITY.matrix(around_zero)[:, :2, :2] @ place[:, :, None])[..., 0]
    parameters = torch.cat([around_zero[:, :2], shift], dim=1)
    return sample(pictures, _SIMILARITY.grid(parameters, (side, side)))


def stretched(pictures: Tensor, scale: Tensor, corners: Tensor) -> Tensor:
    """Scale pictures, then move the corners of the frame, and all between by a homography.

    Args:
        scale: (N,). corners: (N, 4, 2) shifts x, y of TL, TR, BR, BL, pixels; see `convex`.
    """
    height, width = pictures.shape[2:]
    moved = _PROJECTIVE.matrix(_normalised(corners, width).flatten(1))
    grid = projective_grid(torch.linalg.inv(moved), height, width)
    return sample(pictures, grid / scale[:, None, None, None])


def bent(pictures: Tensor, scale: Tensor, shifts: Tensor) -> Tensor:
    """Scale pictures, then bend them by a thin-plate spline on a 4 x 4 lattice.

    Args:
        scale: (N,). shifts: (N, 16, 2) x, y of where the control points look, pixels.
    """
    height, width = pictures.shape[2:]
    grid = _SPLINE.grid(_normalised(shifts, width).flatten(1), (height, width))
    return sample(pictures, grid / scale[:, None, None, None])


def cluttered(
    pictures: Tensor, others: Tensor, sources: Tensor, corners: Tensor, places: Tensor
) -> Tensor:
    """Lay fragments of other pictures over pictures; where two meet, the brighter one is seen.

    Args:
        pictures: (N, 1, H, W). others: (M, 1, h, w) that fragments are of.
        sources: (N, K) which of them. corners: (N, K, 2) row, column of a fragment in it.
        places: (N, K, 2) row, column where it goes.
    """
    result = pictures.clone()
    along = torch.arange(FRAGMENT)
    which = torch.arange(len(pictures))[:, None, None]
    for k in range(sources.shape[1]):
        rows, columns = _window(corners[:, k], along)
        fragment = others[sources[:, k, None, None], 0, rows, columns]
        rows, columns = _window(places[:, k], along)
        result[which, 0, rows, columns] = result[which, 0, rows, columns].maximum(fragment)
    return result


def convex(corners: Tensor, side: int) -> Tensor:
    """Whether the frame with its corners moved by (N, 4, 2) pixels stays a convex one, (N,).

    A homography takes a square to convex quadrilaterals only; nearly flat ones count as not.
    """
    square = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    quad = square + corners / side
    out = quad.roll(-1, dims=1) - quad
    back = quad.roll(1, dims=1) - quad
    area = out[..., 0] * back[..., 1] - out[..., 1] * back[..., 0]
    return (area > 0.05).all(dim=1)


def _turned(pictures: Tensor, generator: torch.Generator) -> Tensor:
    n = len(pictures)
    turn = _uniform((n,), -math.pi / 2, math.pi / 2, generator)
    return placed(pictures, turn, torch.ones(n), torch.zeros(n, 2), pictures.shape[-1])


def _turned_scaled_placed(pictures: Tensor, generator: torch.Generator) -> Tensor:
    n, side = len(pictures), 42
    turn = _uniform((n,), -math.pi / 4, math.pi / 4, generator)
    scale = _uniform((n,), 0.7, 1.2, generator)
    room = 1 - scale * pictures.shape[-1] / side
    place = room[:, None] * _uniform((n, 2), -1, 1, generator)
    return placed(pictures, turn, scale, place, side)


def _stretched(pictures: Tensor, generator: torch.Generator) -> Tensor:
    n, side = len(pictures), pictures.shape[-1]
    scale = _uniform((n,), 0.75, 1.0, generator)
    corners = 5 * torch.randn((n, 4, 2), generator=generator)
    while not (good := convex(corners, side)).all():
        corners[~good] = 5 * torch.randn((int((~good).sum()), 4, 2), generator=generator)
    return stretched(pictures, scale, corners)


def _bent(pictures: Tensor, generator: torch.Generator) -> Tensor:
    n = len(pictures)
    scale = _uniform((n,), 0.75, 1.0, generator)
    return bent(pictures, scale, 1.5 * torch.randn((n, 16, 2), generator=generator))


def _placed_in_clutter(pictures: Tensor, generator: torch.Generator) -> Tensor:
    n, side = len(pictures), 60
    room = 1 - pictures.shape[-1] / side
    place = room * _uniform((n, 2), -1, 1, generator)
    alone = placed(pictures, torch.zeros(n), torch.ones(n), place, side)
    shape = (n, FRAGMENTS)
    # The digits proper are the middle 20 x 20 pixels; fragments come from there.
    corners = torch.randint(4, 24 - FRAGMENT + 1, (*shape, 2), generator=generator)
    places = torch.randint(0, side - FRAGMENT + 1, (*shape, 2), generator=generator)
    away = torch.randint(1, max(2, n), shape, generator=generator)  # never the digit itself
    sources = (torch.arange(n)[:, None] + away) % n
    return cluttered(alone, pictures, sources, corners, places)


DISTORTIONS = {
    "N": Distortion("not distorted", 28, lambda pictures, _: pictures),
    "R": Distortion("rotated by up to 90 degrees", 28, _turned),
    "RTS": Distortion(
        "rotated by up to 45 degrees, scaled by 0.7 to 1.2, anywhere in 42 x 42 pixels",
        42,
        _turned_scaled_placed,
    ),
    "P": Distortion("scaled by 0.75 to 1, corners moved by N(0, 5 pixels)", 28, _stretched),
    "E": Distortion("scaled by 0.75 to 1, bent at 16 points by N(0, 1.5 pixels)", 28, _bent),
    "TC": Distortion(
        f"anywhere in 60 x 60 pixels, with {FRAGMENTS} fragments of other digits",
        60,
        _placed_in_clutter,
    ),
}
"""By the paper's abbreviations; N is ours."""


def _uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)


def _normalised(pixels: Tensor, side: int) -> Tensor:
    return pixels * (2 / side)


def _window(corner: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
    """(N, 2) row, column of corners -> indices (N, L, 1) and (N, 1, L) of the squares there."""
    return corner[:, 0, None, None] + along[:, None], corner[:, 1, None, None] + along
