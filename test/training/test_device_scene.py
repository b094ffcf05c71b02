import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from stn_ros.geometry.homography import from_corners, normalised_to_pixel  # noqa: E402
from stn_ros.runtime.sampling import FrameSampler  # noqa: E402
from stn_ros.synthesis.scene import SHARP, face_homography, paste_face  # noqa: E402
from stn_ros.training.device_pictures import Dice, mip_atlas  # noqa: E402
from stn_ros.training.device_scene import (  # noqa: E402
    CANVAS,
    SURFACE,
    Painter,
    Stock,
    draw_views,
    paste_faces,
    read_patches,
)


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
    views = draw_views(Dice(3, torch.device("cpu")), torch.arange(40), sizes, conditions)
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
    dice = Dice(5, torch.device("cpu"))
    views = draw_views(dice, torch.zeros(6, dtype=torch.long), stock.sizes.expand(6, 2), clear)
    frames = Painter(dice, stock).render(views, clear)
    assert (frames == frames.round()).all()
    for frame, pose in zip(frames, views.pose.numpy(), strict=True):
        picture = frame.permute(1, 2, 0).numpy()
        to_frame = pose @ np.linalg.inv(normalised_to_pixel(size))
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        back = cv2.warpPerspective(picture, to_frame, size, flags=flags)
        inner = (slice(8, -8), slice(8, -8))
        assert np.corrcoef(back[inner].ravel(), face[inner].ravel())[0, 1] > 0.97
