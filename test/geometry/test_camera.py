"""Camera model against hand-worked values and OpenCV."""

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from stn_ros.geometry.camera import EQUIDISTANT, PLUMB_BOB, RATIONAL, CameraModel

K = np.array([[500.0, 0, 319.5], [0, 510, 239.5], [0, 0, 1]])
SIZE = (640, 480)
CALIBRATION = {"width": 640, "height": 480, "k": K.ravel(), "d": [0.1, -0.2, 0.001, 0.002, 0.05]}


def camera(d: list[float], model: str = PLUMB_BOB, **others: object) -> CameraModel:
    return CameraModel(SIZE, K, np.array(d), model, **others)


def grid(step: int = 40) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(0, 640, step), np.arange(0, 480, step)), -1) * 1.0


def rays(points: np.ndarray) -> np.ndarray:
    return np.concatenate(
        [(points - K[:2, 2]) / K[[0, 1], [0, 1]], np.ones_like(points[..., :1])], axis=-1
    )


def undistorted_by_opencv(points: np.ndarray, d: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    # OpenCV 5 took the iterating version's name away and gave its arguments to the other.
    undistort = getattr(cv2, "undistortPointsIter", cv2.undistortPoints)
    until = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-12)
    flat = undistort(points.reshape(-1, 1, 2), K, d, R=rotation, P=K, criteria=until)
    return flat.reshape(points.shape)


def test_radial_shift_by_hand():
    # 200 px right of the axis is x = 0.4: x (1 + 0.1 x^2) = 0.4064, 203.2 px.
    assert_allclose(camera([0.1]).distort_points([519.5, 239.5]), [522.7, 239.5])


def test_tangential_shift_by_hand():
    # On the x axis: dx = 3 p2 x^2, dy = p1 x^2.
    moved = camera([0, 0, 0.01, 0.02]).distort_points([519.5, 239.5])
    assert_allclose(moved, [519.5 + 500 * 3 * 0.02 * 0.16, 239.5 + 510 * 0.01 * 0.16])


def test_fisheye_by_hand():
    # Without coefficients the distance from the axis is f times the angle: 45 degrees here.
    assert_allclose(
        camera([0, 0, 0, 1e-12], EQUIDISTANT).distort_points([819.5, 239.5]),
        [319.5 + 500 * np.pi / 4, 239.5],
    )


@pytest.mark.parametrize(
    "d",
    [
        [0.1, -0.2, 0.001, 0.002],
        [-0.3, 0.1, -0.002, 0.001, -0.01],
        [0.8, -0.3, 0.001, -0.001, 0.02, 1.1, -0.25, 0.03],
    ],
)
def test_distortion_agrees_with_opencv(d):
    points = grid()
    expected, _ = cv2.projectPoints(
        rays(points).reshape(-1, 3), np.zeros(3), np.zeros(3), K, np.array(d)
    )
    model = RATIONAL if len(d) > 5 else PLUMB_BOB
    assert_allclose(camera(d, model).distort_points(points).reshape(-1, 2), expected[:, 0])


def test_fisheye_agrees_with_opencv():
    d = np.array([0.05, -0.03, 0.01, -0.002])
    points = grid()
    expected, _ = cv2.fisheye.projectPoints(
        rays(points).reshape(-1, 1, 3), np.zeros(3), np.zeros(3), K, d
    )
    found = camera(list(d), EQUIDISTANT).distort_points(points)
    assert_allclose(found.reshape(-1, 2), expected[:, 0])


small = st.floats(-0.1, 0.1)
tiny = st.floats(-0.003, 0.003)


@given(small, small, tiny, tiny, small)
@settings(deadline=None)
def test_undistortion_undoes_plumb_bob(k1, k2, p1, p2, k3):
    model = camera([k1, k2, p1, p2, k3])
    ideal = grid(80)
    assert_allclose(model.undistort_points(model.distort_points(ideal)), ideal, atol=1e-3)


@given(small, st.floats(-0.05, 0.05), st.floats(-0.02, 0.02), st.floats(-0.01, 0.01))
@example(0.09375, 0.046875, 0.0, -0.009765625)  # grows by half as much again, then turns back
@settings(deadline=None)
def test_undistortion_undoes_fisheye(k1, k2, k3, k4):
    model = camera([k1, k2, k3, k4], EQUIDISTANT)
    ideal = np.concatenate([grid(80).reshape(-1, 2), [[319.5, 239.5], [2000, 239.5]]])
    raw = model.distort_points(ideal)
    seen = np.isfinite(raw[:, 0])
    assert seen[:-1].all()
    assert_allclose(model.undistort_points(raw[seen]), ideal[seen], atol=1e-3)


