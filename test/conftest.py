"""What every test starts from, whatever ran before it or runs beside it.

Seeds, threads, environment, working folder and ROS domain are the same or a test's own, so tests
may run in any order and side by side. No test file is left out in silence.
"""

from __future__ import annotations  # pytest.TerminalReporter is of pytest 8.4

import fcntl
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_ros.environment import large_images, own_domain

SHARED_MEMORY = Path("/dev/shm")
WORKERS = 8  # each takes up to 1 GB
SEED = 0

TORCH_MISSING = find_spec("torch") is None
collect_ignore = ["transformer", "training"] if TORCH_MISSING else []

if find_spec("hypothesis") is not None:
    from hypothesis import settings

    # The same examples in each run, however long one takes.
    settings.register_profile("certain", derandomize=True, deadline=None, database=None)
    settings.load_profile("certain")

# A shell's background jobs ignore SIGINT and so would the processes that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # before the workers of pytest-xdist start
        _remove_lost_segments()
    # Of workers and child processes: more threads than free cores make a busy machine crawl.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    if os.environ.get("ROS_DISTRO") == "humble":
        os.environ["ROS_LOCALHOST_ONLY"] = "1"
    os.environ.update(large_images())
    # pytest-randomly shall draw the order; its seeds would be others in each run.
    config.option.randomly_reset_seed = False


def _remove_lost_segments() -> None:
    """Remove shared memory, 64 MB each, of Fast DDS processes that were killed: nobody locks it."""
    for lock in SHARED_MEMORY.glob(f"fast*_{'?' * 16}_el"):
        try:
            if time.time() - lock.stat().st_mtime < 60:
                continue  # perhaps about to be locked
            with lock.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                lock.with_name(lock.name.removesuffix("_el")).unlink(missing_ok=True)
                lock.unlink()
        except OSError:
            continue


def pytest_report_header() -> list[str]:
    return ["PyTorch is not installed: transformer/ and training/ left out"] * TORCH_MISSING


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """As many workers as cores that this process may use; none where there is one."""
    cores = min(WORKERS, len(os.sched_getaffinity(0)))
    return cores if cores > 1 else 0


def _seed() -> None:
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002 - what others draw from
    if torch := sys.modules.get("torch"):
        torch.manual_seed(SEED)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup() -> None:
    _seed()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call() -> None:
    _seed()


@pytest.fixture(scope="module", autouse=True)
def ros_domain() -> Iterator[int]:
    """The module's ROS domain, which child processes inherit."""
    with own_domain() as domain, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_DOMAIN_ID", str(domain))
        yield domain


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    """One thread; environment, folder and threads afterwards as before."""
    environment, folder = dict(os.environ), Path.cwd()
    _set_threads(1)
    yield
    _set_threads(1)
    os.chdir(folder)
    if dict(os.environ) != environment:
        os.environ.clear()
        os.environ.update(environment)


def _set_threads(count: int) -> None:
    cv2.setNumThreads(count)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(count)


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
    if not _met:
        return  # side by side, each worker collects for itself
    left_out = {file: why for file, why in _met.items() if why}
    terminalreporter.line(f"{len(_met) - len(left_out)} of {len(_met)} test files collected")
    for file, why in sorted(left_out.items()):
        terminalreporter.line(f"  left out: {file}: {why.removeprefix('Skipped: ')}")
