"""Views of faces before cameras, rendered and read in PyTorch, many at a time.

The counterpart of `synthesis.scene` and `runtime.sampling`: the same conditions, the same truth.
Compared with these, colours are rounded once, after the noise; faces are always read 2x2 times a
pixel; backgrounds are read from a pyramid of box averages; edges of occluders are smoothed by their
distance; half-planes that occlude have no end; a streak is a smoothed bar; compression is that of
`device_pictures.compressed`, and its blocks start with the window.

Shapes: V views, K patches read from each, N anything. Frames are (V, 3, h, w) float32, BGR, 0..255;
each step of the drawing returns them, changed in place or not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from stn_ros.synthesis.scene import Conditions
from stn_ros.training.network.device_pictures import (
    LEVELS,
    RNG,
    Shapes,
    affine,
    at_level,
    compressed,
    convolved,
    corners_of,
    depth_inside,
    draw_shapes,
    edge_cover,
    gaussian_kernels,
    half_sides,
    halvings,
    inverse,
    mip_atlas,
    motion_kernels,
    pick,
    poses,
    quad_cover,
    read_atlas,
    signed_area,
    square,
    to_box,
    to_pixels,
)
from stn_ros.transformer.grid import apply_homography, projective_grid
from stn_ros.transformer.sampler import sample

CANVAS = 320
"""Side of the square that holds a face, pixels: the longest that a face is seen."""
SURFACE = (640, 480)
"""Width and height of a background, pixels."""
_FRAME = (640, 480)
"""Width and height of what a camera sees, pixels."""
_LATTICE = 32
_PLAIN_BELOW, _SUPERSAMPLE_UP_TO, _FARTHEST = 1.3, 3.0, 1e6  # as in runtime.sampling


class Stock(NamedTuple):
    """What views are rendered from; its owner renews it in place.

    Attributes:
        faces: (F, 4, CANVAS, ...) uint8 atlases; alpha is 0 beside the face, which stands top left.
        sizes: (F, 2) float64, width and height, pixels. colours: (F, 3) float32, mean BGR.
        surfaces: (B, 3, ...) uint8 atlases of backgrounds.
    """

    faces: Tensor
    sizes: Tensor
    colours: Tensor
    surfaces: Tensor


class Views(NamedTuple):
    """V views before they are rendered; frame pixels are those of the window near the face.

    Attributes:
        face: (V,) index in the `Stock`. pose: (V, 3, 3) float64, normalised face -> frame pixels.
        half: (V, 2), see `half_sides`. extent: (V, 2) size of the window; what lies beyond is not
            seen. low, span: (V, 2) the face's box, clipped to it.
        visible: (V,) share. long_side: (V,) pixels, see `Conditions`. occluded: (V,) bool, whether
            `shapes` stand before the face.
    """

    face: Tensor
    pose: Tensor
    half: Tensor
    extent: Tensor
    low: Tensor
    span: Tensor
    visible: Tensor
    long_side: Tensor
    occluded: Tensor
    shapes: Shapes


def draw_views(rng: RNG, face: Tensor, sizes: Tensor, conditions: Conditions) -> Views:
    """Random views of faces: (V,) indices, and (V, 2) float64 sizes, width and height, pixels."""
    count, half = len(face), half_sides(sizes)
    tilt = rng.uniform(*conditions.tilt, count) * (math.pi / 180)
    long_side = rng.log_uniform(*conditions.long_side, count)
    pose = _placed(rng, half, tilt, long_side, conditions)
    pose, extent = _near_window(pose)
    corners = corners_of(pose)
    low = corners.amin(dim=1).clamp_min(-0.5)
    span = torch.minimum(corners.amax(dim=1), extent - 0.5) - low
    shapes, covered = _occluders(rng, conditions.occluded, count)
    covered &= rng.chance(conditions.occluded_share, count, 1)
    seen = _inside(pose, extent) & ~covered
    visible = seen.double().mean(dim=1)
    occluded = covered.any(dim=1)
    return Views(face, pose, half, extent, low, span, visible, long_side, occluded, shapes)


def _placed(
    rng: RNG, half: Tensor, tilt: Tensor, long_side: Tensor, conditions: Conditions
) -> Tensor:
    """Poses (V, 3, 3), in the camera's frame, each chosen among 30 as by `synthesis.scene`."""
    v, tries = len(half), 30
    size = half.new_tensor(_FRAME)
    # A face too large for the frame at any place is moved away from the camera.
    nearer = 0.97 ** (torch.arange(tries, device=half.device) - 9.0).clamp_min(0)
    candidates = poses(
        half[:, None].expand(v, tries, 2),
        rng.uniform(0.08, 0.92, v, tries, 2) * size,
        long_side[:, None] * nearer,
        roll=rng.uniform(*conditions.roll, v, tries) * (math.pi / 180),
        tilt=tilt[:, None],
        azimuth=rng.uniform(-math.pi, math.pi, v, tries),
        focal=rng.uniform(0.7, 1.8, v, tries) * _FRAME[0],
        principal=(size - 1) / 2,
    ).flatten(0, 1)
    corners = corners_of(candidates)
    whole = ((corners > -0.5) & (corners < size - 0.5)).all(dim=2).all(dim=1)
    most = _inside(candidates, size.expand(v * tries, 2)).double().mean(dim=1) > 0.6
    may_leave = rng.chance(conditions.cut_share, v, 1)
    fits = whole.reshape(v, tries) | (may_leave & most.reshape(v, tries))
    return candidates.reshape(v, tries, 3, 3)[torch.arange(v, device=fits.device), _first(fits)]


