"""Refined corners, checked and matched labels: against known truth and by closed forms."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from torch.nn import functional  # noqa: E402

from stn_ros.runtime.object_model import ObjectModel  # noqa: E402
from stn_ros.runtime.paths import find_object  # noqa: E402
from stn_ros.training.alignment.data import SIDE, labelled, render_views, template  # noqa: E402
from stn_ros.training.alignment.labels import (  # noqa: E402
    Refiner,
    _box_mean,
    checked,
    matched,
)
from stn_ros.training.alignment.recipe import Recipe  # noqa: E402

SQUARE = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])


@pytest.fixture(scope="module")
def tea_box():
    return ObjectModel.load(find_object("tea_box"))


@pytest.fixture(scope="module")
def refiner(tea_box):
    return Refiner(template(tea_box))


@pytest.fixture(scope="module")
def views(tea_box):
    return render_views(tea_box, Recipe("tea_box"), 24, progress=False)


def _errors(found, truth):
    """Mean corner error of each view, pixels of the cut-out."""
    return (found - truth).norm(dim=2).mean(dim=1) * SIDE / 2


@pytest.mark.parametrize("side", [1, 3, 17])
def test_box_mean_by_hand(side):
    picture = torch.rand(1, 1, 9, 7, generator=torch.Generator().manual_seed(0))
    found = _box_mean(picture, side)[0, 0]
    half = side // 2
    for row in range(9):
        for column in range(7):
            near = picture[
                0, 0, max(0, row - half) : row + half + 1, max(0, column - half) : column + half + 1
            ]
            assert found[row, column].item() == pytest.approx(near.mean().item(), abs=1e-5)


def _in_the_middle(face):
    """A picture (1, 3, 128, 128) with the face (3, 64, 64) in its middle; and its corners."""
    return functional.pad(face[None], (32, 32, 32, 32), mode="replicate"), SQUARE[None] / 2


def test_a_face_that_was_moved_is_found(refiner, tea_box):
    picture, truth = _in_the_middle(template(tea_box))
    once = refiner(picture, truth + torch.tensor([2.0, -1.5]) / 64)
    assert ((once.corners - truth).norm(dim=2) * 64).max() < 0.2
    twice = refiner(picture, once.corners)
    assert ((twice.corners - truth).norm(dim=2) * 64).max() < 0.02
    assert twice.mean_weight.item() > 0.99


@pytest.mark.parametrize(("gain", "offset", "covered"), [(0.4, 0.1, 0), (1.0, 0.0, 24)])
def test_light_and_what_covers_a_part_do_little(refiner, tea_box, gain, offset, covered):
    face = gain * template(tea_box) + offset
    face[:, :covered, :covered] = 0.5
    picture, truth = _in_the_middle(face)
    refined = refiner(picture, truth + torch.tensor([2.0, -1.5]) / 64)
    assert ((refined.corners - truth).norm(dim=2) * 64).mean() < 0.5
    assert 0.85 < refined.mean_weight.item() < 0.98


def test_views_are_refined_and_those_that_are_alike_are_right(refiner, views):
    generator = torch.Generator().manual_seed(0)
    start = views.corners + torch.randn(views.corners.shape, generator=generator) * 2 / (SIDE / 2)
    refined = refiner(views.pictures.float() / 255, start)
    errors = _errors(refined.corners, views.corners)
    sure = refined.mean_weight >= Recipe.trust
    assert sure.float().mean() > 0.5
    assert errors[sure].median() < 0.5
    assert errors[sure].median() < 0.25 * _errors(start, views.corners)[sure].median()


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_a_blank_picture_is_not_like_the_reference(refiner, level):
    refined = refiner(torch.full((2, 3, SIDE, SIDE), level), (0.7 * SQUARE).expand(2, 4, 2))
    assert refined.corners.isfinite().all()
    assert (refined.mean_weight < Recipe.trust - 0.2).all()


def test_corners_in_one_point_do_no_harm(refiner, views):
    refined = refiner(views.pictures[:2].float() / 255, torch.zeros(2, 4, 2))
    assert refined.corners.isfinite().all()
    assert refined.mean_weight.isfinite().all()


def test_wrong_labels_are_lost_and_right_ones_refined(refiner, views):
    noisy = labelled(views, Recipe("tea_box", noise=0.03, wrong=0.4, seed=5))
    off = _errors(noisy.labels, views.corners)
    wrong = off > 6
    assert wrong.sum() >= 3
    kept = checked(noisy, refiner, Recipe.trust)
    assert not kept.labelled[wrong].any()
    assert kept.labelled[~wrong].float().mean() > 0.5
    right = kept.labelled
    assert _errors(kept.labels, views.corners)[right].median() < 0.5 * off[right].median()


def test_a_view_without_label_gets_none_by_checking(refiner, views):
    none = views._replace(labelled=torch.zeros(len(views.pictures), dtype=torch.bool))
    assert not checked(none, refiner, Recipe.trust).labelled.any()


def test_features_are_matched_at_any_turn(tea_box):
    turned = render_views(tea_box, Recipe("tea_box", roll=180, tilt=20), 16, progress=False)
    blind = turned._replace(labels=torch.full_like(turned.labels, np.nan))
    found = matched(blind, tea_box, progress=False)
    assert found.labelled.float().mean() > 0.4
    assert _errors(found.labels, turned.corners)[found.labelled].max() < 6
    assert found.labels.isfinite().all()


def test_nothing_is_matched_where_nothing_is(tea_box, views):
    blank = views._replace(pictures=torch.full_like(views.pictures, 90))
    noise = torch.randint(
        256, views.pictures.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    for other in (blank, views._replace(pictures=noise)):
        assert not matched(other, tea_box, progress=False).labelled.any()
