"""The photometric refinement against exact truth, under light, blur, occluders and bad starts."""

import cv2
import numpy as np
import pytest

from stn_ros.geometry.homography import corner_error, face_corners, from_corners, to_corners
from stn_ros.runtime import photometric
from stn_ros.runtime.photometric import PhotometricRefiner
from stn_ros.runtime.sampling import FrameSampler

SIZE = (200, 140)
PLACE = np.array([[210.3, 120.6], [395.8, 160.2], [370.4, 300.7], [190.9, 280.1]])
UNSURE = 4.0 * np.eye(8)


def _print(seed=0):
    """A face with detail at all scales."""
    rng = np.random.default_rng(seed)
    face = np.zeros((SIZE[1], SIZE[0], 3), np.float32)
    for cells in (5, 12, 30, 70):
        noise = rng.uniform(0, 60, (cells, cells, 3)).astype(np.float32)
        face += cv2.resize(noise, SIZE, interpolation=cv2.INTER_CUBIC)
    return face.clip(0, 255).astype(np.uint8)


FACE = _print()
TRUTH = from_corners(face_corners(SIZE), PLACE)


def _seen(face=FACE, truth=TRUTH):
    """A frame that shows the face, its pixels averaged over 4 x 4 points each."""
    fine = np.diag([4.0, 4, 1]) @ np.array([[1, 0, 0.375], [0, 1, 0.375], [0, 0, 1]]) @ truth
    frame = cv2.warpPerspective(
        face, fine, (2560, 1920), flags=cv2.INTER_CUBIC, borderValue=(90, 100, 80)
    )
    return cv2.resize(frame, (640, 480), interpolation=cv2.INTER_AREA)


def _off(pixels, seed=1):
    """The true place, its corners moved by `pixels` on the average."""
    moves = np.random.default_rng(seed).normal(size=(4, 2))
    moves *= pixels / np.linalg.norm(moves, axis=1).mean()
    return from_corners(face_corners(SIZE), PLACE + moves)


def _error(refined):
    return corner_error(refined.homography, TRUTH, SIZE)


@pytest.fixture(scope="module")
def refiner():
    return PhotometricRefiner(FACE)


@pytest.mark.parametrize("off", [0.3, 1.0, 2.0])
def test_it_finds_the_truth_to_a_few_hundredths_of_a_pixel(refiner, off):
    found = refiner.refine(FrameSampler(_seen()), _off(off), UNSURE)
    assert _error(found) < 0.05
    assert found.ncc > 0.95


def test_it_stays_at_the_truth(refiner):
    assert _error(refiner.refine(FrameSampler(_seen()), TRUTH, UNSURE)) < 0.05


def test_shift_by_whole_pixels_shifts_the_answer(refiner):
    frame = _seen()
    first = refiner.refine(FrameSampler(frame), _off(1.0), UNSURE).homography
    shift = np.array([[1.0, 0, 13], [0, 1, -21], [0, 0, 1]])
    moved = np.roll(frame, (-21, 13), axis=(0, 1))
    second = refiner.refine(FrameSampler(moved), shift @ _off(1.0), UNSURE).homography
    assert corner_error(second, shift @ first, SIZE) < 1e-3


def test_uneven_light_does_not_move_it(refiner):
    light = np.linspace(0.4, 1.1, 640)[None, :, None] * np.linspace(1.0, 0.7, 480)[:, None, None]
    frame = (_seen() * light + 10).clip(0, 255).astype(np.uint8)
    assert _error(refiner.refine(FrameSampler(frame), _off(1.0), UNSURE)) < 0.06


def test_blur_does_not_bias_it(refiner):
    frame = cv2.GaussianBlur(_seen(), (0, 0), 2.0)
    assert _error(refiner.refine(FrameSampler(frame), _off(1.0), UNSURE)) < 0.15


def test_an_occluder_over_a_quarter_of_the_face_falls_out(refiner):
    frame = _seen()
    other = _print(7)[:80, :110]
    frame[120:200, 270:380] = other
    assert _error(refiner.refine(FrameSampler(frame), _off(1.0), UNSURE)) < 0.08


def test_a_face_cut_off_by_the_frame_is_refined_on_what_is_seen(refiner):
    cut = _seen()[:, :330]
    assert _error(refiner.refine(FrameSampler(np.ascontiguousarray(cut)), _off(0.6), UNSURE)) < 0.1


