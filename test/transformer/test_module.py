"""The Spatial Transformer as a layer: starts as the identity, learns, composes, in any place."""

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from functools import partial  # noqa: E402

from torch import nn  # noqa: E402

from stn_ros.transformer.families import (  # noqa: E402
    Affine,
    Affine3d,
    Attention,
    Projective,
    SequenceMonotone,
    Similarity,
    ThinPlateSpline,
    Translation,
)
from stn_ros.transformer.module import (  # noqa: E402
    CompositionalTransformer,
    ConvolutionalLocalizer,
    SpatialTransformer,
    in_frame_penalty,
    parameter_groups,
    tiled,
    transformers,
)
from stn_ros.transformer.sampler import sample, sample_linearized  # noqa: E402


def _layer(family, size=(28, 28), **options):
    return SpatialTransformer(ConvolutionalLocalizer(1, (28, 28)), 20, family, size, **options)


def _flat(shape, features=6):
    count = torch.Size(shape).numel()
    return nn.Sequential(nn.Flatten(), nn.Linear(count, features), nn.Tanh())


@pytest.mark.parametrize(
    "family", [Translation(), Attention(), Similarity(), Affine(), Projective(), ThinPlateSpline()]
)
def test_it_starts_as_the_identity(family):
    pictures = torch.rand(3, 1, 28, 28)
    layer = _layer(family)
    torch.testing.assert_close(layer(pictures), pictures, atol=1e-4, rtol=0)
    assert layer.last.parameters.shape == (3, 1, family.count)
    assert layer.last.grid.shape == (3, 1, 28, 28, 2)


def test_sequences_and_volumes():
    words = torch.rand(2, 5, 12)
    layer = SpatialTransformer(_flat((5, 12)), 6, SequenceMonotone(4))
    torch.testing.assert_close(layer(words), words, atol=1e-5, rtol=0)
    volumes = torch.rand(2, 1, 4, 5, 6)
    layer = SpatialTransformer(_flat((1, 4, 5, 6)), 6, Affine3d())
    torch.testing.assert_close(layer(volumes), volumes, atol=1e-4, rtol=0)


def test_size_of_the_output_is_free():
    layer = _layer(Affine(), size=(7, 9))
    assert layer(torch.rand(2, 1, 28, 28)).shape == (2, 1, 7, 9)


def test_everything_gets_gradients_once_the_head_has_moved():
    layer = _layer(Affine())
    with torch.no_grad():
        layer.head.weight.normal_(std=0.01)
    layer(torch.rand(4, 1, 28, 28)).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_a_localizer_has_no_dead_units():
    # Biases far below zero: every ReLU would be zero, and so would be all gradients before it.
    localizer = ConvolutionalLocalizer(1, (28, 28))
    with torch.no_grad():
        for layer in localizer:
            if hasattr(layer, "bias"):
                layer.bias.fill_(-10.0)
    localizer(torch.rand(2, 1, 28, 28)).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in localizer.parameters())


def test_a_localizer_with_batch_norm_tells_pictures_apart_whatever_their_scale():
    torch.manual_seed(0)
    localizer = ConvolutionalLocalizer(1, (28, 28), batch_norm=True)
    assert not any("bias" in dict(p.named_parameters()) for p in localizer if _has_weights(p))
    pictures = torch.rand(64, 1, 28, 28)
    found = localizer(pictures)
    torch.testing.assert_close(localizer(100 * pictures), found, atol=0.01, rtol=0.01)
    before = torch.where(found < 0, found / 0.1, found)  # undo the leaky ReLU
    torch.testing.assert_close(before.mean(dim=0), torch.zeros(20), atol=1e-4, rtol=0)
    torch.testing.assert_close(before.var(dim=0), torch.full((20,), 64 / 63), atol=0.05, rtol=0)


def _has_weights(layer):
    return isinstance(layer, (nn.Conv2d, nn.Linear))


def test_parameters_stay_within_the_limit():
    layer = _layer(Affine(limit=0.3))
    with torch.no_grad():
        layer.head.bias.fill_(100.0)
    layer(torch.rand(2, 1, 28, 28))
    assert layer.last.parameters.abs().max() <= 0.3 + 1e-6


@pytest.mark.parametrize("family", [Attention(), Similarity(), Affine(), Projective()])
def test_parallel_transforms_begin_with_a_tile_each(family):
    pictures = torch.rand(2, 3, 28, 28)
    localizer = ConvolutionalLocalizer(3, (28, 28))
    layer = SpatialTransformer(localizer, 20, family, (14, 14), transforms=4)
    output = layer(pictures)
    assert output.shape == (2, 12, 14, 14)
    tiles = [pictures[..., y : y + 14, x : x + 14] for y in (0, 14) for x in (0, 14)]
    torch.testing.assert_close(output, torch.cat(tiles, dim=1), atol=1e-4, rtol=0)


def test_tiles_of_a_number_that_is_no_square_leave_some_out():
    centres = tiled(Attention(), 3)[:, 1:]
    torch.testing.assert_close(centres, torch.tensor([[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5]]))


