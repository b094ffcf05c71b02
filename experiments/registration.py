#!/usr/bin/env python3
"""Registration of retina pictures by a thin-plate spline or a dense field, learnt without truth.

Two pictures of one place of a retina, bent by a smooth random field of some pixels, with another
contrast and noise. The photo is scikit-image's; networks learn on the left of it and are tested on
the right. Nothing tells them the field: they are trained on how well the second picture, sampled
through theirs, correlates with the first in small windows, and on the field being smooth.

  tps          a Spatial Transformer of 8 x 8 control points, one for each cell of its localizer
  dense        a displacement for each 4 x 4 pixels, straight lines between
  optimised    the same spline and the same measure, by L-BFGS (scipy.optimize) for each pair anew
  farneback, dis (OpenCV), tv-l1 (scikit-image)   classical optical flow, of equalised pictures
  ... + optimised   the network's answer, then the finest level of the optimiser

Error: mean distance between the found and the true field, the outer 8 pixels left out.
"""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import command
import cv2
import numpy as np
import torch
from fitting import fit
from runs import Runs
from scipy.optimize import minimize
from torch import Tensor, nn
from torch.nn import functional

from stn_ros.transformer.families import Family, ThinPlateSpline
from stn_ros.transformer.grid import target_grid
from stn_ros.transformer.sampler import sample

EPILOG = """\
examples:
  python experiments/registration.py --seeds 1 --steps 100
      the shortest look; the networks have hardly learnt then
  python experiments/registration.py
      the table; interrupt it as you like, the same command goes on where it stopped

The folder of --out then holds runs.json (one entry a run), table.md and errors.png.
"""

SIDE, MARGIN = 64, 8
"""Of the pictures; of what does not count at their edges, pixels."""
BENDS, AMPLITUDE = 4, 3.0
"""The true field is bicubic between BENDS x BENDS normal draws of this deviation, pixels."""


class Displacements(Family):
    """Shifts (x, y) of a lattice of points, straight lines between: a dense field.

    The points are the centres of `side` x `side` equal tiles, row by row, as in `ThinPlateSpline`;
    beyond the outermost the field stays what it is there.
    """

    dims: ClassVar[int] = 2

    def __init__(self, side: int, limit: float = 1.0) -> None:
        super().__init__(limit)
        self.side, self.count = side, 2 * side * side

    def _mapped(self, parameters: Tensor, points: Tensor) -> Tensor:
        lattice = parameters.reshape(-1, self.side, self.side, 2).movedim(-1, 1)
        where = points.expand(len(lattice), 1, -1, -1)
        return points + sample(lattice, where, padding="border")[:, :, 0].transpose(1, 2)


FAMILIES = {"tps": ThinPlateSpline(side=8, limit=0.5), "dense": Displacements(side=16, limit=0.5)}
FLOWS = ("farneback", "dis", "tv-l1")
METHODS = (*FAMILIES, "optimised", *FLOWS)


@dataclass(frozen=True)
class Settings:
    """How networks are trained, and on how many pairs everything is judged."""

    steps: int = 700
    batch: int = 8
    learning_rate: float = 2e-3
    looks: int = 2
    smoothness: float = 0.3
    pairs: int = 16


class Pairs(NamedTuple):
    """Pictures to register.

    Attributes:
        fixed, moving: (N, 1, SIDE, SIDE). truth: (N, SIDE, SIDE, 2) fixed -> moving, normalised.
    """

    fixed: Tensor
    moving: Tensor
    truth: Tensor


def retina() -> tuple[Tensor, Tensor]:
    """The green of scikit-image's retina at a third of its size, left and right: (H, W) in [0, 1].

    With its contrast made even (CLAHE), as ophthalmologists look at it.
    """
    from skimage.data import retina as photo

    green = cv2.resize(photo()[..., 1], (470, 470), interpolation=cv2.INTER_AREA)
    even = cv2.createCLAHE(4.0, (8, 8)).apply(green)
    picture = torch.from_numpy(even[60:410, 45:425].astype(np.float32) / 255)
    return picture[:, :220], picture[:, 220:]


