import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from stn_ros.geometry.homography import corner_error, normalised_to_pixel  # noqa: E402
from stn_ros.geometry.patch import normalised_patch_to_canonical, patch_to_canonical  # noqa: E402
from stn_ros.localization.cascade import Cascade  # noqa: E402
from stn_ros.localization.network import LocalizationNetwork  # noqa: E402
from stn_ros.localization.solver import motion_homography  # noqa: E402
from stn_ros.runtime.paths import models_folder  # noqa: E402
from stn_ros.runtime.sampling import FrameSampler  # noqa: E402
from stn_ros.synthesis.scene import SHARP, render_frame  # noqa: E402
from stn_ros.synthesis.textures import Textures  # noqa: E402
from stn_ros.training.network.export import load_weights  # noqa: E402
from stn_ros.transformer.grid import projective_grid  # noqa: E402
from stn_ros.transformer.sampler import sample  # noqa: E402

THETA = np.array([[0.8, -0.15, 0.05], [0.12, 0.7, -0.04], [0.05, -0.08, 1.0]])


def test_cascade_with_the_shipped_weights_aligns_a_face():
    rng = np.random.default_rng(4)
    textures = Textures("held_out")
    face = textures.face(rng, 256)
    view = render_frame(rng, face, textures.background, SHARP)
    to_frame = np.linalg.inv(normalised_to_pixel((640, 480)))
    to_canonical = normalised_patch_to_canonical(view.size)
    start = np.array([[1.03, 0.04, 5.0], [-0.05, 0.97, -6.0], [0.0, 0.0, 1.0]])
    theta = to_frame @ view.homography @ start @ to_canonical
    references = [
        torch.from_numpy(
            FrameSampler(face).sample(patch_to_canonical(patch, view.size), (patch, patch))
        )[None]
        for patch in (64, 128)
    ]
    network = load_weights(models_folder() / "canonicalizer")
    with torch.no_grad():
        steps = Cascade(network, (64, 128))(
            references, torch.from_numpy(view.frame)[None], torch.from_numpy(theta)[None].float()
        )
    errors = [
        corner_error(
            np.linalg.inv(to_frame) @ matrix @ np.linalg.inv(to_canonical),
            view.homography,
            view.size,
        )
        for matrix in (theta, *(step.theta[0].double().numpy() for step in steps))
    ]
    assert errors[0] > 3
    assert errors[2] < errors[1] < errors[0] / 2
    assert errors[2] < 2


def test_cascade_keeps_its_geometry_in_32_bits():
    torch.manual_seed(0)
    cascade = Cascade(LocalizationNetwork(channels=16).eval(), (32, 32))
    frames = torch.randint(0, 256, (1, 40, 60, 3), dtype=torch.uint8)
    reference = torch.randint(0, 256, (1, 32, 32, 4), dtype=torch.uint8)
    theta = torch.from_numpy(THETA).float()[None]
    exact = cascade([reference, reference], frames, theta)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = cascade([reference, reference], frames, theta)
    torch.testing.assert_close(mixed[0].patch, exact[0].patch)  # before the network has spoken
    for step in mixed:
        wanted = theta @ motion_homography(step.motion.flow, step.motion.log_scale)
        torch.testing.assert_close(step.theta, wanted / wanted[:, 2:, 2:])
        theta = step.theta


def test_cascade_samples_where_theta_says_and_passes_gradients():
    torch.manual_seed(0)
    network = LocalizationNetwork(channels=16).eval()
    frames = torch.randint(0, 256, (2, 40, 60, 3), dtype=torch.uint8)
    reference = torch.randint(0, 256, (2, 32, 32, 4), dtype=torch.uint8)
    theta = torch.from_numpy(np.stack([THETA, np.eye(3)])).float().requires_grad_()
    steps = Cascade(network, (32, 32))([reference, reference], frames, theta)
    assert len(steps) == 2
    assert steps[0].patch.shape == (2, 32, 32, 4)
    wanted = sample(frames.float().permute(0, 3, 1, 2), projective_grid(theta, 32, 32))
    torch.testing.assert_close(steps[0].patch[..., :3].permute(0, 3, 1, 2), wanted)
    steps[-1].theta.sum().backward()
    assert theta.grad is not None
    assert theta.grad.abs().sum() > 0
