"""Object folders: what is written is read back; what was changed or is wrong is named."""

from __future__ import annotations

import hashlib
import io
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from stn_ros.runtime.object_model import Embeddings, ObjectModel
from stn_ros.runtime.paths import models_folder


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (160, 256, 3), np.uint8)


@pytest.fixture
def box(picture: np.ndarray) -> ObjectModel:
    return ObjectModel("my_box", picture, (0.192, 0.12), (180,), {"texture": "rich"})


def test_reads_back_what_was_written(box: ObjectModel, tmp_path: Path) -> None:
    box.save(tmp_path / "objects" / "my_box", {"self_test.jpg": b"picture"})
    read = ObjectModel.load(tmp_path / "objects" / "my_box")
    assert (read.name, read.size_m, read.symmetry) == ("my_box", (0.192, 0.12), (180,))
    assert read.self_test == {"texture": "rich"}
    assert read.size == (256, 160)
    np.testing.assert_array_equal(read.reference, box.reference)
    assert (tmp_path / "objects" / "my_box" / "self_test.jpg").read_bytes() == b"picture"


def test_saving_again_replaces_the_object_and_leaves_nothing_else(
    box: ObjectModel, picture: np.ndarray, tmp_path: Path
) -> None:
    box.save(tmp_path / "my_box", {"self_test.jpg": b"old"})
    ObjectModel("my_box", 255 - picture).save(tmp_path / "my_box")
    read = ObjectModel.load(tmp_path / "my_box")
    assert read.size_m is None
    np.testing.assert_array_equal(read.reference, 255 - picture)
    assert [entry.name for entry in tmp_path.iterdir()] == ["my_box"]
    assert sorted(entry.name for entry in (tmp_path / "my_box").iterdir()) == [
        "object.yaml",
        "reference.png",
    ]


def test_a_failed_save_leaves_the_old_object(box: ObjectModel, tmp_path: Path) -> None:
    box.save(tmp_path / "my_box")
    broken = ObjectModel("my_box", box.reference, self_test={"not yaml": object()})
    with pytest.raises(yaml.YAMLError):
        broken.save(tmp_path / "my_box")
    assert ObjectModel.load(tmp_path / "my_box").self_test == {"texture": "rich"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["my_box"]


def test_will_not_replace_a_folder_of_something_else(box: ObjectModel, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="holds no object"):
        box.save(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize("name", ["", "1box", "my box", "a/b", "kiste-1", "böx", None, 3])
def test_names_must_suit_tf_and_topics(name: object, picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match="name"):
        ObjectModel(name, picture)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "size", [(0.0, 0.1), (-0.16, -0.1), (float("nan"), 0.1), (0.1,), ("a", "b"), (0.1, 0.16)]
)
def test_impossible_sizes_are_named(size: tuple, picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match="size_m"):
        ObjectModel("box", picture, size)


def test_a_picture_must_be_bgr_and_not_tiny(picture: np.ndarray) -> None:
    for wrong in (picture[..., 0], picture.astype(np.float32), picture[:8]):
        with pytest.raises(ValueError, match="reference picture"):
            ObjectModel("box", wrong)


@pytest.mark.parametrize("symmetry", [(90,), (0,), (180, 90, 270), (45,)])
def test_symmetry_is_a_group_of_turns(symmetry: tuple, picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match="symmetry"):
        ObjectModel("box", picture, symmetry=symmetry)


def _edit(folder: Path, **changes: object) -> None:
    path = folder / "object.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"format": 99}, "format 99"),
        ({"name": "no good"}, "name"),
        ({"size_m": "large"}, "size_m"),
        ({"size_m": [1, 1]}, "aspect"),
        ({"symmetry": [7]}, "symmetry"),
        ({"symmetry": 180}, "symmetry"),
        ({"reference": "reference.png"}, "reference"),
        ({"reference": {"file": "../reference.png", "sha256": ""}}, "plain file name"),
        ({"reference": {"file": "other.png", "sha256": ""}}, "other.png"),
    ],
)
def test_a_wrong_description_is_named(
    changes: dict, cause: str, box: ObjectModel, tmp_path: Path
) -> None:
    box.save(tmp_path / "my_box")
    _edit(tmp_path / "my_box", **changes)
    with pytest.raises(ValueError, match=cause) as caught:
        ObjectModel.load(tmp_path / "my_box")
    assert "object.yaml" in str(caught.value)