def draw(photo: Tensor, n: int, generator: torch.Generator) -> Pairs:
    """Places in a photo, each bent, with another contrast."""
    wide = 2 * SIDE  # so that what comes in from outside is real, too
    height, width = photo.shape
    rows = torch.randint(height - wide + 1, (n,), generator=generator)
    columns = torch.randint(width - wide + 1, (n,), generator=generator)
    around = torch.stack(
        [photo[r : r + wide, c : c + wide] for r, c in zip(rows, columns, strict=True)]
    )[:, None]
    shifts = AMPLITUDE * torch.randn((n, 2, BENDS, BENDS), generator=generator)
    field = functional.interpolate(shifts, (SIDE, SIDE), mode="bicubic").movedim(1, -1)
    truth = target_grid((SIDE, SIDE), field) + field * (2 / SIDE)
    fixed = sample(around, truth / 2)
    moving = around[..., SIDE // 2 : -SIDE // 2, SIDE // 2 : -SIDE // 2]
    gamma = torch.empty(n, 1, 1, 1).uniform_(0.6, 1.6, generator=generator)
    noise = 0.01 * torch.randn((2, *fixed.shape), generator=generator)
    return Pairs(fixed + noise[0], moving.pow(gamma) + noise[1], truth)


class PairAligner(nn.Module):
    """Parameters of a family with a lattice of control points, found in several looks.

    Each look compares the first picture with the second as sampled so far, and adds to each control
    point the shift that the localizer sees in its cell. Untrained it answers the identity.
    """

    def __init__(self, family: ThinPlateSpline | Displacements, looks: int) -> None:
        super().__init__()
        self.family = family
        self.localizers = nn.ModuleList(_localizer(SIDE // family.side) for _ in range(looks))

    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor:
        """Two pictures (N, 1, SIDE, SIDE) -> parameters (N, count)."""
        parameters, aligned = self.family.identity(len(fixed)), moving
        for i, localizer in enumerate(self.localizers):
            if i:
                grid = self.family.grid(parameters, fixed.shape[2:])
                aligned = sample(moving, grid, padding="border")
            seen = torch.cat([normalised(fixed), normalised(aligned)], dim=1)
            step = localizer(seen).movedim(1, -1).flatten(1)
            parameters = parameters + self.family.bounded(step)
        return parameters


def _localizer(stride: int) -> nn.Sequential:
    """Two pictures (N, 2, H, W) -> (N, 2, H / stride, W / stride), of all within 30 pixels."""
    layers: list[nn.Module] = [nn.Conv2d(2, 24, 5, 2, 2), nn.ReLU()]
    layers += [nn.Conv2d(24, 32, 3, 2, 1), nn.ReLU()]
    if stride == 8:
        layers += [nn.Conv2d(32, 32, 3, 2, 1), nn.ReLU()]
    dilation = 8 // stride
    for d in (dilation, 2 * dilation, dilation):
        layers += [nn.Conv2d(32, 32, 3, padding=d, dilation=d), nn.ReLU()]
    layers += [nn.Conv2d(32, 2, 1)]
    nn.init.zeros_(layers[-1].weight)
    nn.init.zeros_(layers[-1].bias)
    return nn.Sequential(*layers)


def normalised(pictures: Tensor) -> Tensor:
    """Mean zero and deviation one for each picture."""
    mean, std = pictures.mean((1, 2, 3), True), pictures.std((1, 2, 3), keepdim=True)
    return (pictures - mean) / (std + 1e-3)


def dissimilarity(fixed: Tensor, moving: Tensor, grid: Tensor, window: int = 9) -> Tensor:
    """(N,) one less the mean correlation in windows; what looks outside does not count."""
    inside = (grid.abs() <= 1).all(dim=-1)[:, None].to(fixed.dtype)
    aligned = sample(moving, grid, padding="border")

    def blurred(values: Tensor) -> Tensor:
        across = functional.avg_pool2d(values, (1, window), stride=1)
        return functional.avg_pool2d(across, (window, 1), stride=1)

    means = [blurred(v) for v in (fixed, aligned)]
    powers = [
        blurred(v * v) - m * m for v, m in zip((fixed, aligned), means, strict=True)
    ]  # of rounding, these may be negative
    both = blurred(fixed * aligned) - means[0] * means[1]
    product = (powers[0].clamp_min(0) + 1e-3) * (powers[1].clamp_min(0) + 1e-3)
    weight = blurred(inside)
    correlation = both / product.sqrt()
    return 1 - (correlation * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp_min(1)


def roughness(parameters: Tensor) -> Tensor:
    """(N,) mean squared slope between neighbouring control points, pixels a pixel."""
    side = round((parameters.shape[1] / 2) ** 0.5)
    lattice = parameters.reshape(-1, side, side, 2) * (side / 2)
    slopes = [lattice.diff(dim=axis).square().mean((1, 2, 3)) for axis in (1, 2)]
    return slopes[0] + slopes[1]


def cost(
    family: Family, fixed: Tensor, moving: Tensor, parameters: Tensor, smoothness: float
) -> Tensor:
    """(N,) what networks and the optimiser minimise."""
    grid = family.grid(parameters, fixed.shape[2:])
    return dissimilarity(fixed, moving, grid) + smoothness * roughness(parameters)


def errors(grid: Tensor, truth: Tensor) -> Tensor:
    """(N,) mean distance, pixels, of a found from the true field within the margin."""
    distance = (grid - truth).norm(dim=-1) * (SIDE / 2)
    return distance[:, MARGIN:-MARGIN, MARGIN:-MARGIN].mean((1, 2))


def folded(grid: Tensor) -> float:
    """Share of the pixels, percent, in which a field turns over: anatomy can not do that."""
    across, down = grid.diff(dim=2)[:, 1:], grid.diff(dim=1)[:, :, 1:]
    area = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
    return 100 * (area <= 0).float().mean().item()


def train(name: str, photo: Tensor, settings: Settings, seed: int) -> PairAligner:
    """A network trained without truth, on new pairs in every step."""
    torch.manual_seed(seed)
    model = PairAligner(FAMILIES[name], settings.looks)
    generator = torch.Generator().manual_seed(seed)
    batches = (draw(photo, settings.batch, generator) for _ in range(settings.steps))

    def loss(pairs: Pairs) -> Tensor:
        found = model(pairs.fixed, pairs.moving)
        return cost(model.family, pairs.fixed, pairs.moving, found, settings.smoothness).mean()

    fit(model, batches, loss, settings.steps, settings.learning_rate)
    return model.eval()


def optimised(
    family: Family, pairs: Pairs, start: Tensor, levels: tuple[int, ...], smoothness: float
) -> Tensor:
    """Parameters (N, count) that minimise each pair's cost, on pictures blurred less and less.

    Args:
        start: (N, count). levels: standard deviations of the blur, pixels, in turn.
    """
    results = []
    for fixed, moving, values in zip(pairs.fixed, pairs.moving, start, strict=True):
        best = values.double().numpy()
        for level in levels:
            a, b = (_blurred(v[0], level) for v in (fixed, moving))

            def value(x: np.ndarray, a: Tensor = a, b: Tensor = b) -> tuple[float, np.ndarray]:
                theta = torch.tensor(x[None], requires_grad=True)
                total = cost(family, a, b, theta, smoothness).sum()
                return total.item(), torch.autograd.grad(total, theta)[0][0].numpy()

            best = minimize(value, best, jac=True, method="L-BFGS-B", options={"maxiter": 60}).x
        results.append(torch.from_numpy(best).float())
    return torch.stack(results)


def _blurred(picture: Tensor, deviation: int) -> Tensor:
    values = picture.numpy()
    values = cv2.GaussianBlur(values, (0, 0), deviation) if deviation else values
    return torch.from_numpy(values).double()[None, None]


def flow(name: str, fixed: Tensor, moving: Tensor) -> Tensor:
    """Classical optical flow of one pair (1, SIDE, SIDE) -> grid (SIDE, SIDE, 2), normalised."""
    first, second = (
        cv2.equalizeHist((255 * v[0].clamp(0, 1)).byte().numpy()) for v in (fixed, moving)
    )
    if name == "farneback":
        shifts = cv2.calcOpticalFlowFarneback(first, second, None, 0.5, 3, 15, 5, 7, 1.5, 0)
    elif name == "dis":
        medium = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        medium.setFinestScale(0)
        shifts = medium.calc(first, second, None)
    else:
        from skimage.registration import optical_flow_tvl1

        found = optical_flow_tvl1(first / 255.0, second / 255.0)
        shifts = np.stack([found[1], found[0]], axis=-1).astype(np.float32)
    return target_grid((SIDE, SIDE), fixed) + torch.from_numpy(shifts) * (2 / SIDE)


def run(settings: Settings, method: str, seed: int) -> dict[str, Any]:
    """Errors of one method, pixels, on test pairs that are the same for every method of a seed."""
    left, right = retina()
    pairs = draw(right, settings.pairs, torch.Generator().manual_seed(1000 + seed))
    size, smoothness = (SIDE, SIDE), settings.smoothness
    if method in FLOWS:
        return measured([flow(method, f, m) for f, m in zip(*pairs[:2], strict=True)], pairs)
    if method == "optimised":
        family = FAMILIES["tps"]
        start = family.identity(settings.pairs)
        found = optimised(family, pairs, start, (4, 2, 0), smoothness)
        return measured(family.grid(found, size), pairs)
    model = train(method, left, settings, seed)
    with torch.no_grad():
        found = model(pairs.fixed, pairs.moving)
    polished = optimised(model.family, pairs, found, (0,), smoothness)
    result = measured(model.family.grid(polished, size), pairs)
    return measured(model.family.grid(found, size), pairs) | {
        f"polished_{name}": value for name, value in result.items()
    }


def measured(grids: Tensor | list[Tensor], pairs: Pairs) -> dict[str, float]:
    """Median and 90th percentile of the errors, and how much is folded."""
    grid = torch.stack(list(grids))
    found = errors(grid, pairs.truth)
    identity = target_grid((SIDE, SIDE), pairs.truth).expand_as(pairs.truth)
    return {
        "median": found.median().item(),
        "p90": found.quantile(0.9).item(),
        "folded": folded(grid),
        "before": errors(identity, pairs.truth).median().item(),
    }


def table(runs: list[dict[str, Any]], settings: Settings) -> str:
    """The page in Markdown."""
    rows = [["nothing done", command.spread([r["before"] for r in runs]), "", "", ""]]
    for method in METHODS:
        for prefix, suffix in (("", ""), ("polished_", " + optimised")):
            if values := command.taken(runs, f"{prefix}median", method=method):
                cells = [
                    command.spread(command.taken(runs, prefix + name, method=method))
                    for name in ("median", "p90", "folded")
                ]
                rows.append([method + suffix, *cells, str(len(values))])
    header = ["method", "median, pixels", "90th percentile", "folded, %", "seeds"]
    return f"""# Registration: retina pictures of {SIDE} x {SIDE} pixels

Mean distance between the found and the true field, over {settings.pairs} pairs a seed; mean ±
standard deviation over seeds. Folded: share of the pixels in which the field turns over.
{settings}.

{command.markdown(header, rows)}

{command.effort(runs)}
"""


def plot(runs: list[dict[str, Any]], folder: Path) -> None:
    """Median errors, a dot a seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.add_subplot()
    bars = [
        (method + suffix, values)
        for method in METHODS
        for prefix, suffix in (("", ""), ("polished_", "\n+ optimised"))
        if (values := command.taken(runs, f"{prefix}median", method=method))
    ]
    for place, (_, values) in enumerate(bars):
        axes.bar(place, statistics.mean(values), color="C0", alpha=0.6)
        axes.plot([place] * len(values), values, ".", color="black")
    axes.axhline(statistics.mean(r["before"] for r in runs), color="gray", label="nothing done")
    axes.set_xticks(range(len(bars)), [name for name, _ in bars], rotation=30, ha="right")
    axes.set_ylabel("median error, pixels")
    axes.legend()
    figure.savefig(folder / "errors.png", dpi=150)


def main(arguments: list[str] | None = None) -> None:
    """Run what is not yet there, then write table and picture."""
    parser = command.parser(__doc__ or "", EPILOG, "registration")
    command.add_pairs(parser, Settings.steps, Settings.pairs)
    options = command.options(parser, arguments)
    settings = Settings(steps=options.steps, pairs=options.pairs)
    runs = Runs(options.out, {"settings": asdict(settings)})
    jobs = [{"method": m, "seed": s} for s in range(options.seeds) for m in METHODS]
    command.complete(runs, jobs, partial(run, settings))
    if finished := runs.runs():
        plot(finished, options.out)
        command.write(table(finished, settings), options.out)


if __name__ == "__main__":
    main()
