"""Print-like flat faces drawn procedurally in many styles.

`draw(seed, size)` gives one face; the same arguments give the same picture. The two splits share
no picture: their random streams differ for every seed, and `HELD_OUT_STYLES` are never drawn for
training at all.
"""

from stn_ros.synthesis.artwork.faces import (
    HELD_OUT_STYLES,
    LOW_TEXTURE_STYLES,
    SPLITS,
    TRAIN_STYLES,
    draw,
    face_size,
)
from stn_ros.synthesis.artwork.registry import STYLES, Style, artwork

__all__ = [
    "HELD_OUT_STYLES",
    "LOW_TEXTURE_STYLES",
    "SPLITS",
    "STYLES",
    "TRAIN_STYLES",
    "Style",
    "artwork",
    "draw",
    "face_size",
]
