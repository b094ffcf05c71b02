"""Styles that are never drawn for training."""

from __future__ import annotations

import itertools

import cv2
import numpy as np

from stn_ros.synthesis.artwork.registry import artwork
from stn_ros.synthesis.drawing import (
    Canvas,
    Lettering,
    cells,
    darken,
    digits,
    hsv,
    inset,
    mix,
    part,
    smooth_noise,
    word,
)


@artwork("blueprint", held_out=True)
def _blueprint(c: Canvas) -> None:
    rng, u = c.rng, c.unit
    c.rectangle(c.box, hsv(rng.uniform(0.56, 0.64), rng.uniform(0.6, 0.9), rng.uniform(0.35, 0.6)))
    ink = (245, 240, 225)
    for k in np.arange(0, c.width, u * 0.08).tolist():
        c.line(np.array([[k, 0], [k, c.height]]), (150, 95, 50), 1)
    for k in np.arange(0, c.height, u * 0.08).tolist():
        c.line(np.array([[0, k], [c.width, k]]), (150, 95, 50), 1)
    stack = [part(c.box, 0.07, 0.07, 0.93, 0.78)]
    for _ in range(int(rng.integers(3, 7))):
        room = stack.pop(int(rng.integers(len(stack))))
        k = rng.uniform(0.3, 0.7)
        if room[2] - room[0] > room[3] - room[1]:
            stack += [part(room, 0, 0, k, 1), part(room, k, 0, 1, 1)]
        else:
            stack += [part(room, 0, 0, 1, k), part(room, 0, k, 1, 1)]
    for room in stack:
        c.frame(room, ink, u * 0.012)
        if rng.random() < 0.7:
            c.text(part(room, 0.2, 0.4, 0.8, 0.6), word(rng, 1, 1).upper(), ink)
        if rng.random() < 0.6:
            r = int(min(room[2] - room[0], room[3] - room[1]) * 0.35)
            cv2.ellipse(
                c.image, (int(room[0]), int(room[1])), (r, r), 0, 0, 90, ink, 1, cv2.LINE_AA
            )
    c.frame(part(c.box, 0.55, 0.83, 0.97, 0.97), ink, 2)
    c.text(part(c.box, 0.57, 0.84, 0.95, 0.96), f"{word(rng).upper()} {digits(rng, 3)}", ink)
    c.line(np.array([[0.07 * c.width, 0.82 * c.height], [0.5 * c.width, 0.82 * c.height]]), ink, 2)


