"""Frame sampling against hand-worked values, box means and closed-form pictures."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from stn_ros.geometry import homography as hg
from stn_ros.geometry.camera import EQUIDISTANT, CameraModel
from stn_ros.runtime.sampling import FrameSampler

K = np.array([[300.0, 0, 159.5], [0, 300, 119.5], [0, 0, 1]])


def noise(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)


def scaled(ratio: float, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    """Patch pixel edges 0, 1, 2.. onto source pixel edges 0, r, 2r.."""
    middle = ratio / 2 - 0.5
    return np.array([[ratio, 0, middle + shift[0]], [0, ratio, middle + shift[1]], [0, 0, 1]])


def wave(points: np.ndarray) -> np.ndarray:
    """A smooth picture known at every real point (..., 2)."""
    x, y = points[..., 0], points[..., 1]
    return np.stack(
        [
            128 + 90 * np.sin(x / 11 + y / 17),
            128 + 90 * np.cos(x / 13 - y / 19),
            128 + 60 * np.sin(x / 23) + 40 * np.cos(y / 9),
        ],
        axis=-1,
    )


def pixel_grid(size: tuple[int, int]) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(size[0]), np.arange(size[1])), axis=-1).astype(float)


def test_identity_and_whole_pixel_shift_copy_the_frame():
    frame = noise((20, 12))
    whole = FrameSampler(frame).sample(np.eye(3), (20, 12))
    assert_array_equal(whole[..., :3], frame)
    assert (whole[..., 3] == 255).all()
    part = FrameSampler(frame).sample(scaled(1, (4, 3)), (6, 5))
    assert_array_equal(part[..., :3], frame[3:8, 4:10])


def test_half_pixel_shift_is_the_mean_of_neighbours():
    frame = np.zeros((3, 4, 3), np.uint8)
    frame[:, :, 0] = [10, 30, 70, 150]
    patch = FrameSampler(frame).sample(scaled(1, (0.5, 0)), (3, 3))
    assert_array_equal(patch[:, :, 0], [[20, 50, 110]] * 3)


def test_outside_is_black_and_transparent():
    frame = np.full((4, 4, 3), 90, np.uint8)
    patch = FrameSampler(frame).sample(scaled(1, (-2, 1)), (8, 8))
    inside = np.zeros((8, 8), bool)
    inside[:3, 2:6] = True
    assert_array_equal(patch[..., 3], np.where(inside, 255, 0))
    assert_array_equal(patch[..., 0], np.where(inside, 90, 0))


def test_pixel_belongs_to_the_frame_up_to_the_outer_edge_of_the_last_pixel():
    frame = np.full((9, 9, 3), 90, np.uint8)
    assert FrameSampler(frame).sample(scaled(1, (-0.45, 0)), (9, 9))[4, 0, 3] == 255
    assert FrameSampler(frame).sample(scaled(1, (-0.55, 0)), (9, 9))[4, 0, 3] == 0
    assert FrameSampler(frame).sample(scaled(1, (0.45, 0)), (9, 9))[4, 8, 3] == 255
    assert FrameSampler(frame).sample(scaled(1, (0.55, 0)), (9, 9))[4, 8, 3] == 0


@given(
    ratio=st.floats(0.2, 20),
    angle=st.floats(-np.pi, np.pi),
    x=st.floats(-60, 100),
    y=st.floats(-60, 80),
    tilt=st.floats(-0.01, 0.01),
)
@settings(max_examples=150, deadline=None)
def test_border_never_darkens_what_is_inside(ratio, angle, x, y, tilt):
    frame = np.full((60, 80, 3), 201, np.uint8)
    turn = ratio * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2], matrix[2, 0] = turn, [x, y], tilt
    patch = FrameSampler(frame).sample(matrix, (16, 12))
    inside = patch[..., 3] == 255
    assert (patch[inside][:, :3] == 201).all()
    assert (patch[~inside] == 0).all()


@pytest.mark.parametrize("ratio", [2, 4, 8])
def test_reduction_by_a_power_of_two_is_the_mean_over_boxes(ratio):
    frame = noise((64, 48))
    patch = FrameSampler(frame).sample(scaled(ratio), (64 // ratio, 48 // ratio))
    boxes = frame.reshape(48 // ratio, ratio, 64 // ratio, ratio, 3).mean(axis=(1, 3))
    assert_allclose(patch[..., :3], boxes, atol=2)


@pytest.mark.parametrize("ratio", [1.6, 2.3, 2.9, 3.5, 5.1, 11.0])
def test_fine_stripes_turn_grey_and_do_not_alias(ratio):
    frame = np.zeros((400, 400, 3), np.uint8)
    frame[:, ::2] = 255
    size = (int(380 / ratio), 8)
    patch = FrameSampler(frame).sample(scaled(ratio, (3, 3)), size)
    plain = cv2.warpPerspective(
        frame, scaled(ratio, (3, 3)), size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    assert np.std(patch[..., 0].astype(float)) < 0.7 * np.std(plain[..., 0].astype(float))
    assert patch[..., 0].mean() == pytest.approx(127.5, abs=4)


@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0, 4.5])
def test_projective_patch_of_a_known_picture(ratio):
    frame = wave(pixel_grid((900, 700))).round().astype(np.uint8)
    homography = np.array([[ratio, -0.3, 150], [0.2, ratio, 120], [4e-4, -2e-4, 1]])
    patch = FrameSampler(frame).sample(homography, (64, 48))
    expected = wave(hg.apply(homography, pixel_grid((64, 48))))
    blur = 0.02 + 0.35 * ratio**2 / 12  # of the averaging itself: the waves' curvature is < 1
    assert (patch[..., 3] == 255).all()
    assert np.abs(patch[..., :3] - expected).mean() < 0.5 + blur


def test_mirrored_homography_reads_mirrored():
    frame = noise((20, 12))
    flip = np.array([[-1.0, 0, 19], [0, 1, 0], [0, 0, 1]])
    assert_array_equal(FrameSampler(frame).sample(flip, (20, 12))[..., :3], frame[:, ::-1])


def test_sign_and_scale_of_the_matrix_do_not_matter():
    sampler = FrameSampler(noise((90, 70)))
    homography = np.array([[1.7, 0.2, 5], [-0.1, 1.5, 7], [1e-3, 2e-3, 1]])
    assert_array_equal(
        sampler.sample(homography, (20, 20)), sampler.sample(-3.5 * homography, (20, 20))
    )


@pytest.mark.parametrize(
    "homography",
    [
        np.full((3, 3), np.nan),
        np.full((3, 3), np.inf),
        np.zeros((3, 3)),
        np.diag([1e300, 1e300, 1e-300]),
        np.diag([1e9, 1e9, 1.0]),
        np.array([[1, 0, 0], [0, 1, 0], [-0.2, 0, 1.0]]),  # horizon through the patch
        np.array([[1, 0, 1e5], [0, 1, 0], [0, 0, 1.0]]),
    ],
)
@pytest.mark.parametrize("camera", [None, CameraModel((40, 30), K, np.array([0.1, -0.05]))])
def test_unusable_homography_gives_zeros(homography, camera):
    patch = FrameSampler(noise((40, 30)), camera).sample(homography, (16, 8))
    assert patch.shape == (8, 16, 4)
    assert not patch.any()


@given(st.lists(st.floats(-1e7, 1e7), min_size=9, max_size=9), st.booleans())
@settings(max_examples=200, deadline=None)
def test_any_matrix_is_survived(values, distorted):
    camera = CameraModel((40, 30), K, np.array([0.3, 0.2, 0.01, 0.01, 1]) * distorted)
    patch = FrameSampler(noise((40, 30)), camera).sample(np.reshape(values, (3, 3)), (9, 7))
    assert patch.shape == (7, 9, 4)
    assert set(np.unique(patch[..., 3])) <= {0, 255}


@pytest.mark.parametrize(
    "camera",
    [
        CameraModel((320, 240), K, np.array([-0.3, 0.12, 1e-3, -2e-3, -0.02])),
        CameraModel((320, 240), K, np.array([0.05, -0.1, 0.02, -0.01]), EQUIDISTANT),
    ],
    ids=["plumb_bob", "equidistant"],
)
@pytest.mark.parametrize("ratio", [0.6, 1.1, 1.9, 4.0])
def test_distortion_is_folded_into_one_reading(camera, ratio):
    frame = wave(pixel_grid((320, 240))).round().astype(np.uint8)
    homography = np.array([[ratio, -0.2, 30], [0.15, ratio, 20], [1e-4, 5e-4, 1]])
    patch = FrameSampler(frame, camera).sample(homography, (40, 40))
    raw = camera.distort_points(hg.apply(homography, pixel_grid((40, 40))))
    inside = patch[..., 3] == 255
    truly = ((raw >= -0.5) & (raw <= [319.5, 239.5])).all(axis=-1)
    assert (inside != truly).mean() < 0.01
    blur = 0.1 + 0.35 * ratio**2 / 12
    assert np.abs(patch[..., :3] - wave(raw))[inside].mean() < 0.5 + blur


def test_beyond_the_lens_model_is_transparent():
    # r - 0.4 r^3 grows up to r = sqrt(1 / 1.2), 273.9 px from the axis. At 250 px it is at
    # 180.6 px; a point at 350 px would be folded back onto 159.4 px.
    camera = CameraModel((320, 240), K - [[0, 0, 139.5], [0, 0, 0], [0, 0, 0]], np.array([-0.4]))
    patch = FrameSampler(noise((320, 240)), camera).sample(scaled(1, (20, 119.5)), (400, 1))
    assert (patch[0, :250, 3] == 255).all()
    assert not patch[0, 274:].any()


def test_undistorted_camera_reads_plainly():
    frame = noise((320, 240))
    homography = np.array([[1.7, 0.2, 5], [-0.1, 1.5, 7], [1e-3, 2e-3, 1]])
    assert_array_equal(
        FrameSampler(frame, CameraModel((320, 240), K, np.zeros(5))).sample(homography, (64, 64)),
        FrameSampler(frame).sample(homography, (64, 64)),
    )


def test_read_only_and_strided_frames():
    frame = noise((60, 50))
    expected = FrameSampler(frame).sample(scaled(1.5, (2, 2)), (20, 20))
    buffer = np.frombuffer(frame.tobytes(), np.uint8).reshape(50, 60, 3)
    assert_array_equal(FrameSampler(buffer).sample(scaled(1.5, (2, 2)), (20, 20)), expected)
    padded = np.zeros((50, 70, 3), np.uint8)
    padded[:, :60] = frame
    assert_array_equal(FrameSampler(padded[:, :60]).sample(scaled(1.5, (2, 2)), (20, 20)), expected)
    rgb = np.ascontiguousarray(frame[..., ::-1])
    assert_array_equal(FrameSampler(rgb[..., ::-1]).sample(scaled(1.5, (2, 2)), (20, 20)), expected)


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_other_frames_are_refused(frame):
    with pytest.raises(ValueError, match="frame must be a BGR image"):
        FrameSampler(frame)


def test_camera_of_another_size_is_refused():
    with pytest.raises(ValueError, match="frame is 40x30 but the camera's calibration is for 320x"):
        FrameSampler(noise((40, 30)), CameraModel((320, 240), K))


@pytest.mark.parametrize("scale", [0.7, 2.0, 5.0])
@pytest.mark.parametrize("shift", [40.0, -30.0])
def test_colours_and_grey_are_those_of_sample(scale, shift):
    """Inside the frame and across its edge, at every ratio."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    sampler = FrameSampler(cv2.resize(small, (640, 480), interpolation=cv2.INTER_CUBIC))
    homography = np.array([[scale, 0.1, shift], [-0.05, scale, 60.0], [1e-4, 0, 1]])
    patch = sampler.sample(homography, (60, 40))
    colours = sampler.sample_bgr(homography, (60, 40))
    assert np.abs(colours.astype(int) - patch[..., :3]).max() <= 2
    grey, alpha = sampler.sample_grey(homography, (60, 40))
    wanted = cv2.cvtColor(patch, cv2.COLOR_BGRA2GRAY)
    assert np.abs(grey.astype(int) - wanted).max() <= 2
    if alpha is None:
        assert patch[..., 3].all()
    else:
        np.testing.assert_array_equal(alpha, patch[..., 3])
