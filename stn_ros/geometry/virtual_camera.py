"""The camera that would have taken an aligned view.

Images from one optical centre differ by a homography whatever the depth of the scene, so a view
warped square-on is the image of a camera that stands where the real one stood and was rotated to
look along the face's normal, with an off-centre sensor. Its CameraInfo is true for the face and
for everything around it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stn_ros.geometry.planar_pose import PoseSolution, object_corners

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VirtualCamera:
    """A pinhole camera without distortion, square-on to a face.

    Attributes:
        K: 3x3 intrinsics. The principal point is where the optical centre stands over the face; at
            high tilt it lies outside the picture.
        R, t: 3x3 and 3, view frame -> object frame, metres: the view frame's pose in the object
            frame, as TF has it. The view frame is optical: x right, y down, z into the face.
    """

    K: Array
    R: Array
    t: Array


def virtual_camera(
    size_px: tuple[int, int], size_m: tuple[float, float], pose: PoseSolution
) -> VirtualCamera:
    """The camera of an aligned view.

    The object's corners, carried by TF into the view frame and projected with K, land on the
    picture's corners exactly, however uncertain the pose: K follows from the face's size and from
    where the view frame was put.

    Args:
        size_px: (width, height) of the aligned view, pixels.
        size_m: (width, height) of the face, metres.
        pose: the face's pose.

    Raises:
        ValueError: the size is not positive, or the pose shows the back of the face.
    """
    object_corners(size_m)  # names a wrong size
    centre = -pose.R.T @ pose.t
    if centre[2] <= 0:
        raise ValueError("the camera stands behind the face: its front cannot be seen")
    per_metre = np.array(size_px) / size_m
    middle = (np.array(size_px) - 1) / 2
    focal = centre[2] * per_metre
    principal = middle + per_metre * centre[:2] * [1, -1]
    return VirtualCamera(
        K=np.array([[focal[0], 0, principal[0]], [0, focal[1], principal[1]], [0, 0, 1]]),
        R=np.diag([1.0, -1.0, -1.0]),
        t=centre,
    )
