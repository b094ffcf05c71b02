"""Posters, comics, maps and other pictures."""

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
    mean_colour,
    mix,
    part,
    smooth_noise,
    word,
)


@artwork("poster")
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
        under = mean_colour(c.patch(row))
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
    under = mean_colour(c.patch(row))
    c.text(
        row,
        f"{digits(rng, 2)}.{digits(rng, 2)}  {word(rng)} {word(rng)}",
        p.readable(under),
        Lettering(rng, 0.1),
    )


@artwork("mosaic")
def _mosaic(c: Canvas) -> None:
    rng, p = c.rng, c.palette
    rows, columns = int(rng.integers(3, 12)), int(rng.integers(3, 12))
    kind = rng.integers(4)
    inks = [p.ground, p.ink, *p.accents]
    for cell in cells(c.box, rows, columns):
        a, b = inks[rng.integers(len(inks))], inks[rng.integers(len(inks))]
        c.rectangle(cell, a)
        x0, y0, x1, y1 = cell
        quarters = int(rng.integers(4))
        corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
        if kind == 0:
            c.polygon(np.roll(corners, quarters, 0)[:3], b)
        elif kind == 1:
            c.disc(corners[quarters], (x1 - x0 + y1 - y0) / 2 * rng.uniform(0.4, 0.9) / 1.5, b)
        elif kind == 2:
            c.icon(inset(cell, (x1 - x0) * 0.1), b, a)
        elif rng.random() < 0.5:
            c.polygon((corners + np.roll(corners, 1, 0)) / 2, b)


@artwork("comic")
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


@artwork("street_map")
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


@artwork("circuit_board")
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
