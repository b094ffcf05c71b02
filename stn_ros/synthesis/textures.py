"""Faces and backgrounds for rendering, from drawn artwork and from photos of installed packages.

A split is closed: a source photo belongs to one split as a whole (`HELD_OUT_PHOTOS`), and so does
every artwork style and random stream (see `artwork`).
"""

from __future__ import annotations

import importlib.util
import os
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from stn_ros.synthesis import artwork
from stn_ros.synthesis.drawing import Colour, Picture, blend, fractal_noise, hsv, smooth_noise

# Package and folder of each source; pictures with no texture of their own (logos on nothing,
# chess boards, silhouettes) are not listed.
_PACKAGED = {
    "skimage/data": (
        "astronaut.png",
        "brick.png",
        "camera.png",
        "cell.png",
        "chelsea.png",
        "coffee.png",
        "coins.png",
        "grass.png",
        "gravel.png",
        "hubble_deep_field.jpg",
        "ihc.png",
        "logo.png",
        "moon.png",
        "motorcycle_left.png",
        "retina.jpg",
        "rocket.jpg",
        "text.png",
    ),
    "sklearn/datasets/images": ("china.jpg", "flower.jpg"),
    "matplotlib/mpl-data/sample_data": ("grace_hopper.jpg",),
}
HELD_OUT_PHOTOS = frozenset(
    (
        "coffee.png",
        "chelsea.png",
        "gravel.png",
        "rocket.jpg",
        "hubble_deep_field.jpg",
        "flower.jpg",
    )
)
# Real print and photos from Debian's opencv-doc: never trained on.
OPENCV_DOC_PHOTOS = (
    "box.png",
    "imageTextN.png",
    "sudoku.png",
    "starry_night.jpg",
    "board.jpg",
    "cards.png",
    "HappyFish.jpg",
    "graf1.png",
    "leuvenA.jpg",
    "building.jpg",
    "fruits.jpg",
    "butterfly.jpg",
)
_LONGEST = 1024
_ARTWORK_SHARE = 0.65
OPENCV_DOC_ENV = "STN_ROS_OPENCV_DOC"


def opencv_doc_folder() -> Path | None:
    """Folder of opencv-doc's example pictures, or None where there is none.

    Looked for in $STN_ROS_OPENCV_DOC, then ~/.cache/stn_ros/opencv-doc, then /usr/share/doc.
    """
    named = os.environ.get(OPENCV_DOC_ENV)
    candidates = [Path(named)] if named else []
    candidates += [
        Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "stn_ros" / "opencv-doc",
        Path("/usr/share/doc/opencv-doc"),
    ]
    for folder in candidates:
        for found in sorted(folder.rglob("box_in_scene.png")):
            return found.parent
    return None


