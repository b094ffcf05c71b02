"""Translation, attention, similarity, affine and projective maps by hand and against OpenCV."""

import math

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from stn_ros.transformer.families import (  # noqa: E402
    Affine,
    Attention,
    Projective,
    Similarity,
    Translation,
)

CORNERS = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])


def test_translation_by_hand():
    moved = Translation().map(torch.tensor([[0.5, -0.25]]), CORNERS)[0]
    torch.testing.assert_close(moved, CORNERS + torch.tensor([0.5, -0.25]))


def test_attention_by_hand():
    # The right upper quarter.
    moved = Attention().map(torch.tensor([[math.log(0.5), 0.5, -0.5]]), CORNERS)[0]
    torch.testing.assert_close(moved, torch.tensor([[0.0, -1], [1, -1], [1, 0], [0, 0]]))


def test_similarity_by_hand():
    # A quarter turn, clockwise as seen with y down, and twice as large: TL looks at TR's place.
    moved = Similarity().map(torch.tensor([[math.pi / 2, math.log(2.0), 0.0, 0.0]]), CORNERS)[0]
    torch.testing.assert_close(moved, 2 * CORNERS[[1, 2, 3, 0]])


def test_affine_is_theta_of_the_paper():
    theta = torch.tensor([[[0.8, -0.15, 0.05], [0.12, 0.7, -0.04]]])
    parameters = (theta - torch.eye(2, 3)).flatten(1)
    ours = Affine().grid(parameters, (5, 7))
    theirs = torch.nn.functional.affine_grid(theta, [1, 1, 5, 7], align_corners=False)
    torch.testing.assert_close(ours, theirs)


def test_projective_equals_opencv():
    shifts = np.random.default_rng(0).uniform(-0.3, 0.3, (4, 2)).astype(np.float32)
    corners = CORNERS.numpy()
    wanted = cv2.getPerspectiveTransform(corners, corners + shifts)
    matrix = Projective().matrix(torch.from_numpy(shifts.reshape(1, 8)).double())[0]
    np.testing.assert_allclose(matrix.numpy(), wanted, atol=1e-6)
    moved = Projective().map(torch.from_numpy(shifts.reshape(1, 8)), CORNERS)[0]
    np.testing.assert_allclose(moved.numpy(), corners + shifts, atol=1e-6)


def test_bounded_corners_stay_a_quadrilateral_that_a_camera_can_see():
    family = Projective(limit=0.5)
    raw = torch.randn(500, 8, generator=torch.Generator().manual_seed(0)) * 5
    matrix = family.matrix(family.bounded(raw).double())
    depth = torch.cat([CORNERS, torch.ones(4, 1)], dim=1).double() @ matrix[:, 2].T
    assert (depth > 0).all()
