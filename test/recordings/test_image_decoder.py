"""One decoder for the images of a topic: raw, compressed, deep, of unknown encodings."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from stn_ros.recordings.image_decoder import ImageDecoder

GREY = np.array([[0, 160], [1600, 4000]], np.uint16)  # 12 bits
EXPECTED = np.repeat((GREY >> 4).astype(np.uint8)[..., None], 3, axis=2)


def raw(encoding: str, pixels: np.ndarray) -> SimpleNamespace:
    data = pixels.tobytes()
    return SimpleNamespace(
        encoding=encoding,
        height=pixels.shape[0],
        width=pixels.shape[1],
        step=len(data) // pixels.shape[0],
        is_bigendian=0,
        data=data,
    )


def png(pixels: np.ndarray) -> SimpleNamespace:
    return SimpleNamespace(format="16UC1; png", data=cv2.imencode(".png", pixels)[1].tobytes())


@pytest.mark.parametrize("message", [raw("mono16", GREY), png(GREY)], ids=["raw", "png"])
def test_twelve_bits_in_sixteen_are_seen_and_told_once(message: SimpleNamespace):
    told: list[str] = []
    decoder = ImageDecoder(told.append)
    for _ in range(3):
        np.testing.assert_array_equal(decoder.decode(message), EXPECTED)
    (text,) = told
    assert "4000, so 12 bits" in text


def test_sixteen_bits_keep_their_upper_eight_in_either_form():
    told: list[str] = []
    for message in (raw("mono16", GREY * 16), png(GREY * 16)):
        np.testing.assert_array_equal(ImageDecoder(told.append).decode(message), EXPECTED)
    assert told == []


def gbr8(message: SimpleNamespace) -> np.ndarray:
    """Reads an encoding that the zero-copy view does not know."""
    if message.encoding != "gbr8":
        raise ValueError("only gbr8")
    green_first = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
    return green_first[..., [1, 0, 2]]


def test_the_fallback_reads_what_is_unknown_and_nothing_else():
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    decoder = ImageDecoder(pytest.fail, gbr8)
    found = decoder.decode(raw("gbr8", pixels[..., [1, 0, 2]]))
    np.testing.assert_array_equal(found, pixels)
    np.testing.assert_array_equal(decoder.decode(raw("bgr8", pixels)), pixels)
    for encoding, cause in (("bgr9", "'bgr9' is unknown"), ("32SC1", "'32SC1' is no picture")):
        with pytest.raises(ValueError, match=cause):
            decoder.decode(raw(encoding, np.zeros((2, 2), np.int32)))


def test_without_a_fallback_an_unknown_encoding_is_named():
    with pytest.raises(ValueError, match="'gbr8' is unknown"):
        ImageDecoder(pytest.fail).decode(raw("gbr8", np.zeros((2, 2, 3), np.uint8)))