def test_damaged_folders_are_named(box: ObjectModel, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stn-ros teach"):
        ObjectModel.load(tmp_path / "absent")
    box.save(tmp_path / "my_box")
    with (tmp_path / "my_box" / "reference.png").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ValueError, match="sha256"):
        ObjectModel.load(tmp_path / "my_box")
    (tmp_path / "my_box" / "object.yaml").write_text("name: [")
    with pytest.raises(ValueError, match="YAML"):
        ObjectModel.load(tmp_path / "my_box")


@pytest.fixture
def tuned(box: ObjectModel, tmp_path: Path) -> Path:
    """The folder of an object with a network of its own."""
    network = shutil.copytree(models_folder() / "canonicalizer", tmp_path / "somewhere")
    replace(box, network=network).save(tmp_path / "tuned")
    shutil.rmtree(network)
    return tmp_path / "tuned"


def test_an_object_keeps_a_network_of_its_own(tuned: Path, box: ObjectModel) -> None:
    read = ObjectModel.load(tuned)
    assert read.network == tuned / "network"
    shipped = sorted((models_folder() / "canonicalizer").iterdir())
    assert [file.name for file in sorted(read.network.iterdir())] == [file.name for file in shipped]
    for file in shipped:
        assert (read.network / file.name).read_bytes() == file.read_bytes()
    # Into its own folder, where the network is read from; then back to the shared network.
    replace(read, symmetry=()).save(tuned)
    assert ObjectModel.load(tuned).network == tuned / "network"
    box.save(tuned)
    assert ObjectModel.load(tuned).network is None
    assert not (tuned / "network").exists()
    assert [entry.name for entry in tuned.parent.iterdir()] == ["tuned"]


def test_a_failed_save_of_a_network_leaves_the_old_object(tuned: Path, box: ObjectModel) -> None:
    with pytest.raises(OSError, match="absent"):
        replace(box, network=tuned.parent / "absent").save(tuned)
    assert ObjectModel.load(tuned).network == tuned / "network"
    assert [entry.name for entry in tuned.parent.iterdir()] == ["tuned"]


@pytest.mark.parametrize("name", ["network.yaml", "features.onnx", "match.onnx"])
def test_a_changed_or_missing_network_file_is_named(name: str, tuned: Path) -> None:
    with (tuned / "network" / name).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(ValueError, match=rf"object\.yaml: .*{name}.*sha256"):
        ObjectModel.load(tuned)
    (tuned / "network" / name).unlink()
    with pytest.raises(ValueError, match=rf"object\.yaml: .*{name}"):
        ObjectModel.load(tuned)


def test_further_entries_are_left_to_later_versions(tuned: Path) -> None:
    described = yaml.safe_load((tuned / "object.yaml").read_text())
    _edit(
        tuned,
        network={**described["network"], "note": "tuned at night"},
        reference={**described["reference"], "note": "by a window"},
    )
    assert ObjectModel.load(tuned).network == tuned / "network"


@pytest.mark.parametrize(
    ("entry", "cause"),
    [
        ("network", "network: must hold"),
        ({"folder": "network"}, "network: must hold"),
        ({"folder": "../network", "sha256": ""}, "plain folder name"),
        ({"folder": "other", "sha256": ""}, r"other/network\.yaml"),
    ],
)
def test_a_wrong_network_entry_is_named(entry: object, cause: str, tuned: Path) -> None:
    _edit(tuned, network=entry)
    with pytest.raises(ValueError, match=cause):
        ObjectModel.load(tuned)


