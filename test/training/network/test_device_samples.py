import math
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from stn_ros.geometry.homography import corner_error, normalised_to_pixel, quarter_rotation  # noqa: E402
from stn_ros.geometry.patch import MARGIN, region_homography  # noqa: E402
from stn_ros.synthesis.scene import SHARP, face_homography  # noqa: E402
from stn_ros.training.network import device_samples  # noqa: E402
from stn_ros.training.network import task as network_task  # noqa: E402
from stn_ros.training.network.data import TrainingSettings  # noqa: E402
from stn_ros.training.network.device_samples import DeviceSampleMaker  # noqa: E402
from stn_ros.training.network.samples import (  # noqa: E402
    NO,
    STAGES,
    UNSURE,
    YES,
    true_rotation,
)
from stn_ros.training.network.task import train  # noqa: E402

# Small faces, for speed.
LOCATE, REFINE, _, POLISH = (
    replace(stage, batch=8, conditions=replace(stage.conditions, long_side=(45, 110)))
    for stage in STAGES
)
CLEAR = replace(
    SHARP, noise=(0, 0), blur=(0, 0), harsh_light=0.0, compressed=0.0, body_share=0.0, clutter=0
)


@pytest.fixture(scope="module")
def made():
    return DeviceSampleMaker(3, "cpu", faces=12)


@pytest.fixture
def maker(made):
    """As it was made: it draws on, and each test shall get the same samples."""
    state, alike = made._device_rng.generator.get_state(), made._bank.alike.clone()
    yield made
    made._device_rng.generator.set_state(state)
    made._bank.alike.copy_(alike)


def test_regions_and_rotations_are_those_of_the_workers():
    size, box, rotation = (60, 40), (5.0, 6.0, 70.0, 90.0), 35.0
    wanted = region_homography(box, rotation, size) @ normalised_to_pixel(size)
    half = torch.tensor([1.0, 40 / 60], dtype=torch.float64)
    low, span = torch.tensor(box, dtype=torch.float64).split(2)
    radians = torch.tensor(math.radians(rotation), dtype=torch.float64)
    np.testing.assert_allclose(device_samples._regions(low, span, radians, half), wanted)
    matrix = face_homography(size, (90, 70), 50, 0.9, 0.8, 0.3, 300, (100, 100))
    pose = matrix @ normalised_to_pixel(size)
    pose = torch.from_numpy(pose / pose[2, 2])[None]
    found = math.degrees(float(device_samples._true_rotation(pose, half[None])))
    assert found == pytest.approx(true_rotation(matrix, size))


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_quarter_rotations_are_those_of_the_workers(quarters):
    size = (60, 40)
    to_pixels = normalised_to_pixel(size)
    found = device_samples._quarter_rotations(torch.tensor(quarters)).numpy()
    found = to_pixels @ found @ np.linalg.inv(to_pixels)
    assert corner_error(found, quarter_rotation(size, 90 * quarters), size) < 1e-9


