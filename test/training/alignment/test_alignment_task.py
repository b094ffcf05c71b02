"""Training by recipes, end to end on few views: it learns, resumes, and holds what it promises."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("lightning", reason="the train extra is not installed")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: E402

import stn_ros  # noqa: E402
from stn_ros.runtime.object_model import ObjectModel  # noqa: E402
from stn_ros.runtime.paths import find_object  # noqa: E402
from stn_ros.training.alignment import task as alignment_task  # noqa: E402
from stn_ros.training.alignment.data import (  # noqa: E402
    AROUND,
    SIDE,
    TEMPLATE,
    render_views,
    template,
)
from stn_ros.training.alignment.losses import photometric_loss  # noqa: E402
from stn_ros.training.alignment.recipe import Recipe  # noqa: E402
from stn_ros.training.alignment.task import (  # noqa: E402
    LAST,
    AlignmentTask,
    build,
    figures,
    fit,
    train,
)
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


@pytest.mark.parametrize("family", ["affine", "projective"])
def test_it_begins_with_the_face_as_the_detector_says(tea_box, family):
    recipe = Recipe("tea_box", family=family)
    task = AlignmentTask(recipe, template(tea_box), tea_box.symmetry, tea_box.size)
    pictures = torch.randint(256, (2, 3, SIDE, SIDE), dtype=torch.uint8)
    corners = task.corners(pictures)[1]
    width, height = tea_box.size
    right, bottom = 1 / AROUND, height / width / AROUND  # wider than high
    face = torch.tensor([[-right, -bottom], [right, -bottom], [right, bottom], [-right, bottom]])
    torch.testing.assert_close(corners, face.expand(2, 2, 4, 2), atol=1e-5, rtol=0)


def test_figures_are_those_of_the_corners_found(tea_box):
    task = AlignmentTask(Recipe("tea_box"), template(tea_box))
    views = render_views(tea_box, Recipe("tea_box"), 5, "held_out", progress=False)
    square = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])  # untrained: the whole cut-out
    moves = torch.tensor([1.0, 3.0, 2.0, 5.0, 4.0])[:, None, None] * torch.tensor([0.6, 0.8])
    moved = views._replace(corners=square + moves * 2 / SIDE)
    found = figures(task, moved)
    assert found["held-out corner error px"] == pytest.approx(3.0, abs=1e-3)
    assert found["held-out p90 px"] == pytest.approx(4.6, abs=1e-3)


@pytest.mark.parametrize("strategy", ["corners", "boxes", "photometric", "congealing"])
def test_every_strategy_gives_gradients(tea_box, strategy):
    recipe = Recipe("tea_box", strategy, labelled=0.5, wrong=0.2, doubt=0.3)
    task = AlignmentTask(recipe, template(tea_box), tea_box.symmetry)
    views = render_views(tea_box, recipe, 8, progress=False)
    output, corners = task.corners(views.pictures)
    task._loss(views, output, corners).backward()
    heads = [head.weight.grad.abs().sum() for head in task.transformer.heads]
    assert all(torch.isfinite(grad) and grad > 0 for grad in heads)


def test_labels_do_not_matter_to_photometric_training(tea_box):
    recipe = Recipe("tea_box", "photometric")
    task = AlignmentTask(recipe, template(tea_box), tea_box.symmetry, tea_box.size)
    views = render_views(tea_box, recipe, 6, progress=False)
    output, corners = task.corners(views.pictures)
    other = views._replace(labels=views.labels.flip(0), corners=views.corners.flip(0))
    assert torch.equal(task._loss(views, output, corners), task._loss(other, output, corners))


def test_refined_answers_teach_views_without_labels(tea_box):
    recipe = Recipe("tea_box", "photometric")
    views = render_views(tea_box, recipe, 16, progress=False)
    task = AlignmentTask(recipe, template(tea_box), tea_box.symmetry, tea_box.size)
    generator = torch.Generator().manual_seed(0)
    start = views.corners + torch.randn(16, 4, 2, generator=generator) * 1.5 / (SIDE / 2)
    found = start[:, None].repeat(1, 2, 1, 1).requires_grad_()
    output, _ = task.corners(views.pictures)
    task._loss(views, output, found).backward()
    pulled = found.grad.abs().sum(dim=(1, 2, 3)) > 0
    assert pulled.float().mean() > 0.5
    # Descending leads to the true corners.
    ahead = -(found.grad[pulled, -1] * (views.corners - start)[pulled]).sum(dim=(1, 2))
    assert (ahead > 0).float().mean() > 0.8


def test_fewer_views_than_a_batch_are_refused(tea_box, tmp_path):
    recipe = Recipe("tea_box", views=4, batch=8)
    views = render_views(tea_box, recipe, 4, progress=False)
    with pytest.raises(ValueError, match="4 views are less than a batch of 8"):
        fit(recipe, tea_box, views, views, tmp_path, progress=False)


@pytest.mark.parametrize("strategy", ["corners", "boxes", "photometric", "congealing"])
def test_one_batch_is_fitted(tea_box, strategy):
    recipe = Recipe("tea_box", strategy, trust=1.0)  # without refined labels, which change
    torch.manual_seed(0)
    task = AlignmentTask(recipe, template(tea_box), tea_box.symmetry, tea_box.size)
    views = render_views(tea_box, recipe, 6, progress=False)
    optimizer = torch.optim.Adam(task.transformer.parameters(), recipe.learning_rate)
    losses = []
    for _ in range(15):
        losses.append(task._loss(views, *task.corners(views.pictures)))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]


def test_interrupted_it_ends_bit_for_bit_as_it_would_have(tea_box, tmp_path, monkeypatch):
    recipe = Recipe("tea_box", epochs=3, batch=4)
    views = render_views(tea_box, recipe, 8, progress=False)

    def learnt(folder):
        return fit(recipe, tea_box, views, views, tmp_path / folder, progress=False).state_dict()

    whole, step = learnt("whole"), AlignmentTask.training_step
    steps, last = [], 3  # of six, two an epoch

    def until_last(task, batch, index):
        if task.global_step == last:
            raise RuntimeError("interrupted")
        steps.append(task.global_step)
        return step(task, batch, index)

    monkeypatch.setattr(AlignmentTask, "training_step", until_last)
    with pytest.raises(RuntimeError, match="interrupted"):
        learnt("parts")
    last = None
    resumed = learnt("parts")
    assert steps == [0, 1, 2, 2, 3, 4, 5]
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[name], weights) for name, weights in whole.items())


def test_what_is_trained_is_measured_on_held_out_views(tea_box, tmp_path, monkeypatch):
    recipe = Recipe("tea_box", views=4, epochs=1, batch=4)
    few = render_views(tea_box, recipe, 6, "held_out", progress=False)
    monkeypatch.setattr(
        alignment_task,
        "render_views",
        lambda model, recipe, count, split, shown: (
            few if split == "held_out" else render_views(model, recipe, count, split, shown)
        ),
    )
    found = train(recipe, tea_box, tmp_path, progress=False)
    task = AlignmentTask(recipe, template(tea_box), tea_box.symmetry, tea_box.size)
    task.load_state_dict(torch.load(tmp_path / LAST, weights_only=True)["state_dict"])
    assert found == pytest.approx(figures(task, few))


RECIPE = """\
object: tea_box
views: 96
batch: 16
epochs: 4
roll: 10
tilt: 10
"""
STEPS = 6  # an epoch


def _started(folder, text=RECIPE):
    """`stn-ros train` on a recipe, in processes of its own."""
    folder.mkdir(exist_ok=True)
    recipe = folder / "recipe.yaml"
    recipe.write_text(text, encoding="utf-8")
    root = str(Path(stn_ros.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *sys.path])}
    environment["OMP_NUM_THREADS"] = "1"
    command = [sys.executable, "-m", "stn_ros.cli", "train", str(recipe), "--folder", str(folder)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _finished(process):
    """What it printed."""
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    return printed


def _losses(folder):
    """Loss by step."""
    log = EventAccumulator(str(folder / "log"))
    log.Reload()
    return {event.step: event.value for event in log.Scalars("loss")}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The folder of a run in one process that nobody stops."""
    folder = tmp_path_factory.mktemp("alone")
    _finished(_started(folder))
    return folder


