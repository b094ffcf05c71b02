"""Pinhole cameras with lens distortion, from the fields of a ROS CameraInfo.

Two kinds of pixels are told apart. *Raw* pixels are those of the image at hand. *Ideal* pixels
are where a distortion-free camera with the same K, looking along the rectified axes, would see
the same point; straight lines stay straight there, so homographies and poses live in them. In a
rectified or distortion-free image both are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

PLUMB_BOB = "plumb_bob"
RATIONAL = "rational_polynomial"
EQUIDISTANT = "equidistant"
_COEFFICIENTS = {PLUMB_BOB: 8, RATIONAL: 8, EQUIDISTANT: 4}  # plumb_bob is the rational one cut


@dataclass(frozen=True, eq=False)
class CameraModel:
    """One image's camera.

    Attributes:
        size: (width, height) of the image at hand, pixels.
        K: 3x3 intrinsics of that image (after region of interest and binning).
        D: distortion coefficients in OpenCV's order; empty or zeros for none.
        model: distortion model, one of plumb_bob, rational_polynomial, equidistant (fisheye).
        R: 3x3 rotation, raw camera axes -> rectified camera axes (identity but for stereo pairs).

    Raises:
        ValueError: naming the field, what is wrong with it and what to do.
    """

    size: tuple[int, int]
    K: Array
    D: Array = field(default_factory=lambda: np.zeros(0))
    model: str = PLUMB_BOB
    R: Array = field(default_factory=lambda: np.eye(3))

    def __post_init__(self) -> None:
        width, height = self.size
        if width < 1 or height < 1:
            raise ValueError(f"camera size is {width}x{height}: publish the size of the image")
        intrinsics = _checked("K", self.K, (3, 3))
        if intrinsics[0, 0] == 0:
            raise ValueError("camera is uncalibrated (K[0] is 0): calibrate it and publish K")
        if intrinsics[0, 0] < 0 or intrinsics[1, 1] <= 0:
            raise ValueError(
                f"focal lengths must be positive; got {intrinsics[0, 0]:g}, {intrinsics[1, 1]:g}"
            )
        if not np.allclose(intrinsics[[1, 2, 2, 2], [0, 0, 1, 2]], [0, 0, 0, 1]):
            raise ValueError(f"K must be [fx s cx; 0 fy cy; 0 0 1]; got {intrinsics.tolist()}")
        rotation = _checked("R", self.R, (3, 3))
        if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3):
            raise ValueError(f"R must be a rotation matrix; got {rotation.tolist()}")
        object.__setattr__(self, "size", (int(width), int(height)))
        object.__setattr__(self, "K", intrinsics)
        object.__setattr__(self, "D", _coefficients(self.D, self.model))
        object.__setattr__(self, "R", rotation)

    @classmethod
    def from_calibration(
        cls,
        *,
        width: int,
        height: int,
        k: ArrayLike,
        d: ArrayLike = (),
        distortion_model: str = PLUMB_BOB,
        r: ArrayLike | None = None,
        p: ArrayLike | None = None,
        binning_x: int = 0,
        binning_y: int = 0,
        roi: Sequence[int] = (0, 0, 0, 0),
        rectified: bool = False,
    ) -> CameraModel:
        """Camera of an image from plain CameraInfo values (REP-104, sensor_msgs/CameraInfo).

        Args:
            width, height: full resolution at which K, D and P hold, pixels.
            k: 9 numbers, row-major. Used for raw images.
            d: distortion coefficients; empty for none. Used for raw images.
            distortion_model: one of plumb_bob, rational_polynomial, equidistant, in letters of any
                case; anything where D is empty or zero, as nothing is distorted then.
            r: 9 numbers, row-major rectifying rotation; None or zeros for identity.
            p: 12 numbers, row-major projection of the rectified image. Its left 3x3 is used, so
                that poses hold in the frame of this very camera, the second of a stereo pair too.
            binning_x, binning_y: pixels averaged into one; 0 means 1.
            roi: (x_offset, y_offset, width, height) at full resolution; zero size means all.
            rectified: the image is rectified (`image_rect`).

        Raises:
            ValueError: as the class.
        """
        if width < 1 or height < 1:
            raise ValueError(f"camera size is {width}x{height}: publish the size of the image")
        intrinsics = _reshaped("K", k, (3, 3))
        distortion: ArrayLike = d
        rotation = np.eye(3) if r is None or not np.any(r) else _reshaped("R", r, (3, 3))
        if rectified:
            if p is None or not np.any(p):
                raise ValueError(
                    "image is rectified but P is zero: publish P, or use the raw image with K, D"
                )
            intrinsics = _reshaped("P", p, (3, 4))[:, :3]
            distortion, rotation = (), np.eye(3)
        left, top, roi_width, roi_height = roi
        roi_width, roi_height = roi_width or width, roi_height or height
        if left < 0 or top < 0 or left + roi_width > width or top + roi_height > height:
            raise ValueError(f"roi {tuple(roi)} does not lie inside the {width}x{height} image")
        bins = binning_x or 1, binning_y or 1
        if min(bins) < 1:
            raise ValueError(f"binning must not be negative; got {binning_x}, {binning_y}")
        # A binned pixel's centre is the mean of the centres it averages: x' = (x + 0.5) / b - 0.5.
        cropped_and_binned = np.array(
            [
                [1 / bins[0], 0, (0.5 - left) / bins[0] - 0.5],
                [0, 1 / bins[1], (0.5 - top) / bins[1] - 0.5],
                [0, 0, 1],
            ]
        )
        return cls(
            size=(roi_width // bins[0], roi_height // bins[1]),
            K=cropped_and_binned @ intrinsics,
            D=np.asarray(distortion, np.float64),
            model=(distortion_model.lower() if np.any(distortion) else "") or PLUMB_BOB,
            R=rotation,
        )

    @cached_property
    def distorted(self) -> bool:
        """Whether raw and ideal pixels differ."""
        return bool(np.any(self.D)) or not np.array_equal(self.R, np.eye(3))

    @cached_property
    def _limit(self) -> float:
        """Where the distortion model ends: largest angle of a fisheye, else largest radius."""
        return (_largest_angle if self.model == EQUIDISTANT else _largest_radius)(self.D)

    def distort_points(self, points: ArrayLike) -> Array:
        """Ideal pixels (..., 2) -> raw pixels; nan where the lens model cannot see the point.

        A distortion polynomial holds up to the radius where it stops growing; beyond, it would
        fold far-away points back into the image.
        """
        points = np.asarray(points, np.float64)
        if not self.distorted:
            return points.copy()
        rays = _homogeneous(points) @ (self.R.T @ np.linalg.inv(self.K)).T
        with np.errstate(divide="ignore", invalid="ignore"):
            seen = np.where(rays[..., 2:] > 0, rays[..., :2] / rays[..., 2:], np.nan)
            if self.model == EQUIDISTANT:
                bent = _bend_equidistant(seen, self.D, self._limit)
            else:
                bent = _bend_radial_tangential(seen, self.D, self._limit)
        return bent @ self.K[:2, :2].T + self.K[:2, 2]

    def undistort_points(self, points: ArrayLike) -> Array:
        """Raw pixels (..., 2) -> ideal pixels; nan where no ideal pixel exists."""
        points = np.asarray(points, np.float64)
        if not self.distorted:
            return points.copy()
        bent = (_homogeneous(points) @ np.linalg.inv(self.K).T)[..., :2]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            if self.model == EQUIDISTANT:
                seen = _unbend_equidistant(bent, self.D, self._limit)
            else:
                seen = _unbend_radial_tangential(bent, self.D, self._limit)
            ideal = _homogeneous(seen) @ (self.K @ self.R).T
            return np.where(ideal[..., 2:] > 0, ideal[..., :2] / ideal[..., 2:], np.nan)


def _bend_radial_tangential(points: Array, d: Array, limit: float) -> Array:
    """OpenCV's model on normalised points (..., 2): k1 k2 p1 p2 k3 k4 k5 k6."""
    x, y = points[..., 0], points[..., 1]
    s = x * x + y * y
    radial = np.polyval(_numerator(d), s) / np.polyval(_denominator(d), s)
    xy = 2 * x * y
    bent = np.stack(
        [
            x * radial + d[2] * xy + d[3] * (s + 2 * x * x),
            y * radial + d[2] * (s + 2 * y * y) + d[3] * xy,
        ],
        axis=-1,
    )
    bent[~(s < limit**2)] = np.nan
    return bent


