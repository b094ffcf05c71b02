"""A process that runs one node: allocator, collector, executor, signals, exit status."""

import argparse
import ctypes
import gc
import inspect
import re
import sys
from collections.abc import Callable, Sequence

import rclpy
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from stn_ros.nodes.start import interrupted, loaded

try:
    from rclpy.experimental import EventsExecutor
except ImportError:  # ROS 2 before Kilted
    EventsExecutor = SingleThreadedExecutor

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_SOURCE_LINE = re.compile(r",? at \S+\.c:\d+")
_PATIENCE = 0.1  # seconds until the loop looks whether a signal has come


def tune_allocator() -> None:
    """Let malloc keep the memory of pictures, where it is glibc's.

    By default each picture's pages are returned to the system and faulted in anew: 3-6 ms a frame.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        mallopt(_M_TRIM_THRESHOLD, 512 << 20)


def spare_collector() -> None:
    """Let Python's garbage collector pass over what the process has loaded, and look less often.

    Messages hold no cycles. By default they set it off again and again, and each time it walks
    through every loaded module: a fifth of what the receiving thread does.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def make_executor(context: rclpy.Context) -> Executor:
    """The executor that costs least. Spin it by `spin_once`: EventsExecutor.spin() can hang."""
    return EventsExecutor(context=context)


def _parse(args: Sequence[str] | None, usage: str) -> None:
    """Print help and exit if asked for it, or refuse what is not an argument of ROS."""
    own = sys.argv[1:] if args is None else args
    if "--ros-args" in own:
        own = own[: own.index("--ros-args")]
    parser = argparse.ArgumentParser(
        usage="%(prog)s [--help] [--ros-args ...]",
        description=usage,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(own)


def _init(args: Sequence[str] | None) -> None:
    """Start ROS. Raises ValueError saying in one line what is wrong with the arguments."""
    try:
        rclpy.init(
            args=None if args is None else list(args),
            signal_handler_options=SignalHandlerOptions.NO,
        )
    except RuntimeError as error:
        reason = " ".join(_SOURCE_LINE.sub("", str(error)).split())
        if "params file" in reason:
            reason += "; the form is NODE: {ros__parameters: {NAME: VALUE}}, in YAML"
        raise ValueError(reason.removeprefix("failed to initialize rcl: ")) from None


def run(make_node: Callable[[], Node], args: Sequence[str] | None = None, usage: str = "") -> int:
    """Run a node until it is interrupted or shut down; returns the exit status of the process.

    `args` are those of the command line without the program's name; None for this process's own.
    --help prints `usage`, or else the description of `make_node`.

    0 after SIGINT, SIGTERM or a shutdown; 1, with the reason in one line of the log, where
    arguments of the command line, a parameter file or a parameter (ValueError of `make_node`) are
    refused.

    The process must have begun with `start`, which takes the signals: see there.
    """
    node = None
    try:
        tune_allocator()
        _parse(args, usage or inspect.getdoc(make_node) or "")
        loaded()
        _init(args)
        node = make_node()
        executor = make_executor(rclpy.get_default_context())
        executor.add_node(node)
        spare_collector()
        while rclpy.ok() and not interrupted.is_set():
            executor.spin_once(timeout_sec=_PATIENCE)
    except ExternalShutdownException:
        pass
    except ValueError as error:
        rclpy.logging.get_logger("stn_ros").fatal(str(error))
        return 1
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
