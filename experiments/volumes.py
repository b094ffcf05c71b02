#!/usr/bin/env python3
"""Can a 3-D Spatial Transformer align volumes in a few looks? Others optimise for each pair anew.

Two scans of one head, the second turned, stretched, sheared and shifted, with another contrast,
uneven brightness and noise. Heads are drawn: a skull, a brain and a dozen ellipsoids, others for
each pair, evaluated where each scan's voxels are, so the true affine map is known exactly.

  network      a 3-D localizer of two steps, trained without any truth: only that the second scan,
               sampled through the map, must correlate with the first
  optimised    the classical way: L-BFGS (scipy.optimize) on the same correlation, for each pair
               anew, from coarse to fine, from the identity
  network + optimised   the network's answer, then the finest level of that

Error: mean distance between where the found and the true map send the voxels of the head.
"""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import command
import numpy as np
import torch
from fitting import fit
from runs import Runs
from scipy.optimize import minimize
from torch import Tensor, nn
from torch.nn import functional

from stn_ros.transformer.families import Affine3d
from stn_ros.transformer.grid import apply_matrix, target_grid
from stn_ros.transformer.sampler import sample

EPILOG = """\
examples:
  python experiments/volumes.py --seeds 1 --steps 100
      the shortest look; the networks have hardly learnt then
  python experiments/volumes.py
      the table; interrupt it as you like, the same command goes on where it stopped

The folder of --out then holds runs.json (one entry a run), table.md and errors.png.
"""

SIDE = 24
"""Of the volumes, voxels."""
ELLIPSOIDS = 12
"""Within each head, beside skull and brain."""
FAMILY = Affine3d(limit=0.5)
METHODS = ("network", "optimised")


@dataclass(frozen=True)
class Settings:
    """How networks are trained, and on how many pairs everything is judged."""

    steps: int = 600
    batch: int = 8
    learning_rate: float = 2e-3
    cascade: int = 2
    pairs: int = 25


class Pairs(NamedTuple):
    """Scans to align.

    Attributes:
        fixed, moving: (N, 1, D, H, W). truth: (N, 4, 4) fixed -> moving, normalised coordinates.
    """

    fixed: Tensor
    moving: Tensor
    truth: Tensor


def draw(n: int, generator: torch.Generator) -> Pairs:
    """New heads and maps."""
    truth = affine_maps(n, generator)
    heads, brightness = ellipsoids(n, generator)
    fixed = scan(heads, brightness)
    moving = scan(heads @ torch.linalg.inv(truth)[:, None], brightness)
    gamma = torch.empty(n, 1, 1, 1, 1).uniform_(0.7, 1.4, generator=generator)
    slope = 0.2 * torch.randn((n, 3, 1), generator=generator)
    bias = (target_grid((SIDE,) * 3, truth) @ slope[:, None, None]).movedim(-1, 1)
    moving = moving.clamp_min(0).pow(gamma) * (1 + bias)
    noise = 0.03 * torch.randn((2, *fixed.shape), generator=generator)
    return Pairs(fixed + noise[0], moving + noise[1], truth)


def affine_maps(n: int, generator: torch.Generator) -> Tensor:
    """(n, 4, 4): turns of up to 40 degrees, 15 % of stretch, 10 % of shear, 25 % of shift."""

    def uniform(*shape: int) -> Tensor:
        return 2 * torch.rand((n, *shape), generator=generator) - 1

    axis = functional.normalize(torch.randn((n, 3), generator=generator), dim=1)
    turn = turns(axis * uniform(1) * np.deg2rad(40))
    stretch = torch.diag_embed(1 + 0.15 * uniform(3)) + 0.1 * uniform(3, 3).triu(1)
    maps = torch.eye(4).repeat(n, 1, 1)
    maps[:, :3, :3] = turn @ stretch
    maps[:, :3, 3] = 0.25 * uniform(3)
    return maps


def turns(vectors: Tensor) -> Tensor:
    """Rotation vectors (..., 3), radians -> matrices (..., 3, 3)."""
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1)
    return torch.linalg.matrix_exp(skew.reshape(*vectors.shape, 3))


