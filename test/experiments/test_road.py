"""Roads, cameras and views agree, vanishing points are found, networks learn from pictures."""

import json
import math

import cv2
import numpy as np
import pytest
import road
import torch
from road import CAMERA, FAR, FOCAL, HALF, HEIGHT, NEAR, PITCH, VIEW, WIDTH, Settings

from stn_ros.transformer.sampler import sample


def _homographies(pitch=PITCH, yaw=0.0, roll=0.0):
    return road.view_to_picture(road.rotations(*(np.array([a]) for a in (pitch, yaw, roll))))


def _pixel(theta, x, z):
    """Where a point of the road, metres right and ahead, lies in the picture, from its centre."""
    view = np.array([x / HALF, (FAR + NEAR - 2 * z) / (FAR - NEAR), 1])
    u, v, w = theta[0] @ view
    return u / w * WIDTH / 2, v / w * HEIGHT / 2


def test_a_point_ahead_lies_below_the_horizon_by_its_angle():
    _, down = _pixel(_homographies(), 0, 10)
    below = math.atan(CAMERA / 10) - math.radians(PITCH)
    assert down == pytest.approx(FOCAL * math.tan(below))
    right, down = _pixel(_homographies(pitch=0), 2, 10)
    assert (right, down) == pytest.approx((FOCAL * 2 / 10, FOCAL * CAMERA / 10))


def test_angles_turn_the_right_way():
    level = _pixel(_homographies(pitch=0), 0, 20)
    assert _pixel(_homographies(pitch=2), 0, 20)[1] < level[1]  # looking down, things rise
    assert _pixel(_homographies(pitch=0, yaw=2), 0, 20)[0] < 0  # looking right, they go left
    rolled = _pixel(_homographies(pitch=0, roll=10), 4, 20)
    assert rolled[1] < _pixel(_homographies(pitch=0), 4, 20)[1]  # leaning right, the right rises


def test_rotations_are_rotations():
    turn = road.rotations(*np.random.default_rng(0).uniform(-30, 30, (3, 5)))
    assert turn @ turn.transpose(0, 2, 1) == pytest.approx(np.tile(np.eye(3), (5, 1, 1)), abs=1e-12)
    assert np.linalg.det(turn) == pytest.approx(np.ones(5))


@pytest.fixture(scope="module")
def drives():
    return road.drives(12, 2, np.random.default_rng(0))


def test_the_true_homography_shows_the_true_view(drives):
    """The picture through it, and what is drawn from above, look alike; at rest they do not."""
    grid = road.true_grid(drives.theta)
    weight = (road.seen(grid) > 0).flatten(1)

    def ncc(theta):
        seen = sample(drives.pictures, road.true_grid(theta)).flatten(1)
        pairs = zip(seen, drives.views.flatten(1), weight, strict=True)
        return np.median([np.corrcoef(a[w], b[w])[0, 1] for a, b, w in pairs])

    at_rest = road.at_rest().expand(len(drives.theta), -1, -1)
    assert ncc(drives.theta) > 0.6
    assert ncc(drives.theta) > ncc(at_rest) + 0.15


def test_misplaced_is_in_metres():
    truth = road.at_rest()
    assert road.misplaced(truth, truth).item() == pytest.approx(0, abs=1e-4)
    shift = torch.eye(3)[None].clone()
    shift[0, 1, 2] = 0.2  # of the view's half length: 2 m
    shift[0, 0, 2] = 0.3  # of its half width: 1.5 m
    assert road.misplaced(truth @ shift, truth).item() == pytest.approx(2.5, rel=1e-3)


def test_the_vanishing_point_of_lines_is_found():
    rotation = road.rotations(np.array([PITCH + 1.5]), np.array([-2.0]), np.array([0.0]))[0]
    picture = np.full((HEIGHT, WIDTH), 80, np.uint8)
    for x in (-3.0, -1.0, 1.5, 4.0):
        ends = np.array([[x, CAMERA, z] for z in (5.0, 60.0)]) @ rotation.T
        pixels = FOCAL * ends[:, :2] / ends[:, 2:] + np.array([WIDTH, HEIGHT]) / 2
        first, last = ((16 * (p - 0.5)).round().astype(int).tolist() for p in pixels)
        cv2.line(picture, first, last, 220, 2, cv2.LINE_AA, 4)
    theta = road.vanishing(torch.from_numpy(picture)[None] / 255)
    truth = torch.from_numpy(road.view_to_picture(rotation[None])).float()
    assert road.misplaced(theta[None], truth).item() < 0.4
    assert road.misplaced(road.at_rest(), truth).item() > 1.5


def test_without_lines_the_car_is_at_rest():
    grey = torch.full((1, HEIGHT, WIDTH), 0.5)
    assert torch.allclose(road.vanishing(grey), road.at_rest()[0], atol=1e-5)


@pytest.mark.parametrize("moves", [False, True])
def test_readers_begin_at_rest(moves):
    reader = road.Reader(moves)
    pictures = torch.rand(2, 1, HEIGHT, WIDTH)
    view, logits = reader(pictures)
    assert view.shape == logits.shape == (2, 1, *VIEW)
    expected = sample(pictures, road.true_grid(road.at_rest().expand(2, -1, -1)))
    assert torch.allclose(view, expected, atol=1e-4)
    assert all(p.requires_grad == moves for p in reader.transformer.parameters())


@pytest.mark.parametrize("method", ["task", "photometric"])
def test_one_batch_is_fitted(drives, one_batch, method):
    losses = one_batch(road, 12)
    road.train(method, drives, Settings(epochs=1, batch=4), seed=0)
    ((before, after),) = losses
    assert after < 0.95 * before


def test_photometric_descent_leads_to_the_truth(drives, monkeypatch):
    kept = []
    monkeypatch.setattr(road, "fit", lambda model, batches, loss, *_: kept.append((model, loss)))
    road.train("photometric", drives, Settings(), seed=0)
    ((model, loss),) = kept
    family = model.transformer.family
    truth, rest = (family.parameters_of(theta) for theta in (drives.theta, road.at_rest()))
    # A fifth of the way from the truth to where the car is at rest.
    start = (truth + 0.2 * (rest - truth)).requires_grad_()
    model.transformer.localize = lambda _: start[:, None]
    loss(drives).backward()
    ahead = (start.grad * (start - truth)).sum(dim=1)
    assert (ahead > 0).float().mean() > 0.7


def test_the_command_goes_from_end_to_end(tmp_path, monkeypatch):
    monkeypatch.setattr(Settings, "__init__", _small(Settings.__init__))
    road.main(["--epochs", "1", "--roads", "2", "--seeds", "1", "--out", str(tmp_path)])
    made = json.loads((tmp_path / "runs.json").read_text())
    assert [run["method"] for run in made] == list(road.METHODS)
    page = (tmp_path / "table.md").read_text()
    assert all(f"| {method} |" in page for method in road.METHODS)
    assert (tmp_path / "errors.png").is_file()


def _small(make):
    def made(settings, **given):
        make(settings, **given, test_roads=2)

    return made
