"""Small printed matter: calendars, tickets, cards, stamps."""

from __future__ import annotations

import cv2
import numpy as np

from stn_ros.synthesis.artwork.registry import artwork
from stn_ros.synthesis.drawing import (
    Canvas,
    Lettering,
    blend,
    cells,
    digits,
    hsv,
    inset,
    mix,
    part,
    smooth_noise,
    word,
)


@artwork("calendar")
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


@artwork("ticket")
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


@artwork("postcard")
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


@artwork("stamp")
def _stamp(c: Canvas) -> None:
    rng, p, u = c.rng, c.palette, c.unit
    tooth = u * rng.uniform(0.025, 0.045)
    paper = hsv(0.12, rng.uniform(0, 0.12), rng.uniform(0.88, 1))
    edge = mix(p.ink, (90, 90, 90), 0.6)
    c.rectangle(c.box, edge)
    c.rectangle(inset(c.box, tooth), paper)
    for k in np.arange(tooth, c.width - tooth / 2, 2.2 * tooth).tolist():
        c.disc((k, tooth), tooth * 0.7, edge)
        c.disc((k, c.height - tooth), tooth * 0.7, edge)
    for k in np.arange(tooth, c.height - tooth / 2, 2.2 * tooth).tolist():
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
