import math

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from stn_ros.localization.network import Motion  # noqa: E402
from stn_ros.localization.solver import cell_centres  # noqa: E402
from stn_ros.training.network.objective import objective  # noqa: E402
from stn_ros.transformer.grid import apply_homography  # noqa: E402

CELLS = 8
TRUTH = torch.tensor([[[1.02, 0.05, 0.1], [-0.04, 0.97, -0.05], [0.02, 0.03, 1.0]]])


def _answer(flow, log_scale=-2.0, present=5.0, aligned=5.0):
    n = len(flow)
    return Motion(
        flow,
        torch.full((n, CELLS, CELLS), log_scale),
        torch.full((n,), present),
        torch.full((n,), aligned),
    )


def _true_flow(truth):
    points = cell_centres(CELLS, CELLS, truth).flatten(1).T
    flow = (apply_homography(truth, points) - points) * CELLS / 2
    return flow.transpose(1, 2).reshape(len(truth), 2, CELLS, CELLS)


def _losses(motion, truth=TRUTH, related=True, present=1):
    n = len(truth)
    return objective(motion, truth, torch.full((n,), related), torch.full((n,), present), 4)


def test_the_truth_scores_best():
    right = _losses(_answer(_true_flow(TRUTH)))
    wrong = _losses(_answer(_true_flow(TRUTH) + 1.0))
    assert right.flow < wrong.flow
    assert right.corner < 0.1 < wrong.corner
    assert float(right.after) < 0.2
    assert right.total < wrong.total


def test_laplace_likelihood_by_hand():
    # An error of 3, 4 cells (5, held to 4) at scale 1: 4 / 1 + 2 log 1.
    flow = torch.zeros(1, 2, CELLS, CELLS)
    flow[:, 0], flow[:, 1] = 3.0, 4.0
    identity = torch.eye(3)[None]
    assert float(_losses(_answer(flow, 0.0), identity).flow) == pytest.approx(4.0)
    flow[:, 0], flow[:, 1] = 0.3, 0.4
    found = float(_losses(_answer(flow, math.log(0.5)), identity).flow)
    assert found == pytest.approx(0.5 / 0.5 + 2 * math.log(0.5), abs=1e-3)


def test_unrelated_samples_teach_only_the_verdicts():
    flow = (_true_flow(TRUTH) + 1.0).requires_grad_()
    losses = _losses(_answer(flow), related=False, present=0)
    assert float(losses.flow) == 0.0
    assert float(losses.corner) == 0.0
    assert len(losses.after) == 0
    assert float(losses.present) == pytest.approx(5.0, abs=0.01)
    assert float(losses.aligned) == pytest.approx(5.0, abs=0.01)


def test_unsure_presence_is_left_out():
    assert float(_losses(_answer(_true_flow(TRUTH)), present=-1).present) == 0.0


def test_aligned_means_half_a_cell():
    near, far = _true_flow(TRUTH) + 0.2, _true_flow(TRUTH) + 0.9
    assert float(_losses(_answer(near, aligned=8.0)).aligned) < 0.01
    assert float(_losses(_answer(far, aligned=8.0)).aligned) > 5
