"""Drawing primitives of printed matter: palettes, lettering, codes, icons, surfaces.

Everything is drawn into a `Canvas`, a BGR uint8 picture at twice the final resolution; `finish`
reduces it by area averaging, so small lettering is grey and soft like print seen by a camera.
Boxes are (x0, y0, x1, y1) in canvas pixels.
"""

from __future__ import annotations

import colorsys
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Rectangle = tuple[float, float, float, float]
Colour = tuple[int, int, int]
Point = tuple[float, float] | NDArray[Any]
Picture = NDArray[Any]
"""(h, w, 3) BGR or (h, w), uint8 unless said otherwise: OpenCV's types say no more."""

SUPERSAMPLE = 2

_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
    cv2.FONT_HERSHEY_COMPLEX | cv2.FONT_ITALIC,
    cv2.FONT_HERSHEY_SIMPLEX | cv2.FONT_ITALIC,
)
_ONSETS = (*"bcdfghklmnprstvwz", "br", "ch", "cl", "dr", "fl", "gr", "pl", "pr", "sh", "st")
_VOWELS = ["a", "e", "i", "o", "u", "a", "e", "i", "o", "ai", "ea", "io", "oo"]
_CODAS = ["", "", "n", "r", "l", "s", "t", "x", "m", "nd", "rk", "st"]


def word(rng: np.random.Generator, low: int = 1, high: int = 3) -> str:
    """A pronounceable made-up word of `low` to `high` syllables."""
    parts = []
    for _ in range(int(rng.integers(low, high + 1))):
        parts += [
            _ONSETS[rng.integers(len(_ONSETS))],
            _VOWELS[rng.integers(len(_VOWELS))],
            _CODAS[rng.integers(len(_CODAS))],
        ]
    return "".join(parts)


def digits(rng: np.random.Generator, count: int) -> str:
    """`count` random decimal digits."""
    return "".join(str(d) for d in rng.integers(0, 10, count))


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """BGR colour from hue, saturation and value in 0..1 (hue wraps, the others are clipped)."""
    s, v = float(np.clip(saturation, 0, 1)), float(np.clip(value, 0, 1))
    r, g, b = colorsys.hsv_to_rgb(float(hue) % 1.0, s, v)
    return int(b * 255), int(g * 255), int(r * 255)


def luminance(colour: Colour) -> float:
    """Rec. 601 luma of a BGR colour, 0..255."""
    return 0.114 * colour[0] + 0.587 * colour[1] + 0.299 * colour[2]


def mix(a: Colour, b: Colour, weight: float) -> Colour:
    """`a` moved towards `b` by `weight` in 0..1."""
    blue, green, red = (round(x + (y - x) * weight) for x, y in zip(a, b, strict=True))
    return blue, green, red


def mean_colour(picture: Picture) -> Colour:
    """Mean of a BGR picture, rounded down; black where it is empty."""
    blue, green, red, _ = np.asarray(cv2.mean(picture)).astype(int).tolist()
    return blue, green, red


