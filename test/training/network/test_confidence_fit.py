from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.confidence import confidence
from stn_ros.training.network.confidence_fit import NAMES, SIGNS, collect, corner_scale, fit


def test_fit_tells_what_can_be_told_and_prefers_silence():
    rng = np.random.default_rng(0)
    right = rng.random(2000) < 0.7
    rows = rng.normal(0, 1, (2000, len(NAMES)))
    rows[:, 0] = 1.0
    rows[:, NAMES.index("overall")] += np.where(right, 3.0, 0.0)
    weights = fit(rows, right, np.zeros_like(right))
    assert set(weights) == set(NAMES)
    sure = np.array(
        [confidence({"inside": 1.0, **dict(zip(NAMES, row, strict=True))}, weights) for row in rows]
    )
    assert (sure[~right] > 0.5).mean() < 0.06
    assert (sure[right] > 0.5).mean() > 0.5


def test_fit_needs_both_kinds():
    with pytest.raises(ValueError, match="all right"):
        fit(np.ones((5, len(NAMES))), np.ones(5, bool), np.zeros(5, bool))


@pytest.mark.slow
def test_collected_answers_are_of_both_kinds():
    rows, right, look_alike, ratios = collect(NetworkBundle.load(), 24, seed=5, progress=False)
    assert (ratios > 0).all()
    assert rows.shape[1] == len(NAMES)
    assert np.isfinite(rows).all()
    assert 0 < right.mean() < 1
    assert not (right & look_alike).any()


@pytest.mark.slow
def test_corner_scale_of_the_shipped_network_holds():
    bundle = NetworkBundle.load()
    assert 0.2 < corner_scale(bundle, 24, 5, progress=False) / bundle.corner_scale < 5
    scaled = replace(bundle, corner_scale=10.0)
    assert corner_scale(scaled, 8, 5, progress=False) == pytest.approx(
        corner_scale(bundle, 8, 5, progress=False), rel=0.02
    )


def test_what_speaks_for_an_answer_never_speaks_against_it():
    rng = np.random.default_rng(3)
    right = rng.random(1500) < 0.6
    rows = rng.normal(0, 1, (1500, len(NAMES)))
    rows[:, 0] = 1.0
    # Two features that say the same, one of them with the noise of the other turned over.
    noise = rng.normal(0, 2, 1500)
    rows[:, NAMES.index("overall")] = right + noise
    rows[:, NAMES.index("pixels")] = 2 * right + noise
    weights = fit(rows, right, np.zeros_like(right))
    assert weights["pixels"] > 0
    assert weights["overall"] == 0  # without the bound it is taken from the other, noise and all
    for name, sign in SIGNS.items():
        assert weights[name] * sign >= 0


def _answers(seed):
    """(rows, right) of 1,500 answers that `overall` tells apart, and less well `pixels`."""
    rng = np.random.default_rng(seed)
    right = rng.random(1500) < 0.6
    rows = rng.normal(0, 1, (1500, len(NAMES)))
    rows[:, 0] = 1.0
    rows[:, NAMES.index("overall")] += 2 * right
    rows[:, NAMES.index("pixels")] += right
    return rows, right


def test_known_weights_are_kept_and_the_others_fitted():
    rows, right = _answers(4)
    known = {"bias": -6.0, "overall": 0.75}
    weights = fit(rows, right, np.zeros_like(right), known)
    assert {name: weights[name] for name in known} == pytest.approx(known)
    assert weights["pixels"] > 0


def test_look_alikes_weigh_less_than_other_wrong_answers():
    rows, right = _answers(5)
    published = []
    for look_alike in (~right, np.zeros_like(right)):
        weights = fit(rows, right, look_alike)
        published.append((rows @ [weights[name] for name in NAMES] > 0)[right].mean())
    assert published[0] > published[1] + 0.2
