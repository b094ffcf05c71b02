import math
from collections.abc import Callable
from dataclasses import fields, replace
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from stn_ros.geometry.homography import (  # noqa: E402
    from_corners,
    jacobian,
    normalised_to_pixel,
    to_corners,
)
from stn_ros.runtime.sampling import FrameSampler  # noqa: E402
from stn_ros.synthesis.scene import (  # noqa: E402
    SHARP,
    Conditions,
    face_homography,
    paste_face,
    render_frame,
)
from stn_ros.training.network.device_pictures import RNG, mip_atlas  # noqa: E402
from stn_ros.training.network.device_scene import (  # noqa: E402
    CANVAS,
    SURFACE,
    Painter,
    Stock,
    draw_views,
    paste_faces,
    read_patches,
)
from stn_ros.training.network.samples import true_rotation  # noqa: E402


def _dots(size=(256, 160)):
    picture = np.full((size[1], size[0], 3), 40, np.uint8)
    for x, y, colour in ((40, 30, (0, 0, 255)), (200, 40, (0, 255, 0)), (120, 120, (255, 200, 0))):
        cv2.circle(picture, (x, y), 18, colour, -1, cv2.LINE_AA)
    return picture


def _to_tensor(picture):
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float()


def _atlas(picture):
    canvas = np.zeros((CANVAS, CANVAS, 4), np.uint8)
    canvas[: picture.shape[0], : picture.shape[1]] = cv2.cvtColor(picture, cv2.COLOR_BGR2BGRA)
    return mip_atlas(_to_tensor(canvas))


# Read at its first, second and third level, and smaller than a pixel of the last.
@pytest.mark.parametrize("long_side", [140, 100, 50, 20])
@pytest.mark.parametrize("tilt", [0, 50])
def test_faces_are_drawn_where_and_as_opencv_draws_them(long_side, tilt):
    face, frame = _dots(), np.full((192, 256, 3), 128, np.uint8)
    size = (256, 160)
    matrix = face_homography(
        size, (121.3, 88.8), long_side, 0.6, math.radians(tilt), 0.4, 300.0, (127.5, 95.5)
    )
    pose = torch.from_numpy(matrix @ normalised_to_pixel(size))[None]
    found = paste_faces(
        _to_tensor(frame), _atlas(face), torch.tensor([size], dtype=torch.float64), pose
    )
    paste_face(frame, face, matrix)
    difference = np.abs(found[0].permute(1, 2, 0).numpy() - frame)
    assert difference.mean() < 0.2
    assert difference.max() < 20