def test_a_prior_that_is_sure_holds(refiner):
    start = _off(1.0)
    sure = refiner.refine(FrameSampler(_seen()), start, 1e-8 * np.eye(8))
    assert corner_error(sure.homography, start, SIZE) < 0.1


def test_plain_print_leaves_answer_and_covariance_to_the_prior():
    plain = np.full_like(FACE, 128)
    plain[60:80, 90:110] = 140
    start = _off(0.8)
    found = PhotometricRefiner(plain).refine(FrameSampler(_seen(plain)), start, UNSURE)
    # The only mark is in the middle: the corners stay about as unsure as they were.
    assert np.trace(found.corner_covariance) > 0.3 * np.trace(UNSURE)


@pytest.mark.parametrize("other", [_print(3), np.full_like(FACE, 90)])
def test_another_face_leads_nowhere(refiner, other):
    start = _off(0.5)
    found = refiner.refine(FrameSampler(_seen(other)), start, 0.25 * np.eye(8))
    assert corner_error(found.homography, start, SIZE) < 3.0
    assert found.ncc < 0.3


def test_without_steps_it_only_compares(refiner):
    start = _off(1.0)
    found = refiner.refine(FrameSampler(_seen()), start, UNSURE, steps=0)
    np.testing.assert_allclose(found.homography, start, rtol=1e-9)
    np.testing.assert_allclose(found.corner_covariance, UNSURE, atol=1e-5)
    better = refiner.refine(FrameSampler(_seen()), start, UNSURE)
    assert 0 < found.ncc < better.ncc


def test_covariance_is_true_under_noise(refiner):
    """Corner errors over their stated deviations, in all eight directions, over many noises."""
    rng = np.random.default_rng(5)
    clean, squares = _seen(), []
    for seed in range(30):
        frame = (clean + rng.normal(0, 8, clean.shape)).clip(0, 255).astype(np.uint8)
        found = refiner.refine(FrameSampler(frame), _off(0.5, seed), UNSURE)
        error = (to_corners(found.homography, SIZE) - PLACE).ravel()
        squares.append(error @ np.linalg.solve(found.corner_covariance, error) / 8)
    assert 0.1 < np.mean(squares) < 4.0


def test_the_patch_grows_with_the_face_and_what_is_kept_is_bounded(refiner):
    sampler = FrameSampler(_seen())
    for scale in np.linspace(0.05, 3.0, 12):
        refiner.refine(sampler, TRUTH @ np.diag([scale, scale, 1.0]), UNSURE)
    assert len(refiner._known) <= len(photometric.SIDES) * len(photometric._BLURS)


def test_a_face_outside_the_frame_stays_where_it_was(refiner):
    away = np.array([[1.0, 0, 2000], [0, 1, 0], [0, 0, 1]]) @ TRUTH
    found = refiner.refine(FrameSampler(_seen()), away, UNSURE)
    np.testing.assert_allclose(found.homography, away / away[2, 2], atol=1e-6)


def test_a_known_blur_is_not_sought_again_and_coarse_tiles_agree_with_fine_ones(refiner):
    fine = refiner.refine(FrameSampler(_seen()), _off(0.5), UNSURE)
    assert fine.settled
    again = refiner.refine(FrameSampler(_seen()), _off(0.5), UNSURE, blur=fine.blur)
    np.testing.assert_allclose(again.homography, fine.homography)
    coarse = refiner.refine(FrameSampler(_seen()), _off(0.5), UNSURE, finest=6)
    assert _error(coarse) < 0.1


def test_blur_means_the_same_on_coarse_tiles_as_on_fine_ones(refiner):
    """So that what was found on one raster can be used on another."""
    frame = FrameSampler(cv2.GaussianBlur(_seen(), (0, 0), 2.4))
    fine = refiner.refine(frame, TRUTH, UNSURE)
    coarse = refiner.refine(frame, TRUTH, UNSURE, finest=6)
    assert fine.blur > 0
    assert coarse.blur == pytest.approx(fine.blur, rel=0.4)
    given = refiner.refine(frame, TRUTH, UNSURE, finest=6, blur=fine.blur)
    assert given.ncc == pytest.approx(coarse.ncc, abs=0.01)