def _occluders(rng: RNG, share: tuple[float, float], count: int) -> tuple[Shapes, Tensor]:
    """Outlines that cover such a share of the face, and what they cover of its lattice.

    (count, points) bool; nothing where none of 25 outlines fits.
    """
    candidates = draw_shapes(rng, 4, count, 25)
    covered = depth_inside(candidates, _lattice(candidates.centre)) > 0
    amount = covered.float().mean(dim=2)
    fits = (amount >= share[0]) & (amount <= share[1])
    at = torch.arange(count, device=fits.device), _first(fits)
    return pick(candidates, at), covered[at] & fits[at][:, None]


def _first(fits: Tensor) -> Tensor:
    """(V, T) bool -> (V,): the first true column, or the last if there is none."""
    last = torch.arange(fits.shape[1], device=fits.device) == fits.shape[1] - 1
    return (fits | last).int().argmax(dim=1)


def _lattice(like: Tensor) -> Tensor:
    """(_LATTICE^2, 2) points spread over the face, face units."""
    steps = (torch.arange(_LATTICE, dtype=like.dtype, device=like.device) + 0.5) / _LATTICE
    return torch.cartesian_prod(steps, steps)


def _inside(pose: Tensor, extent: Tensor) -> Tensor:
    """(N, points) bool, which points of the lattice on the face fall inside (N, 2)."""
    seen = apply_homography(pose, 2 * _lattice(pose) - 1)
    return ((seen > -0.5) & (seen < extent[:, None] - 0.5)).all(dim=2)


def _near_window(pose: Tensor) -> tuple[Tensor, Tensor]:
    """Poses in the camera's frame -> poses in the part of it near the face, and its size (V, 2)."""
    corners = corners_of(pose)
    low, high = corners.amin(dim=1), corners.amax(dim=1)
    reach = 0.6 * (high - low).amax(dim=1, keepdim=True) + 4
    first = (low - reach).trunc().clamp_min(0)
    end = torch.minimum((high + reach).trunc(), pose.new_tensor(_FRAME))
    return affine(torch.ones_like(first), -first) @ pose, end - first


# Drawing.


class Piece(NamedTuple):
    """N pieces of backgrounds.

    Attributes:
        surface: (N,) index in the `Stock`. scale, shift: (N, 2), normalised piece -> pixels of the
        background. level: (N,) halvings of it to read.
    """

    surface: Tensor
    scale: Tensor
    shift: Tensor
    level: Tensor


def _some(
    frames: Tensor, which: Tensor, change: Callable[..., Tensor], *fields: tuple[Any, ...]
) -> Tensor:
    """Frames changed where `which` (V,) says, by `change` of these alone and their fields."""
    at = which.nonzero().flatten()
    if len(at):
        frames[at] = change(frames[at], *(pick(field, at) for field in fields))
    return frames


