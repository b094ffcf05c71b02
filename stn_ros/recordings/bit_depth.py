"""How many of 16 bits a camera uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

DEPTHS = (10, 12, 14, 16)
"""Bits that cameras use of 16."""


class BitDepth:
    """Brings the 16-bit pixels of one stream to 8 bits, by the depth its camera really uses.

    Cameras of 10, 12 or 14 bits often leave the upper bits of `mono16` and its like zero. The
    depth taken is the least of `DEPTHS` that holds every value seen so far in that encoding. So it
    only ever grows: a dark frame is scaled like the bright ones before it, and nothing flickers.

    Args:
        warn: told in words, once, when a depth below 16 is taken, and when it had to grow.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._bits: dict[str, int] = {}

    def to_8_bits(self, pixels: NDArray[Any], encoding: str) -> NDArray[np.uint8]:
        """The upper 8 of the bits in use.

        Args:
            pixels: (h, w) or (h, w, channels) uint16 of any byte order and strides; a fourth
                channel is alpha and tells nothing about the depth.
            encoding: their name, in the warning; each has a depth of its own.

        Returns:
            A copy of the same shape.
        """
        bits = self._bits.get(encoding, 0)
        if bits < DEPTHS[-1]:
            coloured = pixels[..., :3] if pixels.ndim == 3 else pixels
            bits = self._grown(bits, int(coloured.max()), encoding)
        return (pixels >> (bits - 8)).astype(np.uint8)

    def _grown(self, bits: int, largest: int, encoding: str) -> int:
        """The depth, `bits` before (0 for none), now that a frame's largest value is known."""
        needed = next(depth for depth in DEPTHS if largest < 1 << depth)
        if not largest or needed <= bits:
            return bits or DEPTHS[-1]  # a black frame tells nothing
        self._bits[encoding] = needed
        if bits or needed < DEPTHS[-1]:
            self._warn(
                f"image encoding '{encoding}': the largest of its 16-bit values is {largest}, so "
                f"{needed} bits are assumed to be in use; a camera of more bits shows itself with "
                "the first brighter frame"
            )
        return needed
