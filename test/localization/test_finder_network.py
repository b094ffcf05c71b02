"""The finder's network: shapes, and what must hold whatever it has learnt."""

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from stn_ros.localization.finder import (  # noqa: E402
    NEIGHBOURHOOD,
    STRIDE,
    FinderNetwork,
    neighbourhoods,
)


def small() -> FinderNetwork:
    return FinderNetwork(channels=16, blocks=2, features=8, hidden=24, embedding=12)


@pytest.fixture(scope="module")
def network() -> FinderNetwork:
    torch.manual_seed(0)
    return small().eval()


def picture(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (8, 8), (176, 264)])
def test_a_cell_for_each_stride(network: FinderNetwork, height: int, width: int):
    cells = network.cells(picture(2, height, width, 3))
    rows, columns = height // STRIDE, width // STRIDE
    assert cells.features.shape == (2, rows, columns, 8)
    assert cells.centred.shape == (2, rows, columns)


def test_embeddings_are_of_unit_length(network: FinderNetwork):
    said = network.describe(torch.randn(5, NEIGHBOURHOOD, NEIGHBOURHOOD, 8))
    assert said.outline.shape == (5, 5)
    length = said.embedding.norm(dim=1)
    assert torch.allclose(length, torch.ones_like(length), atol=1e-5)


def test_pictures_of_a_batch_do_not_touch_each_other(network: FinderNetwork):
    first, second = picture(1, 64, 64, 3), picture(1, 64, 64, 3, seed=1)
    alone, beside = network.cells(first), network.cells(torch.cat([second, first]))
    assert torch.allclose(alone.features[0], beside.features[1], atol=1e-5)


def test_a_shift_by_a_cell_shifts_the_features(network: FinderNetwork):
    """Fully convolutional: what lies far enough from the border moves with the picture."""
    wide = picture(1, 160, 160 + STRIDE, 3)
    before = network.cells(wide[:, :, :-STRIDE]).features
    after = network.cells(wide[:, :, STRIDE:]).features
    reach = 6
    inner = slice(reach, -reach)
    assert torch.allclose(
        before[:, inner, reach + 1 : -reach], after[:, inner, reach : -reach - 1], atol=1e-5
    )


def test_neighbourhoods_by_hand():
    features = torch.arange(2 * 9 * 10).reshape(2, 9, 10, 1).float()
    around = neighbourhoods(
        features, torch.tensor([1, 0]), torch.tensor([4, 0]), torch.tensor([5, 9])
    )
    assert torch.equal(around[0], features[1, 1:8, 2:9])
    # At the corner, up and to the right of which there is nothing.
    assert torch.equal(around[1, 3:, :4], features[0, :4, 6:])
    assert around[1, :3].abs().sum() == around[1, :, 4:].abs().sum() == 0


def test_every_weight_takes_part():
    trained = small()
    cells = trained.cells(picture(2, 48, 48, 3))
    at = torch.tensor([0, 1, 1])
    said = trained.describe(neighbourhoods(cells.features, at, at + 1, at + 2))
    sum(part.square().sum() + part.sum() for part in (cells.centred, *said)).backward()
    for name, parameter in trained.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