@artwork("record_sleeve", held_out=True)
def _record_sleeve(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    centre = rng.uniform(0.3, 0.7, 2) * (c.width, c.height)
    for r in np.linspace(0.75, 0.1, int(rng.integers(6, 16))):
        c.disc(centre + rng.normal(0, 0.006, 2) * u, u * r, p.any(rng))
    for k in range(int(rng.integers(20, 50))):
        a = rng.uniform(0, 2 * np.pi)
        d = np.array([np.cos(a), np.sin(a)]) * u
        c.line(
            np.array([centre + d * 0.12, centre + d * rng.uniform(0.2, 0.9)]),
            p.any(rng),
            1 + 2 * (k % 2),
        )
    c.text(
        part(c.box, 0.05, 0.03, 0.7, 0.16),
        word(rng, 2, 3).upper(),
        p.readable(p.ground),
        Lettering(rng, 0.15),
        0.0,
        p.ground,
    )
    c.text(
        part(c.box, 0.3, 0.88, 0.96, 0.97),
        f"{word(rng)} & {word(rng)}",
        p.readable(p.ground),
        None,
        1.0,
        p.ground,
    )


@artwork("board_game", held_out=True)
def _board_game(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    n, m = int(rng.integers(6, 10)), int(rng.integers(6, 10))
    c.gradient(c.box, p.ground, p.accent(rng), rng.uniform(0, 6))
    grid = cells(c.box, n, m)
    ring = [i for i in range(n * m) if i < m or i >= n * m - m or i % m in (0, m - 1)]
    for k, i in enumerate(ring):
        colour = hsv(k / len(ring) * 2, 0.7, 0.9)
        c.rectangle(inset(grid[i], 2), mix(p.ground, (255, 255, 255), 0.6))
        c.rectangle(part(grid[i], 0.03, 0.03, 0.97, 0.3), colour)
        c.text(
            part(grid[i], 0.1, 0.35, 0.9, 0.9),
            str(k + 1) if rng.random() < 0.6 else word(rng, 1, 1),
            (20, 20, 20),
        )
    middle = part(c.box, 1.2 / m, 1.2 / n, 1 - 1.2 / m, 1 - 1.2 / n)
    for _ in range(int(rng.integers(2, 6))):
        x, y = rng.uniform(0, 0.75, 2)
        c.icon(part(middle, x, y, x + 0.25, y + 0.25), p.any(rng))
    c.text(
        part(middle, 0.05, 0.35, 0.95, 0.65),
        word(rng, 2, 2).upper(),
        p.readable(p.ground),
        Lettering(rng, 0.25),
        0.5,
        p.ground,
    )
    if rng.random() < 0.5:
        c.barcode(part(middle, 0.6, 0.8, 1, 1))
    c.frame(c.box, p.ink, u * 0.012)


@artwork("bank_card", held_out=True, low_texture=True)
def _bank_card(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    a = p.accent(rng)
    c.gradient(c.box, a, mix(a, p.ground, rng.uniform(0.1, 0.5)), rng.uniform(0, 6.3))
    ink = p.readable(a)
    chip = part(c.box, 0.08, 0.32, 0.22, 0.5)
    c.rounded(chip, hsv(0.13, 0.45, 0.85), u * 0.03)
    c.line(
        np.array([[chip[0], (chip[1] + chip[3]) / 2], [chip[2], (chip[1] + chip[3]) / 2]]),
        (60, 90, 110),
        2,
    )
    mono = Lettering(rng, 0.1)
    mono.script = None
    c.text(
        part(c.box, 0.08, 0.58, 0.92, 0.72),
        " ".join(digits(rng, 4) for _ in range(4)),
        ink,
        mono,
        0.0,
    )
    c.text(
        part(c.box, 0.08, 0.82, 0.6, 0.92),
        f"{word(rng).upper()} {word(rng, 2, 2).upper()}",
        ink,
        mono,
        0.0,
    )
    c.text(part(c.box, 0.5, 0.06, 0.94, 0.22), word(rng, 2, 2), ink, Lettering(rng, 0.2), 1.0)
    q = np.array([0.82 * c.width, 0.85 * c.height])
    c.disc(q, u * 0.08, p.accent(rng))
    c.disc((q[0] + u * 0.09, q[1]), u * 0.08, p.readable(a))


@artwork("stained_glass", held_out=True)
def _stained_glass(c: Canvas) -> None:
    rng, u = c.rng, c.unit
    count = int(rng.integers(18, 60))
    plan = cv2.Subdiv2D((0, 0, c.width, c.height))
    for q in rng.uniform(0.01, 0.99, (count, 2)) * (c.width, c.height):
        plan.insert((float(q[0]), float(q[1])))
    facets, _ = plan.getVoronoiFacetList([])
    hue = rng.random()
    for facet in facets:
        light = hsv(
            hue + rng.choice([0, 0.1, 0.4, 0.55]) + rng.normal(0, 0.03),
            rng.uniform(0.5, 1),
            rng.uniform(0.3, 1),
        )
        c.polygon(facet, light)
    for facet in facets:
        c.line(np.vstack([facet, facet[:1]]), (20, 20, 20), u * 0.016)
    darken(c.image, 0.3 * smooth_noise(rng, c.width, c.height, 12))


@artwork("transit_map", held_out=True)
def _transit_map(c: Canvas) -> None:
    rng, u = c.rng, c.unit
    c.rectangle(c.box, hsv(0.1, rng.uniform(0, 0.08), rng.uniform(0.9, 1)))
    for _ in range(int(rng.integers(4, 9))):
        colour = hsv(rng.random(), rng.uniform(0.7, 1), rng.uniform(0.5, 0.95))
        q = rng.uniform(0.05, 0.95, 2) * (c.width, c.height)
        heading = int(rng.integers(8))
        points = [q]
        for _ in range(int(rng.integers(3, 7))):
            heading += int(rng.integers(-1, 2))
            d = np.array([np.cos(heading * np.pi / 4), np.sin(heading * np.pi / 4)])
            points.append(points[-1] + d * u * rng.uniform(0.12, 0.35))
        line = np.array(points)
        c.line(line, colour, u * 0.028)
        for a, b in itertools.pairwise(line):
            for k in np.linspace(0, 1, int(rng.integers(2, 4)), endpoint=False):
                s = a + (b - a) * k
                c.disc(s, u * 0.02, (20, 20, 20))
                c.disc(s, u * 0.012, (255, 255, 255))
                if rng.random() < 0.6:
                    c.text(
                        (s[0] + u * 0.02, s[1] - u * 0.05, s[0] + u * 0.25, s[1]),
                        word(rng, 1, 2).capitalize(),
                        (60, 30, 30),
                        align=0.0,
                    )
    c.text(
        part(c.box, 0.04, 0.02, 0.5, 0.12),
        word(rng, 2, 2).capitalize() + " Metro",
        (120, 40, 20),
        Lettering(rng, 0.18),
        0.0,
    )


@artwork("gadget", held_out=True, low_texture=True)
def _gadget(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    shell = hsv(rng.random(), rng.uniform(0, 0.3), rng.choice([0.12, 0.3, 0.6, 0.9]))
    c.gradient(c.box, shell, mix(shell, (128, 128, 128), 0.2), rng.uniform(0, 6.3))
    glass = part(c.box, 0.08, 0.08, rng.uniform(0.5, 0.92), rng.uniform(0.35, 0.6))
    c.rounded(glass, mix(shell, (10, 10, 10), 0.8), u * 0.03)
    if rng.random() < 0.6:
        c.text(
            part(glass, 0.1, 0.2, 0.7, 0.8),
            f"{digits(rng, 2)}.{digits(rng, 1)}",
            hsv(rng.choice([0.33, 0.5, 0.0]), 0.8, 0.9),
            Lettering(rng, 0.1),
            0.0,
        )
    for _ in range(int(rng.integers(1, 4))):
        q, r = (
            np.array([rng.uniform(0.15, 0.85) * c.width, rng.uniform(0.7, 0.88) * c.height]),
            u * rng.uniform(0.05, 0.1),
        )
        c.disc(q + u * 0.008, r, mix(shell, (0, 0, 0), 0.5))
        c.disc(q, r, mix(shell, p.accent(rng), rng.uniform(0.1, 0.9)))
    ink = mix(shell, p.readable(shell), rng.uniform(0.4, 0.9))
    c.text(part(c.box, 0.5, 0.9, 0.95, 0.98), word(rng, 2, 3), ink, Lettering(rng, 0.1), 1.0)
