"""Materials, and faces of low texture."""

from __future__ import annotations

import cv2
import numpy as np

from stn_ros.synthesis.artwork.registry import artwork
from stn_ros.synthesis.drawing import (
    Canvas,
    Lettering,
    blend,
    fractal_noise,
    hsv,
    inset,
    luminance,
    mix,
    part,
    smooth_noise,
    word,
)


@artwork("marble")
def _marble(c: Canvas) -> None:
    rng, p = c.rng, c.palette
    warp = fractal_noise(rng, c.width, c.height, rng.uniform(2, 5), 4)
    axis = smooth_noise(rng, c.width, c.height, 2)
    veins = 0.5 + 0.5 * np.sin((warp * rng.uniform(4, 14) + axis * rng.uniform(2, 8)) * 2)
    if rng.random() < 0.5:
        veins = veins ** rng.uniform(3, 8)
    c.image[:] = blend(veins.astype(np.float32), p.ground, p.any(rng))


@artwork("wood")
def _wood(c: Canvas) -> None:
    rng, u = c.rng, c.unit
    dark = hsv(rng.uniform(0.04, 0.1), rng.uniform(0.3, 0.8), rng.uniform(0.2, 0.55))
    light = mix(dark, (180, 215, 240), rng.uniform(0.2, 0.6))
    field = smooth_noise(rng, c.width, c.height, rng.uniform(1.5, 4), 4)
    grain = 0.5 + 0.5 * np.sin(field * rng.uniform(20, 60))
    fine = smooth_noise(rng, c.width, c.height, 4, 30)
    c.image[:] = blend((0.7 * grain + 0.3 * fine).astype(np.float32), dark, light)
    if rng.random() < 0.7:
        burn = mix(dark, (0, 0, 0), 0.7)
        x = rng.uniform(0.05, 0.5)
        y = rng.uniform(0.05, 0.7)
        if rng.random() < 0.5:
            c.text(
                part(c.box, x, y, x + 0.45, y + 0.2), word(rng).upper(), burn, Lettering(rng, 0.15)
            )
        else:
            c.icon(
                (x * c.width, y * c.height, x * c.width + u * 0.35, y * c.height + u * 0.35),
                burn,
                light,
            )


@artwork("fabric")
def _fabric(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    a = p.accent(rng)
    xs, ys = np.zeros(c.width, np.float32), np.zeros(c.height, np.float32)
    for axis in (xs, ys):
        at = 0
        while at < axis.size:
            w = int(u * rng.uniform(0.02, 0.2)) + 1
            axis[at : at + w] = rng.random()
            at += w
    field = 0.5 * (xs[None] + ys[:, None])
    field = 0.85 * field + 0.15 * smooth_noise(rng, c.width, c.height, c.width / 10)
    c.image[:] = blend(field, p.ground, a)
    patch = u * rng.uniform(0.2, 0.4)
    x, y = rng.uniform(0.05, 0.6) * c.width, rng.uniform(0.05, 0.6) * c.height
    c.rectangle((x, y, x + patch * 1.4, y + patch * 0.6), p.ink)
    c.text((x, y, x + patch * 1.4, y + patch * 0.6), word(rng), p.readable(p.ink))


@artwork("cloud")
def _cloud(c: Canvas) -> None:
    rng, p = c.rng, c.palette
    a = p.any(rng)
    b = mix(p.accent(rng), p.readable(a), rng.uniform(0.4, 1.0))
    contrast = rng.uniform(0.4, 1.0)
    field = fractal_noise(rng, c.width, c.height, rng.uniform(2, 8), int(rng.integers(1, 5)))
    c.image[:] = blend(field, a, mix(a, b, contrast))
    second = fractal_noise(rng, c.width, c.height, rng.uniform(2, 6), 2)
    mask = cv2.convertScaleAbs((second - rng.uniform(0.4, 0.6)) * 400 + 128)
    c.stamp(mask, 0, 0, p.ground, rng.uniform(0, 0.7))


@artwork("plain_logo", low_texture=True)
def _plain_logo(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    if rng.random() < 0.5:
        c.gradient(
            c.box, p.ground, mix(p.ground, p.any(rng), rng.uniform(0.05, 0.3)), rng.uniform(0, 6.3)
        )
    side = u * rng.uniform(0.2, 0.45)
    x, y = rng.uniform(0.04, 0.96, 2) * (c.width - side, c.height - side)
    c.icon((x, y, x + side, y + side), p.any(rng))
    if rng.random() < 0.8:
        h = u * rng.uniform(0.08, 0.18)
        y = y + side + 0.2 * h if y + side + 1.3 * h < c.height else y - 1.3 * h
        x = np.clip(x - side * 0.3, 0.02 * u, 0.5 * c.width)
        c.text(
            (x, y, c.width * 0.96, y + h),
            word(rng, 1, 3).capitalize(),
            p.readable(p.ground),
            Lettering(rng, 0.12),
            0.0,
        )


@artwork("faint_words", low_texture=True)
def _faint_words(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    ground = p.ground
    c.gradient(
        c.box, ground, mix(ground, p.accent(rng), rng.uniform(0.05, 0.35)), rng.uniform(0, 6.3)
    )
    ink = mix(ground, p.readable(ground), rng.uniform(0.3, 0.8))
    for _ in range(int(rng.integers(1, 5))):
        x, y, h = rng.uniform(0.04, 0.4), rng.uniform(0.04, 0.85), rng.uniform(0.07, 0.18)
        c.text(part(c.box, x, y, 0.96, y + h), word(rng, 1, 3), ink, Lettering(rng), 0.0)
    if rng.random() < 0.5:
        c.frame(inset(c.box, u * rng.uniform(0.03, 0.1)), ink, u * 0.006)
    if rng.random() < 0.5:
        x, y = rng.uniform(0.05, 0.75, 2)
        c.icon(
            (x * c.width, y * c.height, x * c.width + 0.2 * u, y * c.height + 0.2 * u), ink, ground
        )


@artwork("embossed", low_texture=True)
def _embossed(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    ground = p.ground if 50 < luminance(p.ground) < 220 else mix(p.ground, (128, 128, 128), 0.4)
    c.rectangle(c.box, ground)
    light, dark = mix(ground, (255, 255, 255), 0.5), mix(ground, (0, 0, 0), 0.5)
    d = max(1.0, u * rng.uniform(0.006, 0.012))
    lettering = Lettering(rng, 0.16)
    for _ in range(int(rng.integers(2, 6))):
        x, y, h = rng.uniform(0.03, 0.5), rng.uniform(0.03, 0.82), rng.uniform(0.08, 0.2)
        mask = lettering.mask(word(rng, 1, 2).upper(), h * c.height)
        for shift, colour in ((-d, light), (d, dark), (0, ground)):
            c.stamp(mask, x * c.width + shift, y * c.height + shift, colour)
    for _ in range(int(rng.integers(1, 5))):
        q, r = rng.uniform(0.05, 0.95, 2) * (c.width, c.height), u * rng.uniform(0.03, 0.2)
        c.ring(q - d, r, light, d * 1.5)
        c.ring(q + d, r, dark, d * 1.5)