def test_undistortion_agrees_with_opencv():
    d = np.array([0.1, -0.2, 0.001, 0.002, 0.05])
    raw = grid()
    expected = undistorted_by_opencv(raw, d, np.eye(3))
    assert_allclose(camera(list(d)).undistort_points(raw), expected, atol=1e-6)


def test_beyond_the_lens_model_there_is_nothing():
    barrel = camera([-0.4])  # r - 0.4 r^3 turns back at r = 0.913, 456 px off, landing 304 px off
    right = barrel.distort_points([[319.5 + 450, 239.5], [319.5 + 460, 239.5], [9e5, 239.5]])
    assert_allclose(right[0], [319.5 + 500 * (0.9 - 0.4 * 0.9**3), 239.5])
    assert np.isnan(right[1:]).all()
    back = barrel.undistort_points([[319.5 + 300, 239.5], [319.5 + 310, 239.5]])
    assert np.isfinite(back[0]).all()
    assert np.isnan(back[1]).all()


@pytest.mark.parametrize("radius", [0.3, 0.9, 1.0, 1.08, 1.15, 1.19])
def test_undistortion_up_to_where_a_stretching_lens_turns_back(radius):
    """r + r^3 / 2 - 0.3 r^5 grows up to r = 1.207, and ends farther out, at 1.318."""
    lens = camera([0.5, -0.3])
    x, y = 0.6 * radius, -0.8 * radius
    growth = 1 + radius**2 / 2 - 0.3 * radius**4
    raw = [319.5 + 500 * x * growth, 239.5 + 510 * y * growth]
    assert_allclose(lens.undistort_points(raw), [319.5 + 500 * x, 239.5 + 510 * y], atol=1e-3)


@pytest.mark.parametrize("i", [1, 2, 3, 4])
def test_a_fisheye_ends_where_its_polynomial_turns_back(i):
    """a + k a^(2i + 1) turns back where (2i + 1) k a^2i = -1: here at an angle of 1.2."""
    k = -1 / ((2 * i + 1) * 1.2 ** (2 * i))
    fisheye = camera(np.eye(4)[i - 1] * k, EQUIDISTANT)
    before, after = fisheye.distort_points(
        [[319.5 + 500 * np.tan(angle), 239.5] for angle in (1.19, 1.21)]
    )
    assert_allclose(before, [319.5 + 500 * (1.19 + k * 1.19 ** (2 * i + 1)), 239.5])
    assert np.isnan(after).all()


@pytest.mark.parametrize(
    ("index", "power", "below"),
    [(0, 1, False), (1, 2, False), (4, 3, False), (5, 1, True), (6, 2, True), (7, 3, True)],
)
def test_a_lens_ends_where_its_polynomial_turns_back(index, power, below):
    """r (1 + k s^n) and r / (1 + k s^n), s = r^2, turn back where (1 + 2n) k s^n = -1, and
    where (2n - 1) k s^n = 1: here at a radius of 0.8."""
    k = (1 / (2 * power - 1) if below else -1 / (2 * power + 1)) / 0.8 ** (2 * power)
    lens = camera(np.eye(8)[index] * k, RATIONAL)
    before, after = lens.distort_points([[319.5 + 500 * 0.79, 239.5], [319.5 + 500 * 0.81, 239.5]])
    factor = 1 + k * 0.79 ** (2 * power)
    assert_allclose(before, [319.5 + 500 * 0.79 * (1 / factor if below else factor), 239.5])
    assert np.isnan(after).all()


def test_fisheye_pixel_beyond_90_degrees_has_no_ideal_pixel():
    fisheye = camera([0, 0, 0, 1e-9], EQUIDISTANT)
    seen = fisheye.undistort_points(
        [[319.5 + 500 * np.radians(angle), 239.5] for angle in (80, 95)]
    )
    assert_allclose(seen[0], [319.5 + 500 * np.tan(np.radians(80)), 239.5], rtol=1e-6)
    assert np.isnan(seen[1]).all()


def test_no_distortion_is_the_identity():
    for plain in (CameraModel(SIZE, K), camera([0, 0, 0, 0, 0]), camera([], EQUIDISTANT)):
        assert not plain.distorted
        assert_allclose(plain.distort_points(grid()), grid())
        assert_allclose(plain.undistort_points(grid()), grid())


