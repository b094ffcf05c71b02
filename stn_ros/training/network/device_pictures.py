"""Batches of pictures in PyTorch: levels of detail, geometry, chance, outlines, blur, compression.

The counterparts on a device of what OpenCV and NumPy give the rest of the package: nothing here
knows of views or samples.

Shapes: N anything, one picture or place each. Pictures are (N, C, H, W), BGR(A), 0..255.
"Normalised" is [-1, 1] from edge to edge. Geometry is composed in 64 bits, and read in 32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from stn_ros.transformer.grid import apply_homography
from stn_ros.transformer.sampler import sample

LEVELS = 4
"""How often a picture is halved in an atlas; its sides are multiples of 2 ** LEVELS."""
_LUMA = (16, 12, 13, 16, 22, 36, 50, 60, 71, 80, 88, 95, 100, 102, 99)
_CHROMA = (17, 18, 23, 36, 76, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99)
_SQUARE = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))

_Tuple = TypeVar("_Tuple", bound=tuple[Any, ...])


class RNG:
    """Random tensors of one seed, of the shape given last; float32 unless said otherwise."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self.generator = torch.Generator(device).manual_seed(seed)
        self.device = device

    def uniform(self, low: float | Tensor, high: float | Tensor, *shape: int) -> Tensor:
        """Bounds are numbers, or tensors that broadcast with the shape."""
        return torch.rand(shape, generator=self.generator, device=self.device) * (high - low) + low

    def log_uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """As likely between a and 2 a as between 2 a and 4 a."""
        return self.uniform(math.log(low), math.log(high), *shape).exp()

    def normal(self, *shape: int) -> Tensor:
        """Of mean 0 and deviation 1."""
        return torch.randn(shape, generator=self.generator, device=self.device)

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """int64, `low` to `high` - 1."""
        return torch.randint(low, high, shape, generator=self.generator, device=self.device)

    def chance(self, share: float | Tensor, *shape: int) -> Tensor:
        """Booleans, true for this share of them."""
        return torch.rand(shape, generator=self.generator, device=self.device) < share

    def sign(self, *shape: int) -> Tensor:
        """-1 or 1."""
        return self.integers(0, 2, *shape) * 2.0 - 1


def pick(values: _Tuple, index: Tensor | tuple[Tensor, ...]) -> _Tuple:
    """The tensors of a (nested) named tuple at an index of their first axes."""
    return type(values)(*(v[index] if isinstance(v, Tensor) else pick(v, index) for v in values))


# Atlases: a picture and its halvings in one, so that each sample reads the level it needs.


def atlas_width(width: int) -> int:
    """Of the atlas of a picture, pixels; it is as high as the picture."""
    return width + 1 + width // 2


def mip_atlas(pictures: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, H, `atlas_width`): pictures, and beside each its `LEVELS` halvings.

    These stand one below another, with a pixel of zeros around each: H has to be 64 or more.
    """
    n, channels, height, width = pictures.shape
    atlas = pictures.new_zeros(n, channels, height, atlas_width(width))
    atlas[..., :width] = pictures
    top = 0
    for _ in range(LEVELS):
        pictures = functional.avg_pool2d(pictures, 2)
        rows, columns = pictures.shape[-2:]
        atlas[..., top : top + rows, width + 1 : width + 1 + columns] = pictures
        top += rows + 1
    return atlas


def at_level(points: Tensor, level: Tensor) -> Tensor:
    """Points (N, h, w, 2), pixels of a picture -> pixels of a level, (N, 1 or h, 1) halvings."""
    return (points + 0.5) * 0.5 ** level[..., None] - 0.5


def read_atlas(atlas: Tensor, points: Tensor, level: Tensor) -> Tensor:
    """Read atlases (N, C, ...) bilinearly at points (N, h, w, 2) of a level: (N, C, h, w).

    The level, (N, 1 or h, 1) halvings, as float. Points are in its pixels, see `at_level`, and
    must stay within one of it: -1 and its width read zeros.
    """
    height, width = atlas.shape[-2:]
    picture_width = (width - 1) * 2 // 3
    beside = (level > 0).float()
    down = height - height * 2.0 ** (1 - level) + level - 1
    corner = torch.stack([beside * (picture_width + 1), beside * down], dim=-1)
    size = points.new_tensor([width, height])
    return sample(atlas, (2 * (points + corner) + 1) / size - 1)


def halvings(ratio: Tensor) -> Tensor:
    """(...) -> (...): halvings that bring `ratio` source pixels a pixel down to 1 or less."""
    return ratio.log2().ceil().clamp(0, LEVELS)


# Geometry.


def affine(scale: Tensor, shift: Tensor) -> Tensor:
    """(..., 2), (..., 2) -> (..., 3, 3): x -> scale x + shift, axis by axis, 64 bits."""
    scale, shift = torch.broadcast_tensors(scale.double(), shift.double())
    ones = torch.ones_like(scale[..., :1])
    matrix = torch.diag_embed(torch.cat([scale, ones], dim=-1))
    matrix[..., :2, 2] = shift
    return matrix


def to_pixels(size: Tensor) -> Tensor:
    """(..., 2) -> (..., 3, 3): normalised coordinates -> pixels of a picture of this size."""
    return affine(size / 2, (size - 1) / 2)


def to_box(low: Tensor, span: Tensor) -> Tensor:
    """(..., 2), (..., 2) -> (..., 3, 3): pixels -> normalised coordinates of the box at `low`."""
    return affine(2 / span, -2 * low / span - 1)


def inverse(matrix: Tensor) -> Tensor:
    """(..., 3, 3). Unchecked: that would wait for the device; far-off starts may be singular."""
    inverted: Tensor = torch.linalg.inv_ex(matrix).inverse
    return inverted


def square(like: Tensor) -> Tensor:
    """(4, 2): the normalised corners TL, TR, BR, BL, of a tensor's type and device."""
    return torch.tensor(_SQUARE, dtype=like.dtype, device=like.device)


