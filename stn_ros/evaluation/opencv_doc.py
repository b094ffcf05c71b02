"""Real pictures with truth: Debian's opencv-doc package, fetched once into the cache folder."""

from __future__ import annotations

from pathlib import Path

from stn_ros.evaluation.packages import fetch_debian
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
    target = cache_folder() / "opencv-doc"
    fetch_debian("opencv-doc", FILES, target, "example pictures (96 MB)", _BY_HAND)
    if missing := [name for name in FILES if not (target / name).is_file()]:
        raise FileNotFoundError(
            f"example pictures: this system's opencv-doc does not hold {', '.join(missing)}; use "
            f"that of Debian 12 or Ubuntu 24.04, {_BY_HAND}"
        )
    return target
