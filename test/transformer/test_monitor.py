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
    layer = _layer(Affine(), [0.1, 0, 0, 0, -0.1, 0.2])
    monitor = CollapseMonitor(layer)
    assert monitor.check() == []
    _shift(layer, 0.1)
    assert monitor.check() == []


def _shift(layer, by):
    """A last pass of two pictures, one shifted left and one right."""
    layer.localize = lambda _: torch.tensor([-by, by])[:, None, None] * torch.eye(6)[2]
    layer(torch.rand(2, 1, 28, 28))


@pytest.mark.parametrize(
    ("bias", "words"),
    [([0.0] * 6, "does nothing"), ([0.0, 0, 0, 0, 0, 0.2], "the same to all pictures")],
)
def test_an_idle_transformer_is_named_at_the_second_check(bias, words):
    layer = _layer(Affine(), bias)
    monitor = CollapseMonitor(torch.nn.Sequential(layer))
    assert monitor.check() == []  # as every transformer begins
    (text,) = monitor.check()
    assert words in text
    assert text.startswith("transformer 0: ")
    assert monitor.check() == []


@pytest.mark.parametrize(("by", "troubles"), [(0.029, 1), (0.031, 0)])
def test_idle_is_by_the_distance_of_grids_from_their_mean(by, troubles):
    # Shifts by -b and b: their mean is the identity, and every point is off it by b.
    layer = SpatialTransformer(ConvolutionalLocalizer(1, (28, 28)), 20, Affine())
    _shift(layer, by)
    monitor = CollapseMonitor(layer)
    assert monitor.check() == []
    assert len(monitor.check()) == troubles


def test_one_picture_does_not_tell_whether_a_transformer_is_idle():
    layer = SpatialTransformer(ConvolutionalLocalizer(1, (28, 28)), 20, Affine())
    layer(torch.rand(1, 1, 28, 28))
    monitor = CollapseMonitor(layer)
    assert monitor.check() == monitor.check() == []


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
