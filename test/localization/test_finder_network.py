"""The finder's network: shapes, and what must hold whatever it has learnt."""

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from stn_ros.localization.finder import STRIDE, FinderNetwork  # noqa: E402


@pytest.fixture(scope="module")
def network() -> FinderNetwork:
    torch.manual_seed(0)
    return FinderNetwork(channels=16, embedding=8, blocks=2).eval()


def picture(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (8, 8), (176, 264)])
def test_a_cell_for_each_stride(network: FinderNetwork, height: int, width: int):
    cells = network(picture(2, height, width, 3))
    rows, columns = height // STRIDE, width // STRIDE
    assert cells.embedding.shape == (2, 8, rows, columns)
    assert cells.centred.shape == (2, rows, columns)
    assert cells.outline.shape == (2, 5, rows, columns)


def test_embeddings_are_of_unit_length(network: FinderNetwork):
    length = network(picture(1, 64, 64, 3)).embedding.norm(dim=1)
    assert torch.allclose(length, torch.ones_like(length), atol=1e-5)


def test_pictures_of_a_batch_do_not_touch_each_other(network: FinderNetwork):
    first, second = picture(1, 64, 64, 3), picture(1, 64, 64, 3, seed=1)
    alone, beside = network(first), network(torch.cat([second, first]))
    assert torch.allclose(alone.embedding[0], beside.embedding[1], atol=1e-5)


def test_a_shift_by_a_cell_shifts_the_answer(network: FinderNetwork):
    """Fully convolutional: what lies far enough from the border moves with the picture."""
    wide = picture(1, 160, 160 + STRIDE, 3)
    before = network(wide[:, :, :-STRIDE]).embedding
    after = network(wide[:, :, STRIDE:]).embedding
    reach = 6
    inner = slice(reach, -reach)
    assert torch.allclose(
        before[:, :, inner, reach + 1 : -reach], after[:, :, inner, reach : -reach - 1], atol=1e-5
    )


def test_every_weight_takes_part(network: FinderNetwork):
    trained = FinderNetwork(channels=16, embedding=8, blocks=2)
    cells = trained(picture(2, 48, 48, 3))
    sum(part.square().sum() + part.sum() for part in cells).backward()
    for name, parameter in trained.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
