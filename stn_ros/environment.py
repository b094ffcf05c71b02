"""The environment in which ROS processes of this package run well."""

import logging
import os
import random
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from stn_ros.runtime.paths import models_folder

# Any of these says that somebody has chosen the transport already.
_TRANSPORT_CHOICES = (
    "FASTDDS_DEFAULT_PROFILES_FILE",
    "FASTRTPS_DEFAULT_PROFILES_FILE",
    "FASTDDS_BUILTIN_TRANSPORTS",
)


_SHARED_MEMORY = Path("/dev/shm")
_NEEDED_MB = 256  # four processes, 64 MB each


def large_images() -> dict[str, str]:
    """Variables that make Fast DDS carry camera images whole.

    Without them most images are lost on a busy machine: see config/fastdds_large_images.xml.
    None where a choice stands already; none, with a warning, where shared memory is too small.
    """
    if any(name in os.environ for name in _TRANSPORT_CHOICES):
        return {}
    free = shutil.disk_usage(_SHARED_MEMORY).free >> 20 if _SHARED_MEMORY.is_dir() else 0
    if free < _NEEDED_MB:
        logging.getLogger(__name__).warning(
            "%s has %d MB free of the %d MB that whole images need: expect lost images. In a "
            "container, raise it (docker run --shm-size=1g).",
            _SHARED_MEMORY,
            free,
            _NEEDED_MB,
        )
        return {}
    profile = models_folder().parent / "config" / "fastdds_large_images.xml"
    old = os.environ.get("ROS_DISTRO") in ("humble", "iron")
    return {_TRANSPORT_CHOICES[1 if old else 0]: str(profile)}


def child_environment() -> dict[str, str]:
    """A copy of this process's environment for a child that runs nodes with the same Python."""
    environment = {**os.environ, **large_images()}
    # The ROS wheels unpack into the prefix of Python but tell the ament index nothing.
    if (Path(sys.prefix) / "share/ament_index").is_dir():
        prefixes = environment.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
        prefixes = [sys.prefix, *(each for each in prefixes if each not in ("", sys.prefix))]
        environment["AMENT_PREFIX_PATH"] = os.pathsep.join(prefixes)
    return environment


@contextmanager
def own_domain() -> Iterator[int]:
    """A ROS domain that no other process on this machine gets from here until it is left.

    Raises:
        RuntimeError: all are taken.
    """
    # Drawn apart from `random`'s seed, or all would try the same ones.
    for domain in random.SystemRandom().sample(range(1, 102), 101):  # 0 is everybody's
        with closing(socket.socket(socket.AF_UNIX)) as held:
            try:
                held.bind(f"\0stn_ros/ROS_DOMAIN_ID={domain}")  # no file; freed with the process
            except OSError:
                continue
            yield domain
            return
    raise RuntimeError("all ROS domains, 1 to 101, are taken: end some of the runs")