@pytest.mark.parametrize("stage", [LOCATE, REFINE], ids=lambda stage: stage.name)
def test_motion_is_what_leads_from_the_start_to_the_truth(maker, stage, monkeypatch):
    starts = []

    def read(frames, extent, at, side):
        starts.append(at)
        return torch.zeros(*at.shape[:2], side, side, 4, dtype=torch.uint8)

    monkeypatch.setattr(device_samples, "read_patches", read)
    views = maker._views(stage, 3)
    motion, related = maker._samples(stage, views)[2:4]
    near = 3 if stage is LOCATE else 2
    assert related.sum() == 3 * near
    motion = motion[related].double().reshape(3, near, 3, 3)
    found = starts[0][:, :near] @ motion
    margin = torch.diag(torch.tensor([MARGIN, MARGIN, 1.0], dtype=torch.float64))
    wanted = (views.pose @ margin)[:, None].expand_as(found)
    torch.testing.assert_close(found / found[..., 2:, 2:], wanted, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("stage", [LOCATE, REFINE, POLISH], ids=lambda stage: stage.name)
def test_the_true_motion_brings_the_patch_onto_the_reference(maker, stage):
    stage = replace(stage, conditions=replace(CLEAR, long_side=(100, 160)))
    reference, patch, motion, related, _ = (field.numpy() for field in maker.batch(stage, 24))
    side = stage.patch
    assert reference.shape == patch.shape == (24, side, side, 4)
    to_pixel = normalised_to_pixel((side, side))
    ncc, off = [], []
    for i in np.flatnonzero(related):
        to_patch = to_pixel @ motion[i] @ np.linalg.inv(to_pixel)
        alike = {
            (dx, dy): _ncc(patch[i], reference[i], to_patch, dx, dy)
            for dx, dy in ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
        }
        ncc.append(alike[0, 0])
        off.append(
            [
                _peak(alike[-1, 0], alike[0, 0], alike[1, 0]),
                _peak(alike[0, -1], alike[0, 0], alike[0, 1]),
            ]
        )
    assert np.median(ncc) > 0.85
    # Patch pixels: half a pixel off, or the reverse motion, would show.
    assert np.abs(np.median(off, axis=0)).max() < 0.1
    assert np.median(np.abs(off)) < 0.1


def _ncc(patch, reference, to_patch, dx, dy):
    """Correlation of the reference with the patch warped onto it and then moved."""
    side = len(patch)
    shift = np.array([[1.0, 0, -dx], [0, 1, -dy], [0, 0, 1]])
    moved = cv2.warpPerspective(
        patch, to_patch @ shift, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    inner = slice(side // 8, -side // 8)
    valid = np.all([p[inner, inner, 3] == 255 for p in (moved, reference)], axis=0)
    first, second = (
        cv2.GaussianBlur(p[..., :3], (0, 0), 1)[inner, inner][valid].astype(float).ravel()
        for p in (moved, reference)
    )
    return np.corrcoef(first, second)[0, 1]


def _peak(before, middle, after):
    """Where a parabola through three values, a pixel apart, is highest."""
    return (before - after) / 2 / (before - 2 * middle + after)


@pytest.mark.parametrize("stage", [LOCATE, POLISH], ids=lambda stage: stage.name)
def test_there_are_answers_of_both_kinds(maker, stage):
    _, _, motion, related, present = maker.batch(stage, 30)
    assert related.dtype == torch.bool
    assert present.dtype == torch.int8
    assert 0.3 < related.float().mean() < 0.8
    assert (present[~related] != YES).all()
    assert (present[related] != NO).all()
    assert (present == NO).sum() > 5
    assert (motion[~related] == torch.eye(3)).all()
    if stage is POLISH:
        assert (present[~related] == UNSURE).any()


def test_look_alike_rotations_are_no_negatives(maker):
    face = torch.arange(2)
    maker._bank.alike[:2] = torch.tensor([[False, True, True, True], [False, False, True, False]])
    rotations, can_flip = maker._quarters(face, 200)
    assert can_flip.tolist() == [False, True]
    assert set(rotations[1].tolist()) == {1, 3}


def test_given_faces_are_shown_half_of_the_time_and_met_by_distractors():
    pictures = np.random.default_rng(0).integers(0, 256, (2, 90, 60, 3), np.uint8)
    maker = DeviceSampleMaker(3, "cpu", faces=4, given=pictures)
    given = maker._bank.given
    face = maker._faces(400)
    assert 0.4 < (face < given).float().mean() < 0.6
    distractor = maker._distractors(face)
    assert (distractor[face < given] >= given).all()
    drawn_alone = (face >= given) & ~maker._bank.siblings[face]
    assert (distractor[drawn_alone] < given).all()


def test_same_seed_same_samples():
    first, second, other = (
        DeviceSampleMaker(seed, "cpu", faces=2).batch(LOCATE, 8) for seed in (9, 9, 10)
    )
    for one, two in zip(first, second, strict=True):
        assert torch.equal(one, two)
    assert not torch.equal(first[2], other[2])


def test_new_faces_come_in_while_it_goes_on():
    maker = DeviceSampleMaker(3, "cpu", faces=2, artists=1)
    try:
        before = maker._bank.stock.faces.clone()
        drawing = maker._artists._drawings.get(timeout=60)
        maker._bank.put(0, 0, drawing)
        assert not torch.equal(before, maker._bank.stock.faces)
        process = maker._artists._processes[0]
        process.kill()
        process.join()
        with pytest.raises(RuntimeError, match="draws faces ended"):
            maker.batch(LOCATE, 1)
    finally:
        maker.close()


def test_training_on_device_samples_goes_on_where_it_was(tmp_path, monkeypatch):
    for module in (network_task, device_samples):
        monkeypatch.setattr(module, "STAGES", (LOCATE, REFINE))
    few_faces = partial(DeviceSampleMaker, faces=2)
    monkeypatch.setattr(device_samples, "DeviceSampleMaker", few_faces)
    # Hardly any time: one step, and a checkpoint.
    settings = TrainingSettings(tmp_path, 1e-7, renderer="device", workers=0)
    first = train(settings, progress=False)
    assert (first.steps, first.samples) == (1, LOCATE.batch)
    longer = replace(settings, minutes=first.clock.time_elapsed() / 60 + 1e-4, batch_factor=2)
    last = train(longer, progress=False)
    assert last.steps > 1
    assert last.samples == LOCATE.batch + 2 * (last.steps - 1) * LOCATE.batch
    (said,) = last.trained_on
    assert said.endswith("rendered by device")


@pytest.mark.parametrize("factor", [1, 3])
def test_batches_of_all_stages_come_in_turn(monkeypatch, factor):
    monkeypatch.setattr(device_samples, "STAGES", (LOCATE, REFINE))
    few_faces = partial(DeviceSampleMaker, faces=2)
    monkeypatch.setattr(device_samples, "DeviceSampleMaker", few_faces)
    batches = device_samples.device_batches(1, torch.device("cpu"), (), 0, factor)
    for wanted in (0, 1, 0):
        index, fields = next(batches)
        assert index == wanted
        assert [len(field) for field in fields] == [8 * factor] * 5
        assert fields[0].shape[1] == (LOCATE, REFINE)[index].patch
    batches.close()


def test_the_renderer_is_known(tmp_path):
    with pytest.raises(ValueError, match="renderer is 'gpu'"):
        TrainingSettings(tmp_path, 1.0, renderer="gpu")
    settings = TrainingSettings(tmp_path, 1.0)
    assert settings.rendered_by(torch.device("cpu")) == "workers"
    assert settings.rendered_by(torch.device("cuda")) == "device"
