"""The loop trains, says what collapses, and does not end early in silence."""

import itertools

import pytest
import torch
from fitting import fit, weights
from torch import nn

from stn_ros.transformer.families import Translation
from stn_ros.transformer.module import SpatialTransformer


def test_a_line_is_fitted():
    torch.manual_seed(0)
    model, x = nn.Linear(2, 1), torch.randn(64, 2)
    y = x @ torch.tensor([[2.0], [-3.0]]) + 1
    said = fit(
        model, itertools.repeat((x, y)), lambda b: (model(b[0]) - b[1]).square().mean(), 400, 0.1
    )
    assert said == []
    assert torch.allclose(model.weight, torch.tensor([[2.0, -3.0]]), atol=1e-2)
    assert torch.allclose(model.bias, torch.ones(1), atol=1e-2)


@pytest.mark.parametrize("steps", [1, 2, 10, 11])
def test_any_number_of_steps_will_do(steps):
    model = nn.Linear(1, 1)
    before = model.weight.clone()
    fit(model, itertools.repeat(torch.ones(1, 1)), lambda x: model(x).sum(), steps, 0.1)
    assert (model.weight != before).all()


def test_what_collapses_is_said():
    localizer = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    layer = SpatialTransformer(localizer, 1, Translation(limit=3.0))
    pictures = torch.rand(4, 1, 16, 16)
    said = fit(layer, itertools.repeat(pictures), lambda x: layer(x).sum(), 100, 0.5)
    assert any("outside the input" in text for text in said)


def test_the_transformers_share_of_the_rate():
    class Net(nn.Sequential):
        pass

    net = Net(SpatialTransformer(nn.Flatten(), 16, Translation()), nn.Flatten(), nn.Linear(16, 1))
    biases = [net[0].head.bias, net[2].bias]
    before = [bias.detach().clone() for bias in biases]
    batches = itertools.repeat(torch.rand(4, 1, 4, 4))
    fit(net, batches, lambda x: net(x).sum() + net[0].last.parameters.sum(), 1, 0.1, 0.01)
    moved = [(b.detach() - a).abs().max().item() for a, b in zip(before, biases, strict=True)]
    assert moved[0] / moved[1] == pytest.approx(0.01, rel=0.02)  # Adam's first step is the rate


def test_too_few_batches():
    model = nn.Linear(1, 1)
    with pytest.raises(ValueError, match="ended after 2 of 5"):
        fit(model, iter([torch.ones(1, 1)] * 2), lambda x: model(x).sum(), 5, 0.1)


def test_weights_are_those_that_learn():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    assert weights(model) == 8 + 3
    model[0].requires_grad_(False)
    assert weights(model) == 3