def corners_of(pose: Tensor) -> Tensor:
    """(N, 3, 3) -> (N, 4, 2): where it puts the normalised corners TL, TR, BR, BL."""
    return apply_homography(pose, square(pose))


def signed_area(corners: Tensor) -> Tensor:
    """Quads (..., 4, 2) -> (...): positive where the corners go round clockwise, y down."""
    a, b, c, d = corners.unbind(-2)
    return _cross(c - a, d - b) / 2


def _cross(first: Tensor, second: Tensor) -> Tensor:
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]


def _basis(corners: Tensor) -> Tensor:
    """(..., 4, 2) -> (..., 3, 3), see `geometry.homography`."""
    a, b, c, d = corners.unbind(-2)
    weights = torch.stack([_cross(c - b, d - b), -_cross(c - a, d - a), _cross(b - a, d - a)], -1)
    weights = weights / _cross(b - a, c - a)[..., None]
    columns = torch.cat([corners[..., :3, :], torch.ones_like(corners[..., :3, :1])], dim=-1)
    return columns.transpose(-1, -2) * weights[..., None, :]


def from_square(corners: Tensor) -> Tensor:
    """(..., 4, 2) -> (..., 3, 3): carries the normalised square onto four corners, 64 bits."""
    matrix = _basis(corners.double()) @ inverse(_basis(square(corners.double())))
    return matrix / matrix[..., 2:, 2:]


def rotation_2d(angle: Tensor) -> Tensor:
    """(...) radians, clockwise with y down -> (..., 2, 2)."""
    cosine, sine = angle.cos(), angle.sin()
    return torch.stack([cosine, -sine, sine, cosine], dim=-1).reshape(*angle.shape, 2, 2)


def rotation_3d(axis: Tensor, angle: Tensor) -> Tensor:
    """Unit axes (..., 3) and angles (...), radians -> (..., 3, 3), Rodrigues' formula."""
    x, y, z = axis.unbind(-1)
    nought = torch.zeros_like(x)
    rows = [nought, -z, y, z, nought, -x, -y, x, nought]
    skew = torch.stack(rows, dim=-1).reshape(*x.shape, 3, 3)
    sine, versine = angle.sin()[..., None, None], 1 - angle.cos()[..., None, None]
    return torch.eye(3, dtype=axis.dtype, device=axis.device) + sine * skew + versine * skew @ skew


def half_sides(sizes: Tensor) -> Tensor:
    """(..., 2) pixels -> (..., 2): sides in units of the longer one."""
    return sizes / sizes.amax(dim=-1, keepdim=True)


def poses(
    half: Tensor,
    centre: Tensor,
    long_side: Tensor,
    roll: Tensor,
    tilt: Tensor,
    azimuth: Tensor,
    focal: Tensor,
    principal: Tensor,
) -> Tensor:
    """Homographies of faces held before pinhole cameras: `synthesis.scene.face_homography`.

    Args:
        half: (..., 2), see `half_sides`. centre, principal: (..., 2) pixels.
        long_side, focal: (...) pixels. roll, tilt, azimuth: (...) radians.

    Returns:
        (..., 3, 3) float64, normalised face -> camera pixels; the last entry is 1.
    """
    half, centre, principal = half.double(), centre.double(), principal.double()
    long_side, roll, tilt, azimuth, focal = torch.broadcast_tensors(
        *(value.double() for value in (long_side, roll, tilt, azimuth, focal))
    )
    one, nought = torch.ones_like(focal), torch.zeros_like(focal)
    across = (centre - principal) / focal[..., None]
    ray = torch.cat([across, one[..., None]], dim=-1)
    off_axis = torch.stack([-ray[..., 1], ray[..., 0], nought], dim=-1)
    angle = torch.atan(across.norm(dim=-1))
    facing = rotation_3d(functional.normalize(off_axis, dim=-1), angle)
    tilting = rotation_3d(torch.stack([azimuth.cos(), azimuth.sin(), nought], dim=-1), tilt)
    rolling = rotation_3d(torch.stack([nought, nought, one], dim=-1), roll)
    rotated = facing @ tilting @ rolling
    depth = (focal / long_side)[..., None]
    columns = torch.stack([rotated[..., 0], rotated[..., 1], ray * depth], dim=-1)
    matrix = affine(focal[..., None], principal) @ columns @ affine(half / 2, 0 * half)
    return matrix / matrix[..., 2:, 2:]


