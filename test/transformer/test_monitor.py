"""The collapse monitor names what is wrong, once."""

import re

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from stn_ros.transformer.families import Affine, Attention, Translation  # noqa: E402
from stn_ros.transformer.module import ConvolutionalLocalizer, SpatialTransformer  # noqa: E402
from stn_ros.transformer.monitor import CollapseMonitor  # noqa: E402


def _layer(family, bias):
    layer = SpatialTransformer(ConvolutionalLocalizer(1, (28, 28)), 20, family)
    _set(layer, bias)
    return layer


def _set(layer, bias):
    with torch.no_grad():
        layer.head.bias.copy_(torch.tensor(bias))
    layer(torch.rand(4, 1, 28, 28))


def test_a_healthy_transformer_is_left_alone():
    monitor = CollapseMonitor(_layer(Affine(), [0.1, 0, 0, 0, -0.1, 0.2]))
    assert monitor.check() == []


@pytest.mark.parametrize(
    ("family", "bias", "words"),
    [
        (Translation(limit=4.0), [3.0, 0.0], "lies outside the input"),
        (Attention(limit=5.0), [-4.0, 0.0, 0.0], r"it shows 0\.\d% of the input"),
        (Attention(limit=5.0), [3.0, 0.0, 0.0], "a speck in its output"),
        (Translation(limit=0.2), [9.0, -9.0], "at their limit"),
        (Translation(), [float("nan"), 0.0], "not finite"),
    ],
)
def test_each_trouble_is_named(family, bias, words):
    layer = _layer(family, bias)
    found = CollapseMonitor(torch.nn.Sequential(layer)).check()
    assert len(found) >= 1
    assert any(re.search(words, text) for text in found)
    assert all(text.startswith("transformer 0: ") for text in found)


def test_it_speaks_once_and_again_when_it_comes_back():
    layer = _layer(Translation(limit=4.0), [3.0, 0.0])
    monitor = CollapseMonitor(layer)
    assert len(monitor.check()) == 1
    assert monitor.check() == []
    _set(layer, [0.0, 0.0])
    assert monitor.check() == []
    _set(layer, [3.0, 0.0])
    assert len(monitor.check()) == 1


def test_before_the_first_pass_there_is_nothing_to_say():
    layer = SpatialTransformer(ConvolutionalLocalizer(1, (28, 28)), 20, Affine())
    assert CollapseMonitor(layer).check() == []
