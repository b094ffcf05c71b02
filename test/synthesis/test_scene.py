from dataclasses import replace

import cv2
import numpy as np
import pytest

from stn_ros.geometry.homography import apply, face_corners, to_corners
from stn_ros.synthesis.scene import (
    HELD_OUT_CONDITIONS,
    SHARP,
    Conditions,
    MipLevel,
    face_homography,
    paste_face,
    paste_level,
    render_faces,
    render_frame,
)

PLAIN = replace(SHARP, noise=(0, 0), blur=(0, 0), harsh_light=0.0, compressed=0.0, body_share=0.0)


def _face(size=(96, 64)):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (8, 12, 3), dtype=np.uint8)
    return cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)


def _grey(rng, size):
    return np.full((size[1], size[0], 3), 128, np.uint8)


def test_face_square_on_by_hand():
    matrix = face_homography((100, 50), (320, 240), 200, 0, 0, 0, 600, (320, 240))
    corners = to_corners(matrix, (100, 50))
    np.testing.assert_allclose(corners, [[220, 190], [420, 190], [420, 290], [220, 290]], atol=1e-6)


@pytest.mark.parametrize("centre", [(320, 240), (80, 400)])
def test_tilt_is_the_angle_to_the_line_of_sight(centre):
    tilt, focal, principal = np.radians(40), 600.0, (320.0, 240.0)
    matrix = face_homography((100, 50), centre, 120, 0.7, tilt, 1.1, focal, principal)
    camera = np.array([[focal, 0, principal[0]], [0, focal, principal[1]], [0, 0, 1]])
    to_plane = np.array([[1, 0, -49.5], [0, 1, -24.5], [0, 0, 100]]) / 100
    extrinsic = np.linalg.inv(camera) @ matrix @ np.linalg.inv(to_plane)
    extrinsic /= np.linalg.norm(extrinsic[:, 0])
    assert extrinsic[:, 0] @ extrinsic[:, 1] == pytest.approx(0, abs=1e-9)
    normal = np.cross(extrinsic[:, 0], extrinsic[:, 1])
    sight = extrinsic[:, 2] / np.linalg.norm(extrinsic[:, 2])
    assert np.arccos(abs(normal @ sight)) == pytest.approx(tilt, abs=1e-6)
    np.testing.assert_allclose(apply(matrix, [[49.5, 24.5]])[0], centre, atol=1e-6)


