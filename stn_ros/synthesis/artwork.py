"""Print-like flat faces drawn procedurally in many styles.

`draw(seed, size)` gives one face; the same arguments give the same picture. The two splits share
no picture: their random streams differ for every seed, and `HELD_OUT_STYLES` are never drawn for
training at all.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import cv2
import numpy as np

from stn_ros.synthesis.drawing import (
    Canvas,
    Lettering,
    blend,
    cells,
    digits,
    fractal_noise,
    hsv,
    inset,
    luminance,
    mix,
    part,
    smooth_noise,
    word,
)

SPLITS = ("train", "held_out")
Style = Callable[[Canvas], None]


# --- packages and labels -------------------------------------------------------------------------


def _product_box(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    if rng.random() < 0.6:
        c.gradient(
            c.box, p.ground, mix(p.ground, p.accent(rng), rng.uniform(0.2, 1)), rng.uniform(0, 6.3)
        )
    shape = rng.integers(4)
    band = p.accent(rng)
    if shape == 0:
        y = rng.uniform(0.1, 0.5)
        c.rectangle(part(c.box, 0, y, 1, y + rng.uniform(0.2, 0.4)), band)
    elif shape == 1:
        c.disc(rng.uniform(0.2, 0.8, 2) * (c.width, c.height), u * rng.uniform(0.3, 0.55), band)
    elif shape == 2:
        t = rng.uniform(0.2, 0.8, 2)
        corner = [
            [0, c.height],
            [0, c.height * t[0]],
            [c.width, c.height * t[1]],
            [c.width, c.height],
        ]
        c.polygon(np.array(corner), band)
    name = word(rng, 1, 2).upper() if rng.random() < 0.6 else word(rng, 1, 3).capitalize()
    top = rng.uniform(0.06, 0.45)
    title = part(c.box, 0.06, top, 0.94, top + rng.uniform(0.2, 0.34))
    where = c.patch(title)
    under = tuple(int(v) for v in cv2.mean(where)[:3])
    ink = p.readable(under)
    outline = p.readable(ink) if rng.random() < 0.35 else None
    c.text(
        title,
        name,
        ink,
        Lettering(rng, rng.uniform(0.14, 0.3)),
        rng.choice([0.0, 0.5, 1.0]),
        outline,
    )
    line = (title[0], title[3], title[2], title[3] + 0.09 * c.height)
    c.text(line, f"{word(rng)} {word(rng)} {word(rng)}", ink, align=rng.choice([0.0, 0.5, 1.0]))
    spots = cells(part(c.box, 0.05, 0.62, 0.95, 0.95), 1, int(rng.integers(2, 5)))
    for spot in spots:
        spot = inset(spot, u * 0.02)
        kind = rng.random()
        if kind < 0.35:
            c.icon(spot, p.any(rng))
        elif kind < 0.5:
            c.picture(spot)
        elif kind < 0.65:
            c.barcode(part(spot, 0, 0.3, 1, 1))
        elif kind < 0.85:
            c.paragraph(spot, u * rng.uniform(0.04, 0.07), p.readable(p.ground))
        else:
            c.text(spot, digits(rng, 3) + " g", p.readable(p.ground), Lettering(rng, 0.2))
    if rng.random() < 0.4:
        centre = (rng.choice([0.15, 0.85]) * c.width, rng.uniform(0.1, 0.9) * c.height)
        badge = u * rng.uniform(0.09, 0.15)
        colour = p.accent(rng)
        c.disc(centre, badge, colour)
        box = (
            centre[0] - badge * 0.8,
            centre[1] - badge * 0.5,
            centre[0] + badge * 0.8,
            centre[1] + badge * 0.5,
        )
        c.text(
            box,
            rng.choice(["NEW", "BIO", "50%", "XL", "2in1"]),
            p.readable(colour),
            Lettering(rng, 0.2),
        )


def _label(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    if rng.random() < 0.7:
        c.frame(inset(c.box, u * 0.03), p.ink, u * rng.uniform(0.006, 0.02))
    rows = np.sort(rng.uniform(0.15, 0.85, int(rng.integers(2, 5))))
    edges = [0.06, *rows, 0.94]
    for a, b in itertools.pairwise(edges):
        if b - a < 0.05:
            continue
        row = part(c.box, 0.06, a + 0.01, 0.94, b - 0.01)
        if rng.random() < 0.5:
            c.line(np.array([[row[0], row[3]], [row[2], row[3]]]), p.ink, u * 0.006 + 1)
        cut = rng.uniform(0.3, 0.75)
        for x0, x1 in ((0, cut), (cut + 0.03, 1)):
            cell = part(row, x0, 0.04, x1, 0.96)
            kind = rng.random()
            if kind < 0.3:
                c.paragraph(cell, u * rng.uniform(0.035, 0.07), p.ink)
            elif kind < 0.5:
                c.barcode(cell)
            elif kind < 0.6:
                c.matrix_code(cell)
            elif kind < 0.8:
                c.text(
                    cell,
                    f"{word(rng, 1, 1).upper()}-{digits(rng, 4)}",
                    p.any(rng),
                    Lettering(rng),
                    0.0,
                )
            elif kind < 0.9:
                c.rectangle(cell, p.ink)
                c.text(inset(cell, u * 0.02), word(rng).upper(), p.ground)
            else:
                c.icon(cell, p.any(rng))


def _nutrition(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    ink = p.ink
    body = inset(c.box, u * rng.uniform(0.03, 0.1))
    c.frame(body, ink, u * 0.012)
    c.text(
        part(body, 0.03, 0.01, 0.97, 0.16),
        word(rng, 2, 3).capitalize() + " " + word(rng),
        ink,
        Lettering(rng, 0.2),
        0.0,
    )
    c.rectangle(part(body, 0.03, 0.17, 0.97, 0.17 + rng.uniform(0.01, 0.04)), ink)
    rows = int(rng.integers(6, 13))
    for i, row in enumerate(cells(part(body, 0.03, 0.23, 0.97, 0.97), rows, 1)):
        indent = 0.08 if rng.random() < 0.35 else 0.0
        c.text(
            part(row, indent, 0.08, 0.7, 0.92),
            f"{word(rng)} {word(rng, 1, 1)} {digits(rng, 2)}g",
            ink,
            align=0.0,
        )
        c.text(part(row, 0.75, 0.08, 1, 0.92), digits(rng, 2) + "%", ink, align=1.0)
        if i:
            c.line(
                np.array([[row[0], row[1]], [row[2], row[1]]]), ink, 1 + 3 * (rng.random() < 0.15)
            )


def _warning_sign(c: Canvas) -> None:
    rng, u = c.rng, c.unit
    ground = hsv(
        *((0.14, 0.95, 0.98), (0.0, 0.9, 0.8), (0.07, 0.95, 0.95), (0.6, 0.85, 0.7), (0, 0, 0.96))[
            rng.integers(5)
        ]
    )
    ink = (10, 10, 10) if luminance(ground) > 110 else (245, 245, 245)
    c.rectangle(c.box, ground)
    c.frame(inset(c.box, u * 0.035), ink, u * rng.uniform(0.01, 0.03))
    wide = c.width > c.height * 1.15
    sign = part(c.box, 0.06, 0.08, 0.42, 0.92) if wide else part(c.box, 0.1, 0.06, 0.9, 0.55)
    words = part(c.box, 0.45, 0.12, 0.94, 0.9) if wide else part(c.box, 0.08, 0.58, 0.92, 0.94)
    centre = np.array([(sign[0] + sign[2]) / 2, (sign[1] + sign[3]) / 2])
    r = min(sign[2] - sign[0], sign[3] - sign[1]) / 2
    if rng.random() < 0.6:
        tri = np.array([[0, -1], [0.95, 0.75], [-0.95, 0.75]])
        c.polygon(centre + tri * r, ink)
        c.polygon(centre + (tri * 0.75 + (0, 0.04)) * r, ground)
        inner = (
            centre[0] - 0.3 * r,
            centre[1] - 0.3 * r,
            centre[0] + 0.3 * r,
            centre[1] + 0.55 * r,
        )
    else:
        c.disc(centre, r, ink)
        c.disc(centre, r * 0.82, ground)
        inner = (centre[0] - 0.5 * r, centre[1] - 0.5 * r, centre[0] + 0.5 * r, centre[1] + 0.5 * r)
    if rng.random() < 0.4:
        c.text(inner, "!", ink, Lettering(rng, 0.25))
    else:
        c.icon(inner, ink, ground)
    c.text(
        part(words, 0, 0, 1, 0.4),
        rng.choice(["DANGER", "CAUTION", "WARNING", "STOP", "NOTICE"]),
        ink,
        Lettering(rng, 0.22),
    )
    c.paragraph(part(words, 0, 0.45, 1, 1), u * rng.uniform(0.06, 0.1), ink, Lettering(rng, 0.12))


def _stripes_icons(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    angle = rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)])
    n = np.array([np.cos(angle), np.sin(angle)])
    t = np.array([-n[1], n[0]])
    reach = np.hypot(c.width, c.height)
    at = -reach / 2
    centre = np.array([c.width, c.height]) / 2
    while at < reach / 2:
        w = u * rng.uniform(0.03, 0.25)
        if rng.random() < 0.6:
            q = [
                n * at - t * reach,
                n * (at + w) - t * reach,
                n * (at + w) + t * reach,
                n * at + t * reach,
            ]
            c.polygon(centre + np.array(q), p.any(rng))
        at += w
    for _ in range(int(rng.integers(2, 8))):
        side = u * rng.uniform(0.12, 0.4)
        x, y = rng.uniform(0, c.width - side), rng.uniform(0, c.height - side)
        field = (x, y, x + side, y + side)
        ground = p.ground
        if rng.random() < 0.5:
            c.rounded(field, ground, side * rng.uniform(0, 0.5))
        c.icon(inset(field, side * 0.12), p.readable(ground))
    if rng.random() < 0.7:
        field = part(c.box, 0.1, rng.uniform(0.1, 0.7), 0.9, 1)
        field = (*field[:3], field[1] + 0.16 * c.height)
        c.rectangle(field, p.ink)
        c.text(
            inset(field, u * 0.015), word(rng, 2, 3).upper(), p.readable(p.ink), Lettering(rng, 0.2)
        )


# --- paper ---------------------------------------------------------------------------------------


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
        under = tuple(int(v) for v in cv2.mean(c.patch(row))[:3])
        c.text(
            row, word(rng, 1, 3).capitalize(), p.readable(under), lettering, rng.choice([0.0, 0.5])
        )
        y += h
    row = part(c.box, 0.15, 0.87, 0.85, 0.95)
    under = tuple(int(v) for v in cv2.mean(c.patch(row))[:3])
    c.text(row, f"{word(rng, 1, 2).capitalize()} {word(rng, 2, 3).capitalize()}", p.readable(under))


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


def _calendar(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    head = rng.uniform(0.15, 0.5)
    band = p.accent(rng)
    if head > 0.32:
        c.picture(part(c.box, 0, 0, 1, head - 0.12))
    else:
        c.rectangle(part(c.box, 0, 0, 1, head), band)
    row = part(c.box, 0.05, head - 0.12, 0.95, head)
    c.rectangle((0, row[1], c.width, row[3]), band)
    c.text(
        row,
        f"{word(rng, 2, 3).upper()} {digits(rng, 4)}",
        p.readable(band),
        Lettering(rng, 0.15),
        rng.choice([0.0, 0.5, 1]),
    )
    days = cells(part(c.box, 0.03, head + 0.02, 0.97, 0.98), 6, 7)
    first = int(rng.integers(0, 7))
    lined = rng.random() < 0.5
    for i, day in enumerate(days):
        n = i - first - 7 + 1
        if i < 7:
            c.text(inset(day, u * 0.01), "MTWTFSS"[i], p.accent(rng))
        elif 1 <= n <= 31:
            if rng.random() < 0.06:
                c.rounded(inset(day, u * 0.008), band, u * 0.1)
            c.text(inset(day, u * 0.012), str(n), p.ink)
            if lined:
                c.frame(day, p.ink, 1)


def _ticket(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    if rng.random() < 0.6:
        field = smooth_noise(rng, c.width, c.height, rng.uniform(2, 5))
        rings = 0.5 + 0.5 * np.sin(field * rng.uniform(15, 60))
        c.image[:] = blend(
            rings.astype(np.float32), p.ground, mix(p.ground, p.accent(rng), rng.uniform(0.15, 0.4))
        )
    wide = c.width > c.height
    cut = rng.uniform(0.62, 0.8)
    main = part(c.box, 0.03, 0.05, cut, 0.95) if wide else part(c.box, 0.05, 0.03, 0.95, cut)
    stub = (
        part(c.box, cut + 0.03, 0.05, 0.97, 0.95)
        if wide
        else part(c.box, 0.05, cut + 0.03, 0.95, 0.97)
    )
    for k in np.linspace(0, 1, 26):
        at = (
            (cut * c.width + 0.015 * u, k * c.height)
            if wide
            else (k * c.width, cut * c.height + 0.015 * u)
        )
        c.disc(at, u * 0.008, p.ink)
    band = p.accent(rng)
    c.rectangle(part(main, 0, 0, 1, 0.2), band)
    c.text(
        part(main, 0.03, 0.02, 0.97, 0.18),
        f"{word(rng, 2, 3).upper()}",
        p.readable(band),
        Lettering(rng, 0.2),
    )
    c.text(
        part(main, 0, 0.25, 0.6, 0.55),
        f"{digits(rng, 2)}:{digits(rng, 2)}",
        p.ink,
        Lettering(rng, 0.18),
        0.0,
    )
    c.paragraph(part(main, 0, 0.6, 0.6, 1), u * 0.07, p.ink)
    c.icon(part(main, 0.65, 0.3, 1, 0.95), p.accent(rng))
    c.text(part(stub, 0, 0, 1, 0.22), "No " + digits(rng, 4), p.any(rng))
    (c.matrix_code if rng.random() < 0.4 else c.barcode)(part(stub, 0, 0.3, 1, 0.95))


def _postcard(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    margin = u * rng.choice([0, 0.04, 0.07])
    side = rng.random() < 0.35
    area = inset(c.box, margin)
    c.picture(part(area, 0, 0, 1, 1) if side else part(area, 0, 0, 1, rng.uniform(0.7, 0.85)))
    hand = Lettering(rng, rng.uniform(0.06, 0.18))
    if side:
        y = rng.choice([0.06, 0.72])
        c.text(
            part(area, 0.06, y, 0.94, y + 0.22),
            "Greetings " + word(rng).capitalize(),
            (245, 245, 250),
            hand,
            0.5,
            p.ink,
        )
    else:
        c.text(
            part(area, 0.04, 0.86, rng.uniform(0.6, 0.96), 0.98),
            f"{word(rng).capitalize()} {word(rng)} {word(rng)}",
            p.ink,
            hand,
            0.0,
        )
    if rng.random() < 0.5:
        for i in range(int(rng.integers(1, 4))):
            s = u * 0.22
            c.picture(
                (
                    margin + u * 0.05 + i * s * 1.2,
                    margin + u * 0.05,
                    margin + u * 0.05 + i * s * 1.2 + s,
                    margin + u * 0.05 + s * 0.8,
                )
            )


def _stamp(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    tooth = u * rng.uniform(0.025, 0.045)
    paper = hsv(0.12, rng.uniform(0, 0.12), rng.uniform(0.88, 1))
    edge = mix(p.ink, (90, 90, 90), 0.6)
    c.rectangle(c.box, edge)
    c.rectangle(inset(c.box, tooth), paper)
    for k in np.arange(tooth, c.width - tooth / 2, 2.2 * tooth):
        c.disc((k, tooth), tooth * 0.7, edge)
        c.disc((k, c.height - tooth), tooth * 0.7, edge)
    for k in np.arange(tooth, c.height - tooth / 2, 2.2 * tooth):
        c.disc((tooth, k), tooth * 0.7, edge)
        c.disc((c.width - tooth, k), tooth * 0.7, edge)
    art = inset(c.box, tooth * 3)
    tint = p.accent(rng)
    if rng.random() < 0.5:
        c.picture(art)
        patch = c.patch(art)
        if rng.random() < 0.5:
            grey = cv2.cvtColor(patch, cv2.COLOR_BGR2GRAY).astype(np.float32) / 255
            patch[:] = blend(grey, mix(tint, (0, 0, 0), 0.4), paper)
    else:
        c.rectangle(art, tint)
        c.icon(part(art, 0.15, 0.2, 0.85, 0.85), p.readable(tint), tint)
    c.text(
        part(art, 0.03, 0.03, 0.4, 0.2),
        digits(rng, 2),
        (250, 250, 250),
        Lettering(rng, 0.2),
        0.0,
        p.ink,
    )
    c.text(
        part(art, 0.05, 0.85, 0.95, 0.99),
        word(rng, 2, 3).upper(),
        (250, 250, 250),
        None,
        0.5,
        p.ink,
    )
    if rng.random() < 0.5:
        centre = rng.uniform(0.1, 0.9, 2) * (c.width, c.height)
        for k in (1.0, 0.75):
            c.ring(centre, u * 0.25 * k, (40, 40, 40), u * 0.01)


# --- pictures and patterns -----------------------------------------------------------------------


def _poster(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    c.gradient(c.box, p.accent(rng), p.accent(rng), rng.uniform(0, 6.3))
    for _ in range(int(rng.integers(1, 7))):
        centre = rng.uniform(0, 1, 2) * (c.width, c.height)
        if rng.random() < 0.5:
            c.disc(centre, u * rng.uniform(0.08, 0.45), p.any(rng))
        else:
            c.polygon(centre + rng.normal(0, u * 0.25, (3, 2)), p.any(rng))
    if rng.random() < 0.4:
        rays = int(rng.integers(8, 20))
        centre = rng.uniform(0.2, 0.8, 2) * (c.width, c.height)
        for k in range(rays):
            a = (k + np.array([0, 0.5])) * 2 * np.pi / rays
            far = centre + np.stack([np.cos(a), np.sin(a)], 1) * 3 * u
            c.polygon(np.vstack([centre, far]), p.accents[0])
    lettering = Lettering(rng, rng.uniform(0.12, 0.32))
    y = rng.uniform(0.05, 0.5)
    for _ in range(int(rng.integers(1, 4))):
        h = rng.uniform(0.12, 0.25)
        row = part(c.box, 0.05, y, 0.95, y + h)
        under = tuple(int(v) for v in cv2.mean(c.patch(row))[:3])
        ink = p.readable(under)
        c.text(
            row,
            word(rng, 1, 2).upper(),
            ink,
            lettering,
            rng.choice([0, 0.5, 1]),
            p.readable(ink) if rng.random() < 0.4 else None,
        )
        y += h
    row = part(c.box, 0.05, 0.92, 0.95, 0.98)
    under = tuple(int(v) for v in cv2.mean(c.patch(row))[:3])
    c.text(
        row,
        f"{digits(rng, 2)}.{digits(rng, 2)}  {word(rng)} {word(rng)}",
        p.readable(under),
        Lettering(rng, 0.1),
    )


def _mosaic(c: Canvas) -> None:
    rng, p = c.rng, c.palette
    rows, columns = int(rng.integers(3, 12)), int(rng.integers(3, 12))
    kind = rng.integers(4)
    inks = [p.ground, p.ink, *p.accents]
    for cell in cells(c.box, rows, columns):
        a, b = inks[rng.integers(len(inks))], inks[rng.integers(len(inks))]
        c.rectangle(cell, a)
        x0, y0, x1, y1 = cell
        turn = int(rng.integers(4))
        corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
        if kind == 0:
            c.polygon(np.roll(corners, turn, 0)[:3], b)
        elif kind == 1:
            c.disc(corners[turn], (x1 - x0 + y1 - y0) / 2 * rng.uniform(0.4, 0.9) / 1.5, b)
        elif kind == 2:
            c.icon(inset(cell, (x1 - x0) * 0.1), b, a)
        elif rng.random() < 0.5:
            c.polygon((corners + np.roll(corners, 1, 0)) / 2, b)


def _comic(c: Canvas) -> None:
    rng, u = c.rng, c.unit
    c.rectangle(c.box, (250, 250, 250))
    gap = u * 0.02
    y = 0.0
    while y < 0.93:
        h = min(1 - y, rng.uniform(0.25, 0.55))
        if 1 - y - h < 0.15:
            h = 1 - y
        x = 0.0
        while x < 0.93:
            w = min(1 - x, rng.uniform(0.3, 0.7))
            if 1 - x - w < 0.2:
                w = 1 - x
            panel = inset(part(c.box, x, y, x + w, y + h), gap)
            back = hsv(rng.random(), rng.uniform(0.1, 0.8), rng.uniform(0.6, 1))
            c.gradient(
                panel, back, mix(back, (255, 255, 255), rng.uniform(0, 0.7)), rng.uniform(0, 6.3)
            )
            if rng.random() < 0.4:
                c.picture(panel)
            for _ in range(int(rng.integers(1, 3))):
                k = rng.uniform(0.1, 0.5)
                body = part(panel, k, rng.uniform(0.2, 0.5), k + 0.4, 0.98)
                colour = hsv(rng.random(), rng.uniform(0.3, 1), rng.uniform(0.3, 1))
                centre, r = (
                    ((body[0] + body[2]) / 2, body[1] + (body[3] - body[1]) * 0.3),
                    (body[2] - body[0]) * 0.3,
                )
                c.rounded((centre[0] - r, centre[1], centre[0] + r, body[3]), colour, r * 0.5)
                c.disc(centre, r * 0.8, mix(colour, (200, 220, 255), 0.8))
                c.ring(centre, r * 0.8, (20, 20, 20), u * 0.006)
                c.disc((centre[0] - r * 0.3, centre[1]), r * 0.12, (20, 20, 20))
                c.disc((centre[0] + r * 0.3, centre[1]), r * 0.12, (20, 20, 20))
            bubble = part(panel, 0.05, 0.04, rng.uniform(0.5, 0.95), rng.uniform(0.2, 0.35))
            c.rounded(bubble, (252, 252, 252), u * 0.05)
            c.paragraph(inset(bubble, u * 0.015), u * 0.035, (20, 20, 20))
            c.frame(panel, (15, 15, 15), u * 0.01)
            x += w
        y += h


def _street_map(c: Canvas) -> None:
    rng, u = c.rng, c.unit
    ground = hsv(rng.uniform(0.1, 0.3), rng.uniform(0.03, 0.3), rng.uniform(0.8, 0.97))
    c.rectangle(c.box, ground)
    field = smooth_noise(rng, c.width, c.height, rng.uniform(2, 5))
    c.image[field > rng.uniform(0.65, 0.85)] = hsv(
        0.3, rng.uniform(0.2, 0.6), rng.uniform(0.65, 0.9)
    )
    c.image[field < rng.uniform(0.1, 0.25)] = hsv(
        0.56, rng.uniform(0.25, 0.8), rng.uniform(0.6, 0.95)
    )
    road = [(255, 255, 255), hsv(0.14, 0.6, 1), hsv(0.06, 0.6, 0.95)][rng.integers(3)]
    edge = mix(ground, (60, 60, 60), 0.5)
    size = np.array([c.width, c.height])
    angle = rng.uniform(0, np.pi)
    for k in range(int(rng.integers(6, 16))):
        a = angle + (np.pi / 2) * (k % 2) + rng.normal(0, 0.12)
        d = np.array([np.cos(a), np.sin(a)])
        t = np.linspace(-1.5, 1.5, 12)[:, None] * c.unit
        line = (
            rng.uniform(0, 1, 2) * size
            + d * t
            + np.array([-d[1], d[0]]) * rng.normal(0, 0.02, (12, 1)) * u
        )
        w = u * rng.choice([0.012, 0.02, 0.04])
        c.line(line, edge, w + 2)
        c.line(line, road if w > 0.015 * u else (250, 250, 250), w)
    for _ in range(int(rng.integers(4, 14))):
        x, y = rng.uniform(0, 0.8) * c.width, rng.uniform(0, 0.95) * c.height
        c.text(
            (x, y, x + u * rng.uniform(0.15, 0.5), y + u * rng.uniform(0.04, 0.09)),
            word(rng, 1, 3).capitalize(),
            (50, 40, 40),
            None,
            0.0,
            (250, 250, 250),
        )
    for _ in range(int(rng.integers(0, 6))):
        x, y = rng.uniform(0.05, 0.9, 2) * size
        c.icon((x, y, x + u * 0.07, y + u * 0.07), hsv(rng.random(), 0.9, 0.8))


def _circuit_board(c: Canvas) -> None:
    rng, u = c.rng, c.unit
    mask = hsv(
        rng.choice([0.38, 0.38, 0.6, 0.0, 0.75]), rng.uniform(0.5, 0.95), rng.uniform(0.15, 0.5)
    )
    c.rectangle(c.box, mask)
    trace, pad = mix(mask, (255, 255, 255), 0.16), hsv(0.12, rng.uniform(0.1, 0.6), 0.85)
    silk = (235, 235, 235)
    for _ in range(int(rng.integers(25, 60))):
        q = rng.uniform(0, 1, 2) * (c.width, c.height)
        points = [q]
        heading = int(rng.integers(8))
        for _ in range(3):
            heading += int(rng.integers(-1, 2))
            a = heading * np.pi / 4
            points.append(
                points[-1] + np.array([np.cos(a), np.sin(a)]) * u * rng.uniform(0.05, 0.3)
            )
        c.line(np.array(points), trace, u * rng.choice([0.006, 0.01, 0.02]))
        c.disc(points[-1], u * 0.012, pad)
    for _ in range(int(rng.integers(3, 9))):
        w, h = u * rng.uniform(0.1, 0.35), u * rng.uniform(0.08, 0.3)
        x, y = rng.uniform(0, c.width - w), rng.uniform(0, c.height - h)
        pins = int(rng.integers(4, 12))
        for k in range(pins):
            px = x + (k + 0.3) * w / pins
            c.rectangle((px, y - 0.025 * u, px + w / pins * 0.45, y + h + 0.025 * u), pad)
        body = hsv(0, 0, rng.uniform(0.05, 0.25))
        c.rectangle((x, y, x + w, y + h), body)
        c.disc((x + 0.12 * w, y + 0.8 * h), u * 0.012, mix(body, (255, 255, 255), 0.4))
        c.text(
            (x + 0.1 * w, y + 0.2 * h, x + 0.9 * w, y + 0.6 * h),
            word(rng, 1, 1).upper() + digits(rng, 3),
            (200, 200, 200),
        )
    for _ in range(int(rng.integers(8, 25))):
        x, y = rng.uniform(0, 1, 2) * (c.width, c.height)
        w, h = (u * 0.05, u * 0.025) if rng.random() < 0.5 else (u * 0.025, u * 0.05)
        c.rectangle((x, y, x + w, y + h), pad)
        c.rectangle(
            (x + w * 0.25, y + h * 0.25, x + w * 0.75, y + h * 0.75),
            hsv(0.08, rng.uniform(0, 0.6), rng.uniform(0.1, 0.6)),
        )
        c.text(
            (x, y - u * 0.045, x + u * 0.12, y - u * 0.005),
            "RCLDU"[rng.integers(5)] + digits(rng, 2),
            silk,
            align=0.0,
        )


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


def _scribble(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    for _ in range(int(rng.integers(3, 14))):
        n = 60
        a = np.cumsum(rng.normal(0, 0.35, n))
        steps = np.stack([np.cos(a), np.sin(a)], 1) * u * rng.uniform(0.02, 0.06)
        walk = rng.uniform(0, 1, 2) * (c.width, c.height) + np.cumsum(steps, 0)
        c.line(walk, p.any(rng), u * rng.uniform(0.006, 0.05))


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


# --- surfaces and low texture --------------------------------------------------------------------


def _marble(c: Canvas) -> None:
    rng, p = c.rng, c.palette
    warp = fractal_noise(rng, c.width, c.height, rng.uniform(2, 5), 4)
    axis = smooth_noise(rng, c.width, c.height, 2)
    veins = 0.5 + 0.5 * np.sin((warp * rng.uniform(4, 14) + axis * rng.uniform(2, 8)) * 2)
    if rng.random() < 0.5:
        veins = veins ** rng.uniform(3, 8)
    c.image[:] = blend(veins.astype(np.float32), p.ground, p.any(rng))


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


# --- held-out styles: never drawn for training ---------------------------------------------------


def _blueprint(c: Canvas) -> None:
    rng, u = c.rng, c.unit
    c.rectangle(c.box, hsv(rng.uniform(0.56, 0.64), rng.uniform(0.6, 0.9), rng.uniform(0.35, 0.6)))
    ink = (245, 240, 225)
    for k in np.arange(0, c.width, u * 0.08):
        c.line(np.array([[k, 0], [k, c.height]]), (150, 95, 50), 1)
    for k in np.arange(0, c.height, u * 0.08):
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
    _darken(c, 0.3 * smooth_noise(rng, c.width, c.height, 12))


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


STYLES: dict[str, Style] = {
    "product_box": _product_box,
    "label": _label,
    "nutrition": _nutrition,
    "warning_sign": _warning_sign,
    "stripes_icons": _stripes_icons,
    "book_cover": _book_cover,
    "magazine": _magazine,
    "letter": _letter,
    "table": _table,
    "chart": _chart,
    "crossword": _crossword,
    "sheet_music": _sheet_music,
    "calendar": _calendar,
    "ticket": _ticket,
    "postcard": _postcard,
    "stamp": _stamp,
    "poster": _poster,
    "mosaic": _mosaic,
    "comic": _comic,
    "street_map": _street_map,
    "circuit_board": _circuit_board,
    "playing_card": _playing_card,
    "matrix_code": _matrix_code,
    "keypad": _keypad,
    "circles": _circles,
    "scribble": _scribble,
    "truchet": _truchet,
    "marble": _marble,
    "wood": _wood,
    "fabric": _fabric,
    "cloud": _cloud,
    "plain_logo": _plain_logo,
    "faint_words": _faint_words,
    "embossed": _embossed,
    "blueprint": _blueprint,
    "record_sleeve": _record_sleeve,
    "board_game": _board_game,
    "bank_card": _bank_card,
    "stained_glass": _stained_glass,
    "transit_map": _transit_map,
    "gadget": _gadget,
}
HELD_OUT_STYLES = (
    "blueprint",
    "record_sleeve",
    "board_game",
    "bank_card",
    "stained_glass",
    "transit_map",
    "gadget",
)
TRAIN_STYLES = tuple(name for name in STYLES if name not in HELD_OUT_STYLES)
LOW_TEXTURE_STYLES = ("plain_logo", "faint_words", "embossed", "bank_card", "gadget")


def draw(
    seed: int, size: tuple[int, int], style: str | None = None, split: str = "train"
) -> np.ndarray:
    """Draw one face.

    Args:
        seed: non-negative; the same seed, size, style and split give the same picture (OpenCV 5
            has other fonts than OpenCV 4).
        size: (width, height) in pixels, 16 or more each.
        style: a name in `STYLES`; None picks one of the split's own styles.
        split: "train" or "held_out". With split "held_out" any style may be asked for: its
            pictures differ from all training pictures of that style.

    Returns:
        (h, w, 3) BGR uint8.

    Raises:
        ValueError: unknown style or split, a held-out style for training, or a size too small.
    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; use one of {', '.join(SPLITS)}")
    if style is not None and style not in STYLES:
        raise ValueError(f"style {style!r} is unknown; use one of {', '.join(STYLES)}")
    if split == "train" and style in HELD_OUT_STYLES:
        raise ValueError(f"style {style!r} is held out of training; use split='held_out'")
    if min(size) < 16:
        raise ValueError(f"size {size} is too small for artwork; use 16 px or more each way")
    rng = np.random.default_rng([SPLITS.index(split), seed])
    pool = TRAIN_STYLES if split == "train" else HELD_OUT_STYLES
    chosen = pool[rng.integers(len(pool))]
    canvas = Canvas.blank(rng, size)
    STYLES[style or chosen](canvas)
    _mark_orientation(canvas)
    _wear(canvas)
    return canvas.finish()