def _read(path: Path) -> Picture | None:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        return None
    scale = _LONGEST / max(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return image


@lru_cache(maxsize=2)
def _photos(split: str) -> tuple[tuple[str, Picture], ...]:
    photos = []
    for source, names in _PACKAGED.items():
        package, _, inside = source.partition("/")
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            continue
        for name in names:
            if (name in HELD_OUT_PHOTOS) != (split == "held_out"):
                continue
            image = _read(Path(spec.submodule_search_locations[0]) / inside / name)
            if image is not None:
                photos.append((name, image))
    if split == "held_out" and (folder := opencv_doc_folder()) is not None:
        for name in OPENCV_DOC_PHOTOS:
            if (image := _read(folder / name)) is not None:
                photos.append((name, image))
    for _, image in photos:
        image.flags.writeable = False
    return tuple(photos)


class Textures:
    """Random faces and backgrounds of one split; all randomness comes from the caller's rng.

    Holds no state of its own beyond the read-only photos, which are loaded once a process: safe
    to share between threads and to copy into worker processes.
    """

    def __init__(self, split: str = "train") -> None:
        """`split` is "train" or "held_out".

        Raises:
            ValueError: unknown split.
            FileNotFoundError: no source photo is installed at all.
        """
        if split not in artwork.SPLITS:
            raise ValueError(f"split is {split!r}; use one of {', '.join(artwork.SPLITS)}")
        self.split = split
        if not self.photos:
            raise FileNotFoundError(
                "no source photos found: install scikit-image, scikit-learn or matplotlib "
                "(pip install scikit-image), whose example pictures serve as textures"
            )

    @property
    def photos(self) -> tuple[tuple[str, Picture], ...]:
        """(file name, read-only BGR picture) of each source photo of this split."""
        return _photos(self.split)

    def face(self, rng: np.random.Generator, long_side: int = 256) -> Picture:
        """A face (h, w, 3) BGR uint8 with this longer side and aspect 0.45..2.2."""
        size = artwork.face_size(rng, long_side)
        if rng.random() < _ARTWORK_SHARE:
            return artwork.draw(int(rng.integers(2**62)), size, split=self.split)
        return self._photo_face(rng, size)

    def siblings(self, rng: np.random.Generator, long_side: int) -> tuple[Picture, Picture]:
        """Two faces of one size and artwork style: as alike as different objects are."""
        size = artwork.face_size(rng, long_side)
        pool = artwork.TRAIN_STYLES if self.split == "train" else artwork.HELD_OUT_STYLES
        style = pool[rng.integers(len(pool))]
        seeds = rng.integers(2**62, size=2)
        first, second = (artwork.draw(int(seed), size, style, self.split) for seed in seeds)
        return first, second

    def background(self, rng: np.random.Generator, size: tuple[int, int]) -> Picture:
        """A background (h, w, 3) BGR uint8 of `size` (width, height)."""
        kind = rng.random()
        if kind < 0.6:
            return self._photo_crop(rng, size)
        if kind < 0.72:
            return self._clutter(rng, size)
        if kind < 0.9:
            return _surface(rng, size)
        field = fractal_noise(rng, *size, rng.uniform(2, 40), int(rng.integers(1, 5)))
        return blend(field, _colour(rng), _colour(rng))

    def _photo_crop(self, rng: np.random.Generator, size: tuple[int, int]) -> Picture:
        """Crop at random place, scale, roll and mirror; colours jittered."""
        _name, photo = self.photos[rng.integers(len(self.photos))]
        w, h = size
        ph, pw = photo.shape[:2]
        fit = min(pw / w, ph / h)
        # Photo pixels per crop pixel; never magnified more than 2.5x, so that crops stay sharp.
        scale = max(fit * rng.uniform(0.35, 1.0), min(0.4, fit))
        rotation = rng.choice([0.0, 0.0, rng.uniform(-0.6, 0.6), rng.choice([0.5, 1, 1.5]) * np.pi])
        c, s = np.cos(rotation) * scale, np.sin(rotation) * scale
        reach = np.abs(np.array([[c, -s], [s, c]])) @ np.array([w, h]) / 2
        room = np.array([pw, ph]) / 2 - reach
        centre = np.array([pw, ph]) / 2 + rng.uniform(-1, 1, 2) * np.maximum(room, 0)
        mirror = -1.0 if rng.random() < 0.3 else 1.0
        m = np.array([[c * mirror, -s, 0], [s * mirror, c, 0]])
        m[:, 2] = centre - m[:, :2] @ np.array([(w - 1) / 2, (h - 1) / 2])
        crop = photo
        if scale > 1.3:
            # Reduce by area first: bilinear sampling alone would alias.
            crop = cv2.resize(photo, None, fx=1 / scale, fy=1 / scale, interpolation=cv2.INTER_AREA)
            k = np.array([crop.shape[1] / pw, crop.shape[0] / ph])[:, None]
            m = m * k
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return _jitter(rng, cv2.warpAffine(crop, m, size, None, flags, cv2.BORDER_REFLECT_101))

    def _photo_face(self, rng: np.random.Generator, size: tuple[int, int]) -> Picture:
        for _ in range(8):
            crop = self._photo_crop(rng, size)
            if _structure(crop) > 4.0:
                return crop
        return artwork.draw(int(rng.integers(2**62)), size, split=self.split)

    def _clutter(self, rng: np.random.Generator, size: tuple[int, int]) -> Picture:
        """Other faces lying about on a surface."""
        image: Picture = _surface(rng, size) if rng.random() < 0.5 else self._photo_crop(rng, size)
        side = min(size)
        for _ in range(int(rng.integers(2, 5))):
            face = self.face(rng, max(24, int(side * rng.uniform(0.4, 0.9))))
            h, w = face.shape[:2]
            angle = rng.uniform(0, 360)
            m = np.array(
                cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2), angle, 1.0), np.float64
            )
            m[:, 2] += rng.uniform(0, 1, 2) * size - np.array([w, h]) / 2
            cv2.warpAffine(face, m, size, image, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)
        return image


def _structure(image: Picture) -> float:
    """Smaller eigenvalue of the mean structure tensor at 48 px, as grey levels per pixel.

    Near zero where a picture is plain or varies along one direction only: such a crop has no
    well-defined place on its own plane.
    """
    small = cv2.cvtColor(
        cv2.resize(image, (48, 48), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY
    )
    gx, gy = (np.asarray(gradient) / 8.0 for gradient in cv2.spatialGradient(small))
    tensor = np.array([[(gx * gx).mean(), (gx * gy).mean()], [(gx * gy).mean(), (gy * gy).mean()]])
    return float(np.sqrt(max(np.linalg.eigvalsh(tensor)[0], 0.0)))


def _colour(rng: np.random.Generator) -> Colour:
    return hsv(rng.random(), rng.uniform(0, 0.7), rng.uniform(0.1, 1.0))


def _surface(rng: np.random.Generator, size: tuple[int, int]) -> Picture:
    """Table, wall or wood: a plain or graded colour, faint grain, soft shading."""
    w, h = size
    field = smooth_noise(rng, w, h, rng.uniform(1, 3)) * 0.6
    if rng.random() < 0.4:
        rings = smooth_noise(rng, w, h, rng.uniform(1.5, 4), 5)
        field += 0.4 * (0.5 + 0.5 * np.sin(rings * rng.uniform(15, 60)))
    elif rng.random() < 0.5:
        field += 0.3 * rng.random((h, w), dtype=np.float32)
    a = _colour(rng)
    blue, green, red = (int(np.clip(v + rng.uniform(-60, 60), 0, 255)) for v in a)
    return blend(field.astype(np.float32), a, (blue, green, red))


def _jitter(rng: np.random.Generator, image: Picture) -> Picture:
    """Contrast, brightness, channel gains, at times grey: as other prints of the same picture."""
    gain = rng.uniform(0.7, 1.25) * rng.uniform(0.8, 1.2, 3)
    offset = rng.uniform(-25, 25) + 127 * (1 - gain.mean())
    ramp = np.arange(256, dtype=np.float32)[:, None] * gain + offset
    table = ramp.clip(0, 255).astype(np.uint8)[None]
    if rng.random() < 0.1:
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        image = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    return cv2.LUT(image, table)
