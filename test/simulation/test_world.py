from functools import cache

import cv2
import numpy as np
import pytest

from stn_ros.geometry.homography import apply, invert, to_corners
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.simulation.world import World
from stn_ros.synthesis import artwork

SIZES = {"first": (0.19, 0.12), "second": (0.15, 0.15), "third": (0.12, 0.18)}


@cache
def model(name: str) -> ObjectModel:
    width, height = SIZES[name]
    scale = 256 / max(width, height)
    size = (round(width * scale), round(height * scale))
    return ObjectModel(name, artwork.draw(len(name), size, "board_game", "held_out"), SIZES[name])


@pytest.fixture(scope="module")
def world() -> World:
    return World([model(name) for name in SIZES], seed=3)


def test_pose_and_homography_agree(world: World):
    for truth in world.truth(4.2):
        w, h = SIZES[truth.object_name]
        face = np.array([[-w, h, 0], [w, h, 0], [w, -h, 0], [-w, -h, 0]]) / 2
        seen = (face @ truth.R.T + truth.t) @ world.camera.K.T
        size = model(truth.object_name).size
        assert np.allclose(seen[:, :2] / seen[:, 2:], to_corners(truth.homography, size), atol=1e-9)
        assert np.allclose(truth.R @ truth.R.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(truth.R) == pytest.approx(1)
        # The face's normal points to the camera.
        assert truth.R[:, 2] @ truth.t < 0


def test_the_picture_lies_where_the_truth_says():
    reference = cv2.GaussianBlur(artwork.draw(5, (256, 162), "cloud"), (0, 0), 3)
    only = World([ObjectModel("cloud", reference, (0.19, 0.12))], seed=1, blur=0.0, noise=0.0)
    # Least squares for the view's shift against the reference, up to gain and offset.
    inner = slice(12, -12)
    gray = cv2.cvtColor(reference, cv2.COLOR_BGR2GRAY).astype(np.float32)
    gx = cv2.Sobel(gray, cv2.CV_32F, 1, 0) / 8
    gy = cv2.Sobel(gray, cv2.CV_32F, 0, 1) / 8
    system = np.stack([a[inner, inner].ravel() for a in (gx, gy, gray, np.ones_like(gray))], 1)
    for t in np.linspace(0, 60, 20):
        frame, (truth,) = only.render(t)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        view = cv2.warpPerspective(frame, truth.homography, (256, 162), None, flags)
        view = cv2.cvtColor(view, cv2.COLOR_BGR2GRAY).astype(np.float32)[inner, inner]
        (dx, dy, gain, _), residual, *_ = np.linalg.lstsq(system, view.ravel(), rcond=None)
        assert np.hypot(dx, dy) / gain < 0.1
        assert gain > 0.5
        assert np.sqrt(residual[0] / view.size) < 2


def test_the_edge_covers_pixels_in_part():
    white = np.full((162, 256, 3), 255, np.uint8)
    only = World([ObjectModel("white", white, (0.19, 0.12))], seed=1, blur=0.0, noise=0.0)
    only._scenery[:] = 0
    frame, (truth,) = only.render(7.0)
    painted = frame[..., 0].astype(float).sum() / frame[..., 0].max()
    area = cv2.contourArea(to_corners(truth.homography, (256, 162)).astype(np.float32))
    assert painted == pytest.approx(area, rel=0.005)


def test_fine_texture_turns_grey_instead_of_aliasing():
    checks = np.indices((162, 256)).sum(0) % 2 * 255
    reference = cv2.merge([checks.astype(np.uint8)] * 3)
    only = World([ObjectModel("checks", reference, (0.19, 0.12))], blur=0.0, noise=0.0)
    for t in range(0, 60, 5):
        frame, (truth,) = only.render(float(t))
        if truth.t[2] < 0.6:
            continue
        inside = np.zeros(frame.shape[:2], np.uint8)
        outline = np.round(to_corners(truth.homography, (256, 162))).astype(np.int32)
        cv2.fillConvexPoly(inside, outline, 1)
        inside = cv2.erode(inside, np.ones((7, 7), np.uint8))
        assert frame[..., 0][inside > 0].std() < 20


def test_any_time_gives_the_same_frame_in_any_order(world: World):
    first, _ = world.render(1.5)
    world.render(0.0)
    again, _ = world.render(1.5)
    assert np.array_equal(first, again)
    other, _ = World([model(name) for name in SIZES], seed=4).render(1.5)
    assert not np.array_equal(first, other)


def test_objects_move_smoothly_within_frame_tilt_and_range(world: World):
    last: dict[str, np.ndarray] = {}
    tilts = []
    for t in np.arange(0, 60, 1 / 30):
        for truth in world.truth(t):
            corners = to_corners(truth.homography, model(truth.object_name).size)
            if truth.object_name in last:
                step = np.linalg.norm(corners - last[truth.object_name], axis=1).max()
                assert step < 12
            last[truth.object_name] = corners
            assert 0.4 <= truth.t[2] <= 0.85
            away = -truth.R[:, 2] @ truth.t / np.linalg.norm(truth.t)
            tilts.append(np.rad2deg(np.arccos(away)))
            assert truth.visible > 0.4
    assert max(tilts) <= 50.001
    assert max(tilts) > 40
    assert min(tilts) < 8


def test_visible_share_is_what_the_outlines_leave(world: World):
    hidden = 0
    for t in np.arange(0, 90, 0.5):
        near, far, _ = world.truth(t)
        near_outline, far_outline = (
            to_corners(truth.homography, model(truth.object_name).size).astype(np.float32)
            for truth in (near, far)
        )
        frame = np.float32([[-0.5, -0.5], [639.5, -0.5], [639.5, 479.5], [-0.5, 479.5]])
        inside = cv2.intersectConvexConvex(far_outline, frame)[0]
        # Where both leave the frame their common part is not counted twice: skip those.
        if inside < cv2.contourArea(far_outline) - 1:
            continue
        overlap = cv2.intersectConvexConvex(near_outline, far_outline)[0]
        expected = 1 - overlap / cv2.contourArea(far_outline)
        hidden += expected < 0.98
        assert far.visible == pytest.approx(expected, abs=0.02)
    assert hidden > 3


def test_boxes_are_near_the_truth_and_hidden_objects_are_missed(world: World):
    truths = world.truth(2.0)
    found = world.detect(2.0, truths)
    assert [d.object_name for d in found] == [t.object_name for t in truths]
    assert world.detect(2.0, truths) == found
    for detection, truth in zip(found, truths, strict=True):
        error = np.abs(np.subtract(detection.box, truth.box))
        assert error.max() < 0.35 * max(truth.box[2:])
        assert error.max() > 0
    covered = [type(truth)(**{**vars(truth), "visible": 0.1}) for truth in truths]
    assert world.detect(2.0, covered) == []


def test_an_object_too_large_for_the_frame_is_moved_away():
    poster = ObjectModel("poster", artwork.draw(0, (256, 192), "poster"), (0.8, 0.6))
    for t in range(0, 60, 3):
        (truth,) = World([poster]).truth(float(t))
        assert truth.visible > 0.9


def test_wrong_objects_are_named():
    first = model("first")
    with pytest.raises(ValueError, match="at least one object"):
        World([])
    with pytest.raises(ValueError, match="different names"):
        World([first, first])
    with pytest.raises(ValueError, match="'flat' has no metric size"):
        World([ObjectModel("flat", first.reference)])


def test_homography_maps_canonical_to_camera(world: World):
    truth = world.truth(0.0)[0]
    centre = apply(invert(truth.homography), (truth.t @ world.camera.K.T)[:2] / truth.t[2])
    w, h = model(truth.object_name).size
    assert np.allclose(centre, ((w - 1) / 2, (h - 1) / 2))
