"""Real pictures with truth: Debian's opencv-doc package, fetched once into the cache folder."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from stn_ros.runtime.paths import cache_folder
from stn_ros.synthesis.textures import OPENCV_DOC_ENV, OPENCV_DOC_PHOTOS, opencv_doc_folder

FILES = tuple(
    sorted(
        {
            "box.png",
            "box_in_scene.png",
            "graf1.png",
            "graf3.png",
            "H1to3p.xml",
            "leuvenA.jpg",
            "leuvenB.jpg",
            *OPENCV_DOC_PHOTOS,
        }
    )
)
"""What is taken from the package."""
_BY_HAND = (
    f"or put {', '.join(FILES)} (OpenCV's samples/data) into a folder and name it in "
    f"${OPENCV_DOC_ENV}"
)


def opencv_doc() -> Path:
    """The folder of opencv-doc's example pictures; fetches the package (96 MB) if need be.

    The package is only read: nothing is installed, and no root rights are needed.

    Raises:
        FileNotFoundError: it is not here and can not be fetched; says why and what to do.
    """
    folder = opencv_doc_folder()
    if folder is not None and all((folder / name).is_file() for name in FILES):
        return folder
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise FileNotFoundError(
                f"example pictures: {tool} is not on this machine, so Debian's opencv-doc can not "
                f"be fetched; use a Debian or Ubuntu machine, {_BY_HAND}"
            )
    target = cache_folder() / "opencv-doc"
    target.parent.mkdir(parents=True, exist_ok=True)
    print("fetching Debian's opencv-doc (96 MB, once) ...", flush=True)
    with tempfile.TemporaryDirectory(prefix=".opencv-doc.", dir=target.parent) as scratch:
        _download(Path(scratch))
        package = next(Path(scratch).glob("opencv-doc_*.deb"))
        fresh = Path(scratch) / "fresh"
        fresh.mkdir()
        _unpack(package, fresh)
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)
    return target


def _download(folder: Path) -> None:
    run = subprocess.run(
        ["apt-get", "download", "opencv-doc"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0 or not list(folder.glob("opencv-doc_*.deb")):
        lines = [line for line in run.stderr.splitlines() if line.startswith("E:")]
        raise FileNotFoundError(
            f"example pictures: `apt-get download opencv-doc` failed ({' '.join(lines)}); run "
            f"`apt-get update` as root and check the network, {_BY_HAND}"
        )


def _unpack(package: Path, target: Path) -> None:
    """Take only the wanted files out of the package, by name."""
    process = subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    missing = set(FILES)
    with process, tarfile.open(fileobj=process.stdout, mode="r|") as archive:
        for member in archive:
            name = Path(member.name).name
            content = archive.extractfile(member) if name in missing and member.isfile() else None
            if content is not None:
                (target / name).write_bytes(content.read())
                missing.discard(name)
    if missing:
        raise FileNotFoundError(
            f"example pictures: {package.name} does not hold {', '.join(sorted(missing))}; "
            f"use that of Debian 12 or Ubuntu 24.04, {_BY_HAND}"
        )
