"""The styles that faces are drawn in, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from stn_ros.synthesis.drawing import Canvas

Paint = Callable[[Canvas], None]


class Style(NamedTuple):
    """A way to fill a canvas.

    Attributes:
        paint: draws on a blank canvas, with no randomness but the canvas's own.
        held_out: whether it is kept from training. low_texture: whether it leaves much blank.
    """

    paint: Paint
    held_out: bool
    low_texture: bool


STYLES: dict[str, Style] = {}


def artwork(
    name: str, *, held_out: bool = False, low_texture: bool = False
) -> Callable[[Paint], Paint]:
    """Register the decorated function as the style `name`, see `Style`.

    Raises:
        ValueError: there is such a style already.
    """

    def register(paint: Paint) -> Paint:
        if name in STYLES:
            raise ValueError(f"there is an artwork style {name!r} already: choose another name")
        STYLES[name] = Style(paint, held_out, low_texture)
        return paint

    return register
