"""Symbols, shapes and strokes, mostly repeated."""

from __future__ import annotations

import numpy as np

from stn_ros.synthesis.artwork.registry import artwork
from stn_ros.synthesis.drawing import (
    Canvas,
    Lettering,
    cells,
    digits,
    hsv,
    inset,
    luminance,
    mix,
    part,
    word,
)


@artwork("playing_card")
def _playing_card(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    paper = hsv(0.12, rng.uniform(0, 0.2), rng.uniform(0.88, 1))
    c.rectangle(c.box, paper)
    ink = [(20, 20, 20), hsv(0.0, 0.9, 0.75), hsv(0.6, 0.8, 0.5)][rng.integers(3)]
    c.frame(inset(c.box, u * 0.04), mix(ink, paper, rng.uniform(0, 0.6)), u * 0.008)
    index = rng.choice(["A", "K", "Q", "J", *map(str, range(2, 11))])
    corner = part(c.box, 0.06, 0.04, 0.06, 0.04)
    c.text(
        (corner[0], corner[1], corner[0] + u * 0.2, corner[1] + u * 0.2),
        index,
        ink,
        Lettering(rng, 0.15),
    )
    c.icon((corner[0], corner[1] + u * 0.2, corner[0] + u * 0.18, corner[1] + u * 0.36), ink, paper)
    body = part(c.box, 0.22, 0.12, 0.92, 0.9)
    if rng.random() < 0.5:
        c.picture(part(body, 0, 0, 1, 0.82))
        c.frame(part(body, 0, 0, 1, 0.82), ink, u * 0.012)
        c.text(part(body, 0, 0.85, 1, 1), "THE " + word(rng, 1, 2).upper(), ink)
    else:
        for row in cells(body, int(rng.integers(2, 5)), int(rng.integers(1, 4))):
            if rng.random() < 0.8:
                c.icon(inset(row, u * 0.02), p.accent(rng) if rng.random() < 0.3 else ink, paper)


@artwork("matrix_code")
def _matrix_code(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    wide = c.width > c.height
    side = u * rng.uniform(0.6, 0.9)
    x, y = (0.05 * u, (c.height - side) / 2) if wide else ((c.width - side) / 2, 0.05 * u)
    dark = p.ink if luminance(p.ink) < 90 else (15, 15, 15)
    c.matrix_code((x, y, x + side, y + side), dark)
    rest = (
        (x + side + 0.05 * u, 0.1 * c.height, c.width - 0.05 * u, 0.9 * c.height)
        if wide
        else (0.05 * u, y + side + 0.03 * u, c.width - 0.05 * u, c.height - 0.03 * u)
    )
    c.text(part(rest, 0, 0, 1, 0.4), word(rng, 1, 2).upper(), p.ink, Lettering(rng, 0.2))
    c.paragraph(part(rest, 0, 0.45, 1, 1), u * 0.06, p.ink)


@artwork("keypad")
def _keypad(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    body = inset(c.box, u * 0.05)
    if rng.random() < 0.7:
        screen = part(body, 0.04, 0.03, 0.96, 0.2)
        glow = hsv(rng.choice([0.25, 0.5, 0.6, 0.1]), 0.4, rng.uniform(0.3, 0.8))
        c.rounded(screen, glow, u * 0.02)
        c.text(
            inset(screen, u * 0.02),
            digits(rng, int(rng.integers(2, 8))),
            (20, 25, 20),
            Lettering(rng, 0.1),
            1.0,
        )
        body = part(body, 0, 0.25, 1, 1)
    rows, columns = int(rng.integers(3, 6)), int(rng.integers(3, 6))
    radius = u * rng.uniform(0, 0.1)
    signs = "789/456*123-0.=+CE%MR()"
    for i, key in enumerate(cells(body, rows, columns)):
        colour = p.accent(rng) if rng.random() < 0.25 else mix(p.ground, p.ink, 0.2)
        key = inset(key, u * 0.018)
        c.rounded((key[0], key[1], key[2], key[3] + u * 0.012), mix(colour, (0, 0, 0), 0.5), radius)
        c.rounded(key, colour, radius)
        if rng.random() < 0.85:
            c.text(
                inset(key, u * 0.03),
                signs[i % len(signs)],
                p.readable(colour),
                Lettering(rng, 0.12),
            )
        else:
            c.icon(inset(key, u * 0.04), p.readable(colour), colour)


@artwork("circles")
def _circles(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    inks = [p.ink, *p.accents]
    for _ in range(int(rng.integers(10, 70))):
        q, r = rng.uniform(0, 1, 2) * (c.width, c.height), u * rng.uniform(0.02, 0.22)
        ink = inks[rng.integers(len(inks))]
        if rng.random() < 0.7:
            c.disc(q, r, ink)
        else:
            c.ring(q, r, ink, u * rng.uniform(0.005, 0.04))


@artwork("scribble")
def _scribble(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    for _ in range(int(rng.integers(3, 14))):
        n = 60
        a = np.cumsum(rng.normal(0, 0.35, n))
        steps = np.stack([np.cos(a), np.sin(a)], 1) * u * rng.uniform(0.02, 0.06)
        walk = rng.uniform(0, 1, 2) * (c.width, c.height) + np.cumsum(steps, 0)
        c.line(walk, p.any(rng), u * rng.uniform(0.006, 0.05))


@artwork("truchet")
def _truchet(c: Canvas) -> None:
    rng, p = c.rng, c.palette
    n = int(rng.integers(4, 10))
    step = c.unit / n
    ink, thick = p.any(rng), step * rng.uniform(0.12, 0.4)
    arcs = rng.random() < 0.6
    a = np.linspace(0, np.pi / 2, 7)
    quarter = np.stack([np.cos(a), np.sin(a)], 1) * step / 2
    for y in np.arange(0, c.height, step):
        for x in np.arange(0, c.width, step):
            flip = rng.random() < 0.5
            if arcs:
                left = (
                    np.array([x, y]) + (step if flip else 0, 0) + quarter * (-1 if flip else 1, 1)
                )
                right = (
                    np.array([x, y])
                    + (0 if flip else step, step)
                    + quarter * (1 if flip else -1, -1)
                )
                c.line(left, ink, thick)
                c.line(right, ink, thick)
            else:
                ends = [[x, y], [x + step, y + step]] if flip else [[x + step, y], [x, y + step]]
                c.line(np.array(ends), ink, thick)
