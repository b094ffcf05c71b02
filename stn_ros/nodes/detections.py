"""Detections in, objects and transforms out: vision_msgs and tf2_msgs from and to plain values."""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion, Transform, TransformStamped, Vector3
from numpy.typing import NDArray
from std_msgs.msg import Header
from vision_msgs.msg import (
    BoundingBox2D,
    BoundingBox3D,
    Detection2D,
    Detection2DArray,
    Detection3D,
    ObjectHypothesisWithPose,
)

from stn_ros.geometry.box import Box
from stn_ros.geometry.quaternion import to_quaternion
from stn_ros.runtime.alignment import Region


def regions(
    msg: Detection2DArray,
    objects: Collection[str],
    classes: Mapping[str, Sequence[str]],
    min_score: float,
    size: tuple[int, int],
) -> tuple[list[Region], list[str]]:
    """Where to look for which object, and what is wrong with the detections left out.

    A detection stands for the object named like its best class, and for those `classes` gives for
    it; "*" among them is any object, which one is for the canonicalizer to tell. `size` is the
    image's (width, height). Detections scored below `min_score` are no mistake.
    """
    found: list[Region] = []
    wrong: list[str] = []
    for detection in msg.detections:
        if not detection.results:
            wrong.append("detection without a class")
            continue
        best = max(
            (result.hypothesis for result in detection.results),
            key=lambda hypothesis: hypothesis.score,
        )
        if best.score < min_score:
            continue
        meant = (best.class_id, *classes.get(best.class_id, ()))
        names = ["" if name == "*" else name for name in meant if name in (*objects, "*")]
        if not names:
            wrong.append(
                f"detection of unknown object '{best.class_id}': known are "
                f"{', '.join(objects)}; see the parameter detection_map"
            )
            continue
        try:
            box = _upright_box(detection.bbox, size)
        except ValueError as error:
            wrong.append(f"detection of '{best.class_id}' {error}")
            continue
        found.extend(Region(name, *box) for name in names)
    return found, wrong


def _upright_box(box: BoundingBox2D, size: tuple[int, int]) -> Box:
    """The upright box around a turned one, in pixels."""
    center = box.center
    x, y, theta = center.position.x, center.position.y, center.theta
    if not all(map(math.isfinite, (x, y, theta, box.size_x, box.size_y))):
        raise ValueError(
            f"has a box that is not finite: centre ({x}, {y}), turned by {theta}, "
            f"{box.size_x} x {box.size_y}"
        )
    if box.size_x <= 0 or box.size_y <= 0:
        raise ValueError(f"has a box without area: {box.size_x:g} x {box.size_y:g}")
    cos, sin = abs(math.cos(theta)), abs(math.sin(theta))
    width = box.size_x * cos + box.size_y * sin
    height = box.size_x * sin + box.size_y * cos
    left, top = x - width / 2, y - height / 2
    if left >= size[0] or top >= size[1] or left + width <= 0 or top + height <= 0:
        raise ValueError(
            f"lies outside the {size[0]}x{size[1]} image: its box spans x {left:g} to "
            f"{left + width:g}, y {top:g} to {top + height:g}"
        )
    return Box(left, top, width, height)


def detection2d(name: str, score: float, box: Box, header: Header) -> Detection2D:
    """The detection of an object in an upright box, in pixels."""
    left, top, width, height = box
    detection = Detection2D(header=header, id=name, results=[_hypothesis(name, score)])
    detection.bbox.center.position.x = left + width / 2
    detection.bbox.center.position.y = top + height / 2
    detection.bbox.size_x, detection.bbox.size_y = width, height
    return detection


def pose(R: NDArray[np.float64], t: NDArray[np.float64]) -> Pose:
    """The pose of a frame whose points p lie at R p + t in the header's frame (metres)."""
    x, y, z = (float(value) for value in np.ravel(t))
    return Pose(position=Point(x=x, y=y, z=z), orientation=_quaternion(R))


def transform(
    R: NDArray[np.float64], t: NDArray[np.float64], header: Header, child: str
) -> TransformStamped:
    """TF from the header's frame to `child`: points p of the child lie at R p + t (metres)."""
    x, y, z = (float(value) for value in np.ravel(t))
    return TransformStamped(
        header=header,
        child_frame_id=child,
        transform=Transform(translation=Vector3(x=x, y=y, z=z), rotation=_quaternion(R)),
    )


def detection3d(
    identity: str,
    name: str,
    score: float,
    R: NDArray[np.float64],
    t: NDArray[np.float64],
    covariance: NDArray[np.float64] | None,
    size: tuple[float, float],
    header: Header,
) -> Detection3D:
    """A flat object in the header's frame: class `name`, pose with covariance, flat box.

    `R`, `t` take object points to the header's frame, in metres; `covariance` is 6x6 in ROS order
    (x, y, z, turns about the fixed axes), None if unknown; `size` is (width, height) in metres.
    """
    result, place = _hypothesis(name, score), pose(R, t)
    result.pose.pose = place
    if covariance is not None:
        result.pose.covariance = np.ascontiguousarray(covariance, np.float64).ravel()
    width, height = size
    box = BoundingBox3D(center=place, size=Vector3(x=width, y=height, z=0.0))
    return Detection3D(header=header, id=identity, results=[result], bbox=box)


def _quaternion(R: NDArray[np.float64]) -> Quaternion:
    x, y, z, w = to_quaternion(R)
    return Quaternion(x=x, y=y, z=z, w=w)


def _hypothesis(name: str, score: float) -> ObjectHypothesisWithPose:
    result = ObjectHypothesisWithPose()
    result.hypothesis.class_id, result.hypothesis.score = name, float(score)
    return result
