"""Covers and pages: text, tables, charts, music."""

from __future__ import annotations

import itertools

import cv2
import numpy as np

from stn_ros.synthesis.artwork.registry import artwork
from stn_ros.synthesis.drawing import (
    Canvas,
    Lettering,
    blend,
    cells,
    digits,
    fractal_noise,
    hsv,
    inset,
    mean_colour,
    mix,
    part,
    word,
)


@artwork("book_cover")
def _book_cover(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    ground = p.ground
    kind = rng.integers(4)
    if kind == 0:
        c.picture(part(c.box, 0, rng.uniform(0, 0.4), 1, rng.uniform(0.7, 1)))
    elif kind == 1:
        c.gradient(c.box, ground, p.accent(rng), rng.uniform(0, 6.3))
    elif kind == 2:
        c.image[:] = blend(
            fractal_noise(rng, c.width, c.height, 3, 3), ground, mix(ground, p.accent(rng), 0.5)
        )
    if rng.random() < 0.5:
        c.icon(part(c.box, 0.2, 0.4, 0.8, 0.8), p.accent(rng))
    if rng.random() < 0.4:
        c.frame(inset(c.box, u * 0.05), p.accent(rng), u * 0.012)
    lettering = Lettering(rng, rng.uniform(0.08, 0.24))
    y = rng.uniform(0.06, 0.2)
    for _ in range(int(rng.integers(1, 4))):
        h = rng.uniform(0.09, 0.16)
        row = part(c.box, 0.09, y, 0.91, y + h)
        under = mean_colour(c.patch(row))
        c.text(
            row, word(rng, 1, 3).capitalize(), p.readable(under), lettering, rng.choice([0.0, 0.5])
        )
        y += h
    row = part(c.box, 0.15, 0.87, 0.85, 0.95)
    under = mean_colour(c.patch(row))
    c.text(row, f"{word(rng, 1, 2).capitalize()} {word(rng, 2, 3).capitalize()}", p.readable(under))


@artwork("magazine")
def _magazine(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    body = inset(c.box, u * rng.uniform(0.03, 0.07))
    head = rng.uniform(0.1, 0.25)
    c.text(
        part(body, 0, 0, 1, head),
        f"{word(rng).capitalize()} {word(rng, 1, 2)}",
        p.any(rng),
        Lettering(rng, rng.uniform(0.1, 0.25)),
        0.0,
    )
    columns = int(rng.integers(1, 5))
    line = u * rng.uniform(0.022, 0.05)
    small = Lettering(rng, 0.06)
    small.slant = 0.0
    for column in cells(part(body, 0, head + 0.03, 1, 1), 1, columns):
        column = (column[0], column[1], column[2] - u * 0.03, column[3])
        at = 0.0
        while at < 0.97:
            span = rng.uniform(0.15, 0.5)
            block = part(column, 0, at, 1, min(1, at + span))
            kind = rng.random()
            if kind < 0.62:
                c.paragraph(block, line, p.ink, small)
            elif kind < 0.85:
                c.picture((block[0], block[1], block[2], block[3] - line * 0.5))
            elif kind < 0.93:
                colour = mix(p.ground, p.accent(rng), 0.5)
                c.rectangle((block[0], block[1], block[2], block[3] - line * 0.5), colour)
                c.paragraph(inset(block, line * 0.5), line * 1.2, p.readable(colour))
            else:
                c.text(
                    (block[0], block[1], block[2], block[1] + 2.5 * line),
                    word(rng).capitalize() + " " + word(rng),
                    p.accent(rng),
                    Lettering(rng, 0.2),
                    0.0,
                )
                c.paragraph(
                    (block[0], block[1] + 2.6 * line, block[2], block[3]), line, p.ink, small
                )
            at += span


@artwork("letter")
def _letter(c: Canvas) -> None:
    rng, u = c.rng, c.unit
    c.rectangle(c.box, hsv(rng.random(), rng.uniform(0, 0.08), rng.uniform(0.85, 1)))
    ink = hsv(rng.random(), rng.uniform(0, 0.6), rng.uniform(0.02, 0.35))
    body = inset(c.box, u * rng.uniform(0.06, 0.12))
    if rng.random() < 0.7:
        side = u * rng.uniform(0.1, 0.2)
        x = body[0] if rng.random() < 0.6 else body[2] - side
        c.icon((x, body[1], x + side, body[1] + side), c.palette.accent(rng), (250, 250, 250))
    c.paragraph(part(body, rng.choice([0, 0.55]), 0.02, 1, 0.2), u * 0.04, ink)
    line = u * rng.uniform(0.03, 0.05)
    y = 0.25
    while y < 0.85:
        span = rng.uniform(0.1, 0.3)
        c.paragraph(part(body, 0, y, 1, min(y + span, 0.88)), line, ink)
        y += span + 0.03
    hand = Lettering(rng, 0.07)
    hand.font, hand.script = cv2.FONT_HERSHEY_SCRIPT_COMPLEX, None
    x = rng.uniform(0, 0.5)
    c.text(part(body, x, 0.9, x + 0.45, 1), word(rng, 2, 3).capitalize(), (120, 40, 20), hand)


@artwork("table")
def _table(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    body = inset(c.box, u * rng.uniform(0, 0.08))
    if rng.random() < 0.7:
        c.text(
            part(body, 0.02, 0.01, rng.uniform(0.5, 0.98), 0.12),
            f"{word(rng).capitalize()} {digits(rng, 4)}",
            p.ink,
            Lettering(rng, 0.16),
            0.0,
        )
        body = part(body, 0, 0.14, 1, 1)
    rows, columns = int(rng.integers(4, 14)), int(rng.integers(2, 7))
    xs = np.concatenate([[0], np.cumsum(rng.uniform(0.5, 2, columns))])
    xs /= xs[-1]
    header = p.accent(rng)
    zebra = mix(p.ground, p.accent(rng), rng.uniform(0.05, 0.25))
    lines = rng.random() < 0.7
    for r in range(rows):
        row = part(body, 0, r / rows, 1, (r + 1) / rows)
        if r == 0:
            c.rectangle(row, header)
        elif r % 2:
            c.rectangle(row, zebra)
        ink = p.readable(header) if r == 0 else p.ink
        for k in range(columns):
            cell = part(row, xs[k] + 0.01, 0.12, xs[k + 1] - 0.01, 0.9)
            if rng.random() < 0.1:
                continue
            number = k > 0 and r > 0 and rng.random() < 0.85
            text = digits(rng, int(rng.integers(1, 6))) if number else word(rng, 1, 3)
            c.text(cell, text, ink, align=1.0 if number else 0.0)
            if rng.random() < 0.04:
                c.rectangle(part(cell, 0, 0.1, rng.uniform(0.3, 1), 0.9), p.accent(rng))
        if lines:
            c.line(np.array([[row[0], row[3]], [row[2], row[3]]]), p.ink, 1)
    if lines and rng.random() < 0.6:
        for x in xs:
            x = body[0] + x * (body[2] - body[0])
            c.line(np.array([[x, body[1]], [x, body[3]]]), p.ink, 1)


@artwork("chart")
def _chart(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    body = part(c.box, 0.12, 0.18, 0.94, 0.86)
    c.text(
        part(c.box, 0.1, 0.02, 0.9, 0.14),
        f"{word(rng)} {word(rng)} {digits(rng, 2)}",
        p.ink,
        Lettering(rng, 0.12),
        rng.choice([0, 0.5]),
    )
    kind = rng.integers(4)
    if kind < 3:
        grid = mix(p.ground, p.ink, 0.25)
        for k in range(6):
            y = body[1] + (body[3] - body[1]) * k / 5
            c.line(np.array([[body[0], y], [body[2], y]]), grid, 1)
            c.text(
                (0.02 * c.width, y - u * 0.03, body[0] - 4, y + u * 0.03),
                str(int((5 - k) * 20)),
                p.ink,
                align=1.0,
            )
        c.line(np.array([[body[0], body[1]], [body[0], body[3]], [body[2], body[3]]]), p.ink, 2)
    if kind == 0:
        n = int(rng.integers(4, 12))
        for cell in cells(body, 1, n):
            at = 1.0
            for a in p.accents[: int(rng.integers(1, 3))]:
                v = rng.uniform(0.1, 0.5)
                c.rectangle(part(cell, 0.15, at - v, 0.85, at), a)
                at -= v
            c.text((cell[0], body[3] + 4, cell[2], body[3] + u * 0.07), word(rng, 1, 1)[:3], p.ink)
    elif kind in (1, 2):
        xs = np.linspace(body[0], body[2], 30)
        for a in p.accents:
            walk = (
                np.cumsum(rng.normal(0, 1, 30))
                if kind == 1
                else rng.normal(0, 1, 30) + np.linspace(0, 5, 30)
            )
            ys = body[3] - (walk - walk.min()) / np.ptp(walk) * (body[3] - body[1]) * rng.uniform(
                0.4, 0.95
            )
            if kind == 1:
                c.line(np.stack([xs, ys], 1), a, u * rng.uniform(0.006, 0.02))
            else:
                for q in zip(xs, ys, strict=True):
                    c.disc(q, u * 0.012, a)
    else:
        centre = np.array([c.width * rng.uniform(0.35, 0.65), c.height * 0.53])
        r = u * rng.uniform(0.25, 0.38)
        edges = np.concatenate(
            [[0], np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(2, 7)))), [2 * np.pi]]
        )
        for i, (a, b) in enumerate(itertools.pairwise(edges)):
            arc = np.linspace(a, b, 24)
            points = centre + np.stack([np.cos(arc), np.sin(arc)], 1) * r
            c.polygon(
                np.vstack([centre, points]),
                mix(p.accents[i % len(p.accents)], p.ink, 0.12 * (i // len(p.accents))),
            )
        if rng.random() < 0.4:
            c.disc(centre, r * 0.5, p.ground)
    for i, a in enumerate(p.accents):
        x = 0.12 + 0.22 * i
        c.rectangle(part(c.box, x, 0.93, x + 0.03, 0.97), a)
        c.text(part(c.box, x + 0.04, 0.91, x + 0.2, 0.99), word(rng), p.ink, align=0.0)


@artwork("crossword")
def _crossword(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    wide = c.width > c.height
    side = u * 0.9
    x = rng.choice([0.0, 1.0]) * (c.width - side - 0.1 * u) + 0.05 * u if wide else 0.05 * u
    y = 0.05 * u if wide else rng.choice([0.0, 1.0]) * (c.height - side - 0.1 * u) + 0.05 * u
    n = int(rng.integers(6, 13))
    board = (x, y, x + side, y + side)
    for cell in cells(board, n, n):
        if rng.random() < 0.25:
            c.rectangle(cell, p.ink)
        elif rng.random() < 0.5:
            c.text(inset(cell, side / n * 0.12), chr(int(rng.integers(65, 91))), p.ink)
        c.frame(cell, p.ink, 1)
    if wide:
        rest = (
            (0.03 * u, y, x - 0.05 * u, y + side)
            if x > c.width / 4
            else (x + side + 0.04 * u, y, c.width - 0.03 * u, y + side)
        )
    else:
        rest = (
            (x, 0.03 * u, x + side, y - 0.03 * u)
            if y > c.height / 4
            else (x, y + side + 0.04 * u, x + side, c.height)
        )
    c.paragraph(rest, u * 0.05, p.ink)


@artwork("sheet_music")
def _sheet_music(c: Canvas) -> None:
    rng = c.rng
    c.rectangle(c.box, hsv(0.12, rng.uniform(0, 0.25), rng.uniform(0.8, 1)))
    ink = hsv(0.1, rng.uniform(0, 0.5), rng.uniform(0.03, 0.25))
    c.text(part(c.box, 0.15, 0.02, 0.85, 0.13), f"{word(rng, 2, 3).capitalize()} {word(rng)}", ink)
    for staff in cells(part(c.box, 0.05, 0.15, 0.95, 0.98), int(rng.integers(3, 7)), 1):
        gap = (staff[3] - staff[1]) * 0.11
        top = staff[1] + 2.5 * gap
        for k in range(5):
            c.line(np.array([[staff[0], top + k * gap], [staff[2], top + k * gap]]), ink, 1)
        c.ring((staff[0] + gap * 1.5, top + 2 * gap), gap, ink, gap * 0.3)
        c.line(
            np.array([[staff[0] + gap * 1.7, top - gap], [staff[0] + gap * 1.3, top + 5 * gap]]),
            ink,
            gap * 0.3,
        )
        x = staff[0] + 4 * gap
        while x < staff[2] - gap:
            if rng.random() < 0.14:
                c.line(np.array([[x, top], [x, top + 4 * gap]]), ink, 2)
            else:
                y = top + gap * rng.integers(-1, 10) / 2
                c.disc((x, y), gap * 0.55, ink)
                up = -1 if y > top + 2 * gap else 1
                stem = np.array([[x - up * gap * 0.5, y], [x - up * gap * 0.5, y + up * gap * 3]])
                c.line(stem, ink, gap * 0.15)
                if rng.random() < 0.4:
                    c.line(np.array([stem[1], stem[1] + (gap, -up * gap)]), ink, gap * 0.3)
            x += gap * rng.uniform(1.5, 4)