def test_a_picture_read_back_is_kept_as_the_file_holds_it(box: ObjectModel, tmp_path: Path) -> None:
    box.save(tmp_path / "my_box")
    content = (tmp_path / "my_box" / "reference.png").read_bytes()
    read = ObjectModel.load(tmp_path / "my_box")
    assert read.picture == content
    read.save(tmp_path / "copy")
    assert (tmp_path / "copy" / "reference.png").read_bytes() == content
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "copy" / "reference.png")), box.picture)


def test_a_picture_that_is_no_png_or_a_tiny_one_is_refused(picture: np.ndarray) -> None:
    for content in (b"", cv2.imencode(".jpg", picture)[1].tobytes()):
        with pytest.raises(ValueError, match="reference picture: is not a PNG"):
            ObjectModel("box", content)
    with pytest.raises(ValueError, match="reference picture of 20x9 px"):
        ObjectModel("box", cv2.imencode(".png", picture[:9, :20])[1].tobytes())
    head_alone = cv2.imencode(".png", picture)[1].tobytes()[:40]
    with pytest.raises(ValueError, match=r"box: reference picture: OpenCV cannot read it"):
        _ = ObjectModel("box", head_alone).reference


@pytest.fixture
def known(box: ObjectModel, tmp_path: Path) -> Path:
    """The folder of an object that the finder's network has encoded."""
    values = np.random.default_rng(2).normal(size=(2, 12, 96)).astype(np.float16)
    replace(box, embeddings=Embeddings(values, "ab12")).save(tmp_path / "known")
    return tmp_path / "known"


def test_an_object_keeps_its_embeddings(known: Path, box: ObjectModel) -> None:
    read = ObjectModel.load(known).embeddings
    assert read.graph == "ab12"
    assert read.values.dtype == np.float16
    expected = np.random.default_rng(2).normal(size=(2, 12, 96)).astype(np.float16)
    np.testing.assert_array_equal(read.values, expected)
    replace(ObjectModel.load(known), symmetry=()).save(known)
    np.testing.assert_array_equal(ObjectModel.load(known).embeddings.values, expected)
    box.save(known)
    assert ObjectModel.load(known).embeddings is None
    assert not (known / "finder.npy").exists()


def test_damaged_or_missing_embeddings_are_named(known: Path) -> None:
    with (known / "finder.npy").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ValueError, match=r"object\.yaml: .*finder\.npy.*sha256.*teach"):
        ObjectModel.load(known)
    (known / "finder.npy").unlink()
    with pytest.raises(ValueError, match=r"object\.yaml: .*finder\.npy: cannot be read"):
        ObjectModel.load(known)


def _npy(values: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, values)
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "not embeddings"),
        (b"not an array", "not embeddings"),
        (_npy(np.zeros((2, 12, 96), np.float16))[:-1], "not embeddings"),
        (_npy(np.zeros((2, 12, 96), np.float32)), "float32"),
        (_npy(np.zeros((24, 96), np.float16)), r"shape \(24, 96\)"),
        (_npy(np.full((2, 12, 96), np.nan, np.float16)), "finite"),
        (_npy(np.array([{"code": "run me"}], object)), "not embeddings"),
    ],
)
def test_what_is_no_embeddings_is_refused(content: bytes, cause: str, known: Path) -> None:
    (known / "finder.npy").write_bytes(content)
    entry = {"file": "finder.npy", "sha256": hashlib.sha256(content).hexdigest(), "graph": "ab12"}
    _edit(known, finder=entry)
    with pytest.raises(ValueError, match=rf"finder\.npy: .*{cause}.*teach"):
        ObjectModel.load(known)


@pytest.mark.parametrize(
    ("entry", "cause"),
    [
        ("finder.npy", "finder: must hold"),
        ({"file": "finder.npy", "sha256": ""}, "finder: must hold"),
        ({"file": "../finder.npy", "sha256": "", "graph": ""}, "plain file name"),
    ],
)
def test_a_wrong_entry_of_embeddings_is_named(entry: object, cause: str, known: Path) -> None:
    _edit(known, finder=entry)
    with pytest.raises(ValueError, match=cause):
        ObjectModel.load(known)
