import cv2
import numpy as np
import pytest

from stn_ros.runtime.confidence import Evidence, compare_patches, confidence, inputs

EVIDENCE = Evidence(present=2.0, aligned=1.0, agreement=0.9, log_scale=-2.0, spread=-1.0)


def _patch(seed, valid=255):
    rng = np.random.default_rng(seed)
    picture = cv2.resize(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8), (64, 64))
    return np.dstack([picture, np.full((64, 64), valid, np.uint8)])


def test_compare_patches_of_a_picture_with_itself_and_others():
    first = _patch(0)
    same = compare_patches(first, first)
    assert same["overall"] == pytest.approx(1.0, abs=1e-3)
    assert same["tint"] == same["patchwork"] == 0.0
    assert compare_patches(_patch(1), first)["overall"] < 0.4
    turned = np.ascontiguousarray(np.rot90(first, 2))
    assert compare_patches(turned, first)["overall"] < 0.4
    assert compare_patches(turned, first)["patchwork"] > 0.1


def test_compare_patches_bears_light_and_a_small_occluder():
    first = _patch(0)
    seen = first.copy()
    seen[..., :3] = (first[..., :3] * np.linspace(0.4, 0.9, 64)[None, :, None]).astype(np.uint8)
    seen[:20, :30, :3] = 200
    assert compare_patches(seen, first)["overall"] > 0.7


def test_tint_is_the_colour_that_is_off():
    first = _patch(0)
    first[..., :3] = first[..., :3] // 2 + 40
    bluish = first.copy()
    bluish[..., 0] = np.minimum(first[..., 0] * 1.4, 255).astype(np.uint8)
    darker = first.copy()
    darker[..., :3] = (first[..., :3] * 0.7).astype(np.uint8)
    assert compare_patches(bluish, first)["tint"] > 0.1
    assert compare_patches(darker, first)["tint"] < 0.03


@pytest.mark.parametrize("degrees", [0, 35, 60, 90, 130])
def test_overall_is_the_correlation(degrees):
    """Of x and cos(a) x + sin(a) y, where y is unlike x and varies as much: cos(a)."""
    rng = np.random.default_rng(2)
    x, y = (
        cv2.resize(rng.uniform(-60, 60, (40, 40, 3)), (80, 80), interpolation=cv2.INTER_CUBIC)
        for _ in range(2)
    )
    angle = np.radians(degrees)
    first, second = (
        np.dstack([128 + each, np.full((80, 80), 255)]).round().clip(0, 255).astype(np.uint8)
        for each in (np.cos(angle) * x + np.sin(angle) * y, x)
    )
    # 4,800 independent values: a deviation of 0.015.
    assert compare_patches(first, second)["overall"] == pytest.approx(np.cos(angle), abs=0.05)


def test_comparison_prefers_no_direction():
    first, second = _patch(0), _patch(1)
    first[:, 40:] = 0
    upright = compare_patches(first, second)
    lying = compare_patches(
        *(np.ascontiguousarray(each.swapaxes(0, 1)) for each in (first, second))
    )
    assert lying == pytest.approx(upright, abs=1e-5)


def test_nothing_to_compare_correlates_with_nothing():
    assert compare_patches(_patch(0, valid=0), _patch(0))["overall"] == 0.0


def test_confidence_by_hand():
    patch = _patch(0)
    found = inputs(EVIDENCE, 0.8, patch, patch)
    assert found["inside"] == 1.0
    assert found["pixels"] == 0.8
    weights = {"bias": -1.0, "present": 0.5, "aligned": 0.25, "overall": 0.0}
    assert confidence(found, weights) == pytest.approx(1 / (1 + np.exp(-0.25)))
    assert confidence(found, {"bias": 500.0}) == pytest.approx(1.0)


def test_verdicts_are_bounded_and_the_rest_is_handed_on():
    patch = _patch(0)
    found = inputs(Evidence(50.0, -50.0, 0.9, -2.0, -1.0), 0.8, patch, patch)
    assert (found["present"], found["aligned"]) == (10.0, -10.0)
    found = inputs(Evidence(-50.0, 50.0, 0.9, -2.0, -1.0), 0.8, patch, patch)
    assert (found["present"], found["aligned"]) == (-10.0, 10.0)
    assert (found["agreement"], found["log_scale"], found["spread"]) == (0.9, -2.0, -1.0)
    assert found["bias"] == 1.0


def test_what_one_of_two_patches_does_not_show_is_not_compared():
    whole = _patch(0)
    holed = whole.copy()
    holed[20:44, 20:30] = 0
    for seen, reference in ((holed, whole), (whole, holed)):
        assert compare_patches(seen, reference)["overall"] == pytest.approx(1.0, abs=0.02)


def test_a_face_mostly_out_of_the_frame_is_never_trusted():
    seen = _patch(0)
    seen[:, 20:] = 0
    assert confidence(inputs(EVIDENCE, 0.8, seen, _patch(0)), {"bias": 50.0}) == 0.0


@pytest.mark.parametrize("grey", [0, 90, 255])
def test_a_plain_picture_is_like_nothing(grey):
    plain = np.full_like(_patch(0), grey)
    plain[..., 3] = 255
    assert compare_patches(plain, _patch(0))["overall"] == pytest.approx(0, abs=0.01)