def _unbend_radial_tangential(bent: Array, d: Array, limit: float) -> Array:
    """Inverse by Newton's method from the radial part's own; nan where it does not converge."""
    wanted = np.linalg.norm(bent, axis=-1, keepdims=True)
    start = 0.999999 * min(limit, 1e6)
    low, high = np.zeros_like(wanted), np.full_like(wanted, start)
    for _ in range(53):  # as many bits as a float has
        middle = (low + high) / 2
        s = middle * middle
        short = middle * np.polyval(_numerator(d), s) < wanted * np.polyval(_denominator(d), s)
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    points = bent * (low / np.maximum(wanted, 1e-12))
    step = 1e-6
    for _ in range(10):
        miss = _bend_radial_tangential(points, d, limit) - bent
        by_x = (_bend_radial_tangential(points - [step, 0], d, limit) - miss - bent) / -step
        by_y = (_bend_radial_tangential(points - [0, step], d, limit) - miss - bent) / -step
        determinant = by_x[..., 0] * by_y[..., 1] - by_x[..., 1] * by_y[..., 0]
        points = (
            points
            - np.stack(
                [
                    miss[..., 0] * by_y[..., 1] - miss[..., 1] * by_y[..., 0],
                    miss[..., 1] * by_x[..., 0] - miss[..., 0] * by_x[..., 1],
                ],
                axis=-1,
            )
            / determinant[..., None]
        )
        radius = np.linalg.norm(points, axis=-1, keepdims=True)
        points = points * np.minimum(1, start / np.maximum(radius, 1e-12))
    missed = np.linalg.norm(_bend_radial_tangential(points, d, limit) - bent, axis=-1)
    points[~(missed < 1e-7)] = np.nan
    return np.asarray(points, np.float64)


