"""The ROS graph that tests run in, and what the environment lacks, said at the head of the run."""

import os
import random
import signal
from importlib.util import find_spec

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


def pytest_report_header() -> list[str]:
    return ["PyTorch is not installed: transformer/ and training/ left out"] * TORCH_MISSING
