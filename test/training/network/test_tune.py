import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from stn_ros.geometry.patch import MARGIN  # noqa: E402
from stn_ros.runtime.bundle import NetworkBundle  # noqa: E402
from stn_ros.runtime.paths import models_folder  # noqa: E402
from stn_ros.synthesis import artwork  # noqa: E402
from stn_ros.synthesis.scene import LabelledFrame  # noqa: E402
from stn_ros.training.network.data import TrainingSettings  # noqa: E402
from stn_ros.training.network.export import load_weights  # noqa: E402
from stn_ros.training.network.samples import STAGES, SampleMaker  # noqa: E402
from stn_ros.training.network.tune import tune  # noqa: E402

FACE = artwork.draw(3, (256, 170), "product_box")
SHIPPED = models_folder() / "canonicalizer"


@pytest.mark.slow
def test_a_short_tuning_changes_the_weights_and_nothing_else(tmp_path):
    tuned = tune(SHIPPED, "my_box", FACE, 0.05, tmp_path / "tuned", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["tuned"]
    shipped = NetworkBundle.load(SHIPPED)
    assert NetworkBundle.load(tmp_path / "tuned") == tuned
    assert (tuned.confidence_weights, tuned.patches) == (
        shipped.confidence_weights,
        shipped.patches,
    )
    assert tuned.card["tuned"]["object"] == "my_box"
    assert tuned.card["tuned"]["samples"] >= tuned.card["tuned"]["steps"] >= 1
    before, after = (load_weights(f).state_dict() for f in (SHIPPED, tmp_path / "tuned"))
    changed = {name for name in before if not before[name].equal(after[name])}
    assert "features_net.0.weight" in changed
    # The batch statistics of one object are no good for another's views: they stay.
    assert not any("running" in name or "batches" in name for name in changed)
    size = np.sqrt(sum(float(w.float().square().sum()) for w in before.values()))
    moved = sum(float((after[n] - w).float().square().sum()) for n, w in before.items())
    assert 0 < np.sqrt(moved) < 0.05 * size


def test_a_network_without_weights_is_refused(tmp_path):
    for file in SHIPPED.iterdir():
        if file.name != "weights.npz":
            (tmp_path / file.name).symlink_to(file)
    with pytest.raises(ValueError, match=r"weights\.npz: missing"):
        tune(tmp_path, "my_box", FACE, 0.05, tmp_path / "tuned", progress=False)
    assert not (tmp_path / "tuned").exists()


@pytest.mark.parametrize("stage", STAGES[:2], ids=lambda stage: stage.name)
def test_half_of_the_views_show_the_given_face_and_distractors_are_told_from_it(stage):
    plain = np.full((160, 256, 3), (0, 0, 255), np.uint8)
    batch = SampleMaker(5, faces=12, given=[plain]).batch(stage, 200)

    def given(pictures):
        """Whether each shows the red face: by the hue of its middle."""
        middle = pictures[:, 20:-20, 20:-20, :3].astype(float).mean(axis=(1, 2))
        return middle[:, 2] > 4 * middle[:, :2].max(axis=1)

    asked = given(batch.reference)
    assert 0.3 < asked[batch.related].mean() < 0.7
    # Asked for the given face where a distractor is: no.
    distractors = asked & ~given(batch.patch) & ~batch.related
    assert distractors.any()
    assert (batch.present[distractors] != 1).all()


@pytest.mark.parametrize("stage", STAGES[:2], ids=lambda stage: stage.name)
def test_half_of_the_given_faces_views_are_sightings(stage):
    plain = np.full((160, 256, 3), (0, 0, 255), np.uint8)
    # The face as the camera sees it: green, at a known place.
    frame = np.full((240, 320, 3), 128, np.uint8)
    frame[60:160, 80:240] = (0, 255, 0)
    homography = np.array([[0.625, 0, 79.5 + 0.3125], [0, 0.625, 59.5 + 0.3125], [0, 0, 1]])
    sighting = LabelledFrame(frame, homography, (79.5, 59.5, 160.0, 100.0), 1.0)
    batch = SampleMaker(5, faces=12, given=[plain], sightings=[sighting]).batch(stage, 300)

    def hue(pictures, channel):
        middle = pictures[:, 20:-20, 20:-20, :3].astype(float).mean(axis=(1, 2))
        others = [c for c in range(3) if c != channel]
        return middle[:, channel] > 4 * middle[:, others].max(axis=1)

    asked, seen = hue(batch.reference, 2), hue(batch.patch, 1)
    assert 0.3 < seen[asked & batch.related].mean() < 0.7
    assert (batch.present[asked & seen & batch.related] == 1).all()
    assert not seen[~asked & batch.related].any()
    # The label is the sighting's: the motion brings the reference's corners onto the green ones.
    side = stage.patch
    corners = np.array([[-1.0, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]]) / (MARGIN, MARGIN, 1)
    for i in np.flatnonzero(asked & seen & batch.related)[:8]:
        moved = corners @ batch.motion[i].T
        pixels = ((moved[:, :2] / moved[:, 2:] + 1) * side - 1) / 2
        outline = np.zeros((side, side), np.uint8)
        cv2.fillConvexPoly(outline, np.round(pixels * 16).astype(np.int32), 1, shift=4)
        green = (batch.patch[i, ..., 1] > 190) & (batch.patch[i, ..., 2] < 64)
        assert (green == (outline > 0)).mean() > 0.93


def test_sightings_of_no_one_face_are_refused(tmp_path):
    sighting = LabelledFrame(FACE, np.eye(3), (0.0, 0.0, 256.0, 170.0), 1.0)
    with pytest.raises(ValueError, match="2 are given"):
        SampleMaker(5, given=[FACE, FACE], sightings=[sighting])
    with pytest.raises(ValueError, match="'workers'"):
        TrainingSettings(tmp_path, 1.0, renderer="device", faces=(FACE,), sightings=(sighting,))
    settings = TrainingSettings(tmp_path, 1.0, faces=(FACE,), sightings=(sighting,))
    assert settings.rendered_by(torch.device("cuda")) == "workers"