def _mark_orientation(c: Canvas) -> None:
    """Add a word and a sign in one corner where a face looks alike after half a turn."""
    small = cv2.resize(c.image, (24, 24), interpolation=cv2.INTER_AREA).astype(np.float32)
    small -= small.mean((0, 1))
    power = float((small * small).sum())
    alike = float((small * small[::-1, ::-1]).sum()) / max(power, 1e-6)
    if alike < 0.6 and power > 24 * 24 * 3 * 4.0:
        return
    rng, p, u = c.rng, c.palette, c.unit
    w, h = u * rng.uniform(0.35, 0.6), u * rng.uniform(0.16, 0.3)
    x, y = rng.choice([0.03, 0.97]) * (c.width - w), rng.choice([0.03, 0.97]) * (c.height - h)
    field = (float(x), float(y), float(x + w), float(y + h))
    mean = tuple(int(v) for v in cv2.mean(c.image)[:3])
    ground = p.readable(mean)
    c.rounded(field, ground, h * rng.uniform(0, 0.3))
    c.icon((x + 0.05 * h, y + 0.05 * h, x + 0.95 * h, y + 0.95 * h), p.readable(ground), ground)
    c.text((x + h, y + 0.1 * h, x + w - 0.05 * h, y + 0.9 * h), word(rng, 1, 2), p.readable(ground))


def _wear(c: Canvas) -> None:
    """Paper grain and slightly uneven ink, as on most real print."""
    if c.rng.random() < 0.5:
        shade = smooth_noise(c.rng, c.width, c.height, c.rng.uniform(1, 4))
        _darken(c, c.rng.uniform(0.03, 0.18) * shade)


def _darken(c: Canvas, loss: np.ndarray) -> None:
    """Take the share `loss` (h, w) in 0..1 off the picture's brightness."""
    kept = cv2.convertScaleAbs(1 - loss, alpha=255)
    cv2.multiply(c.image, cv2.merge([kept] * 3), c.image, 1 / 255)


def face_size(rng: np.random.Generator, long_side: int) -> tuple[int, int]:
    """Random face size (width, height) with the given longer side and aspect 0.45..2.2."""
    aspect = float(np.exp(rng.uniform(np.log(0.45), np.log(2.2))))
    if aspect >= 1:
        return long_side, max(16, round(long_side / aspect))
    return max(16, round(long_side * aspect)), long_side
