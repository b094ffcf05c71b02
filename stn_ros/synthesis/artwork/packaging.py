"""Packages, labels and signs."""

from __future__ import annotations

import itertools

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
    mean_colour,
    mix,
    part,
    word,
)


@artwork("product_box")
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
    under = mean_colour(where)
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


@artwork("label")
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


@artwork("nutrition")
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


@artwork("warning_sign")
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


@artwork("stripes_icons")
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
