"""Affine maps of volumes against PyTorch's."""

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from stn_ros.transformer.families import Affine3d  # noqa: E402


def test_affine3d_is_pytorchs():
    theta = torch.tensor([[[0.8, -0.1, 0.05, 0.1], [0.1, 0.7, -0.2, -0.04], [0.0, 0.2, 1.1, 0.3]]])
    ours = Affine3d().grid((theta - torch.eye(3, 4)).flatten(1), (3, 4, 5))
    theirs = torch.nn.functional.affine_grid(theta, [1, 1, 3, 4, 5], align_corners=False)
    torch.testing.assert_close(ours, theirs)
