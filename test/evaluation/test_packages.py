"""Packages are fetched whole or not at all, by clients that work, fail, or are not there."""

import shutil
import subprocess

import pytest

from stn_ros.evaluation.packages import fetch, fetch_debian


@pytest.fixture
def client(tmp_path, monkeypatch):
    """Puts a shell script in the place of a registry's client."""

    def make(name, script):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    return make


def test_a_package_comes_to_its_place(client, tmp_path):
    client("registry", 'echo "$1" > thing-1.0.tgz')
    target = tmp_path / "cache" / "thing.tgz"
    fetch(["registry", "thing"], "thing-*.tgz", target, "things", "or make one")
    assert target.read_text() == "thing\n"
    assert list(target.parent.iterdir()) == [target]


def test_what_was_there_is_replaced_by_the_whole_only(client, tmp_path):
    client("registry", "touch thing.tgz")
    target = tmp_path / "cache" / "thing"
    target.mkdir(parents=True)
    (target / "old").touch()

    def half(package, folder):
        folder.mkdir()
        raise OSError("disk is full")

    with pytest.raises(OSError, match="full"):
        fetch(["registry"], "*.tgz", target, "things", "or make one", half)
    assert (target / "old").is_file()

    def whole(package, folder):
        folder.mkdir()
        (folder / "new").touch()

    fetch(["registry"], "*.tgz", target, "things", "or make one", whole)
    assert [path.name for path in target.iterdir()] == ["new"]
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("script", ["echo no such host >&2; exit 1", "echo no such host >&2"])
def test_failures_say_why_and_what_to_do(client, tmp_path, script):
    client("registry", script)
    target = tmp_path / "cache" / "thing"
    with pytest.raises(FileNotFoundError, match=r"things: .*no such host.*or make one"):
        fetch(["registry"], "*.tgz", target, "things", "or make one")
    assert list(target.parent.iterdir()) == []


def test_a_client_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no-registry is not on this machine"):
        fetch(["no-registry"], "*", tmp_path / "thing", "things", "or make one")


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_files_of_a_debian_package(client, tmp_path):
    root = tmp_path / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        "Package: thing\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: none\n"
    )
    (root / "usr" / "share" / "thing").mkdir(parents=True)
    for name in ("wanted.png", "other.png"):
        (root / "usr" / "share" / "thing" / name).write_text(name)
    subprocess.run(["dpkg-deb", "--build", root, tmp_path / "thing_1_all.deb"], check=True)
    client("apt-get", f"cp {tmp_path}/thing_1_all.deb .")
    target = tmp_path / "cache" / "thing"
    fetch_debian("thing", ["wanted.png", "absent.png"], target, "things", "or make one")
    assert [path.name for path in target.iterdir()] == ["wanted.png"]
    assert (target / "wanted.png").read_text() == "wanted.png"
