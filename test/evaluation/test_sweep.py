"""Windows that leave no place out, and a sweep that comes to all of them."""

import numpy as np
import pytest

from stn_ros.evaluation.sweep import Sweep, windows
from stn_ros.runtime.object_model import ObjectModel

SIZE = (640, 480)
RED, GREEN = (40, 40, 200), (40, 170, 60)


@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (480, 640), (100, 100), (1000, 90)])
def test_windows_lie_in_the_image_largest_first(size: tuple[int, int]):
    boxes = np.array(windows(size))
    assert boxes[:, :2].min() >= -0.5
    assert (boxes[:, :2] + boxes[:, 2:] <= np.array(size) - 0.5 + 1e-9).all()
    assert (np.diff(boxes[:, 2]) <= 0).all()
    assert len(boxes) < 1000


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1280, 720)])
@pytest.mark.parametrize("share", [0.33, 0.5, 0.8, 1.0])
def test_every_object_has_a_window_that_fits_it(size: tuple[int, int], share: float):
    """One within 0.6 to 1.8 times its size, its centre at most a fifth of it off."""
    side = share * min(size)
    boxes = np.array(windows(size))
    fitting = boxes[(boxes[:, 2] >= 0.6 * side) & (boxes[:, 2] <= 1.8 * side)]
    centres = fitting[:, :2] + fitting[:, 2:] / 2
    rng = np.random.default_rng(0)
    for centre in rng.uniform(side / 2, np.array(size) - side / 2 + 1e-6, (200, 2)):
        off = np.abs(centres - centre).max(axis=1)
        assert off.min() <= 0.2 * side


def print_of(colour: tuple[int, int, int], size: tuple[int, int]) -> np.ndarray:
    """A picture of one colour in lighter and darker squares."""
    squares = np.indices(size[::-1]).sum(axis=0, keepdims=True).transpose(1, 2, 0) // 12 % 2
    return (np.array(colour) * (1 - 0.3 * squares)).astype(np.uint8)


OBJECTS = [
    ObjectModel("box", print_of(RED, (96, 96))),
    ObjectModel("mug", print_of(GREEN, (96, 96))),
]
GREY = print_of((120, 120, 120), SIZE)


def box_of(region: object) -> tuple[float, ...]:
    return region.left, region.top, region.width, region.height


@pytest.mark.parametrize("place", [(40, 60), (400, 280), (250, 20)])
def test_the_window_with_the_objects_colours_comes_first(place: tuple[int, int]):
    frame, (x, y) = GREY.copy(), place
    frame[y : y + 180, x : x + 180] = print_of(RED, (180, 180))
    other = np.array([(450, 20), (40, 260), (30, 280)][[40, 400, 250].index(x)])
    frame[other[1] : other[1] + 180, other[0] : other[0] + 180] = print_of(GREEN, (180, 180))
    first = {one.object_name: box_of(one) for one in Sweep(OBJECTS).regions(frame, 2)}
    for name, corner in (("box", np.array(place)), ("mug", other)):
        left, top, width, height = first[name]
        assert np.abs(np.array([left + width / 2, top + height / 2]) - corner - 90).max() < 60
        assert width < 1.8 * 180


HUES = [(40, 40, 160), (40, 130, 140), (40, 150, 40), (150, 140, 40), (170, 50, 50), (150, 40, 130)]


@pytest.mark.parametrize("wanted", range(6))
@pytest.mark.parametrize("turn", [1, 2, 3, 4, 5])
def test_colours_all_around_the_circle_are_told_apart(wanted: int, turn: int):
    """The window on the square of the object's hue comes first, not that on another's."""
    frame = np.full((240, 480, 3), 120, np.uint8)
    for left, hue in ((30, wanted), (270, (wanted + turn) % 6)):
        frame[30:210, left : left + 180] = print_of(HUES[hue], (180, 180))
    sweep = Sweep([ObjectModel("one", print_of(HUES[wanted], (96, 96)))])
    (region,) = sweep.regions(frame, 1)
    assert region.left + region.width / 2 < 240


@pytest.mark.parametrize("colour", [(0, 0, 255), (255, 0, 0), (0, 255, 0), (0, 255, 255)])
def test_the_strongest_colours_are_found(colour: tuple[int, int, int]):
    frame = GREY.copy()
    frame[280:460, 420:600] = print_of(colour, (180, 180))
    (region,) = Sweep([ObjectModel("one", print_of(colour, (96, 96)))]).regions(frame, 1)
    assert 420 - 60 < region.left + region.width / 2 - 90 < 420 + 60
    assert 280 - 60 < region.top + region.height / 2 - 90 < 280 + 60


def test_without_colours_the_window_with_contrast_comes_first():
    frame = np.full((*SIZE[::-1], 3), 120, np.uint8)
    frame[280:460, 420:600] = print_of((150, 150, 150), (180, 180))
    (region,) = Sweep(OBJECTS[:1]).regions(frame, 1)
    assert 420 - 60 < region.left + region.width / 2 - 90 < 420 + 60
    assert 280 - 60 < region.top + region.height / 2 - 90 < 280 + 60


@pytest.mark.parametrize("background", [np.zeros_like(GREY), GREY])
def test_a_sweep_comes_to_every_window_of_every_object_once(background: np.ndarray):
    frame = background.copy()
    frame[50:250, 50:250] = print_of(RED, (200, 200))
    everything = {(name, *map(float, box)) for name in ("box", "mug") for box in windows(SIZE)}
    seen = Sweep(OBJECTS).regions(frame, 10_000)
    assert [one.object_name for one in seen[:4]] == ["box", "mug", "box", "mug"]
    assert len(seen) == len(everything)
    assert {(one.object_name, *box_of(one)) for one in seen} == everything


def test_a_budget_is_kept_and_shared_among_the_objects():
    regions = Sweep(OBJECTS).regions(GREY, 11)
    assert [one.object_name for one in regions] == ["box", "mug"] * 5 + ["box"]
    assert Sweep(OBJECTS).regions(GREY, 0) == []


@pytest.mark.parametrize("size", [(1, 1), (320, 200), (30, 900)])
def test_images_of_any_size(size: tuple[int, int]):
    regions = Sweep(OBJECTS).regions(np.zeros((*size[::-1], 3), np.uint8), 3)
    assert {box_of(one) for one in regions} <= set(windows(size))
