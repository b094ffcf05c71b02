import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from stn_ros.localization.network import (  # noqa: E402
    STRIDE,
    LocalizationNetwork,
    local_correlation,
    normalise,
)


@pytest.mark.parametrize("radius", [1, 3])
def test_local_correlation_equals_the_plain_sum(radius):
    generator = torch.Generator().manual_seed(0)
    reference = torch.randn(2, 5, 6, 7, generator=generator)
    patch = torch.randn(2, 5, 6, 7, generator=generator)
    found = local_correlation(reference, patch, radius)
    side = 2 * radius + 1
    assert found.shape == (2, side * side, 6, 7)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            channel = (dy + radius) * side + dx + radius
            for y in range(6):
                for x in range(7):
                    inside = 0 <= y + dy < 6 and 0 <= x + dx < 7
                    expected = (
                        (reference[:, :, y, x] * patch[:, :, y + dy, x + dx]).sum(dim=1)
                        if inside
                        else torch.zeros(2)
                    )
                    torch.testing.assert_close(found[:, channel, y, x], expected)


def test_local_correlation_gradient():
    reference = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    patch = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: local_correlation(a, b, 1), (reference, patch))


def test_normalised_pictures_ignore_light_and_the_invalid():
    rng = np.random.default_rng(1)
    picture = rng.integers(20, 120, (1, 16, 16, 4), dtype=np.uint8)
    picture[..., 3] = 255
    picture[:, :4, :, 3] = 0
    brighter = picture.copy()
    brighter[..., :3] = picture[..., :3] * 2 + 10
    brighter[:, :4, :, :3] = 77
    first, second = (normalise(torch.from_numpy(p)) for p in (picture, brighter))
    assert torch.allclose(first, second, atol=0.02)
    assert (first[:, :, :4] == 0).all()
    valid = first[:, :3, 4:]
    assert valid.mean().abs() < 0.02
    assert abs(float(valid.square().mean()) - 1.0) < 0.05


def test_network_serves_every_patch_size_and_starts_near_no_motion():
    torch.manual_seed(0)
    network = LocalizationNetwork(channels=16).eval()
    for patch in (32, 48, 64):
        pictures = torch.randint(0, 256, (2, patch, patch, 4), dtype=torch.uint8)
        pictures[..., 3] = 255
        motion = network(pictures, pictures)
        cells = patch // STRIDE
        assert motion.flow.shape == (2, 2, cells, cells)
        assert motion.log_scale.shape == (2, cells, cells)
        assert motion.present.shape == motion.aligned.shape == (2,)
        assert motion.flow.abs().mean() < 2.0


def test_every_weight_gets_a_gradient():
    torch.manual_seed(0)
    network = LocalizationNetwork(channels=16)
    pictures = torch.randint(0, 256, (4, 32, 32, 4), dtype=torch.uint8)
    motion = network(pictures, pictures.roll(4, dims=2))
    sum(part.square().sum() for part in motion).backward()
    # The second normalisation of a residual starts at zero and so hides its convolutions at first.
    silent = [
        name
        for name, weight in network.named_parameters()
        if weight.grad is None or not weight.grad.abs().sum() > 0
    ]
    hidden = (".first.", ".first_norm.", ".second.weight")
    assert [name for name in silent if not any(part in name for part in hidden)] == []
