import cv2
import numpy as np
import pytest

from stn_ros.runtime.print_comparison import PrintComparison, compare_prints
from stn_ros.runtime.sampling import FrameSampler

WIDTH, HEIGHT = 120, 90
NOTHING = {"hue": 0.0, "misprint": 0.0}


def _label(word="orange", colour=(40, 60, 210)):
    """White paper with lines, a coloured panel and a word, (90, 120, 3) BGR."""
    face = np.full((HEIGHT, WIDTH, 3), 220, np.uint8)
    cv2.rectangle(face, (8, 8), (111, 36), colour, -1)
    cv2.circle(face, (96, 22), 9, (240, 240, 240), -1)
    cv2.putText(face, word, (14, 60), cv2.FONT_HERSHEY_DUPLEX, 0.75, (30, 30, 30), 1, cv2.LINE_AA)
    for row in (70, 76, 82):
        cv2.line(face, (12, row), (60 + row % 7 * 6, row), (60, 60, 60), 2)
    return face


def _seen(face):
    return np.dstack([face, np.full((HEIGHT, WIDTH), 255, np.uint8)])


def _lit(face, gain):
    return (face * np.asarray(gain)).clip(0, 255).astype(np.uint8)


def test_a_face_is_like_itself():
    assert compare_prints(_seen(_label()), _label(), 0.0) == NOTHING


def test_a_hue_turned_counts():
    turned = compare_prints(_seen(_label(colour=(60, 170, 40))), _label(), 0.0)
    assert turned["hue"] > 0.05


@pytest.mark.parametrize("tint", [(0.7, 0.9, 1.0), (1.0, 0.85, 0.75), (0.5, 0.5, 0.5)])
def test_the_tint_of_the_light_does_not(tint):
    assert compare_prints(_seen(_lit(_label(), tint)), _label(), 0.0) == NOTHING


def test_a_ramp_of_light_does_not():
    ramp = np.linspace(0.4, 1.1, WIDTH)[None, :, None] * np.linspace(1, 0.4, HEIGHT)[:, None, None]
    assert compare_prints(_seen(_lit(_label(), ramp)), _label(), 0.0) == NOTHING
    assert compare_prints(_seen(_lit(_label("grapes"), ramp)), _label(), 0.0)["misprint"] > 0.05


def test_a_shadow_with_an_edge_does_not():
    shadow = np.ones((HEIGHT, WIDTH, 1))
    shadow[:, 70:] = 0.6
    soft = cv2.blur(shadow, (7, 7))[..., None]
    assert compare_prints(_seen(_lit(_label(), soft)), _label(), 0.0) == NOTHING


@pytest.mark.parametrize("word", ["grapes", "cherry", "banana"])
def test_a_changed_word_counts(word):
    changed = compare_prints(_seen(_label(word)), _label(), 0.0)
    assert changed["misprint"] > 0.05
    assert changed["hue"] == 0.0


@pytest.mark.parametrize("colour", [(130, 90, 60), (20, 20, 20), (70, 200, 230)])
@pytest.mark.parametrize(
    "corners",
    [
        [(60, 0), (120, 0), (120, 90), (45, 90)],
        [(0, 50), (70, 40), (80, 90), (0, 90)],
        [(30, 25), (80, 30), (75, 70), (25, 65)],
    ],
)
def test_an_occluder_does_not(colour, corners):
    seen = _label()
    cv2.fillPoly(seen, [np.array(corners)], colour, cv2.LINE_AA)
    assert compare_prints(_seen(seen), _label(), 0.0) == NOTHING


def test_glare_does_not():
    light = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(light, (45, 55), 21, 255, -1)
    seen = cv2.add(_label(), cv2.merge([cv2.GaussianBlur(light, (0, 0), 2)] * 3))
    assert compare_prints(_seen(seen), _label(), 0.0) == NOTHING


def test_the_reference_is_blurred_as_told():
    """By the same kernel, a blurred face is like itself, and a word told apart all the same."""
    blurred = cv2.GaussianBlur(_label(), (0, 0), 1.6)
    assert compare_prints(_seen(blurred), _label(), 1.6) == NOTHING
    other = cv2.GaussianBlur(_label("grapes"), (0, 0), 1.6)
    assert compare_prints(_seen(other), _label(), 1.6)["misprint"] > 0.02


def test_what_is_not_in_the_frame_is_not_compared():
    seen = _seen(_label("grapes"))
    seen[40:, :, 3] = 0
    assert compare_prints(seen, _label(), 0.0) == NOTHING
    assert compare_prints(np.zeros_like(seen), _label(), 0.0) == NOTHING


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_plain_face_has_no_print_to_differ(grey):
    plain = np.full((HEIGHT, WIDTH, 3), grey, np.uint8)
    assert compare_prints(_seen(plain), plain, 0.0) == NOTHING
    assert all(np.isfinite(value) for value in compare_prints(_seen(plain), _label(), 0.0).values())


@pytest.mark.parametrize("scale", [0.8, 1.0, 2.5])
def test_a_face_in_a_frame_is_compared_where_it_lies(scale):
    homography = np.array([[0.9 * scale, -0.3, 60], [0.3, 0.9 * scale, 40], [0, 0, 1.0]])
    comparison = PrintComparison(_label())
    outcomes = []
    for word in ("orange", "grapes"):
        frame = np.full((480, 640, 3), (90, 120, 60), np.uint8)
        cv2.warpPerspective(
            _label(word), homography, (640, 480), frame, cv2.INTER_AREA, cv2.BORDER_TRANSPARENT
        )
        outcomes.append(comparison.compare(FrameSampler(frame), homography, 0.0))
    assert outcomes[0] == NOTHING
    assert outcomes[1]["misprint"] > 0.03


@pytest.mark.parametrize("size", [(24, 240), (240, 24), (16, 16)])
def test_faces_of_any_shape(size):
    width, height = size
    face = np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)
    frame = np.zeros((300, 300, 3), np.uint8)
    frame[20 : 20 + height, 20 : 20 + width] = face
    place = np.array([[1.0, 0, 20], [0, 1, 20], [0, 0, 1]])
    assert set(PrintComparison(face).compare(FrameSampler(frame), place, 0.01)) == set(NOTHING)
