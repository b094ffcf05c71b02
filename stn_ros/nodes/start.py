"""The first thing a node's process runs: sees to Ctrl-C and SIGTERM, then loads the node.

It imports next to nothing, and `env` (of GNU coreutils, 8.31 or newer) starts the scripts with both
signals held back, so that one that comes while Python, rclpy and the networks load is not lost.

Both stay blocked in every thread, and one thread waits for them. A handler would not do: Python
runs it between any two instructions of the main thread, rclpy's pulls the context from under a
callback, and either is put back to the lethal default while the interpreter ends.
"""

import os
import signal
import threading
from importlib import import_module

SIGNALS = (signal.SIGINT, signal.SIGTERM)
interrupted = threading.Event()
"""Set by either signal once the node is loaded: end between two callbacks."""
_loaded = threading.Event()


def start(name: str) -> int:
    """Run `main()` of the module `stn_ros.nodes.<name>`; returns the process's exit status.

    A signal before `loaded` is called ends the process at once, silently, with status 0.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    threading.Thread(target=_wait, name="signals", daemon=True).start()
    status: int = import_module(f"stn_ros.nodes.{name}").main()
    return status


def loaded() -> None:
    """From here on a signal sets `interrupted` and does no more."""
    _loaded.set()


def _wait() -> None:
    signal.sigwait(SIGNALS)
    if not _loaded.is_set():
        os._exit(0)
    interrupted.set()
