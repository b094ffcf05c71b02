"""Draws faces in the registered styles."""

from __future__ import annotations

from importlib import import_module

import cv2
import numpy as np

from stn_ros.synthesis.artwork.registry import STYLES
from stn_ros.synthesis.drawing import Canvas, Picture, darken, mean_colour, smooth_noise, word

# In this order, never another: a face drawn at random is the n-th style, and what the benchmark
# holds must stay as it is. New styles come last.
for _module in ("packaging", "pages", "slips", "pictures", "patterns", "surfaces", "held_out"):
    import_module(f"stn_ros.synthesis.artwork.{_module}")

SPLITS = ("train", "held_out")
TRAIN_STYLES = tuple(name for name, style in STYLES.items() if not style.held_out)
HELD_OUT_STYLES = tuple(name for name, style in STYLES.items() if style.held_out)
LOW_TEXTURE_STYLES = tuple(name for name, style in STYLES.items() if style.low_texture)


def draw(
    seed: int, size: tuple[int, int], style: str | None = None, split: str = "train"
) -> Picture:
    """Draw one face.

    Args:
        seed: non-negative; the same seed, size, style and split give the same picture (OpenCV 5
            has other fonts than OpenCV 4).
        size: (width, height) in pixels, 16 or more each.
        style: a name in `STYLES`; None picks one of the split's own styles.
        split: "train" or "held_out". With split "held_out" any style may be asked for: its
            pictures differ from all training pictures of that style.

    Returns:
        (h, w, 3) BGR uint8.

    Raises:
        ValueError: unknown style or split, a held-out style for training, or a size too small.
    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; use one of {', '.join(SPLITS)}")
    if style is not None and style not in STYLES:
        raise ValueError(f"style {style!r} is unknown; use one of {', '.join(STYLES)}")
    if split == "train" and style in HELD_OUT_STYLES:
        raise ValueError(f"style {style!r} is held out of training; use split='held_out'")
    if min(size) < 16:
        raise ValueError(f"size {size} is too small for artwork; use 16 px or more each way")
    rng = np.random.default_rng([SPLITS.index(split), seed])
    pool = TRAIN_STYLES if split == "train" else HELD_OUT_STYLES
    chosen = pool[rng.integers(len(pool))]
    canvas = Canvas.blank(rng, size)
    STYLES[style or chosen].paint(canvas)
    _mark_orientation(canvas)
    _wear(canvas)
    return canvas.finish()


def _mark_orientation(c: Canvas) -> None:
    """Add a word and a sign in one corner where a face looks the same rotated by 180 degrees."""
    small = cv2.resize(c.image, (24, 24), interpolation=cv2.INTER_AREA).astype(np.float32)
    small -= small.mean((0, 1))
    power = float((small * small).sum())
    correlation = float((small * small[::-1, ::-1]).sum()) / max(power, 1e-6)
    if correlation < 0.6 and power > 24 * 24 * 3 * 4.0:
        return
    rng, p, u = c.rng, c.palette, c.unit
    w, h = u * rng.uniform(0.35, 0.6), u * rng.uniform(0.16, 0.3)
    x, y = rng.choice([0.03, 0.97]) * (c.width - w), rng.choice([0.03, 0.97]) * (c.height - h)
    field = (float(x), float(y), float(x + w), float(y + h))
    mean = mean_colour(c.image)
    ground = p.readable(mean)
    c.rounded(field, ground, h * rng.uniform(0, 0.3))
    c.icon((x + 0.05 * h, y + 0.05 * h, x + 0.95 * h, y + 0.95 * h), p.readable(ground), ground)
    c.text((x + h, y + 0.1 * h, x + w - 0.05 * h, y + 0.9 * h), word(rng, 1, 2), p.readable(ground))


def _wear(c: Canvas) -> None:
    """Paper grain and slightly uneven ink, as on most real print."""
    if c.rng.random() < 0.5:
        shade = smooth_noise(c.rng, c.width, c.height, c.rng.uniform(1, 4))
        darken(c.image, c.rng.uniform(0.03, 0.18) * shade)


def face_size(rng: np.random.Generator, long_side: int) -> tuple[int, int]:
    """Random face size (width, height) with the given longer side and aspect 0.45..2.2."""
    aspect = float(np.exp(rng.uniform(np.log(0.45), np.log(2.2))))
    if aspect >= 1:
        return long_side, max(16, round(long_side / aspect))
    return max(16, round(long_side * aspect)), long_side
