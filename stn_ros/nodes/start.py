"""The first thing a node's process runs: takes Ctrl-C and SIGTERM, then loads the node.

It imports next to nothing, so that a signal while rclpy and the networks load finds its handler.
"""

import os
import signal
from importlib import import_module

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def start(name: str) -> int:
    """Run `main()` of the module `stn_ros.nodes.<name>`; returns the process's exit status.

    A signal before `process.run` takes over ends the process at once, silently, with status 0.
    """
    for number in SIGNALS:
        signal.signal(number, lambda *_: os._exit(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    return import_module(f"stn_ros.nodes.{name}").main()