# Outlines of occluders and shadows.


class Shapes(NamedTuple):
    """Outlines as `synthesis.scene` draws them: half-planes, rippled ellipses, rectangles, fingers.

    In face units: the face spans [0, 1] x [0, 1].

    Attributes:
        kind: (...) 0..3 in that order. centre: (..., 2) of ellipse and rectangle; half: (..., 2)
        their half axes. rotation: (...) radians. push: (...) of the half-plane off the middle.
        waves, phase: (...) of the ellipse's ripple. width: (...) of a finger; lengths: (..., 4).
    """

    kind: Tensor
    centre: Tensor
    half: Tensor
    rotation: Tensor
    push: Tensor
    waves: Tensor
    phase: Tensor
    width: Tensor
    lengths: Tensor


def draw_shapes(rng: RNG, kinds: int, *shape: int) -> Shapes:
    """Random outlines of the first so many kinds, as large and where `synthesis.scene` has them."""
    kind = rng.integers(0, kinds, *shape)
    ellipse, rectangle = rng.uniform(0.08, 0.4, *shape, 2), rng.uniform(0.06, 0.35, *shape, 2)
    fingers = torch.arange(4, device=rng.device) < rng.integers(1, 5, *shape)[..., None]
    return Shapes(
        kind=kind,
        centre=rng.uniform(0, 1, *shape, 2),
        half=torch.where((kind == 1)[..., None], ellipse, rectangle),
        rotation=rng.uniform(-math.pi, math.pi, *shape),
        push=rng.uniform(0.1, 0.5, *shape),
        waves=rng.integers(2, 5, *shape).float(),
        phase=rng.uniform(0, 6, *shape),
        width=rng.uniform(0.06, 0.13, *shape),
        lengths=rng.uniform(0.5, 1.0, *shape, 4).where(fingers, -1.0),
    )


def depth_inside(shapes: Shapes, points: Tensor) -> Tensor:
    """How far points (..., P, 2) lie inside the outlines (...): (..., P), face units, < 0 outside.

    A distance near straight edges, and about one elsewhere.
    """
    angle = shapes.rotation[..., None]
    towards = torch.stack([angle.cos(), angle.sin()], dim=-1)
    across = torch.stack([-angle.sin(), angle.cos()], dim=-1)

    def along(axis: Tensor, vectors: Tensor) -> Tensor:
        return (vectors * axis).sum(dim=-1)

    from_middle, from_centre = points - 0.5, points - shapes.centre[..., None, :]
    half = shapes.half[..., None, :]
    plane = along(towards, from_middle) - shapes.push[..., None]

    ripple = torch.atan2(from_centre[..., 1] / half[..., 1], from_centre[..., 0] / half[..., 0])
    ripple = 1 + 0.25 * (ripple * shapes.waves[..., None] + shapes.phase[..., None]).sin()
    ellipse = (ripple - (from_centre / half).norm(dim=-1)) * half.amin(dim=-1)

    rotated = torch.stack([along(towards, from_centre), along(across, from_centre)], dim=-1)
    rectangle = (half - rotated.abs()).amin(dim=-1)

    width, lengths = shapes.width[..., None, None], shapes.lengths[..., None, :]
    place = torch.arange(4, device=points.device) - 1.5
    inward = 0.9 - along(towards, from_middle)[..., None]
    aside = -along(across, from_middle)[..., None] - place * width * 1.25
    finger = width / 2 - torch.hypot(aside, (inward - lengths).clamp_min(0))
    finger = torch.minimum(finger, inward).where(lengths > 0, -1.0).amax(dim=-1)

    choices = torch.stack([plane, ellipse, rectangle, finger])
    kind = shapes.kind[..., None].expand_as(plane)
    return choices.gather(0, kind[None])[0]


def edge_cover(depth: Tensor) -> Tensor:
    """Depths inside (...), pixels -> coverage of a pixel (...), 0..1."""
    return (depth + 0.5).clamp(0, 1)


