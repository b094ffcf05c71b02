"""Planar pose against exact projections, OpenCV's optimiser and Monte Carlo."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from stn_ros.geometry import homography as hg
from stn_ros.geometry.planar_pose import (
    PoseSolution,
    _ippe,
    ambiguous,
    angle_between,
    canonical_to_object,
    object_corners,
    planar_pose,
    pose_homography,
    prefer_continuity,
)

K = np.array([[600.0, 0, 320], [0, 610, 240], [0, 0, 1]])
SIZE = (0.19, 0.12)
FACING = np.diag([1.0, -1, -1])  # square-on: object x right, y up, z back to the camera


def pose(tilt: float, azimuth: float, roll: float, t: tuple[float, float, float]):
    """A face turned in its plane by `roll` and tilted, degrees, about an axis at `azimuth`."""
    tilt, azimuth, roll = np.radians([tilt, azimuth, roll])
    turn = cv2.Rodrigues(np.array([0, 0, roll]))[0]
    lean = cv2.Rodrigues(tilt * np.array([np.cos(azimuth), np.sin(azimuth), 0]))[0]
    return lean @ turn @ FACING, np.array(t)


def project(R: np.ndarray, t: np.ndarray, points: np.ndarray | None = None) -> np.ndarray:
    points = object_corners(SIZE) if points is None else points
    seen = (points @ R.T + t) @ K.T
    return seen[:, :2] / seen[:, 2:]


def turn_between(first: np.ndarray, second: np.ndarray) -> float:
    """Degrees."""
    return np.degrees(np.linalg.norm(cv2.Rodrigues(first @ second.T)[0]))


def random_pose(rng: np.random.Generator, low: float, high: float):
    return pose(
        rng.uniform(low, high),
        rng.uniform(0, 360),
        rng.uniform(0, 360),
        (rng.uniform(-0.1, 0.1), rng.uniform(-0.1, 0.1), rng.uniform(0.4, 0.8)),
    )


def draw_covariance(rng: np.random.Generator) -> np.ndarray:
    """An uneven, correlated corner covariance of about (0.4 px)^2."""
    mixing = rng.normal(size=(8, 8)) * 0.1 + 0.25 * np.eye(8)
    return mixing @ mixing.T + 0.02 * np.eye(8)


def test_object_corners_by_hand():
    assert_allclose(
        object_corners((0.4, 0.2)),
        [[-0.2, 0.1, 0], [0.2, 0.1, 0], [0.2, -0.1, 0], [-0.2, -0.1, 0]],
    )


def test_canonical_corners_are_the_faces_corners_in_metres():
    corners = hg.to_corners(canonical_to_object((256, 128), (0.2, 0.1)), (256, 128))
    assert_allclose(corners, [[-0.1, 0.05], [0.1, 0.05], [0.1, -0.05], [-0.1, -0.05]])


@pytest.mark.parametrize("degrees", [0, 1e-4, 30, 90, 179])
def test_angle_between_rotations_by_hand(degrees):
    """About any axis, from any start."""
    start = cv2.Rodrigues(np.array([0.3, -0.5, 0.8]))[0]
    rotation = cv2.Rodrigues(np.radians(degrees) * np.array([2, -1, 2]) / 3)[0]
    assert np.degrees(angle_between(rotation @ start, start)) == pytest.approx(degrees, abs=1e-9)


def test_square_on_face_by_hand():
    # 0.19 m at 0.6 m with f = 600 px is 190 px wide; y of the object points up, of the image down.
    corners = np.array([[225, 179], [415, 179], [415, 301], [225, 301.0]])
    (best, *_) = planar_pose(corners, SIZE, K)
    assert_allclose(best.R, FACING, atol=1e-6)
    assert_allclose(best.t, [0, 0, 0.6], atol=1e-7)
    assert best.covariance is None


def test_leaning_back_by_hand():
    # The upper edge is further away: z of the object looks up as well as back to the camera.
    R, t = pose(30, 180, 0, (0, 0, 0.6))
    upper, lower = np.diff(project(R, t)[[0, 1, 3, 2], 0])[[0, 2]]
    assert upper < lower
    (best, *_) = planar_pose(project(R, t), SIZE, K)
    assert_allclose(best.R, R, atol=1e-6)
    assert_allclose(best.R[:, 2], [0, -0.5, -np.sqrt(0.75)], atol=1e-6)


@given(
    tilt=st.floats(0, 75),
    azimuth=st.floats(0, 360),
    roll=st.floats(0, 360),
    x=st.floats(-0.2, 0.2),
    y=st.floats(-0.2, 0.2),
    z=st.floats(0.3, 2),
)
@settings(deadline=None, max_examples=60)
def test_exact_corners_give_the_exact_pose(tilt, azimuth, roll, x, y, z):
    R, t = pose(tilt, azimuth, roll, (x, y, z))
    if (R[:, 2] @ t) > -0.05 * z:  # seen from behind or nearly from the side
        return
    best = planar_pose(project(R, t), SIZE, K, np.eye(8))[0]
    assert turn_between(best.R, R) < 0.01
    assert_allclose(best.t, t, atol=1e-5)
    assert best.reprojection_error < 1e-4
    assert np.linalg.det(best.R) == pytest.approx(1)


def test_both_solutions_show_the_front_and_the_true_one_fits_better():
    R, t = pose(40, 70, 20, (0.05, -0.02, 0.7))
    first, second = planar_pose(project(R, t), SIZE, K)
    assert turn_between(first.R, R) < 1e-3
    assert turn_between(second.R, R) > 20
    assert first.reprojection_error < 1e-6 < second.reprojection_error
    for solution in (first, second):
        assert solution.R[:, 2] @ solution.t < 0


def test_ippe_alone_agrees_with_opencv():
    rng = np.random.default_rng(3)
    for _ in range(30):
        R, t = random_pose(rng, 10, 60)
        corners = project(R, t) + rng.normal(0, 0.5, (4, 2))
        _, turns, shifts, _ = cv2.solvePnPGeneric(
            object_corners(SIZE), corners, K, None, flags=cv2.SOLVEPNP_IPPE
        )
        points = object_corners(SIZE)[:, :2]
        seen = hg.apply(np.linalg.inv(K), corners)
        ours = [
            (np.column_stack([axes[:3], axes[3:6], np.cross(axes[:3], axes[3:6])]), axes[6:])
            for axes in _ippe(hg.from_corners(points, seen), points, seen)
        ]
        for turn, shift in zip(turns, shifts, strict=True):
            nearest = min(ours, key=lambda o: turn_between(o[0], cv2.Rodrigues(turn)[0]))
            assert turn_between(nearest[0], cv2.Rodrigues(turn)[0]) < 0.01
            assert_allclose(nearest[1], shift.ravel(), atol=1e-4)


def test_result_has_the_least_squared_error():
    rng = np.random.default_rng(4)
    weights = np.linalg.inv(draw_covariance(rng))

    def cost(R: np.ndarray, t: np.ndarray, change: np.ndarray) -> float:
        moved = cv2.Rodrigues(change[3:])[0] @ R, t + change[:3]
        error = (project(*moved) - corners).ravel()
        return error @ weights @ error

    for _ in range(20):
        corners = project(*random_pose(rng, 10, 60)) + rng.normal(0, 0.5, (4, 2))
        solutions = planar_pose(corners, SIZE, K, np.linalg.inv(weights))
        assert solutions[0].chi_square < 1000
        for solution in solutions:
            least = cost(solution.R, solution.t, np.zeros(6))
            assert solution.chi_square == pytest.approx(least, rel=0.02)
            if solution.chi_square > 1000:  # a rival beyond all doubt need not be exact
                continue
            for direction in np.vstack([np.eye(6), -np.eye(6)]):
                assert cost(solution.R, solution.t, 2e-3 * direction) > least


def test_least_squares_beats_ippe_alone_near_frontal():
    rng = np.random.default_rng(5)
    ours, ippe = [], []
    for _ in range(300):
        R, t = random_pose(rng, 0, 15)
        corners = project(R, t) + rng.normal(0, 0.4, (4, 2))
        _, turns, _, _ = cv2.solvePnPGeneric(
            object_corners(SIZE), corners, K, None, flags=cv2.SOLVEPNP_IPPE
        )
        ippe.append(turn_between(cv2.Rodrigues(turns[0])[0], R))
        ours.append(turn_between(planar_pose(corners, SIZE, K)[0].R, R))
    assert np.median(ours) < 0.85 * np.median(ippe)


def test_uncertain_corner_counts_less():
    R, t = pose(35, 45, 10, (0, 0, 0.6))
    corners = project(R, t)
    corners[2] += [4, -3]
    doubted = np.diag([0.01] * 4 + [25.0] * 2 + [0.01] * 2)
    trusting = planar_pose(corners, SIZE, K, 0.01 * np.eye(8))[0]
    doubting = planar_pose(corners, SIZE, K, doubted)[0]
    assert turn_between(doubting.R, R) < 0.05 < 1 < turn_between(trusting.R, R)


@pytest.mark.parametrize(("low", "high"), [(5, 20), (20, 50)])
def test_covariance_is_calibrated(low, high):
    """Squared pose errors over the stated covariance average 6, the number of parameters."""
    rng = np.random.default_rng(6)
    covariance = draw_covariance(rng)
    noise = np.linalg.cholesky(covariance)
    squares = []
    for _ in range(300):
        R, t = random_pose(rng, low, high)
        corners = project(R, t) + (noise @ rng.normal(size=8)).reshape(4, 2)
        best = planar_pose(corners, SIZE, K, covariance)[0]
        error = np.concatenate([t - best.t, cv2.Rodrigues(R @ best.R.T)[0].ravel()])
        squares.append(error @ np.linalg.solve(best.covariance, error))
    # The mean of 300 chi-square values of 6 degrees has a standard deviation of 0.2.
    assert 5.2 < np.mean(squares) < 6.9
    assert np.mean(np.array(squares) < 12.59) > 0.92  # 95 % quantile


def test_covariance_is_in_ros_order_about_the_camera_axes():
    # Square-on: distance and the turn about the line of sight follow from closed forms.
    corners = project(*pose(0, 0, 0, (0, 0, 0.6)))
    covariance = planar_pose(corners, SIZE, K, 0.25 * np.eye(8))[0].covariance
    x = object_corners(SIZE)[:, :2] * [600, 610] / 0.6
    # u = f X / z: a fit of scale and of turn to four points with 0.5 px noise each.
    assert covariance[2, 2] == pytest.approx(0.6**2 * 0.25 / (x**2).sum(), rel=0.02)
    y = object_corners(SIZE)[:, :2] * [610, 600] / 0.6
    assert covariance[5, 5] == pytest.approx(0.25 / (y[:, ::-1] ** 2).sum(), rel=0.05)
    assert covariance[3, 3] > 50 * covariance[5, 5]  # tilt is the hard part


def test_covariance_grows_with_the_chance_of_the_other_pose():
    R, t = pose(25, 30, 10, (0, 0, 2))  # far away
    sharp = planar_pose(project(R, t), SIZE, K, 1e-4 * np.eye(8))
    vague = planar_pose(project(R, t), SIZE, K, 2.0 * np.eye(8))
    assert not ambiguous(sharp)
    assert ambiguous(vague)
    apart = np.radians(turn_between(vague[0].R, vague[1].R))
    widening = np.sqrt(np.trace(vague[0].covariance[3:, 3:]))
    assert widening > 0.3 * apart
    assert np.sqrt(np.trace(sharp[0].covariance[3:, 3:])) < 0.05 * apart


def test_ambiguity_keeps_to_the_previous_pose():
    R, t = pose(25, 30, 10, (0, 0, 2))
    corners = project(R, t)
    solutions = planar_pose(corners, SIZE, K, 2.0 * np.eye(8))
    for before in solutions:
        assert prefer_continuity(solutions, before) is before
    assert prefer_continuity(solutions, None) is solutions[0]
    clear = planar_pose(corners, SIZE, K, 1e-4 * np.eye(8))
    assert prefer_continuity(clear, clear[1]) is clear[0]


def test_single_solution_is_not_ambiguous():
    only = PoseSolution(FACING, np.array([0, 0, 1.0]), 0.0, 0.0, None)
    assert not ambiguous([only])
    assert prefer_continuity([only], only) is only


def test_pose_homography_maps_the_face():
    R, t = pose(40, 70, 20, (0.05, -0.02, 0.7))
    homography = pose_homography(R, t, (256, 160), SIZE, K)
    assert_allclose(hg.to_corners(homography, (256, 160)), project(R, t))
    middle = [(256 - 1) / 2, (160 - 1) / 2]
    assert_allclose(hg.apply(homography, middle), project(R, t, np.zeros((1, 3)))[0])


@given(st.lists(st.floats(-500, 1500), min_size=8, max_size=8))
@settings(deadline=None)
def test_any_corners_give_finite_poses_or_a_reason(values):
    try:
        solutions = planar_pose(np.reshape(values, (4, 2)), SIZE, K, np.eye(8))
    except ValueError:
        return
    for solution in solutions:
        assert np.isfinite(solution.R).all()
        assert np.isfinite(solution.t).all()
        assert np.isfinite(solution.covariance).all()
        assert solution.t[2] > 0


CORNERS = project(*pose(30, 0, 0, (0, 0, 0.6)))


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"corners": CORNERS[:3]}, r"four points, shape \(4, 2\); got \(3, 2\)"),
        ({"corners": CORNERS * np.nan}, "must be finite"),
        ({"corners": CORNERS[::-1]}, "do not show the front of a face"),
        ({"corners": CORNERS[[0, 2, 1, 3]]}, "do not show the front of a face"),
        ({"size_m": (0.1, 0)}, "size must be a positive width and height"),
        ({"size_m": (np.nan, 0.1)}, "size must be a positive width and height"),
        ({"K": np.eye(2)}, "K must be a finite 3x3"),
        ({"K": np.ones((3, 3))}, "K must have the last row 0, 0, 1"),
        ({"corner_covariance": np.eye(4)}, "corner covariance must be a finite 8x8"),
        ({"corner_covariance": -np.eye(8)}, "corner covariance must not be negative"),
    ],
)
def test_bad_input_is_named(change, cause):
    good = {"corners": CORNERS, "size_m": SIZE, "K": K}
    with pytest.raises(ValueError, match=cause):
        planar_pose(**{**good, **change})
