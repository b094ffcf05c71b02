"""The ROS graph that tests run in, and a check that no test file is left out in silence."""

from __future__ import annotations

import os
import random
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest

from stn_ros.environment import large_images

# A graph of this machine and this run alone; and images must arrive on a busy machine too.
os.environ.setdefault("ROS_DOMAIN_ID", str(random.randint(1, 100)))
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
if os.environ.get("ROS_DISTRO") == "humble":
    os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
os.environ.update(large_images())

# A shell's background jobs ignore SIGINT and so would the processes that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

TORCH_MISSING = find_spec("torch") is None
collect_ignore = ["transformer", "training"] if TORCH_MISSING else []

# By test file: why it was left out, or empty where it was not.
_met: dict[Path, str] = {}


def pytest_collectreport(report: pytest.CollectReport) -> None:
    path = Path(report.nodeid)
    if path.suffix == ".py":
        _met[path] = report.longrepr[2] if report.skipped else ""


def pytest_collection_finish(session: pytest.Session) -> None:
    """Where all tests are asked for, each file must be collected, or skip itself with a reason."""
    config, root = session.config, Path(__file__).parent
    _met.update(
        {
            file.relative_to(config.rootpath): "PyTorch is not installed"
            for folder in collect_ignore
            for file in (root / folder).rglob("test_*.py")
        }
    )
    if config.args != config.getini("testpaths") or config.getoption("lf", False):
        return
    files = {file.relative_to(config.rootpath) for file in root.rglob("test_*.py")}
    missing = sorted(map(str, files - _met.keys()))
    if missing:
        raise pytest.UsageError(
            f"{len(missing)} of {len(files)} test files were neither collected nor skipped by "
            f"themselves: {', '.join(missing)}"
        )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out = {file: why for file, why in _met.items() if why}
    terminalreporter.line(f"{len(_met) - len(left_out)} of {len(_met)} test files collected")
    for file, why in sorted(left_out.items()):
        terminalreporter.line(f"  left out: {file}: {why.removeprefix('Skipped: ')}")