def test_stereo_rotation_turns_rays_into_the_rectified_frame():
    rotation, _ = cv2.Rodrigues(np.array([0.02, -0.03, 0.01]))
    d = [0.1, -0.2, 0.001, 0.002]
    model = camera(d, R=rotation)
    assert model.distorted
    ideal = model.undistort_points(grid())
    assert_allclose(ideal, undistorted_by_opencv(grid(), np.array(d), rotation), atol=1e-6)
    assert_allclose(model.distort_points(ideal), grid(), atol=1e-6)


def test_rectified_image_uses_the_projection_matrix():
    p = [450, 0, 300, -45, 0, 450, 200, 0, 0, 0, 1, 0]
    model = CameraModel.from_calibration(**CALIBRATION, p=p, rectified=True)
    assert not model.distorted
    assert_allclose(model.K, [[450, 0, 300], [0, 450, 200], [0, 0, 1]])


def test_raw_image_uses_k_and_d():
    p = [450, 0, 300, 0, 0, 450, 200, 0, 0, 0, 1, 0]
    model = CameraModel.from_calibration(**CALIBRATION, p=p, r=np.zeros(9))
    assert model.distorted
    assert_allclose(model.K, K)
    assert model.size == SIZE


def test_roi_and_binning_see_the_same_rays():
    full = CameraModel.from_calibration(**CALIBRATION)
    part = CameraModel.from_calibration(
        **CALIBRATION, roi=(100, 60, 401, 300), binning_x=2, binning_y=3
    )
    assert part.size == (200, 100)
    # Pixel (10, 20) averages columns 120..121 and rows 120..122 of the full image.
    assert_allclose(
        part.undistort_points([10, 20]) * [2, 3] + [100.5, 61],
        full.undistort_points([120.5, 121]),
    )
    assert_allclose(part.K, [[250, 0, 109.5], [0, 170, 59.5], [0, 0, 1]])


def test_longer_coefficient_lists_of_zeros_are_accepted():
    assert camera([0.1, 0, 0, 0, 0, 0, 0, 0] + [0] * 6, RATIONAL).D.size == 8
    assert CameraModel.from_calibration(width=640, height=480, k=K, distortion_model="").D.size == 8


@pytest.mark.parametrize("model", ["fisheye", "none", "None", "Plumb_Bob", "", "inverse"])
@pytest.mark.parametrize("d", [(), [0.0] * 5])
def test_where_nothing_is_distorted_the_model_may_have_any_name(model, d):
    plain = CameraModel.from_calibration(width=640, height=480, k=K, d=d, distortion_model=model)
    assert not plain.distorted
    assert_allclose(plain.distort_points([100.0, 50.0]), [100.0, 50.0])


def test_a_models_name_is_taken_in_letters_of_any_case():
    named = CameraModel.from_calibration(**CALIBRATION, distortion_model="Plumb_Bob")
    plain = CameraModel.from_calibration(**CALIBRATION)
    assert_allclose(named.distort_points(grid()), plain.distort_points(grid()))


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"k": np.zeros(9)}, r"uncalibrated \(K\[0\] is 0\)"),
        ({"k": [500, 0, 1, 0, 500]}, "K must have 9 numbers; got 5"),
        ({"k": [-500, 0, 1, 0, 500, 1, 0, 0, 1]}, "focal lengths must be positive"),
        ({"k": [500, 0, 1, 0, 500, np.nan, 0, 0, 1]}, "K must be finite"),
        ({"k": [500, 0, 1, 3, 500, 1, 0, 0, 1]}, r"K must be \[fx s cx"),
        ({"width": 0}, "camera size is 0x480"),
        ({"d": [np.nan]}, "D must be finite"),
        ({"d": [0.1] * 12}, "plumb_bob takes at most 8 coefficients in D; got 12: rectify"),
        (
            {"distortion_model": "magic"},
            "distortion model 'magic' is unknown: use one of plumb_bob",
        ),
        ({"r": np.ones(9)}, "R must be a rotation"),
        ({"roi": (500, 0, 200, 100)}, r"roi \(500, 0, 200, 100\) does not lie inside the 640x480"),
        ({"binning_x": -2}, "binning must not be negative"),
        ({"rectified": True}, "image is rectified but P is zero"),
        ({"rectified": True, "p": np.zeros(12)}, "image is rectified but P is zero"),
        ({"rectified": True, "p": [1, 2]}, "P must have 12 numbers"),
    ],
)
def test_bad_calibration_is_named(change, cause):
    with pytest.raises(ValueError, match=cause):
        CameraModel.from_calibration(**{**CALIBRATION, **change})
