"""The environment given to processes that run nodes."""

import logging
import os
import socket
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import namedtuple
from pathlib import Path

import pytest

from stn_ros import environment

PROFILE = "FASTDDS_DEFAULT_PROFILES_FILE"
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def no_choice(monkeypatch):
    """Nobody has chosen a transport, and shared memory is plenty."""
    for name in (PROFILE, "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_BUILTIN_TRANSPORTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda _: Usage(0, 0, 1 << 30))


def test_the_profile_is_named_and_holds_large_images(no_choice):
    assert list(environment.large_images()) == [PROFILE]
    profile = ElementTree.parse(environment.large_images()[PROFILE])
    segments = profile.findall(".//{*}segment_size")
    assert [int(each.text) >= 10 * 1920 * 1080 * 3 for each in segments] == [True]


def test_fast_dds_2_reads_the_variable_of_its_former_name(no_choice, monkeypatch):
    monkeypatch.setenv("ROS_DISTRO", "humble")
    assert list(environment.large_images()) == ["FASTRTPS_DEFAULT_PROFILES_FILE"]


@pytest.mark.parametrize("name", [PROFILE, "FASTDDS_BUILTIN_TRANSPORTS"])
def test_a_choice_of_the_user_stands(no_choice, monkeypatch, name):
    monkeypatch.setenv(name, "LARGE_DATA")
    assert environment.large_images() == {}
    assert environment.child_environment()[name] == "LARGE_DATA"


def test_too_little_shared_memory_is_told(no_choice, monkeypatch):
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda _: Usage(0, 0, 64 << 20))
    told = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())
    logger = logging.getLogger(environment.__name__)  # not caplog: launch cuts it off the root's
    logger.addHandler(handler)
    try:
        assert environment.large_images() == {}
    finally:
        logger.removeHandler(handler)
    assert "64 MB free of the 256 MB" in told[0]


def test_a_child_finds_the_packages_of_this_python(no_choice, monkeypatch):
    monkeypatch.setenv("AMENT_PREFIX_PATH", "/opt/ros/some")
    child = environment.child_environment()
    prefixes = child["AMENT_PREFIX_PATH"].split(os.pathsep)
    assert prefixes[-1] == "/opt/ros/some"
    assert (sys.prefix in prefixes) == (Path(sys.prefix) / "share/ament_index").is_dir()
    assert child[PROFILE] == environment.large_images()[PROFILE]


def test_a_domain_is_taken_by_one_process_alone():
    bind = "import socket, sys; socket.socket(socket.AF_UNIX).bind('\\0stn_ros/ROS_DOMAIN_ID=%d')"
    with environment.own_domain() as first, environment.own_domain() as second:
        assert first != second
        assert {first, second} <= set(range(1, 102))
        taken = subprocess.run(
            [sys.executable, "-c", bind % first], capture_output=True, text=True, check=False
        )
    assert "Address already in use" in taken.stderr


def test_no_domain_left_is_said(monkeypatch):
    class Taken(socket.socket):
        def bind(self, address):
            raise OSError

    monkeypatch.setattr(environment.socket, "socket", Taken)
    with pytest.raises(RuntimeError, match="are taken"), environment.own_domain():
        pass
