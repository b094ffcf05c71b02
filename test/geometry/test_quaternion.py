"""Quaternions against SciPy's, and there and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from stn_ros.geometry.quaternion import to_quaternion, to_rotation

ANGLES = st.floats(-3.1, 3.1)


@given(ANGLES, ANGLES, ANGLES)
def test_they_are_scipys(x: float, y: float, z: float):
    rotation = Rotation.from_euler("xyz", [x, y, z])
    found = np.array(to_quaternion(rotation.as_matrix()))
    wanted = rotation.as_quat()
    wanted = wanted if wanted[3] >= 0 else -wanted
    assert found[3] >= 0
    assert min(np.abs(found - wanted).max(), np.abs(found + wanted).max()) < 1e-9
    np.testing.assert_allclose(to_rotation(*found), rotation.as_matrix(), atol=1e-9)


@given(ANGLES, ANGLES, ANGLES, st.floats(0.1, 10))
def test_length_and_sign_do_not_matter(x: float, y: float, z: float, length: float):
    rotation = Rotation.from_euler("xyz", [x, y, z])
    for factor in (length, -length):
        found = to_rotation(*(factor * rotation.as_quat()))
        np.testing.assert_allclose(found, rotation.as_matrix(), atol=1e-9)


@pytest.mark.parametrize("off", [0.0, 1e-9, 1e-6, 1e-3])
@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 0, 1), (0.6, -0.8, 0), (0.36, 0.48, -0.8)])
def test_half_turns_and_what_is_near_them(axis: tuple[float, float, float], off: float):
    """A face that looks at the camera is nearly half a turn away from it."""
    R = Rotation.from_rotvec((np.pi - off) * np.array(axis)).as_matrix()
    np.testing.assert_allclose(to_rotation(*to_quaternion(R)), R, atol=1e-9)


@pytest.mark.parametrize(
    ("quaternion", "image_of_x"),
    [((0, 0, 0, 1), (1, 0, 0)), ((0, 0, 1, 1), (0, 1, 0)), ((0, 1, 0, 1), (0, 0, -1))],
)
def test_quarter_turns_by_hand(quaternion, image_of_x):
    np.testing.assert_allclose(to_rotation(*quaternion) @ [1, 0, 0], image_of_x, atol=1e-12)