def _frame_and_region(ratio, side=48, move=(60.0, 40.0)):
    """A smooth frame, and a patch in it with its longest edge at `ratio` frame pixels a pixel."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    frame = cv2.resize(coarse, (448, 320), interpolation=cv2.INTER_CUBIC)
    corners = np.array([[0, 0], [1, 0.05], [0.95, 0.9], [0.03, 0.93]])
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1).max()
    corners = corners * (ratio * side / longest) + move
    square = np.array(
        [[-0.5, -0.5], [side - 0.5, -0.5], [side - 0.5, side - 0.5], [-0.5, side - 0.5]]
    )
    return frame, from_corners(square, corners)


@pytest.mark.parametrize("ratio", [0.8, 1.25, 1.5, 2.8, 3.2, 5.5])
@pytest.mark.parametrize("move", [(60.0, 40.0), (-25.0, -14.0), (390.0, 260.0)])
def test_patches_are_read_as_the_robot_reads_them(ratio, move):
    side, extent = 48, (441, 303)
    frame, matrix = _frame_and_region(ratio, side, move)
    seen = np.ascontiguousarray(frame[: extent[1], : extent[0]])
    wanted = FrameSampler(seen).sample(matrix, (side, side))
    to_frame = torch.from_numpy(matrix @ normalised_to_pixel((side, side)))[None, None]
    found = read_patches(_to_tensor(frame), torch.tensor([extent]), to_frame, side)[0, 0].numpy()
    same = (found[..., 3] > 0) & (wanted[..., 3] > 0)
    assert ((found[..., 3] > 0) != (wanted[..., 3] > 0)).mean() < 0.005
    assert set(np.unique(found[..., 3])) <= {0, 255}
    assert (found[found[..., 3] == 0] == 0).all()
    assert same.sum() > 50
    difference = np.abs(found.astype(float) - wanted)[same]
    assert difference.mean() < 0.5
    assert difference.max() < 6


def test_patches_of_one_frame_are_read_each_at_its_own_ratio():
    side = 48
    frame, _ = _frame_and_region(1)
    matrices = [_frame_and_region(ratio)[1] for ratio in (0.8, 2.0, 5.5)]
    to_frame = torch.from_numpy(np.stack(matrices) @ normalised_to_pixel((side, side)))
    frames, extent = _to_tensor(frame), torch.tensor([[448, 320]])
    together = read_patches(frames, extent, to_frame[None], side)[0]
    for patch, matrix in zip(together, to_frame, strict=True):
        alone = read_patches(frames, extent, matrix[None, None], side)[0, 0]
        torch.testing.assert_close(patch, alone)


def test_nothing_is_read_from_behind_the_camera():
    beyond = torch.eye(3, dtype=torch.float64)
    beyond[2, 0] = -2
    frames = torch.full((1, 3, 64, 64), 200.0)
    for matrix in (beyond, torch.full_like(beyond, math.nan)):
        assert (read_patches(frames, torch.tensor([[64, 64]]), matrix[None, None], 16) == 0).all()


def test_occluders_cover_the_share_asked_for():
    conditions = replace(SHARP, occluded_share=1.0, occluded=(0.1, 0.3))
    sizes = torch.tensor([[256.0, 160.0]], dtype=torch.float64).expand(40, 2)
    views = draw_views(RNG(3, torch.device("cpu")), torch.arange(40), sizes, conditions)
    assert views.occluded.all()
    assert views.visible.min() > 0.69
    assert views.visible.max() < 0.91


def test_what_is_rendered_is_the_face_where_the_view_says():
    """Read back through its pose, the face is what was put into the stock."""
    face, size = _dots(), (256, 160)
    stock = Stock(
        faces=_atlas(face).byte(),
        sizes=torch.tensor([size], dtype=torch.float64),
        colours=torch.full((1, 3), 40.0),
        surfaces=mip_atlas(torch.full((1, 3, *SURFACE[::-1]), 128.0)).byte(),
    )
    clear = replace(
        SHARP, noise=(0, 0), blur=(0, 0), harsh_light=0.0, compressed=0.0, body_share=0.0, clutter=0
    )
    rng = RNG(5, torch.device("cpu"))
    views = draw_views(rng, torch.zeros(6, dtype=torch.long), stock.sizes.expand(6, 2), clear)
    frames = Painter(rng, stock).render(views, clear)
    assert (frames == frames.round()).all()
    for frame, pose in zip(frames, views.pose.numpy(), strict=True):
        picture = frame.permute(1, 2, 0).numpy()
        to_frame = pose @ np.linalg.inv(normalised_to_pixel(size))
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        back = cv2.warpPerspective(picture, to_frame, size, flags=flags)
        inner = (slice(8, -8), slice(8, -8))
        assert np.corrcoef(back[inner].ravel(), face[inner].ravel())[0, 1] > 0.97


# Each field of `Conditions`, on both renderers.

SIZE = (256, 160)
BACKDROPS = (16, 72, 128, 184, 240)
CLEAR = Conditions(
    tilt=(0, 0),
    roll=(0, 0),
    long_side=(50, 50),
    blur=(0, 0),
    motion_share=0.0,
    noise=(0, 0),
    occluded_share=0.0,
    cut_share=0.0,
    harsh_light=0.0,
    compressed=0.0,
    body_share=0.0,
    clutter=0,
)
"""The face square-on and upright before a plain background, and nothing else in the view."""


class Rendered(NamedTuple):
    """Frame (h, w, 3); canonical -> frame pixels; share of the face that is seen."""

    frame: np.ndarray | None
    homography: np.ndarray
    visible: float


class Probe(NamedTuple):
    """Two settings, and the measures of a view that must tell them apart."""

    without: dict
    with_it: dict
    measures: tuple[Callable[[Rendered], float], ...]


def _blocks():
    """A face of coloured blocks: edges for blur, flats for noise."""
    coarse = np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, SIZE, interpolation=cv2.INTER_NEAREST)


def _scales(view):
    """Frame pixels a canonical pixel spans at the face's centre: most, least."""
    local = jacobian(view.homography, (np.array(SIZE) - 1) / 2)
    return np.linalg.svd(local, compute_uv=False)


def rotation(view):
    """Degrees, clockwise."""
    return true_rotation(view.homography, SIZE)


def foreshortening(view):
    """Least scale by most."""
    return _scales(view)[1] / _scales(view)[0]


def length(view):
    """Of the long side, pixels."""
    return max(SIZE) * _scales(view)[0]


def hidden(view):
    """Share of the face."""
    return 1 - view.visible


