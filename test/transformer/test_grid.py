import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from stn_ros.geometry.homography import normalised_to_pixel  # noqa: E402
from stn_ros.transformer.grid import projective_grid, target_grid  # noqa: E402
from stn_ros.transformer.sampler import sample  # noqa: E402

THETA = np.array([[0.8, -0.15, 0.05], [0.12, 0.7, -0.04], [0.05, -0.08, 1.0]])


def test_target_grid_by_hand():
    grid = target_grid((2, 4), torch.zeros(1))
    assert grid[0, :, 0].tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert grid[:, 0, 1].tolist() == [-0.5, 0.5]


def test_identity_reads_the_picture_itself():
    picture = torch.rand(1, 3, 5, 7)
    grid = projective_grid(torch.eye(3)[None], 5, 7)
    torch.testing.assert_close(sample(picture, grid), picture)


def test_what_is_kept_in_inference_mode_serves_training():
    with torch.inference_mode():
        projective_grid(torch.eye(3)[None], 11, 13)
    theta = torch.eye(3)[None].requires_grad_()
    projective_grid(theta, 11, 13).sum().backward()
    assert theta.grad is not None


def test_shift_by_one_pixel():
    picture = torch.arange(6.0).reshape(1, 1, 1, 6)
    theta = torch.eye(3)[None].clone()
    theta[:, 0, 2] = 2 / 6
    read = sample(picture, projective_grid(theta, 1, 6)).flatten().tolist()
    assert read == pytest.approx([1, 2, 3, 4, 5, 0], abs=1e-5)


def test_equals_opencv_inside():
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.uniform(0, 1, (60, 80)).astype(np.float32), (0, 0), 2)
    out = normalised_to_pixel((40, 30))
    pixel = normalised_to_pixel((80, 60)) @ THETA @ np.linalg.inv(out)
    wanted = cv2.warpPerspective(
        picture, pixel, (40, 30), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    grid = projective_grid(torch.from_numpy(THETA)[None].float(), 30, 40)
    found = sample(torch.from_numpy(picture)[None, None], grid)[0, 0].numpy()
    # OpenCV 4 rounds coordinates to 1/32 pixel.
    assert np.abs(found - wanted).max() < 0.02


def test_sampler_gradients():
    # Points off the lines where bilinear interpolation has a kink.
    grid = projective_grid(torch.from_numpy(THETA)[None], 3, 4).requires_grad_()
    picture = torch.rand(1, 2, 6, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(sample, (picture, grid), eps=1e-7, atol=1e-5)
