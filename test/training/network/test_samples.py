import copy

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

from stn_ros.geometry.homography import normalised_to_pixel
from stn_ros.geometry.patch import region_homography
from stn_ros.training.network.samples import (
    NO,
    STAGES,
    SampleMaker,
    jittered_box,
    true_rotation,
)


@pytest.fixture(scope="module")
def made():
    return SampleMaker(3, faces=12)


@pytest.fixture
def maker(made):
    """As it was made: it draws on, and each test shall get the same samples."""
    return copy.deepcopy(made)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_the_true_motion_brings_the_patch_onto_the_reference(maker, stage):
    batch = maker.batch(stage, 90)
    side = stage.patch
    assert batch.reference.shape == batch.patch.shape == (90, side, side, 4)
    to_pixel = normalised_to_pixel((side, side))
    before, after = [], []
    for i in np.flatnonzero(batch.related):
        motion = to_pixel @ batch.motion[i] @ np.linalg.inv(to_pixel)
        moved = cv2.warpPerspective(
            batch.patch[i], motion, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        pictures = (batch.patch[i], moved, batch.reference[i])
        valid = np.all([picture[..., 3] > 0 for picture in pictures], axis=0)
        if valid.sum() < 100 or np.abs(batch.motion[i] - np.eye(3)).max() < 0.05:
            continue
        # Softened: fine grain differs between photo and view, and says nothing of the place.
        seen, aligned, wanted = (
            cv2.GaussianBlur(picture[..., :3], (0, 0), 1.5)[valid].astype(float).ravel()
            for picture in pictures
        )
        before.append(np.corrcoef(seen, wanted)[0, 1])
        after.append(np.corrcoef(aligned, wanted)[0, 1])
    assert np.median(after) > 0.5
    assert np.mean(np.array(after) > np.array(before)) > 0.8


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_there_are_answers_of_both_kinds(maker, stage):
    batch = maker.batch(stage, 60)
    assert 0.3 < batch.related.mean() < 0.8
    assert (batch.present[~batch.related] != 1).all()
    assert (batch.present == NO).sum() > 5


def test_same_seed_same_samples():
    first, second = (SampleMaker(9, faces=4).batch(STAGES[0], 8) for _ in range(2))
    np.testing.assert_array_equal(first.patch, second.patch)
    np.testing.assert_array_equal(first.motion, second.motion)


@pytest.mark.parametrize("rotation", [0.0, 35.0, 90.0, -120.0])
def test_true_rotation_undoes_region_homography(rotation):
    assert true_rotation(region_homography((5, 6, 70, 90), rotation, (60, 40)), (60, 40)) == (
        pytest.approx(rotation)
    )


def test_jittered_box_stays_near():
    rng = np.random.default_rng(0)
    boxes = np.array([jittered_box(rng, (100, 50, 40, 20)) for _ in range(200)])
    assert np.abs(boxes[:, 0] + boxes[:, 2] / 2 - 120).max() <= 0.08 * 40
    assert np.exp(-0.12) * 20 <= boxes[:, 3].min() <= boxes[:, 3].max() <= np.exp(0.12) * 20
    assert boxes.std(axis=0).min() > 0.5