def _numerator(d: Array) -> Array:
    return np.array([d[4], d[1], d[0], 1.0])


def _denominator(d: Array) -> Array:
    return np.array([d[7], d[6], d[5], 1.0])


def _largest_radius(d: Array) -> float:
    """Radius up to which the distorted radius r N(r^2) / D(r^2) grows."""
    numerator, denominator = np.poly1d(_numerator(d)), np.poly1d(_denominator(d))
    twice_s = np.poly1d([2.0, 0.0])
    growth = (
        numerator + twice_s * numerator.deriv()
    ) * denominator - twice_s * numerator * denominator.deriv()
    return float(np.sqrt(_smallest_positive_root(growth, denominator)))


def _bend_equidistant(points: Array, d: Array, limit: float) -> Array:
    """Fisheye model (Kannala and Brandt 2006) on normalised points (..., 2): k1 k2 k3 k4."""
    radius = np.linalg.norm(points, axis=-1)
    angle = np.arctan(radius)
    bent_angle = angle * np.polyval([*d[::-1], 1.0], angle**2)
    scale = np.where(radius > 1e-12, bent_angle / np.maximum(radius, 1e-12), 1.0)
    scale[~(angle < limit)] = np.nan
    bent: Array = points * scale[..., None]
    return bent


def _unbend_equidistant(bent: Array, d: Array, limit: float) -> Array:
    """Inverse by bisection on the angle; nan at 90 degrees off the axis and beyond.

    Newton's method goes astray where the bent angle hardly grows any more.
    """
    wanted = np.linalg.norm(bent, axis=-1)
    polynomial = np.poly1d([*d[::-1], 1.0])(np.poly1d([1.0, 0.0, 0.0])) * np.poly1d([1.0, 0.0])
    low, high = np.zeros_like(wanted), np.full_like(wanted, 0.9999 * limit)
    for _ in range(53):  # as many bits as a float has
        middle = (low + high) / 2
        short = polynomial(middle) < wanted
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    angle = (low + high) / 2
    scale = np.where(wanted > 1e-12, np.tan(angle) / np.maximum(wanted, 1e-12), 1.0)
    scale[~(np.abs(polynomial(angle) - wanted) < 1e-7)] = np.nan
    points: Array = bent * scale[..., None]
    return points


def _largest_angle(d: Array) -> float:
    """Angle off the axis up to which the distorted angle grows, at most 90 degrees."""
    growth = np.poly1d(np.array([9.0, 7.0, 5.0, 3.0, 1.0]) * [*d[::-1], 1.0])
    return float(min(np.sqrt(_smallest_positive_root(growth)), np.pi / 2))


def _smallest_positive_root(*polynomials: np.poly1d) -> float:
    # Coefficients of this size bend nothing, and would overflow the companion matrix.
    trimmed = [np.where(np.abs(p.coeffs) < 1e-12, 0, p.coeffs) for p in polynomials]
    roots = np.concatenate([np.roots(coefficients) for coefficients in trimmed])
    real = roots.real[(np.abs(roots.imag) < 1e-9) & (roots.real > 0)]
    return float(real.min()) if real.size else np.inf


def _homogeneous(points: Array) -> Array:
    return np.concatenate([points, np.ones((*points.shape[:-1], 1))], axis=-1)


def _coefficients(d: ArrayLike, model: str) -> Array:
    if model not in _COEFFICIENTS:
        raise ValueError(
            f"distortion model '{model}' is unknown: use one of {', '.join(_COEFFICIENTS)}, "
            "or rectify the image first"
        )
    given = np.asarray(d, np.float64).ravel()
    count = _COEFFICIENTS[model]
    if not np.isfinite(given).all():
        raise ValueError(f"D must be finite; got {given.tolist()}")
    if np.any(given[count:]):
        raise ValueError(
            f"{model} takes at most {count} coefficients in D; got {given.size}: rectify the image"
        )
    padded = np.zeros(count)
    padded[: min(count, given.size)] = given[:count]
    return padded


def _reshaped(name: str, values: ArrayLike, shape: tuple[int, int]) -> Array:
    flat = np.asarray(values, np.float64)
    if flat.size != shape[0] * shape[1]:
        raise ValueError(f"{name} must have {shape[0] * shape[1]} numbers; got {flat.size}")
    return flat.reshape(shape)


def _checked(name: str, values: ArrayLike, shape: tuple[int, int]) -> Array:
    matrix = _reshaped(name, values, shape)
    if not np.isfinite(matrix).all():
        raise ValueError(f"{name} must be finite; got {matrix.tolist()}")
    return matrix
