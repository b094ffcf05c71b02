import math

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from stn_ros.geometry.homography import normalised_to_pixel  # noqa: E402
from stn_ros.synthesis.scene import face_homography  # noqa: E402
from stn_ros.training.network.device_pictures import (  # noqa: E402
    LEVELS,
    Shapes,
    compressed,
    convolved,
    corners_of,
    depth_inside,
    from_square,
    gaussian_kernels,
    mip_atlas,
    motion_kernels,
    poses,
    quad_cover,
    read_atlas,
)


def _to_tensor(picture):
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float()


@pytest.mark.parametrize("level", range(LEVELS + 1))
def test_each_level_of_an_atlas_is_read_as_its_own_picture(level):
    picture = torch.rand(1, 3, 64, 96, generator=torch.manual_seed(0)) * 255
    wanted = picture
    for _ in range(level):
        wanted = torch.nn.functional.avg_pool2d(wanted, 2)
    rows, columns = wanted.shape[-2:]
    y, x = torch.arange(-1.0, rows + 1), torch.arange(-1.0, columns + 1)
    points = torch.cartesian_prod(y, x).flip(1).reshape(1, rows + 2, columns + 2, 2)
    found = read_atlas(mip_atlas(picture), points, torch.full((1, 1, 1), float(level)))
    wanted = torch.nn.functional.pad(wanted, (1, 1, 1, 1))
    if level == 0:  # only the halvings have zeros before them
        found, wanted = found[..., 1:-1, 1:-1], wanted[..., 1:-1, 1:-1]
    torch.testing.assert_close(found, wanted, rtol=0, atol=0.02)


def test_the_square_is_carried_onto_the_corners():
    corners = torch.tensor([[10.0, 12], [50, 8], [47, 40], [5, 44]], dtype=torch.float64)
    matrix = from_square(corners)
    torch.testing.assert_close(corners_of(matrix[None])[0], corners)


@pytest.mark.parametrize("centre", [(320, 240), (80, 400)])
def test_poses_are_those_of_the_scene(centre):
    size, values = (100, 50), (120.0, 0.7, math.radians(40), 1.1, 600.0)
    long_side, roll, tilt, azimuth, focal = values
    wanted = face_homography(
        size, centre, long_side, roll, tilt, azimuth, focal, (320, 240)
    ) @ normalised_to_pixel(size)
    scalars = (torch.tensor([value], dtype=torch.float64) for value in values)
    half, middle = torch.tensor([[1.0, 0.5]]), torch.tensor([[320.0, 240.0]])
    pose = poses(half, torch.tensor([centre]), *scalars, middle)[0]
    np.testing.assert_allclose(pose, wanted / wanted[2, 2], atol=1e-9)


def test_outlines_hold_what_they_should():
    """One of each kind, unturned: what is just within its edge, and what is just beyond."""
    some = torch.zeros(4)
    shapes = Shapes(
        kind=torch.arange(4),
        centre=torch.full((4, 2), 0.5),
        half=torch.tensor([0.3, 0.2]).expand(4, 2),
        rotation=some,
        push=some + 0.2,
        waves=some,  # with a phase of none: an ellipse that has no ripple
        phase=some,
        width=some + 0.1,
        lengths=torch.tensor([-1.0, 0.6, -1, -1]).expand(4, 4),
    )
    # The finger comes from the right, 0.9 off the middle, and lies half a place below it.
    edges = torch.tensor([[0.7, 0.5], [0.8, 0.5], [0.8, 0.5], [0.75, 0.5625]])
    inwards = torch.tensor([[0.01, 0.0], [-0.01, 0], [-0.01, 0], [0.01, 0]])
    points = torch.stack([edges + inwards, edges - inwards], dim=1)
    assert ((depth_inside(shapes, points) > 0) == torch.tensor([True, False])).all()


def test_quads_cover_their_area_whichever_way_they_go_round():
    corners = torch.tensor([[[5.0, 6], [25, 9], [22, 28], [7, 20]]])
    corners = torch.cat([corners, corners.flip(1)])
    cover = quad_cover(corners, torch.zeros(2, 3, 32, 32))
    area = cv2.contourArea(corners[0].numpy())
    assert cover.sum(dim=(1, 2)).tolist() == pytest.approx([area, area], rel=0.02)


def test_blur_is_that_of_opencv():
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.float32)
    pictures = _to_tensor(picture).expand(2, -1, -1, -1)
    kernels = gaussian_kernels(torch.tensor([1.5, 0.2]), 2.0)
    found = convolved(convolved(pictures, kernels[:, None]), kernels[:, :, None])
    wanted = cv2.GaussianBlur(picture, (13, 13), 1.5, borderType=cv2.BORDER_REFLECT_101)
    np.testing.assert_allclose(found[0].permute(1, 2, 0), wanted, atol=0.1)
    torch.testing.assert_close(found[1], pictures[1])


def test_motion_blur_runs_along_its_angle():
    kernel = motion_kernels(torch.tensor([6.0]), torch.tensor([math.pi / 2]), 8.0)[0]
    assert float(kernel.sum()) == pytest.approx(1)
    middle = len(kernel) // 2
    assert float(kernel[:, middle].sum()) == pytest.approx(1)
    assert int((kernel[:, middle] > 0).sum()) == 7


def test_compression_is_near_that_of_opencv():
    coarse = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    frame = cv2.resize(coarse, (448, 320), interpolation=cv2.INTER_CUBIC)
    for quality in (45, 85):
        jpeg = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        wanted = cv2.imdecode(jpeg, 1).astype(float)
        found = compressed(_to_tensor(frame), torch.tensor([float(quality)]))
        found = found[0].permute(1, 2, 0).numpy()
        loss = np.abs(wanted - frame).mean()
        assert 0.7 * loss < np.abs(found - frame).mean() < 1.4 * loss
        assert np.abs(found - wanted).mean() < loss