class Palette:
    """The few inks of one print: `ground`, `ink` readable on it, and a list of `accents`."""

    def __init__(self, rng: np.random.Generator) -> None:
        hue = rng.random()
        kind = rng.choice(
            ["paper", "dark", "coloured", "mono", "pastel"], p=[0.34, 0.2, 0.28, 0.08, 0.1]
        )
        spread = rng.choice([0.04, 0.12, 0.33, 0.5])
        accents = int(rng.integers(2, 5))
        saturation = rng.uniform(0.45, 1.0)
        value = rng.uniform(0.5, 1.0)
        if kind == "paper":
            self.ground = hsv(hue, rng.uniform(0, 0.18), rng.uniform(0.82, 1.0))
            self.ink = hsv(rng.random(), rng.uniform(0, 0.9), rng.uniform(0.02, 0.3))
        elif kind == "dark":
            self.ground = hsv(hue, rng.uniform(0, 0.9), rng.uniform(0.06, 0.32))
            self.ink = hsv(rng.random(), rng.uniform(0, 0.25), rng.uniform(0.85, 1.0))
        elif kind == "coloured":
            self.ground = hsv(hue, rng.uniform(0.45, 1.0), rng.uniform(0.4, 0.95))
            light = luminance(self.ground) < 125
            self.ink = hsv(
                hue + 0.5, rng.uniform(0, 0.3), 0.97 if light else rng.uniform(0.02, 0.2)
            )
        elif kind == "mono":
            self.ground = hsv(0, 0, rng.uniform(0.75, 1.0))
            self.ink = hsv(0, 0, rng.uniform(0.02, 0.25))
            saturation = 0.0
            if rng.random() < 0.4:
                self.ground, self.ink = self.ink, self.ground
        else:
            self.ground = hsv(hue, rng.uniform(0.1, 0.35), rng.uniform(0.8, 0.98))
            self.ink = hsv(
                hue + rng.choice([0.0, 0.5]), rng.uniform(0.3, 0.9), rng.uniform(0.2, 0.45)
            )
            saturation *= 0.6
        base = hue + rng.choice([0.0, 0.5, 0.33])
        self.accents: list[Colour] = []
        for i in range(accents):
            accent = hsv(
                base + spread * i,
                saturation * rng.uniform(0.7, 1.0),
                np.clip(value * rng.uniform(0.6, 1.3), 0.1, 1.0),
            )
            if abs(luminance(accent) - luminance(self.ground)) < 28:
                accent = mix(accent, self.ink, 0.45)
            self.accents.append(accent)

    def accent(self, rng: np.random.Generator) -> Colour:
        """One of the accents."""
        return self.accents[rng.integers(len(self.accents))]

    def any(self, rng: np.random.Generator) -> Colour:
        """One of the accents or the ink."""
        return self.ink if rng.random() < 0.25 else self.accent(rng)

    def readable(self, on: Colour) -> Colour:
        """Of ink, ground and black and white the first that reads well on `on`."""
        candidates = [self.ink, self.ground, *self.accents]
        best = max(candidates, key=lambda c: abs(luminance(c) - luminance(on)))
        if abs(luminance(best) - luminance(on)) < 80:
            return (15, 15, 15) if luminance(on) > 127 else (245, 245, 245)
        return best


class Lettering:
    """A typeface: Hershey font, stroke weight, slant and width ratio, or a made-up script."""

    def __init__(self, rng: np.random.Generator, bold: float | None = None) -> None:
        self.font = int(
            _FONTS[rng.choice(len(_FONTS), p=[0.27, 0.25, 0.14, 0.14, 0.06, 0.07, 0.07])]
        )
        self.weight = rng.uniform(0.04, 0.26) if bold is None else bold
        self.slant = float(rng.choice([0.0, 0.0, 0.0, 0.25, -0.15]))
        self.width = float(rng.uniform(0.65, 1.35))
        self.script = _script(rng) if rng.random() < 0.12 else None

    def mask(self, text: str, height: float) -> Picture:
        """Coverage mask (uint8) of `text` whose capitals are `height` pixels high."""
        height = max(height, 3.0)
        if self.script is not None:
            mask = self._script_mask(self.script, text, height)
        else:
            scale = height / 21.0
            thickness = max(1, round(self.weight * height))
            (w, h), base = cv2.getTextSize(text, self.font, scale, thickness)
            pad = thickness + 1
            mask = np.zeros((h + base + 2 * pad, max(w, 1) + 2 * pad), np.uint8)
            cv2.putText(mask, text, (pad, h + pad), self.font, scale, 255, thickness, cv2.LINE_AA)
        if self.slant and mask.shape[0] > 12:
            lean = self.slant * mask.shape[0]
            shear = np.array([[1, -self.slant, max(lean, 0)], [0, 1, 0]], np.float32)
            mask = cv2.warpAffine(mask, shear, (mask.shape[1] + int(abs(lean)), mask.shape[0]))
        if abs(self.width - 1) > 0.05:
            mask = cv2.resize(mask, (max(2, int(mask.shape[1] * self.width)), mask.shape[0]))
        return mask

    def _script_mask(self, script: list[list[NDArray[Any]]], text: str, height: float) -> Picture:
        step = int(height * 1.15) + 1
        mask = np.zeros((int(height) + 4, step * len(text) + 4), np.uint8)
        thickness = max(1, int(height * min(self.weight, 0.14)))
        for i, letter in enumerate(text):
            if letter == " ":
                continue
            for stroke in script[ord(letter) % len(script)]:
                points = (stroke * (height - 2) + (2 + i * step, 2)).astype(np.int32)
                cv2.polylines(mask, [points], False, 255, thickness, cv2.LINE_AA)
        return mask


