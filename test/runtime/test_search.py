"""Windows that leave no place out, and a sweep that comes to all of them."""

import numpy as np
import pytest

from stn_ros.runtime.search import Sweep, windows


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


def test_a_sweep_comes_to_every_window_of_every_object():
    sweep = Sweep()
    boxes = windows((640, 480))
    seen = [sweep.region((640, 480), ["box", "mug"]) for _ in range(2 * len(boxes))]
    assert {(one.object_name, one.left, one.top, one.width, one.height) for one in seen} == {
        (name, *box) for name in ("box", "mug") for box in boxes
    }
    assert [one.object_name for one in seen[:4]] == ["box", "mug", "box", "mug"]
    assert seen[0].width == seen[1].width == 480


def test_a_sweep_goes_on_when_objects_come_and_go():
    sweep = Sweep()
    assert sweep.region((640, 480), []) is None
    first = [
        sweep.region((640, 480), names) for names in (["a", "b", "c"], ["b", "c"], ["c"], ["c"])
    ]
    assert [one.object_name for one in first] == ["a", "c", "c", "c"]
    assert len({(one.left, one.top, one.width) for one in first}) == 3
