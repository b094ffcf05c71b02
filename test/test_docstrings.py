"""The examples in docstrings run."""

import doctest
import importlib
import pkgutil

import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

import stn_ros.localization
import stn_ros.transformer

MODULES = [
    name
    for package in (stn_ros.transformer, stn_ros.localization)
    for _, name, _ in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    found = [doctest.DocTestFinder().find(importlib.import_module(name)) for name in MODULES]
    assert sum(bool(test.examples) for tests in found for test in tests) >= 2