def quad_cover(corners: Tensor, pictures: Tensor) -> Tensor:
    """Coverage (N, h, w), 0..1, of pictures (N, C, h, w) by convex quads: (N, 4, 2), pixels."""
    height, width = pictures.shape[-2:]
    edges = corners.roll(-1, dims=1) - corners
    normal = torch.stack([-edges[..., 1], edges[..., 0]], dim=-1)
    normal = functional.normalize(normal, dim=-1)
    normal = normal * signed_area(corners).sign()[:, None, None]
    offset = (normal * corners).sum(dim=-1)
    across = normal[..., :1] * torch.arange(width, device=pictures.device)
    down = normal[..., 1:] * torch.arange(height, device=pictures.device) - offset[..., None]
    return edge_cover((across[:, :, None, :] + down[..., None]).amin(dim=1)).float()


# Blur and compression.


def convolved(pictures: Tensor, kernels: Tensor) -> Tensor:
    """Each picture (N, C, h, w) with its kernel (N, a, b), sides odd; mirrored at the borders."""
    n, channels = pictures.shape[:2]
    rows, columns = kernels.shape[1] // 2, kernels.shape[2] // 2
    planes = functional.pad(pictures.flatten(0, 1)[None], (columns, columns, rows, rows), "reflect")
    weights = kernels.repeat_interleave(channels, dim=0)[:, None]
    return functional.conv2d(planes, weights, groups=n * channels).reshape(pictures.shape)


def gaussian_kernels(sigma: Tensor, largest: float) -> Tensor:
    """Deviations (N,), pixels, up to `largest` -> (N, taps), of sum 1; below 0.3 no blur."""
    reach = math.ceil(3 * largest)
    taps = torch.arange(-reach, reach + 1, device=sigma.device)
    kernels = (-0.5 * (taps / sigma.where(sigma >= 0.3, 0.01)[:, None]).square()).exp()
    return kernels / kernels.sum(dim=1, keepdim=True)


def motion_kernels(length: Tensor, angle: Tensor, longest: float) -> Tensor:
    """Lines of (N,) pixels, up to `longest`, at (N,) radians -> (N, side, side), of sum 1."""
    reach = int(longest) // 2 + 1
    taps = torch.arange(-reach, reach + 1, device=length.device).float()
    y, x = torch.meshgrid(taps, taps, indexing="ij")
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    end = length[:, None, None] / 2
    beyond = (x * cosine + y * sine).abs().sub(end).clamp_min(0)
    kernels = (1 - torch.hypot(beyond, y * cosine - x * sine)).clamp_min(0)
    return kernels / kernels.sum(dim=(1, 2), keepdim=True)


def _quantised(planes: Tensor, diagonals: Sequence[int], scale: Tensor) -> Tensor:
    """Planes (N, C, h, w) with the cosine coefficients of their 8x8 blocks rounded."""
    step = torch.arange(8, device=planes.device)
    cosines = ((2 * step + 1) * step[:, None] * math.pi / 16).cos() / 2
    cosines[0] = math.sqrt(1 / 8)
    table = planes.new_tensor(diagonals)[step + step[:, None]][:, None]
    table = (table * scale.reshape(-1, 1, 1, 1, 1, 1)).round().clamp_min(1)
    blocks = planes.unflatten(3, (-1, 8)).unflatten(2, (-1, 8))
    rounded = torch.einsum("ki,vcyixj,lj->vcykxl", cosines, blocks, cosines).div(table).round()
    blocks = torch.einsum("ki,vcykxl,lj->vcyixj", cosines, rounded * table, cosines)
    return blocks.flatten(4, 5).flatten(2, 3)


def compressed(pictures: Tensor, quality: Tensor) -> Tensor:
    """What JPEG of `quality` (N,), 1..100, leaves of pictures (N, 3, h, w), sides multiples of 16.

    With the standard tables averaged along their diagonals, and chroma at half the resolution.
    """
    scale = torch.where(quality < 50, 50 / quality, 2 - quality / 50)
    blue, green, red = pictures.split(1, dim=1)
    luma = 0.114 * blue + 0.587 * green + 0.299 * red
    chroma = torch.cat([(blue - luma) / 1.772, (red - luma) / 1.402], dim=1)
    luma = _quantised(luma - 128, _LUMA, scale) + 128
    chroma = _quantised(functional.avg_pool2d(chroma, 2), _CHROMA, scale)
    chroma = functional.interpolate(chroma, scale_factor=2, mode="bilinear", align_corners=False)
    blue, red = luma + 1.772 * chroma[:, :1], luma + 1.402 * chroma[:, 1:]
    green = luma - 0.344136 * chroma[:, :1] - 0.714136 * chroma[:, 1:]
    return torch.cat([blue, green, red], dim=1)