@pytest.mark.parametrize("blur", photometric._BLURS)
def test_as_many_pixels_are_independent_as_blurred_noise_says(blur):
    """White noise of unit variance, blurred, keeps one over the pixels that each is spread over."""
    noise = np.random.default_rng(0).normal(size=(800, 800))
    blurred = cv2.GaussianBlur(noise, (0, 0), np.hypot(photometric._SMOOTH, blur))
    assert photometric._independent(blur) == pytest.approx(blurred.var(), rel=0.08)


WIDTH, HEIGHT = (count * photometric.TILE + 2 * photometric._EDGE for count in (8, 5))


def _tiles_of(wave, shift=(0.0, 0.0)):
    """Of 8 x 5 tiles of a wave (of x and y in pixels), and of the wave moved by a shift."""
    x, y = np.meshgrid(np.arange(float(WIDTH)), np.arange(float(HEIGHT)))
    pictures = [wave(x, y), wave(x - shift[0], y - shift[1])]
    looks = [photometric._appearance(each.round().astype(np.uint8), None) for each in pictures]
    return photometric._normal_equations(*looks, independent=1.0)


@pytest.mark.parametrize(("across", "down"), [(0.8, 0.5), (0.8, -0.5), (0.3, 0.9)])
def test_stripes_hold_a_tile_across_them_only(across, down):
    """The curvature is a multiple of n n^T, n the stripes' normal in normalised coordinates."""
    tiles = _tiles_of(lambda x, y: 128 + 90 * np.sin(across * x + down * y))
    normal = np.array([across * WIDTH, down * HEIGHT])
    wanted = np.outer(normal, normal) / (normal @ normal)
    found = tiles.curvature / np.trace(tiles.curvature, axis1=1, axis2=2)[:, None, None]
    np.testing.assert_allclose(found, np.broadcast_to(wanted, found.shape), atol=0.06)


@pytest.mark.parametrize("shift", [(0.3, 0.0), (0.0, -0.3), (0.2, 0.25)])
def test_each_tile_tells_by_how_much_it_is_off(shift):
    """In normalised coordinates: two over the patch's width and height to a pixel."""
    tiles = _tiles_of(
        lambda x, y: 128 + 50 * np.sin(0.4 * x + 0.1 * y) + 50 * np.cos(0.2 * x - 0.35 * y), shift
    )
    found = np.linalg.solve(tiles.curvature, tiles.pull[..., None])[..., 0]
    wanted = np.array(shift) * 2 / (WIDTH, HEIGHT)
    np.testing.assert_allclose(np.median(found, axis=0), wanted, atol=0.02 * 2 / HEIGHT)


@pytest.mark.parametrize("common", [(0.0, 0.0), (0.2, 0.1)])
def test_tiles_that_contradict_the_others_hardly_pull(common):
    """A sixth of the tiles, each off the common shift by 0.3: plain least squares is the
    reference."""
    places = photometric._tile_shifts(8, 6)
    shifts = np.tile(np.array(common), (48, 1))
    shifts[::6] += 0.3, -0.3
    curvature = np.tile(400.0 * np.eye(2), (48, 1, 1))
    tiles = photometric._Tiles(curvature, 400.0 * shifts)
    change, _ = photometric._solve(tiles, places, 1e-6 * np.eye(8), np.zeros(8))
    plain = np.linalg.lstsq(places.reshape(-1, 8), shifts.ravel(), rcond=None)[0]
    others = np.delete(np.arange(48), np.s_[::6])
    robust, least_squares = (
        np.linalg.norm(places[others] @ each - common, axis=-1).mean() for each in (change, plain)
    )
    assert least_squares > 0.04
    assert robust < 0.35 * least_squares


def test_a_move_that_the_prior_rules_out_is_not_made(refiner):
    start = _off(1.5)
    ruled_out = refiner.refine(FrameSampler(_seen()), start, 0.1**2 * np.eye(8))
    assert not ruled_out.settled
    np.testing.assert_allclose(ruled_out.homography, start)
    np.testing.assert_allclose(ruled_out.corner_covariance, 0.1**2 * np.eye(8))
    possible = refiner.refine(FrameSampler(_seen()), start, 1.5**2 * np.eye(8))
    assert _error(possible) < 0.05