def _grid(to_area: Tensor, frames: Tensor, over: int = 1) -> Tensor:
    """Where the pixels of frames (V, C, h, w) lie in some area: (V, over h, over w, 2) float32.

    Args:
        to_area: (V, 3, 3) float64, frame pixels -> area, with w = 1 somewhere in view, such as the
            inverse of a pose.
        over: reads a pixel is made of, along each axis.
    """
    height, width = frames.shape[-2:]
    theta = to_area @ to_pixels(to_area.new_tensor([width, height]))
    return projective_grid(theta.float(), over * height, over * width)


def paste_faces(frames: Tensor, atlases: Tensor, sizes: Tensor, pose: Tensor) -> Tensor:
    """Draw a face into each frame, smoothed to its sampling: `synthesis.scene.paste_face`.

    Args:
        frames: (V, 3, h, w). atlases: (V, 4, ...), see `Stock`. sizes: (V, 2) of the faces,
            pixels. pose: (V, 3, 3) float64, normalised face -> frame pixels.
    """
    corners = corners_of(pose)
    sides = (corners - corners.roll(1, dims=1)).norm(dim=2)
    seen = torch.minimum(sides[:, :2], sides[:, 2:]).amax(dim=1).clamp_min(1.0)
    level = halvings(sizes.amax(dim=1) / seen / 2).float()[:, None, None]
    points = _grid(to_pixels(sizes) @ inverse(pose), frames, over=2)
    side = (CANVAS * 0.5**level)[..., None]
    points = torch.minimum(at_level(points, level).clamp_min(-1), side)
    drawn = functional.avg_pool2d(read_atlas(atlases.float(), points, level), 2)
    return frames * (1 - drawn[:, 3:] / 255) + drawn[:, :3]


def _lay(frames: Tensor, colour: Tensor, cover: Tensor) -> Tensor:
    """Colour over frames, as far as `cover` (V, h, w) says."""
    return torch.lerp(frames, colour.expand_as(frames), cover[:, None].expand_as(frames))


def _pixels_a_unit(pose: Tensor) -> Tensor:
    """(V,) frame pixels that a face unit spans, about."""
    return signed_area(corners_of(pose)).abs().sqrt().float()


def _to_window(views: Views) -> Tensor:
    """(V, 3, 3), frame pixels -> normalised coordinates of the window."""
    return to_box(torch.full_like(views.extent, -0.5), views.extent)