def test_in_series_and_within_a_network():
    network = nn.Sequential(
        _layer(Affine()), nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(),
        SpatialTransformer(ConvolutionalLocalizer(4, (28, 28)), 20, Translation(), (20, 20)),
    )  # fmt: skip
    assert network(torch.rand(2, 1, 28, 28)).shape == (2, 4, 20, 20)
    assert [name for name, _ in transformers(network)] == ["0", "3"]


def test_any_sampler_can_be_given():
    pictures = torch.rand(2, 1, 28, 28)
    for sampler in (partial(sample, mode="bicubic"), sample_linearized):
        layer = _layer(Affine(), sampler=sampler)
        torch.testing.assert_close(layer(pictures), pictures, atol=1e-4, rtol=0)


def _shifted_dots(n, seed=0):
    """Dots off the middle by up to a third of the picture, and how far, normalised."""
    generator = torch.Generator().manual_seed(seed)
    shift = torch.empty(n, 2).uniform_(-0.3, 0.3, generator=generator)
    axis = (torch.arange(28) * 2 + 1) / 28 - 1
    distance = (axis[None, None, :] - shift[:, 0, None, None]) ** 2
    distance = distance + (axis[None, :, None] - shift[:, 1, None, None]) ** 2
    return torch.exp(-distance / 0.1)[:, None], shift


@pytest.mark.parametrize("kind", ["one", "compositional"])
def test_it_learns_to_centre_from_the_picture_alone(kind):
    torch.manual_seed(0)
    pictures, shift = _shifted_dots(64)
    target, _ = _shifted_dots(1)
    target = torch.exp(-(torch.linspace(-27 / 28, 27 / 28, 28) ** 2) / 0.1)
    target = (target[:, None] * target[None, :]).expand(64, 1, 28, 28)
    localizer = ConvolutionalLocalizer(1, (28, 28))
    if kind == "one":
        layer = SpatialTransformer(localizer, 20, Translation())
    else:
        layer = CompositionalTransformer([localizer, localizer], 20, Translation())
    optimizer = torch.optim.Adam(parameter_groups(layer, 2e-2), lr=1.0)
    before = (layer(pictures) - target).square().mean().item()
    for _ in range(60):
        loss = (layer(pictures) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2 * before
    found = layer.last.parameters[:, -1]
    assert torch.corrcoef(torch.stack([found[:, 0], shift[:, 0]]))[0, 1] > 0.9


def test_compositional_steps_compose_and_sample_the_input_only():
    localizer = ConvolutionalLocalizer(1, (28, 28))
    layer = CompositionalTransformer([localizer, localizer, localizer], 20, Translation(limit=2.0))
    assert len({id(head) for head in layer.heads}) == 1
    with torch.no_grad():
        layer.heads[0].bias.copy_(torch.atanh(torch.tensor([2 / 28, 0.0]) / 2) * 2)
    pictures = torch.rand(2, 1, 28, 28)
    output = layer(pictures)  # three shifts of a pixel, whatever is seen on the way
    torch.testing.assert_close(output[..., :-3], pictures[..., 3:], atol=1e-4, rtol=0)
    shifts = layer.last.parameters[0, :, 0]
    torch.testing.assert_close(shifts, torch.tensor([1.0, 2, 3]) * 2 / 28, atol=1e-5, rtol=0)


def test_localizers_learn_more_slowly():
    network = nn.Sequential(_layer(Affine()), nn.Flatten(), nn.Linear(784, 10))
    fast, slow = parameter_groups(network, 0.1, 0.05)
    assert fast["lr"] == 0.1
    assert slow["lr"] == pytest.approx(0.005)
    assert sum(p.numel() for p in fast["params"]) == 7850
    together = [*fast["params"], *slow["params"]]
    assert len(together) == len(list(network.parameters()))


def test_in_frame_penalty_is_zero_inside_and_grows_outside():
    layer = _layer(Translation(limit=3.0))
    with pytest.raises(ValueError, match="no transformer has run yet"):
        in_frame_penalty(layer)
    layer(torch.rand(2, 1, 28, 28))
    assert in_frame_penalty(layer).item() == 0.0
    with torch.no_grad():
        layer.head.bias.copy_(torch.tensor([50.0, 0.0]))  # shifted by its limit, 3
    layer(torch.rand(2, 1, 28, 28))
    # x runs from 2 to 4, so it is outside by 1 to 3; y not at all.
    assert in_frame_penalty(layer).item() == pytest.approx((1 + 26 / 6 - 1) / 2, rel=0.01)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: _layer(Affine(), initial=torch.zeros(2, 6)), r"must be \(1, 6\)"),
        (lambda: _layer(ThinPlateSpline(), transforms=4), "ThinPlateSpline has no tiles"),
        (lambda: ConvolutionalLocalizer(1, (20, 28)), "at least 28 x 28"),
        (
            lambda: CompositionalTransformer([nn.Identity()], 4, ThinPlateSpline()),
            "does not compose",
        ),
        (
            lambda: SpatialTransformer(nn.Flatten(), 20, Affine())(torch.rand(2, 1, 28, 28)),
            r"the localizer gave the shape \(2, 784\)",
        ),
    ],
)
def test_what_does_not_fit_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
