from collections.abc import Callable

import cv2
import numpy as np
import pytest

from stn_ros.synthesis.drawing import (
    SUPERSAMPLE,
    Canvas,
    Lettering,
    Palette,
    blend,
    cells,
    fractal_noise,
    luminance,
    part,
    smooth_noise,
)


def canvas(seed: int = 0, size: tuple[int, int] = (120, 80)) -> Canvas:
    return Canvas.blank(np.random.default_rng(seed), size)


def test_finish_has_the_asked_size():
    assert canvas(size=(121, 77)).finish().shape == (77, 121, 3)


def test_rectangle_fills_exactly_its_box():
    c = canvas()
    c.image[:] = 0
    c.rectangle((10, 20, 30, 50), (7, 8, 9))
    filled = (c.image == (7, 8, 9)).all(2)
    assert filled.sum() == 20 * 30
    assert filled[20:50, 10:30].all()


def test_shapes_outside_the_canvas_are_clipped():
    c = canvas()
    c.image[:] = 0
    c.rectangle((-50, -50, 5, 5), (255, 255, 255))
    c.stamp(np.full((40, 40), 255, np.uint8), -30, -30, (255, 255, 255))
    c.stamp(np.full((40, 40), 255, np.uint8), 5000, 5000, (255, 255, 255))
    assert (c.image[:10, :10] == 255).all()
    assert (c.image[10:] == 0).all()


def test_stamp_mixes_by_coverage():
    c = canvas()
    c.image[:] = 100
    c.stamp(np.full((4, 4), 128, np.uint8), 0, 0, (200, 0, 100))
    assert np.abs(c.image[1, 1].astype(int) - (150, 50, 100)).max() <= 1


def test_palette_text_is_readable_on_every_ground():
    for seed in range(200):
        palette = Palette(np.random.default_rng(seed))
        for ground in (palette.ground, palette.ink, *palette.accents):
            assert abs(luminance(palette.readable(ground)) - luminance(ground)) >= 80


def test_text_stays_in_its_box():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        c = Canvas.blank(rng, (200, 100))
        c.image[:] = 0
        box = (50.0, 60.0, 250.0, 120.0)
        c.text(box, "Wortmarke", (255, 255, 255), Lettering(rng))
        ys, xs = np.nonzero(c.image.max(2))
        assert xs.size > 0
        assert xs.min() >= 49
        assert xs.max() <= 251
        assert ys.min() >= 59
        assert ys.max() <= 121


@pytest.mark.parametrize("make", [smooth_noise, fractal_noise])
def test_noise_spans_zero_to_one(make: Callable[..., np.ndarray]):
    field = make(np.random.default_rng(1), 90, 60, 5)
    assert field.shape == (60, 90)
    assert field.min() == pytest.approx(0, abs=1e-5)
    assert field.max() == pytest.approx(1, abs=1e-5)


def test_blend_goes_from_one_colour_to_the_other():
    image = blend(np.array([[0.0, 1.0]], np.float32), (10, 20, 30), (200, 100, 0))
    assert image.tolist() == [[[10, 20, 30], [200, 100, 0]]]


def test_matrix_code_is_a_square_with_three_finders():
    c = canvas(size=(100, 100))
    c.matrix_code((0, 0, 200, 200), (0, 0, 0), (255, 255, 255))
    grey = cv2.cvtColor(c.image, cv2.COLOR_BGR2GRAY)
    cuts = np.abs(np.diff(grey.astype(int), axis=1)).sum() / 255
    assert cuts > 500
    quiet = 14
    assert (grey[:quiet] == 255).all()
    for y, x in ((18, 18), (18, -19), (-19, 18)):
        assert grey[y, x] == 0
    assert grey.shape == (100 * SUPERSAMPLE,) * 2


def test_cells_tile_the_box():
    box = (10.0, 20.0, 110.0, 80.0)
    tiles = cells(box, 3, 4)
    assert len(tiles) == 12
    area = sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in tiles)
    assert area == pytest.approx(100 * 60)
    assert part(box, 0.5, 0, 1, 1) == (60, 20, 110, 80)
