"""Engines that run the localization network, and the one place where they are chosen.

A new engine is a module of this package with a class that keeps to `Engine`, and a line in
`ENGINES`. It is imported only when it is asked for.
"""

from __future__ import annotations

import importlib

from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.engines.base import Engine, Motion

__all__ = ["AUTO", "ENGINES", "Engine", "Motion", "make_engine"]

AUTO = "auto"
"""The first of `ENGINES` that this machine can run."""
ENGINES = {"onnxruntime": ("stn_ros.runtime.engines.onnxruntime", "OnnxRuntimeEngine")}
"""Module and class of each engine by name, the preferred one first."""


def make_engine(bundle: NetworkBundle, name: str = AUTO, threads: int = 1) -> Engine:
    """The engine of a network.

    Args:
        bundle: verified network. name: one of `ENGINES`, or `AUTO`.
        threads: of one inference on the CPU; 0 lets the engine choose.

    Raises:
        ValueError: no engine of this name, or what it needs is not installed.
    """
    if name not in (AUTO, *ENGINES):
        raise ValueError(f"engine '{name}': must be one of {', '.join((AUTO, *ENGINES))}")
    missing = []
    for each in ENGINES if name == AUTO else (name,):
        module, kind = ENGINES[each]
        try:
            make = getattr(importlib.import_module(module), kind)
        except ModuleNotFoundError as error:
            missing.append(f"{each} needs the package {error.name}")
            continue
        engine: Engine = make(bundle, threads)
        return engine
    raise ValueError(f"engine '{name}' cannot run here: {'; '.join(missing)}")