def ellipsoids(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random heads: (n, E, 4, 4) that carry each ellipsoid onto the unit ball, (n, E) brightness.

    The first two are the skull and the brain within it.
    """

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand((n, *shape), generator=generator)

    inner = torch.cat([uniform(0.1, 0.3, ELLIPSOIDS, 2), uniform(0.1, 0.2, ELLIPSOIDS, 1)], 2)
    outer = torch.stack([uniform(0.5, 0.65), uniform(0.55, 0.7), uniform(0.5, 0.6)], dim=1)
    radii = torch.cat([outer[:, None], 0.88 * outer[:, None], inner], dim=1)
    centre = torch.zeros(n, ELLIPSOIDS + 2, 3)
    centre[:, 2:] = uniform(-0.5, 0.5, ELLIPSOIDS, 3) * outer[:, None] * 1.1
    turn = torch.eye(3).repeat(n, ELLIPSOIDS + 2, 1, 1)
    turn[:, 2:] = turns(torch.randn((n, ELLIPSOIDS, 3), generator=generator))
    linear = turn / radii[..., None]
    carry = torch.eye(4).repeat(n, ELLIPSOIDS + 2, 1, 1)
    carry[..., :3, :3] = linear
    carry[..., :3, 3] = -(linear @ centre[..., None])[..., 0]
    brightness = uniform(-0.35, 0.45, ELLIPSOIDS + 2)
    brightness[:, 0], brightness[:, 1] = 1.0, -0.5
    return carry, brightness


def scan(carry: Tensor, brightness: Tensor) -> Tensor:
    """Volumes (n, 1, SIDE, SIDE, SIDE) of ellipsoids with soft edges; see `ellipsoids`."""
    n, count = brightness.shape
    points = target_grid((SIDE,) * 3, carry).reshape(-1, 3)
    points = torch.cat([points, torch.ones_like(points[:, :1])], dim=1)
    # Squared distance from an ellipsoid's centre, in radii: a form in products of coordinates.
    products = (points[:, :, None] * points[:, None]).flatten(1)
    forms = (carry[..., :3, :].transpose(-1, -2) @ carry[..., :3, :]).reshape(-1, 16)
    shares = (1.5 * (1 - forms @ products.T) + 0.5).clamp(0, 1).reshape(n, count, -1)
    return (brightness[:, None] @ shares).reshape(n, 1, SIDE, SIDE, SIDE)


class PairAligner(nn.Module):
    """Maps found step by step, each on the pair of the fixed and the so far aligned moving scan.

    The inverse-compositional cascade (Lin & Lucey 2017) of `module.CompositionalTransformer`, with
    a second volume to compare with. Untrained it answers the identity.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.localizers = nn.ModuleList(_localizer() for _ in range(steps))

    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor:
        """Two scans (N, 1, D, H, W) -> parameters (N, 12) of the map fixed -> moving."""
        parameters, aligned = FAMILY.identity(len(fixed)), moving
        for i, localizer in enumerate(self.localizers):
            if i:
                aligned = sample(moving, FAMILY.grid(parameters, fixed.shape[2:]))
            step = FAMILY.bounded(localizer(torch.cat([fixed, aligned], dim=1)))
            parameters = FAMILY.compose(parameters, step)
        return parameters


def _localizer() -> nn.Sequential:
    layers = nn.Sequential(
        nn.Conv3d(2, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv3d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv3d(32, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * (SIDE // 8) ** 3, 64),
        nn.ReLU(),
        nn.Linear(64, FAMILY.count),
    )
    nn.init.zeros_(layers[-1].weight)
    nn.init.zeros_(layers[-1].bias)
    return layers


def dissimilarity(fixed: Tensor, moving: Tensor, parameters: Tensor) -> Tensor:
    """(N,) one less the correlation of the first scan with the second sampled through a map.

    Unmoved by brightness and contrast. Voxels that look outside the second scan do not count.
    """
    grid = FAMILY.grid(parameters, fixed.shape[2:])
    inside = (grid.abs() <= 1).all(dim=-1)[:, None].to(fixed.dtype)
    aligned = sample(moving, grid, padding="border")
    axes, count = (1, 2, 3, 4), inside.sum(dim=(1, 2, 3, 4), keepdim=True).clamp_min(1)
    a, b = ((v - (v * inside).sum(axes, keepdim=True) / count) * inside for v in (fixed, aligned))
    power = a.square().sum(axes) * b.square().sum(axes)
    return 1 - (a * b).sum(axes) / (power + 1e-8).sqrt()


def distances(parameters: Tensor, truth: Tensor) -> Tensor:
    """(N,) mean distance, voxels, of where two maps send the points of a ball of radius 0.6."""
    points = target_grid((8,) * 3, truth).reshape(-1, 3)
    points = points[points.norm(dim=1) < 0.6]
    found = FAMILY.map(parameters, points)
    return (found - apply_matrix(truth[:, :3], points)).norm(dim=2).mean(dim=1) * SIDE / 2


def train(settings: Settings, seed: int) -> PairAligner:
    """A network trained without truth, on new pairs in every step."""
    torch.manual_seed(seed)
    model, generator = PairAligner(settings.cascade), torch.Generator().manual_seed(seed)
    batches = (draw(settings.batch, generator) for _ in range(settings.steps))

    def loss(pairs: Pairs) -> Tensor:
        found = model(pairs.fixed, pairs.moving)
        return dissimilarity(pairs.fixed, pairs.moving, found).mean()

    fit(model, batches, loss, settings.steps, settings.learning_rate)
    return model.eval()


def optimised(pair: Pairs, start: Tensor, levels: tuple[int, ...]) -> tuple[Tensor, int]:
    """Parameters (1, 12) that minimise one pair's dissimilarity, and how often it was computed.

    Args:
        start: (1, 12). levels: by how much the volumes are shrunk, in turn.
    """
    best, looks = start.double(), 0
    for level in levels:
        fixed, moving = (functional.avg_pool3d(v.double(), level) for v in pair[:2])

        def cost(values: np.ndarray, a: Tensor = fixed, b: Tensor = moving) -> tuple[float, Any]:
            theta = torch.tensor(values[None], requires_grad=True)
            value = dissimilarity(a, b, theta).sum()
            return value.item(), torch.autograd.grad(value, theta)[0][0].numpy()

        done = minimize(cost, best[0].numpy(), jac=True, method="L-BFGS-B")
        best, looks = torch.from_numpy(done.x)[None], looks + int(done.nfev)
    return best.float(), looks


def run(settings: Settings, method: str, seed: int) -> dict[str, Any]:
    """Errors of one method, voxels, on test pairs that are the same for every method of a seed."""
    generator = torch.Generator().manual_seed(1000 + seed)
    pairs = draw(settings.pairs, generator)
    singles = [Pairs(*(v[i : i + 1] for v in pairs)) for i in range(settings.pairs)]
    if method == "optimised":
        results = [optimised(p, FAMILY.identity(), (4, 2, 1)) for p in singles]
        answers, looks = zip(*results, strict=True)
        return _measured(torch.cat(answers), pairs, looks)
    model = train(settings, seed)
    with torch.no_grad():
        found = model(pairs.fixed, pairs.moving)
    results = [optimised(p, found[i : i + 1], (1,)) for i, p in enumerate(singles)]
    answers, looks = zip(*results, strict=True)
    polished = _measured(torch.cat(answers), pairs, looks)
    return _measured(found, pairs, [settings.cascade] * len(found)) | {
        f"polished_{name}": value for name, value in polished.items()
    }


def _measured(found: Tensor, pairs: Pairs, looks: Any) -> dict[str, Any]:  # noqa: ANN401
    errors = distances(found, pairs.truth)
    return {
        "median": errors.median().item(),
        "p90": errors.quantile(0.9).item(),
        "failed": 100 * (errors > 2).float().mean().item(),
        "looks": statistics.mean(looks),
        "before": distances(FAMILY.identity(len(found)), pairs.truth).median().item(),
    }


def table(runs: list[dict[str, Any]], settings: Settings) -> str:
    """The page in Markdown."""
    rows = [["nothing done", command.spread([r["before"] for r in runs]), "", "", "", ""]]
    for method in METHODS:
        for prefix, suffix in (("", ""), ("polished_", " + optimised")):
            if values := command.taken(runs, f"{prefix}median", method=method):
                cells = [
                    command.spread(command.taken(runs, prefix + name, method=method), digits)
                    for name, digits in (("median", 2), ("p90", 2), ("failed", 1), ("looks", 0))
                ]
                rows.append([method + suffix, *cells, str(len(values))])
    header = ["method", "median, voxels", "90th percentile", "above 2 voxels, %", "looks", "seeds"]
    return f"""# Volumes: affine alignment of {SIDE} x {SIDE} x {SIDE} scans

Mean distance over the head between the found and the true map, over {settings.pairs} pairs a seed;
mean ± standard deviation over seeds. Looks: how often the second scan is sampled for one pair (and,
when optimised, differentiated), on the coarse levels too. {settings}.

{command.markdown(header, rows)}

{command.effort(runs)}
"""


def plot(runs: list[dict[str, Any]], folder: Path) -> None:
    """Median errors over what they cost, a dot a seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 3.5), layout="constrained")
    axes = figure.add_subplot(xscale="log", yscale="log")
    for i, method in enumerate(METHODS):
        for prefix, mark in (("", "o"), ("polished_", "^")):
            if errors := command.taken(runs, f"{prefix}median", method=method):
                looks = command.taken(runs, f"{prefix}looks", method=method)
                label = method + (" + optimised" if prefix else "")
                axes.plot(looks, errors, mark, color=f"C{i}", label=label)
    axes.axhline(statistics.mean(r["before"] for r in runs), color="gray", label="nothing done")
    axes.set_xlabel("looks at the second scan")
    axes.set_ylabel("median error, voxels")
    axes.legend()
    figure.savefig(folder / "errors.png", dpi=150)


def main(arguments: list[str] | None = None) -> None:
    """Run what is not yet there, then write table and picture."""
    parser = command.parser(__doc__ or "", EPILOG, "volumes")
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