@pytest.mark.slow
def test_two_processes_learn_as_one_does(alone, tmp_path):
    printed = _finished(_started(tmp_path, RECIPE + "devices: 2\n"))
    assert "MEMBER: 2/2" in printed
    assert printed.count("held-out corner error px:") == 1
    one, two = _losses(alone), _losses(tmp_path)
    assert list(one) == list(two) == list(range(4 * STEPS))
    # Sums are rounded in another order, no more.
    assert list(two.values()) == pytest.approx(list(one.values()), rel=0.01)


@pytest.mark.slow
def test_killed_it_goes_on_from_the_last_epoch(alone, tmp_path):
    process = _started(tmp_path)
    deadline = time.monotonic() + 240
    while not (tmp_path / LAST).exists():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    saved = torch.load(tmp_path / LAST, weights_only=True)["global_step"]
    assert saved in range(STEPS, 4 * STEPS, STEPS)
    for written in (tmp_path / "log").glob("events*"):
        written.unlink()
    _finished(_started(tmp_path))
    # The rest is what it would have been, step by step.
    rest = {step: loss for step, loss in _losses(alone).items() if step >= saved}
    assert _losses(tmp_path) == pytest.approx(rest, rel=1e-3)
    ends = [torch.load(folder / LAST, weights_only=True) for folder in (alone, tmp_path)]
    assert ends[0]["global_step"] == ends[1]["global_step"] == 4 * STEPS
    for name, weights in ends[0]["state_dict"].items():
        torch.testing.assert_close(ends[1]["state_dict"][name], weights, atol=1e-4, rtol=1e-3)