class Painter:
    """Renders views with what a stock holds."""

    def __init__(self, rng: RNG, stock: Stock) -> None:
        self._rng = rng
        self._stock = stock

    def render(self, views: Views, conditions: Conditions) -> Tensor:
        """Frames, (V, 3, h, w), of whole grey levels; no larger than holds every window."""
        frames = self._ground(views)
        frames = self._with_clutter(frames, views, conditions)
        embodied = self._rng.chance(conditions.body_share, len(frames))
        frames = _some(frames, embodied, self._embodied, views)
        atlases, sizes = self._stock.faces[views.face], self._stock.sizes[views.face]
        frames = paste_faces(frames, atlases, sizes, views.pose)
        frames = _some(frames, views.occluded, self._occluded, views)
        frames = self._lit(frames, views, conditions)
        frames = self._blurred(frames, conditions)
        return self._taken(frames, conditions)

    def piece(self, span: Tensor) -> Piece:
        """Random pieces of backgrounds, to be seen `span` (N, 2) pixels large."""
        rng, n = self._rng, len(span)
        size = span.new_tensor(SURFACE).float()
        span = span.float()
        cut = torch.maximum((span / size).amax(dim=1), rng.uniform(0.25, 1, n)).clamp_max(1)
        cut = cut[:, None]
        middle = rng.uniform(-1, 1, n, 2) * (1 - cut)
        mirror = torch.stack([rng.sign(n), torch.ones(n, device=span.device)], dim=1)
        level = halvings((cut * size / span).amax(dim=1) / 1.5)
        index = rng.integers(0, len(self._stock.surfaces), n)
        return Piece(index, mirror * cut * size / 2, (middle + 1) * size / 2 - 0.5, level)

    def surface(self, piece: Piece, points: Tensor) -> Tensor:
        """Read pieces (N, 3, h, w) at their normalised points (N, h, w, 2), mirrored beyond."""
        size = points.new_tensor(SURFACE)
        texels = points * piece.scale[:, None, None] + piece.shift[:, None, None]
        around = (texels + 0.5).remainder(2 * size)
        texels = torch.minimum(around, 2 * size - around) - 0.5
        level = piece.level[:, None, None]
        last = size * 0.5 ** level[..., None] - 1
        texels = torch.minimum(at_level(texels, level).clamp_min(0), last)
        return read_atlas(self._stock.surfaces[piece.surface].float(), texels, level)

    def _ground(self, views: Views) -> Tensor:
        unit = 2**LEVELS
        # At least 64 pixels: the halvings have to fit beside the frame.
        sides = (max(64, -(-int(side) // unit) * unit) for side in views.extent.amax(0).tolist())
        width, height = sides
        canvas = torch.empty(len(views.face), 3, height, width, device=self._rng.device)
        return self.surface(self.piece(views.extent), _grid(_to_window(views), canvas))

    def _with_clutter(self, frames: Tensor, views: Views, conditions: Conditions) -> Tensor:
        count = self._rng.integers(0, conditions.clutter + 1, len(frames))
        for nth in range(conditions.clutter):
            frames = _some(frames, count > nth, self._cluttered, views)
        return frames

    def _cluttered(self, frames: Tensor, views: Views) -> Tensor:
        rng, n = self._rng, len(frames)
        sides = rng.uniform(0.4, 1.3, n, 2) * views.long_side[:, None]
        longer = sides.amax(dim=1)
        pose = poses(
            sides / longer[:, None],
            rng.uniform(0, 1, n, 2) * views.extent,
            longer,
            roll=rng.uniform(-math.pi, math.pi, n),
            tilt=rng.uniform(0, 1, n),
            azimuth=rng.uniform(-math.pi, math.pi, n),
            focal=torch.full_like(longer, 600.0),
            principal=(views.extent - 1) / 2,
        )
        points = _grid(inverse(pose), frames)
        inside = ((1 - points.abs()) * (sides / 2)[:, None, None]).amin(dim=3)
        return _lay(frames, self.surface(self.piece(sides), points), edge_cover(inside))

    def _embodied(self, frames: Tensor, views: Views) -> Tensor:
        """The sides of a box whose front is the face: between the face and its shifted copy."""
        rng, n = self._rng, len(frames)
        corners = corners_of(views.pose)
        reach = (corners[:, 0] - corners[:, 2]).norm(dim=1) * rng.uniform(0.05, 0.35, n)
        angle = rng.uniform(-math.pi, math.pi, n)
        shift = reach[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
        behind = corners + shift[:, None]
        colour = self._stock.colours[views.face] * rng.uniform(0.3, 1.1, n, 1)
        colour = colour + rng.uniform(-20, 20, n, 3)
        for first in range(4):
            second = (first + 1) % 4
            quad = [corners[:, first], corners[:, second], behind[:, second], behind[:, first]]
            shade = (colour * rng.uniform(0.6, 1.2, n, 1)).clamp(0, 255)
            cover = quad_cover(torch.stack(quad, dim=1), frames)
            frames = _lay(frames, shade[..., None, None], cover)
        return frames

    def _occluded(self, frames: Tensor, views: Views) -> Tensor:
        rng, n = self._rng, len(frames)
        cover = edge_cover(self._depth(frames, views, views.shapes))
        plain = functional.interpolate(
            rng.uniform(0, 50, n, 3, 4, 4), frames.shape[-2:], mode="bilinear"
        )
        plain = (plain + rng.uniform(0, 255, n, 3, 1, 1)).clamp_max(255)
        points = _grid(to_box(views.low, views.span), frames)
        printed = self.surface(self.piece(views.span), points)
        is_plain = rng.chance(0.5, n, 1, 1, 1)
        return _lay(frames, torch.where(is_plain, plain, printed), cover)

    def _depth(self, frames: Tensor, views: Views, shapes: Shapes) -> Tensor:
        """(V, h, w), how far pixels lie inside outlines on the face, pixels."""
        points = (_grid(inverse(views.pose), frames) + 1) / 2
        depth = depth_inside(shapes, points.flatten(1, 2)).reshape(points.shape[:-1])
        return depth * _pixels_a_unit(views.pose)[:, None, None]

    def _lit(self, frames: Tensor, views: Views, conditions: Conditions) -> Tensor:
        """Gain, gradients, shadows, colour casts and specular streaks."""
        rng, n = self._rng, len(frames)
        harsh = rng.chance(conditions.harsh_light, n)
        nodes, stretch = self._light_nodes(harsh)
        points = _grid(_to_window(views), frames) * stretch[:, None, None]
        light = sample(nodes, points.clamp(-2 / 3, 2 / 3))
        light = _some(light, harsh & rng.chance(0.3, n), self._shaded, views)
        frames = frames * light
        frames = _some(frames, harsh & rng.chance(0.4, n), self._shining, views)
        return frames.clamp(0, 255)

    def _light_nodes(self, harsh: Tensor) -> tuple[Tensor, Tensor]:
        """Gains (V, 3, 3, 3) to read at window coordinates times (V, 2).

        Along each axis there are three gains, or two: then one between them stands for a third.
        """
        rng, n = self._rng, len(harsh)
        gain = rng.uniform(torch.where(harsh, 0.55, 0.8), 1.15, n).reshape(n, 1, 1, 1)
        spread = torch.where(harsh, 0.35, 0.1).reshape(n, 1, 1, 1)
        cast = torch.where(harsh, 0.15, 0.04).reshape(n, 1, 1, 1)
        nodes = rng.uniform(-1, 1, n, 1, 3, 3)
        two = rng.chance(0.5, n, 2)
        for axis, only_two in ((3, two[:, 0]), (2, two[:, 1])):
            between = (nodes.select(axis, 0) + nodes.select(axis, 2)) / 2
            middle = nodes.select(axis, 1)
            middle.copy_(torch.where(only_two[:, None, None], between, middle))
        tint = 1 + cast * rng.uniform(-1, 1, n, 3, 1, 1)
        nodes = gain * (1 + spread * nodes) * tint
        return nodes.clamp_max(255 / 128), torch.where(two, 4 / 3, 1.0)

    def _shaded(self, light: Tensor, views: Views) -> Tensor:
        """What a soft-edged shadow leaves of the light (V, 3, h, w)."""
        rng, n = self._rng, len(light)
        depth = self._depth(light, views, draw_shapes(rng, 3, n))[:, None]
        softness = rng.integers(3, 13, n).reshape(n, 1, 1, 1)
        left = rng.integers(110, 210, n).reshape(n, 1, 1, 1) / 255
        return light * (1 - edge_cover(depth / softness) * (1 - left))

    def _shining(self, frames: Tensor, views: Views) -> Tensor:
        """A streak of light, on the face only: a smoothed bar; 64 of its units a side."""
        rng, n = self._rng, len(frames)
        points = 32 * (_grid(inverse(views.pose), frames) + 1)
        depth = torch.minimum(points, 64 - points).amin(dim=3) / 64
        on_face = edge_cover(depth * _pixels_a_unit(views.pose)[:, None, None])
        angle = rng.uniform(0, math.pi, n, 1, 1)
        x, y = (points - rng.uniform(0, 64, n, 1, 1, 2)).unbind(dim=3)
        along, aside = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
        sigma = rng.uniform(1.5, 4, n, 1, 1) * math.sqrt(2)
        value = rng.integers(60, 256, n, 1, 1) * on_face
        for offset, half in (
            (along, rng.uniform(2, 30, n, 1, 1)),
            (aside, rng.uniform(1, 6, n, 1, 1)),
        ):
            both = torch.erf((half + offset) / sigma) + torch.erf((half - offset) / sigma)
            value = value * both / 2
        return frames + value[:, None]

    def _blurred(self, frames: Tensor, conditions: Conditions) -> Tensor:
        rng, n = self._rng, len(frames)
        moved = rng.chance(conditions.motion_share, n)
        sigma = rng.uniform(*conditions.blur, n).where(~moved, 0.0)
        kernels = gaussian_kernels(sigma, conditions.blur[1])
        frames = convolved(convolved(frames, kernels[:, None]), kernels[:, :, None])
        longest = max(2.1, conditions.motion_blur)

        def move(some: Tensor) -> Tensor:
            length = rng.uniform(2, longest, len(some))
            angle = rng.uniform(0, math.pi, len(some))
            return convolved(some, motion_kernels(length, angle, longest))

        return _some(frames, moved, move)

    def _taken(self, frames: Tensor, conditions: Conditions) -> Tensor:
        """Noise, rounding, compression."""
        rng, n = self._rng, len(frames)
        sigma = rng.uniform(*conditions.noise, n)
        noise = rng.normal(*frames.shape) * sigma.where(sigma >= 0.3, 0.0)[:, None, None, None]
        frames = (frames + noise).round().clamp(0, 255)

        def compress(some: Tensor) -> Tensor:
            quality = rng.integers(40, 95, len(some)).float()
            return compressed(some, quality).round().clamp(0, 255)

        return _some(frames, rng.chance(conditions.compressed, n), compress)


# Reading patches.


def read_patches(frames: Tensor, extent: Tensor, to_frame: Tensor, side: int) -> Tensor:
    """Read patches as `runtime.sampling.FrameSampler` does.

    Args:
        frames: (V, 3, h, w), sides multiples of 2 ** LEVELS and at least 64. extent: (V, 2), width
            and height of each that are seen. to_frame: (V, K, 3, 3) float64, normalised patch ->
            frame pixels. side: of a patch, pixels.

    Returns:
        (V, K, side, side, 4) uint8, BGR and validity.
    """
    v, k = to_frame.shape[:2]
    to_frame = (to_frame / to_frame[..., 2:, 2:]).flatten(0, 1)
    ratio, seen = _source_ratio(to_frame, side)
    fine = ratio >= _PLAIN_BELOW
    level = halvings(ratio / _SUPERSAMPLE_UP_TO).float()
    points = apply_homography(to_frame.float(), _reads(side, fine))
    points = points.nan_to_num().reshape(v, k * 2 * side, 2 * side, 2)
    level = level.reshape(v, k, 1).repeat_interleave(2 * side, dim=1)
    points = at_level(points, level)
    size = (extent[:, None, None].float() * 0.5 ** level[..., None]).floor()
    inside = torch.minimum(points + 1, size - points).clamp(0, 1).prod(dim=3)
    points = torch.minimum(points.clamp_min(0), size - 1)
    colour = functional.avg_pool2d(read_atlas(mip_atlas(frames), points, level), 2)
    valid = functional.avg_pool2d(inside[:, None], 2) * 255 > 127
    valid = valid.unflatten(2, (k, side)) & seen.reshape(v, 1, k, 1, 1)
    colour = colour.round().unflatten(2, (k, side)) * valid
    return torch.cat([colour, valid * 255.0], dim=1).permute(0, 2, 3, 4, 1).byte()


def _source_ratio(to_frame: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """(N,) frame pixels a patch pixel spans along the longest edge; (N,) bool, all is in view."""
    mapped = square(to_frame) @ to_frame[:, :, :2].transpose(1, 2) + to_frame[:, None, :, 2]
    corners = mapped[..., :2] / mapped[..., 2:]
    before = (mapped[..., 2] > 0).all(dim=1)
    seen = before & (corners.abs().amax(dim=(1, 2)) < _FARTHEST)
    longest = (corners - corners.roll(1, dims=1)).norm(dim=2).amax(dim=1)
    return (longest / side).where(seen, 1.0), seen


def _reads(side: int, fine: Tensor) -> Tensor:
    """(N, 4 side^2, 2) normalised: 2x2 reads for each pixel, all at its centre if not `fine`."""
    centres = (torch.arange(side, device=fine.device) * 2.0 + 1) / side - 1
    spread = torch.tensor([-0.5, 0.5], device=fine.device) / side
    line = (centres[:, None] + fine[:, None, None] * spread).flatten(1)
    n, reads = line.shape
    across, down = line[:, None, :].expand(n, reads, reads), line[:, :, None]
    return torch.stack([across, down.expand(n, reads, reads)], dim=3).flatten(1, 2)
