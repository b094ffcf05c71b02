import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_ros.synthesis import textures
from stn_ros.synthesis.textures import HELD_OUT_PHOTOS, OPENCV_DOC_ENV, Textures


@pytest.fixture(autouse=True)
def fresh_photo_cache():
    textures._photos.cache_clear()
    yield
    textures._photos.cache_clear()


def test_no_source_photo_serves_both_splits():
    train = {name for name, _ in Textures("train").photos}
    held_out = {name for name, _ in Textures("held_out").photos}
    assert train
    assert held_out
    assert not train & held_out
    assert not train & HELD_OUT_PHOTOS


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_faces_and_backgrounds_have_their_size(split: str):
    source = Textures(split)
    rng = np.random.default_rng(0)
    for _ in range(25):
        face = source.face(rng, 128)
        assert max(face.shape[:2]) == 128
        assert face.dtype == np.uint8
        background = source.background(rng, (160, 90))
        assert background.shape == (90, 160, 3)


def test_same_rng_same_textures():
    a, b = (Textures("train") for _ in range(2))
    r, s = (np.random.default_rng(9) for _ in range(2))
    for _ in range(10):
        assert np.array_equal(a.face(r, 96), b.face(s, 96))
        assert np.array_equal(a.background(r, (96, 64)), b.background(s, (96, 64)))


def test_photos_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        Textures("train").photos[0][1][0, 0] = 0


def test_print_of_opencv_doc_is_held_out_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data = tmp_path / "examples" / "data"
    data.mkdir(parents=True)
    picture = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    for name in ("box.png", "box_in_scene.png"):
        cv2.imwrite(str(data / name), picture)
    monkeypatch.setenv(OPENCV_DOC_ENV, str(tmp_path))
    assert "box.png" in {name for name, _ in Textures("held_out").photos}
    assert "box.png" not in {name for name, _ in Textures("train").photos}


def test_without_any_photo_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip install scikit-image"):
        Textures("train")


def test_unknown_split_is_refused():
    with pytest.raises(ValueError, match="held_out"):
        Textures("test")