def _script(rng: np.random.Generator) -> list[list[NDArray[Any]]]:
    """24 glyphs of a made-up script: strokes between the nodes of a 4 x 4 grid, in 0..1."""
    glyphs = []
    for _ in range(24):
        strokes = []
        for _ in range(int(rng.integers(2, 5))):
            nodes = rng.integers(0, 4, (int(rng.integers(2, 4)), 2)) / 3.0
            if rng.random() < 0.7:
                nodes[1, rng.integers(2)] = nodes[0, rng.integers(2)]
            strokes.append(nodes)
        glyphs.append(strokes)
    return glyphs


def smooth_noise(
    rng: np.random.Generator, width: int, height: int, cells: float, stretch: float = 1.0
) -> Picture:
    """Smooth random field (height, width) float32 in 0..1, about `cells` bumps along the width."""
    nx = max(2, round(cells))
    ny = max(2, round(cells * height / max(width, 1) * stretch))
    small = rng.random((ny + 2, nx + 2), dtype=np.float32)
    field = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    low, high = float(field.min()), float(field.max())
    return (field - low) / max(high - low, 1e-6)


def fractal_noise(
    rng: np.random.Generator, width: int, height: int, cells: float, octaves: int = 4
) -> Picture:
    """Sum of smooth noises, each octave twice as fine and half as strong; 0..1."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        total += smooth_noise(rng, width, height, cells * 2**octave) / 2**octave
    low, high = float(total.min()), float(total.max())
    return (total - low) / max(high - low, 1e-6)


def blend(field: Picture, a: Colour, b: Colour) -> Picture:
    """Picture going from colour `a` where `field` is 0 to `b` where it is 1."""
    ramp = np.linspace(0, 1, 256)[:, None]
    table = (np.array(a) + (np.array(b) - np.array(a)) * ramp).clip(0, 255).astype(np.uint8)
    index = cv2.convertScaleAbs(field, alpha=255)
    return cv2.LUT(cv2.merge([index] * 3), table[None])


class Canvas:
    """A picture being drawn; `image` (h, w, 3) BGR uint8 may be a view on part of another one."""

    def __init__(
        self, rng: np.random.Generator, image: Picture, palette: Palette | None = None
    ) -> None:
        self.rng = rng
        self.image = image
        self.height, self.width = image.shape[:2]
        self.palette = palette or Palette(rng)
        self.lettering = Lettering(rng)

    @classmethod
    def blank(cls, rng: np.random.Generator, size: tuple[int, int]) -> Canvas:
        """An empty sheet for a final picture of `size` (width, height), filled with its ground."""
        shape = (size[1] * SUPERSAMPLE, size[0] * SUPERSAMPLE, 3)
        canvas = cls(rng, np.empty(shape, np.uint8))
        canvas.rectangle(canvas.box, canvas.palette.ground)
        return canvas

    @property
    def box(self) -> Rectangle:
        """The whole canvas."""
        return 0.0, 0.0, float(self.width), float(self.height)

    @property
    def unit(self) -> float:
        """Shorter side in pixels: the measure for line widths and margins."""
        return float(min(self.width, self.height))

    def finish(self) -> Picture:
        """The picture at its final size (h, w, 3) BGR uint8."""
        size = (self.width // SUPERSAMPLE, self.height // SUPERSAMPLE)
        return cv2.resize(self.image, size, interpolation=cv2.INTER_AREA)

    # --- areas -------------------------------------------------------------------------------

    def patch(self, box: Rectangle) -> Picture:
        """View on the pixels of `box`, clipped to the canvas (may be empty)."""
        x0, y0 = max(0, round(box[0])), max(0, round(box[1]))
        x1, y1 = min(self.width, round(box[2])), min(self.height, round(box[3]))
        return self.image[y0 : max(y1, y0), x0 : max(x1, x0)]

    def rectangle(self, box: Rectangle, colour: Colour) -> None:
        """Fill `box`, its edges rounded to whole pixels."""
        p0, p1 = (round(box[0]), round(box[1])), (round(box[2]) - 1, round(box[3]) - 1)
        if p1[0] >= p0[0] and p1[1] >= p0[1]:
            cv2.rectangle(self.image, p0, p1, colour, cv2.FILLED)

    def frame(self, box: Rectangle, colour: Colour, thickness: float = 2) -> None:
        """Outline of `box`."""
        p0, p1 = (int(box[0]), int(box[1])), (int(box[2]) - 1, int(box[3]) - 1)
        cv2.rectangle(self.image, p0, p1, colour, max(1, int(thickness)), cv2.LINE_AA)

    def rounded(self, box: Rectangle, colour: Colour, radius: float) -> None:
        """Filled rectangle with round corners."""
        x0, y0, x1, y1 = box
        r = min(radius, (x1 - x0) / 2, (y1 - y0) / 2)
        self.rectangle((x0 + r, y0, x1 - r, y1), colour)
        self.rectangle((x0, y0 + r, x1, y1 - r), colour)
        for cx in (x0 + r, x1 - r):
            for cy in (y0 + r, y1 - r):
                self.disc((cx, cy), r, colour)

    def disc(self, centre: Point, radius: float, colour: Colour) -> None:
        """Filled circle."""
        c = (round(centre[0] * 8), round(centre[1] * 8))
        cv2.circle(self.image, c, max(1, int(radius * 8)), colour, -1, cv2.LINE_AA, 3)

    def ring(self, centre: Point, radius: float, colour: Colour, thickness: float) -> None:
        """Circle line."""
        c = (round(centre[0] * 8), round(centre[1] * 8))
        cv2.circle(
            self.image, c, max(1, int(radius * 8)), colour, max(1, int(thickness)), cv2.LINE_AA, 3
        )

    def polygon(self, points: ArrayLike, colour: Colour) -> None:
        """Filled polygon (N, 2)."""
        fixed = np.round(np.asarray(points) * 8).astype(np.int32)
        cv2.fillPoly(self.image, [fixed], colour, cv2.LINE_AA, 3)

    def line(self, points: ArrayLike, colour: Colour, thickness: float = 1) -> None:
        """Polyline (N, 2)."""
        fixed = np.round(np.asarray(points) * 8).astype(np.int32)
        cv2.polylines(self.image, [fixed], False, colour, max(1, round(thickness)), cv2.LINE_AA, 3)

    def gradient(self, box: Rectangle, a: Colour, b: Colour, angle: float) -> None:
        """Linear gradient from `a` to `b` along `angle` (radians)."""
        patch = self.patch(box)
        h, w = patch.shape[:2]
        if h == 0 or w == 0:
            return
        x = np.linspace(-1, 1, w, dtype=np.float32) * np.cos(angle)
        y = np.linspace(-1, 1, h, dtype=np.float32) * np.sin(angle)
        reach = abs(np.cos(angle)) + abs(np.sin(angle))
        patch[:] = blend((x + y[:, None]) / (2 * reach) + 0.5, a, b)

    def stamp(
        self, mask: Picture, x: float, y: float, colour: Colour, opacity: float = 1.0
    ) -> None:
        """Ink through a coverage mask whose top left lies at (x, y); clipped to the canvas."""
        x, y = round(x), round(y)
        left, top = max(0, -x), max(0, -y)
        mask = mask[top : max(top, self.height - y), left : max(left, self.width - x)]
        h, w = mask.shape[:2]
        if h == 0 or w == 0:
            return
        x, y = x + left, y + top
        target = self.image[y : y + h, x : x + w]
        alpha = cv2.merge([mask] * 3)
        if opacity < 1:
            alpha = cv2.convertScaleAbs(alpha, alpha=opacity)
        ink = np.empty_like(target)
        ink[:] = colour
        over = cv2.multiply(ink, alpha, scale=1 / 255)
        under = cv2.multiply(target, cv2.bitwise_not(alpha), scale=1 / 255)
        cv2.add(over, under, dst=over)
        target[:] = over

    # --- lettering ---------------------------------------------------------------------------

    def text(
        self,
        box: Rectangle,
        text: str,
        colour: Colour,
        lettering: Lettering | None = None,
        align: float = 0.5,
        outline: Colour | None = None,
    ) -> Rectangle:
        """One line of `text` as large as fits `box`, aligned 0 left .. 1 right; returns its box."""
        x0, y0, x1, y1 = box
        if y1 - y0 < 4 or x1 - x0 < 4 or not text:
            return box
        mask = (lettering or self.lettering).mask(text, (y1 - y0) * 0.72)
        scale = min((x1 - x0) / mask.shape[1], (y1 - y0) / mask.shape[0], 1.0)
        if scale < 1:
            # Condensed rather than smaller where that suffices, as a designer would.
            tall = min(1.0, max(scale, (y1 - y0) / mask.shape[0] * 0.75))
            new = (max(2, int(mask.shape[1] * scale)), max(2, int(mask.shape[0] * tall)))
            mask = cv2.resize(mask, new, interpolation=cv2.INTER_AREA)
        left = x0 + (x1 - x0 - mask.shape[1]) * align
        top = y0 + (y1 - y0 - mask.shape[0]) / 2
        if outline is not None:
            grow = max(3, int(mask.shape[0] * 0.1)) | 1
            self.stamp(cv2.dilate(mask, np.ones((grow, grow), np.uint8)), left, top, outline)
        self.stamp(mask, left, top, colour)
        return left, top, left + mask.shape[1], top + mask.shape[0]

    def paragraph(
        self,
        box: Rectangle,
        line_height: float,
        colour: Colour,
        lettering: Lettering | None = None,
        ragged: bool = True,
    ) -> None:
        """Lines of body text filling `box`; the last line of each paragraph is short."""
        x0, y0, x1, y1 = box
        lettering = lettering or self.lettering
        y = y0
        while y + line_height <= y1 + 0.5:
            last = self.rng.random() < 0.16
            want = (x1 - x0) * (self.rng.uniform(0.2, 0.8) if last else 1.0)
            if ragged and not last:
                want *= self.rng.uniform(0.86, 1.0)
            letters = max(3, int(want / (line_height * 0.45 * lettering.width)))
            words: list[str] = []
            while sum(map(len, words)) + len(words) < letters:
                words.append(word(self.rng))
            text = " ".join(words)
            if y == y0:
                text = text.capitalize()
            mask = lettering.mask(text, line_height * 0.55)[:, : int(want)]
            self.stamp(mask[: int(line_height * 1.1)], x0, y, colour)
            y += line_height * (1.5 if last and self.rng.random() < 0.4 else 1.0)

    # --- marks -------------------------------------------------------------------------------

    def barcode(
        self, box: Rectangle, ink: Colour = (10, 10, 10), paper: Colour = (250, 250, 250)
    ) -> None:
        """Bar code on its white field, digits below."""
        rng = self.rng
        self.rectangle(box, paper)
        x0, y0, x1, y1 = box
        margin = (x1 - x0) * 0.06
        foot = (y1 - y0) * (0.22 if rng.random() < 0.7 else 0.06)
        widths = rng.integers(1, 5, int(rng.integers(40, 64)))
        edges = np.cumsum(widths) / widths.sum() * (x1 - x0 - 2 * margin) + x0 + margin
        top = y0 + (y1 - y0) * 0.06
        for a, b in zip(edges[0:-1:2], edges[1::2], strict=False):
            self.rectangle((a, top, max(b, a + 1), y1 - foot), ink)
        if foot > 6:
            self.text((x0 + margin, y1 - foot, x1 - margin, y1), digits(rng, 12), ink)

    def matrix_code(
        self, box: Rectangle, ink: Colour = (10, 10, 10), paper: Colour = (250, 250, 250)
    ) -> None:
        """Square two-dimensional code with three finder marks."""
        x0, y0, x1, y1 = box
        side = min(x1 - x0, y1 - y0)
        box = (x0, y0, x0 + side, y0 + side)
        cells = int(self.rng.integers(17, 34))
        bits = (self.rng.random((cells, cells)) < 0.5).astype(np.uint8)
        finder = np.ones((8, 8), np.uint8)
        finder[7] = finder[:, 7] = 0
        finder[1:6, 1:6] = 0
        finder[2:5, 2:5] = 1
        bits[:8, :8] = finder
        bits[:8, -8:] = finder[:, ::-1]
        bits[-8:, :8] = finder[::-1]
        self.rectangle(box, paper)
        quiet = side * 0.08
        inner = (x0 + quiet, y0 + quiet, x0 + side - quiet, y0 + side - quiet)
        patch = self.patch(inner)
        if patch.shape[0] and patch.shape[1]:
            mask = cv2.resize(bits, patch.shape[1::-1], interpolation=cv2.INTER_NEAREST)
            patch[mask > 0] = ink

    def icon(self, box: Rectangle, colour: Colour, paper: Colour | None = None) -> None:
        """One of many small signs, symmetric and not, filling `box`."""
        rng = self.rng
        x0, y0, x1, y1 = box
        c = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        r = min(x1 - x0, y1 - y0) / 2 * 0.92
        paper = paper or self.palette.ground
        kind = int(rng.integers(14))
        rotation = rng.choice([0, 0, rng.uniform(0, 2 * np.pi)])

        def around(
            count: int, radii: tuple[float, ...] = (1.0,), phase: float = 0.0
        ) -> NDArray[Any]:
            a = np.arange(count) * 2 * np.pi / count - np.pi / 2 + rotation + phase
            rr = np.array([radii[i % len(radii)] for i in range(count)]) * r
            points: NDArray[Any] = c + np.stack([np.cos(a) * rr, np.sin(a) * rr], 1)
            return points

        if kind == 0:
            self.disc(c, r, colour)
            if rng.random() < 0.6:
                self.disc(c + r * rng.uniform(-0.3, 0.3, 2), r * rng.uniform(0.3, 0.7), paper)
        elif kind == 1:
            self.polygon(around(2 * int(rng.integers(4, 9)), (1.0, rng.uniform(0.35, 0.7))), colour)
        elif kind == 2:
            self.polygon(around(int(rng.integers(3, 7))), colour)
        elif kind == 3:  # arrow
            shape = np.array(
                [[-1, -0.3], [0.1, -0.3], [0.1, -0.8], [1, 0], [0.1, 0.8], [0.1, 0.3], [-1, 0.3]]
            )
            co, si = np.cos(rotation), np.sin(rotation)
            self.polygon(c + shape @ np.array([[co, si], [-si, co]]) * r, colour)
        elif kind == 4:  # cross
            t = r * rng.uniform(0.2, 0.4)
            self.rectangle((c[0] - r, c[1] - t, c[0] + r, c[1] + t), colour)
            self.rectangle((c[0] - t, c[1] - r, c[0] + t, c[1] + r), colour)
        elif kind == 5:  # leaf
            a = np.linspace(-1, 1, 12)
            up = np.stack([a, 0.55 * (1 - a**2)], 1)
            leaf = np.concatenate([up, up[::-1] * (1, -0.5)])
            angle = rng.uniform(0, 2 * np.pi)
            m = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            self.polygon(c + leaf @ m * r, colour)
            self.line(c + np.array([[-1.2, 0.0], [0.7, 0.1]]) @ m * r, paper, r * 0.08 + 1)
        elif kind == 6:  # house
            self.rectangle((c[0] - 0.7 * r, c[1] - 0.1 * r, c[0] + 0.7 * r, c[1] + r), colour)
            self.polygon(c + np.array([[-1, -0.05], [0, -1], [1, -0.05]]) * r, colour)
            self.rectangle((c[0] - 0.05 * r, c[1] + 0.3 * r, c[0] + 0.4 * r, c[1] + r), paper)
        elif kind == 7:  # flower
            petals = int(rng.integers(4, 9))
            for p in around(petals, (0.6,)):
                self.disc(p, r * 0.38, colour)
            self.disc(c, r * 0.3, paper)
        elif kind == 8:  # crescent
            self.disc(c, r, colour)
            self.disc(c + r * np.array([0.4, -0.2]), r * 0.8, paper)
        elif kind == 9:  # drop
            a = np.linspace(0, 2 * np.pi, 24)
            drop = np.stack([0.65 * np.sin(a) * np.sin(a / 2) ** 1.2, -np.cos(a)], 1)
            self.polygon(c + drop * (1, -1) * r, colour)
        elif kind == 10:  # letter in a shield
            self.rounded(
                (c[0] - r, c[1] - r, c[0] + r, c[1] + r), colour, r * rng.uniform(0.1, 1.0)
            )
            letter = chr(int(rng.integers(65, 91)))
            k = 0.7 * r
            self.text((c[0] - k, c[1] - k, c[0] + k, c[1] + k), letter, paper, Lettering(rng, 0.2))
        elif kind == 11:  # rings
            for q in np.linspace(1, 0.25, int(rng.integers(2, 5))):
                self.ring(c, r * q * 0.95, colour, max(1, r * 0.1))
        elif kind == 12:  # bars
            n = int(rng.integers(3, 6))
            for i, v in enumerate(rng.uniform(0.3, 2.0, n)):
                left = c[0] - r + 2 * r * i / n
                self.rectangle((left, c[1] + r - v * r, left + 1.5 * r / n, c[1] + r), colour)
        else:  # blob
            radii = tuple(rng.uniform(0.55, 1.0, 9))
            self.polygon(around(9, radii), colour)

    def picture(self, box: Rectangle) -> None:
        """A photo-like scene: sky, hills or sea, sun, trees; or a still life of shaded balls."""
        rng = self.rng
        patch = self.patch(box)
        h, w = patch.shape[:2]
        if h < 8 or w < 8:
            return
        hue = rng.random()
        scene = Canvas(rng, patch, self.palette)
        if rng.random() < 0.6:
            top, low = (
                hsv(0.55 + rng.normal(0, 0.1), rng.uniform(0.2, 0.8), rng.uniform(0.4, 1)),
                hsv(rng.random(), rng.uniform(0, 0.5), rng.uniform(0.7, 1)),
            )
            scene.gradient((0, 0, w, h), top, low, np.pi / 2)
            scene.disc(
                (rng.uniform(0, w), rng.uniform(0, h * 0.5)),
                h * rng.uniform(0.04, 0.14),
                mix(low, (255, 255, 255), 0.6),
            )
            xs = np.linspace(0, w, 24)
            for layer in range(int(rng.integers(2, 5))):
                base = h * (0.4 + 0.15 * layer + rng.uniform(-0.05, 0.05))
                ridge = base - smooth_noise(rng, 24, 1, rng.uniform(3, 10))[0] * h * 0.3
                points = np.concatenate([np.stack([xs, ridge], 1), [[w, h], [0, h]]])
                scene.polygon(
                    points, hsv(hue + 0.03 * layer, rng.uniform(0.2, 0.8), 0.75 - 0.15 * layer)
                )
            for _ in range(int(rng.integers(0, 9))):
                x, y, s = rng.uniform(0, w), rng.uniform(0.6, 1.0) * h, h * rng.uniform(0.05, 0.2)
                scene.polygon(
                    np.array([[x - s * 0.4, y], [x, y - s * 1.4], [x + s * 0.4, y]]),
                    hsv(0.33 + rng.normal(0, 0.08), 0.6, rng.uniform(0.15, 0.5)),
                )
        else:
            field = fractal_noise(rng, w, h, rng.uniform(2, 5), 3)
            scene.image[:] = blend(field, hsv(hue, 0.5, 0.25), hsv(hue + 0.1, 0.4, 0.85))
            for _ in range(int(rng.integers(2, 8))):
                c, r = rng.uniform(0, 1, 2) * (w, h), min(w, h) * rng.uniform(0.08, 0.3)
                colour = hsv(rng.random(), rng.uniform(0.3, 1), rng.uniform(0.4, 1))
                for k in range(5):
                    scene.disc(
                        c - r * 0.08 * k,
                        r * (1 - 0.18 * k),
                        mix(mix(colour, (0, 0, 0), 0.5), mix(colour, (255, 255, 255), 0.4), k / 4),
                    )
        grain: Picture = rng.integers(0, 22, (h // 2 + 1, w // 2 + 1), dtype=np.uint8)
        grain = cv2.resize(grain, (w, h), interpolation=cv2.INTER_LINEAR)
        patch[:] = cv2.add(patch, cv2.merge([grain] * 3))


def inset(box: Rectangle, margin: float) -> Rectangle:
    """`box` with `margin` pixels taken from each side."""
    return box[0] + margin, box[1] + margin, box[2] - margin, box[3] - margin


def part(box: Rectangle, x0: float, y0: float, x1: float, y1: float) -> Rectangle:
    """The part of `box` given by fractions of its width and height."""
    w, h = box[2] - box[0], box[3] - box[1]
    return box[0] + x0 * w, box[1] + y0 * h, box[0] + x1 * w, box[1] + y1 * h


def cells(box: Rectangle, rows: int, columns: int) -> list[Rectangle]:
    """`box` cut into rows x columns, row by row."""
    return [
        part(box, c / columns, r / rows, (c + 1) / columns, (r + 1) / rows)
        for r in range(rows)
        for c in range(columns)
    ]


def darken(image: Picture, loss: Picture) -> None:
    """Take the share `loss` (h, w), 0..1, off an image's brightness (h, w, 3) uint8, in place."""
    kept = cv2.convertScaleAbs(1 - loss, alpha=255)
    cv2.multiply(image, cv2.merge([kept] * 3), image, 1 / 255)