def _seen(view):
    """The face as the frame shows it, and as it is; but for its rim."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = cv2.warpPerspective(view.frame.astype(np.float32), view.homography, SIZE, flags=flags)
    return seen[8:-8, 8:-8], _blocks()[8:-8, 8:-8]


def brightness_error(view):
    """Grey levels."""
    seen, face = _seen(view)
    return float(np.abs(seen - face).mean())


def decorrelation(view):
    """1 - NCC of the face as it is seen and as it is: light hardly counts."""
    seen, face = _seen(view)
    return 1 - np.corrcoef(seen.ravel(), face.ravel())[0, 1]


def surroundings(view):
    """Share of the frame beside the face that is not the background."""
    beside = np.ones(view.frame.shape[:2], np.uint8)
    outline = to_corners(view.homography, SIZE).round().astype(np.int32)
    cv2.fillConvexPoly(beside, outline, 0)
    shown = view.frame[cv2.erode(beside, np.ones((5, 5))) > 0].astype(float)
    return float((np.abs(shown - np.median(shown, axis=0)) > 40).any(axis=1).mean())


GEOMETRIC = (rotation, foreshortening, length, hidden)
PROBES = {
    "tilt": Probe({"tilt": (10, 20)}, {"tilt": (40, 60)}, (foreshortening,)),
    "roll": Probe({"roll": (0, 0)}, {"roll": (20, 40)}, (rotation,)),
    "long_side": Probe({"long_side": (60, 80)}, {"long_side": (150, 250)}, (length,)),
    "blur": Probe({"blur": (0, 0)}, {"blur": (2, 3)}, (decorrelation,)),
    "motion_blur": Probe(
        {"motion_share": 1.0, "motion_blur": 3.0},
        {"motion_share": 1.0, "motion_blur": 20.0},
        (decorrelation,),
    ),
    "motion_share": Probe({"motion_share": 0.0}, {"motion_share": 1.0}, (decorrelation,)),
    "noise": Probe({"noise": (0, 0)}, {"noise": (10, 20)}, (decorrelation,)),
    "occluded": Probe(
        {"occluded_share": 1.0, "occluded": (0.05, 0.1)},
        {"occluded_share": 1.0, "occluded": (0.2, 0.3)},
        (hidden, decorrelation),
    ),
    "occluded_share": Probe(
        {"occluded_share": 0.0, "occluded": (0.2, 0.3)},
        {"occluded_share": 1.0, "occluded": (0.2, 0.3)},
        (hidden, decorrelation),
    ),
    "cut_share": Probe(
        {"cut_share": 0.0, "long_side": (400, 400)},
        {"cut_share": 1.0, "long_side": (400, 400)},
        (hidden,),
    ),
    "harsh_light": Probe({"harsh_light": 0.0}, {"harsh_light": 1.0}, (brightness_error,)),
    "compressed": Probe({"compressed": 0.0}, {"compressed": 1.0}, (decorrelation,)),
    "body_share": Probe({"body_share": 0.0}, {"body_share": 1.0}, (surroundings,)),
    "clutter": Probe({"clutter": 0}, {"clutter": 6}, (surroundings,)),
}


@lru_cache(4)  # of most probes one setting is CLEAR
def _rendered(by, conditions, count, drawn):
    return list(by(conditions, count, drawn))


def _opencv(conditions, count, drawn):
    def plain(rng, size):
        return np.full((size[1], size[0], 3), rng.choice(BACKDROPS), np.uint8)

    rng, face = np.random.default_rng(0), _blocks()
    for _ in range(count):
        view = render_frame(rng, face, plain, conditions, near_only=True)
        yield Rendered(view.frame, view.homography, view.visible)


def _torch(conditions, count, drawn):
    face = _blocks()
    plain = (mip_atlas(torch.full((1, 3, *SURFACE[::-1]), float(grey))) for grey in BACKDROPS)
    stock = Stock(
        faces=_atlas(face).byte(),
        sizes=torch.tensor([SIZE], dtype=torch.float64),
        colours=torch.from_numpy(face.mean(axis=(0, 1))).float()[None],
        surfaces=torch.cat(list(plain)).byte(),
    )
    rng = RNG(0, torch.device("cpu"))
    chosen = torch.zeros(count, dtype=torch.long)
    views = draw_views(rng, chosen, stock.sizes.expand(count, 2), conditions)
    frames = Painter(rng, stock).render(views, conditions).byte().numpy() if drawn else None
    for i in range(count):
        homography = views.pose[i].numpy() @ np.linalg.inv(normalised_to_pixel(SIZE))
        width, height = map(int, views.extent[i])
        frame = frames[i, :, :height, :width].transpose(1, 2, 0) if drawn else None
        yield Rendered(frame, homography, float(views.visible[i]))


def test_every_condition_has_a_probe():
    assert list(PROBES) == [field.name for field in fields(Conditions)]


@pytest.mark.parametrize(
    "field",
    [
        # Without pictures it is quick.
        field if set(measures) <= set(GEOMETRIC) else pytest.param(field, marks=pytest.mark.slow)
        for field, (_, _, measures) in PROBES.items()
    ],
)
def test_every_condition_has_its_effect_on_both_renderers(field):
    without, with_it, measures = PROBES[field]
    count = 150
    for measure in measures:
        drawn = measure not in GEOMETRIC
        effects, errors = [], []
        for render in (_opencv, _torch):
            two = [
                np.array([measure(view) for view in _rendered(render, conditions, count, drawn)])
                for conditions in (replace(CLEAR, **without), replace(CLEAR, **with_it))
            ]
            effects.append(two[1].mean() - two[0].mean())
            errors.append(np.hypot(two[0].std(), two[1].std()) / math.sqrt(count))
        assert abs(effects[0]) > 4 * errors[0]
        assert effects[1] == pytest.approx(effects[0], rel=0.25)
