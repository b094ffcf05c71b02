"""The images of one topic, raw or compressed, as pictures."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import cast

from stn_ros.recordings.bit_depth import BitDepth
from stn_ros.recordings.encodings import (
    PICTURE_ENCODINGS,
    CompressedImage,
    Image,
    Picture,
    decode,
    to_bgr,
)


class ImageDecoder:
    """Decodes the images of one stream, one after the other; keeps what they have in common.

    Args:
        warn: told once what was assumed, see `BitDepth`.
        fallback: reads raw images whose encoding is not in `PICTURE_ENCODINGS`; it raises
            ValueError for those it does not know either.
    """

    def __init__(
        self,
        warn: Callable[[str], None],
        fallback: Callable[[Image], Picture] | None = None,
    ) -> None:
        self._fallback = fallback
        self._depth = BitDepth(warn)

    def decode(self, msg: Image | CompressedImage) -> Picture:
        """The picture of an image, (h, w, 3) BGR uint8 in stored order; bgr8 is not copied.

        Raises ValueError naming the field of the message that is wrong or unknown.
        """
        if not hasattr(msg, "encoding"):
            return decode(msg, self._depth)
        raw = cast("Image", msg)
        if self._fallback is not None and raw.encoding not in PICTURE_ENCODINGS:
            with suppress(ValueError):  # what is unknown there, too, to_bgr names
                return self._fallback(raw)
        return to_bgr(raw, self._depth)