def test_truth_is_where_the_face_is_drawn():
    face = _face()
    rng = np.random.default_rng(1)
    for _ in range(5):
        view = render_frame(rng, face, _grey, replace(PLAIN, clutter=0))
        back = cv2.warpPerspective(
            view.frame, view.homography, view.size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        inner = (slice(4, -4), slice(4, -4))
        first, second = back[inner].astype(float).ravel(), face[inner].astype(float).ravel()
        assert np.corrcoef(first, second)[0, 1] > 0.99


def test_near_only_is_the_same_view_cut_out():
    face = _face()
    whole = render_frame(np.random.default_rng(5), face, _grey, replace(PLAIN, clutter=0))
    near = render_frame(
        np.random.default_rng(5), face, _grey, replace(PLAIN, clutter=0), near_only=True
    )
    assert near.frame.size < whole.frame.size
    shift = to_corners(whole.homography, whole.size) - to_corners(near.homography, near.size)
    np.testing.assert_allclose(shift, np.broadcast_to(shift[0], (4, 2)), atol=1e-6)


def test_visible_share_counts_occluders_and_the_frame():
    face, rng = _face(), np.random.default_rng(2)
    occluded = replace(PLAIN, occluded_share=1.0, occluded=(0.1, 0.3))
    shares = [render_frame(rng, face, _grey, occluded).visible for _ in range(20)]
    assert all(0.69 <= share <= 0.91 for share in shares)
    cut = replace(PLAIN, cut_share=1.0, long_side=(200, 250))
    shares = [render_frame(rng, face, _grey, cut).visible for _ in range(40)]
    assert min(shares) > 0.55
    assert min(shares) < 0.99


def test_camera_and_homography_make_a_rigid_pose():
    face, rng = _face(), np.random.default_rng(6)
    for near_only in (False, True):
        view = render_frame(rng, face, _grey, PLAIN, near_only=near_only)
        plane = np.array([[96, 0, 0], [0, 96, 0], [0, 0, 1]])
        extrinsic = np.linalg.inv(view.camera) @ view.homography @ plane
        first, second = extrinsic[:, 0], extrinsic[:, 1]
        assert first @ second == pytest.approx(0, abs=1e-9 * (first @ first))
        assert first @ first == pytest.approx(second @ second)


def test_box_bounds_the_face_and_stays_in_the_frame():
    face, rng = _face(), np.random.default_rng(3)
    for _ in range(20):
        view = render_frame(rng, face, _grey, Conditions())
        left, top, width, height = view.box
        corners = to_corners(view.homography, view.size)
        assert left == pytest.approx(max(corners[:, 0].min(), -0.5))
        assert top + height == pytest.approx(min(corners[:, 1].max(), 479.5))
        assert left >= -0.5
        assert left + width <= 639.5


@pytest.mark.parametrize("name", HELD_OUT_CONDITIONS)
def test_conditions_hold(name):
    conditions, rng = HELD_OUT_CONDITIONS[name], np.random.default_rng(4)
    for _ in range(5):
        view = render_frame(rng, _face(), _grey, conditions)
        assert conditions.tilt[0] <= view.tilt <= conditions.tilt[1]
        assert conditions.long_side[0] <= view.long_side <= conditions.long_side[1] + 1e-6
        assert conditions.blur[0] <= view.blur <= conditions.blur[1]
        assert view.frame.shape == (480, 640, 3)


def test_frames_larger_than_the_noise_at_hand():
    noisy = replace(PLAIN, noise=(8, 8))
    view = render_frame(np.random.default_rng(7), _face(), _grey, noisy, (1920, 1280))
    assert view.frame.shape == (1280, 1920, 3)
    assert view.frame[-60:, -60:].std() > 4


def test_pasting_a_large_face_small_does_not_alias():
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    frame = np.zeros((100, 100, 3), np.uint8)
    matrix = face_homography((512, 512), (50, 50), 60, 0, 0, 0, 600, (50, 50))
    paste_face(frame, stripes, matrix)
    inside = frame[25:75, 25:75].astype(float)
    assert inside.std() < 12
    assert inside.mean() == pytest.approx(127, abs=12)


def test_pasting_keeps_to_the_frame():
    frame = np.full((50, 50, 3), 9, np.uint8)
    corners = face_corners((96, 64))
    beyond = np.eye(3)
    beyond[0, 2] = 400
    assert corners.min() < 0
    paste_face(frame, _face(), beyond)
    assert (frame == 9).all()


@pytest.mark.parametrize("size", [(256, 192), (257, 193), (259, 195)])
@pytest.mark.parametrize("seen", [120, 50])
def test_pasting_keeps_the_place_of_what_is_in_the_corner(size, seen):
    """Odd sides too: each halving of the face must keep what is at its far edges in place."""
    middle = np.array(size) - 32
    x, y = np.ogrid[: size[0], : size[1]]
    blob = 255 * np.exp(-((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / (2 * 8.0**2))
    face = np.repeat(blob.T.round().astype(np.uint8)[..., None], 3, axis=2)
    frame = np.zeros((150, 150, 3), np.uint8)
    matrix = face_homography(size, (75, 75), seen, 0, 0, 0, 600, (75, 75))
    paste_face(frame, face, matrix)
    light = frame[..., 0].astype(float)
    rows, columns = np.indices(light.shape)
    found = np.array([(light * columns).sum(), (light * rows).sum()]) / light.sum()
    np.testing.assert_allclose(found, apply(matrix, [middle])[0], atol=0.05)


def test_a_mip_level_spans_the_whole_face():
    level = MipLevel.of(_face((48, 20)), (96, 64))
    assert level.pixels.shape == (20, 48, 4)
    corners = apply(level.to_face, face_corners((48, 20)))
    np.testing.assert_allclose(corners, face_corners((96, 64)), atol=1e-12)
    np.testing.assert_array_equal(MipLevel.of(_face()).to_face, np.eye(3))


def test_pasted_levels_lie_at_one_place_under_the_light_given():
    grey = np.full((64, 96, 3), 200, np.uint8)
    matrix = np.array([[1.0, 0, 20], [0, 1, 10], [0, 0, 1]])
    for level in (MipLevel.of(grey), MipLevel.of(grey[:40, :60], (96, 64))):
        for oversampling in (1, 2):
            frame = np.full((100, 140, 3), 9, np.uint8)
            paste_level(frame, level, matrix, oversampling, light=0.5)
            assert (frame[12:72, 22:114] == 100).all()
            for side in (frame[:8], frame[76:], frame[:, :18], frame[:, 118:]):
                assert (side == 9).all()


def _flat(blue, size=(96, 64)):
    return np.full((size[1], size[0], 3), (blue, 255 - blue, 0), np.uint8)


@pytest.mark.parametrize("seed", range(4))
def test_several_faces_lie_where_they_are_said_to_and_hide_what_they_are_said_to(seed):
    """Each face has a colour of its own, so the frame shows how much of it is to be seen."""
    rng = np.random.default_rng(seed)
    faces = [_flat(blue) for blue in (0, 60, 120, 180, 240)]
    # Too large to lie side by side.
    conditions = replace(PLAIN, clutter=0, long_side=(200, 320), tilt=(0, 30))
    seen = render_faces(rng, faces, _grey, conditions)
    assert len(seen.homographies) == len(seen.visible) == len(seen.tilts) == len(faces)
    grid = np.stack(np.meshgrid(np.arange(2, 94, 2), np.arange(2, 62, 2)), axis=-1).reshape(-1, 2)
    light = seen.frame.astype(float)
    for face, homography, visible in zip(faces, seen.homographies, seen.visible, strict=True):
        x, y = np.rint(apply(homography, grid)).astype(int).T
        inside = (x >= 0) & (x < 640) & (y >= 0) & (y < 480)
        colours = light[y[inside], x[inside]]
        shares = colours[:, 0] / colours[:, :2].sum(axis=1)
        own = face[0, 0, 0] / 255
        share = (np.abs(shares - own) < 0.1).sum() / len(grid)
        assert share == pytest.approx(visible, abs=0.06)


def test_small_faces_lie_side_by_side():
    faces = [_flat(blue) for blue in (0, 80, 160, 240)]
    conditions = replace(PLAIN, clutter=0, long_side=(40, 60))
    for seed in range(5):
        seen = render_faces(np.random.default_rng(seed), faces, _grey, conditions)
        assert min(seen.visible) == 1.0


def test_a_frame_without_faces():
    seen = render_faces(np.random.default_rng(0), [], _grey, PLAIN, (320, 240))
    assert seen.frame.shape == (240, 320, 3)
    assert seen.homographies == seen.visible == []
