"""Training by recipes, end to end on few views: it learns, resumes, and holds what it promises."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("lightning", reason="the train extra is not installed")

from stn_ros.runtime.object_model import ObjectModel  # noqa: E402
from stn_ros.runtime.paths import find_object  # noqa: E402
from stn_ros.training.alignment_data import SIDE, TEMPLATE, render_views, template  # noqa: E402
from stn_ros.training.alignment_losses import photometric_loss  # noqa: E402
from stn_ros.training.alignment_task import LAST, AlignmentTask, build, train  # noqa: E402
from stn_ros.training.recipe import Recipe  # noqa: E402
from stn_ros.transformer.families import Projective  # noqa: E402
from stn_ros.transformer.sampler import sample  # noqa: E402


@pytest.fixture(scope="module")
def tea_box():
    return ObjectModel.load(find_object("tea_box"))


def test_true_corners_bring_the_face_onto_the_template(tea_box):
    views = render_views(tea_box, Recipe("tea_box", roll=180), 12, progress=False)
    assert views.pictures.shape == (12, 3, SIDE, SIDE)
    square = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    grid = Projective().grid((views.corners - square).flatten(1), (TEMPLATE, TEMPLATE))
    aligned = sample(views.pictures.float() / 255, grid, padding="border")
    losses = [photometric_loss(one[None], template(tea_box)).item() for one in aligned]
    assert np.median(losses) < 0.2


def test_labels_are_as_noisy_few_and_wrong_as_asked_for(tea_box):
    recipe = Recipe("tea_box", labelled=0.5, noise=0.05, wrong=0.25)
    views = render_views(tea_box, recipe, 120, progress=False)
    off = (views.labels - views.corners).norm(dim=2).mean(dim=1)
    assert 0.35 < views.labelled.float().mean() < 0.65
    assert 0.1 < (off > 0.15).float().mean() < 0.4
    held_out = render_views(tea_box, recipe, 4, "held_out", progress=False)
    torch.testing.assert_close(held_out.labels, held_out.corners)
    assert held_out.labelled.all()


def test_the_same_recipe_gives_the_same_views(tea_box):
    first, second = (render_views(tea_box, Recipe("tea_box"), 3, progress=False) for _ in "ab")
    assert torch.equal(first.pictures, second.pictures)
    other = render_views(tea_box, Recipe("tea_box", seed=2), 3, progress=False)
    assert not torch.equal(first.pictures, other.pictures)


@pytest.mark.parametrize("family", ["translation", "similarity", "affine", "projective"])
def test_untrained_it_shows_the_cut_out(family):
    layer = build(Recipe("tea_box", family=family, steps=3))
    pictures = torch.rand(2, 3, TEMPLATE, TEMPLATE)
    torch.testing.assert_close(layer(pictures), pictures, atol=1e-4, rtol=0)


@pytest.mark.parametrize("strategy", ["corners", "boxes", "photometric", "congealing"])
def test_every_strategy_gives_gradients(tea_box, strategy):
    recipe = Recipe("tea_box", strategy, labelled=0.5, wrong=0.2, doubt=0.3)
    task = AlignmentTask(recipe, template(tea_box), tea_box.symmetry)
    views = render_views(tea_box, recipe, 8, progress=False)
    output, corners = task.corners(views.pictures)
    task._loss(views, output, corners).backward()
    heads = [head.weight.grad.abs().sum() for head in task.transformer.heads]
    assert all(torch.isfinite(grad) and grad > 0 for grad in heads)


@pytest.mark.slow
def test_it_learns_and_resumes(tea_box, tmp_path):
    recipe = Recipe("tea_box", views=300, epochs=2, batch=32, roll=10.0, tilt=10.0)
    first = train(recipe, tea_box, tmp_path, progress=False)
    assert (tmp_path / LAST).is_file()
    done = torch.load(tmp_path / LAST, weights_only=True)["global_step"]
    longer = Recipe("tea_box", views=300, epochs=5, batch=32, roll=10.0, tilt=10.0)
    second = train(longer, tea_box, tmp_path, progress=False)
    assert torch.load(tmp_path / LAST, weights_only=True)["global_step"] == done / 2 * 5
    assert second["held-out corner error px"] < first["held-out corner error px"]
