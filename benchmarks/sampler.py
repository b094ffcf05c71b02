#!/usr/bin/env python3
"""How long our grids and samplers take, beside PyTorch's and kornia's for the same thing.

Contestants take turns in one run on one thread, in an order drawn anew in each round. Counted is
processor time: other programs disturb it less than the clock's; on a GPU it is the clock's, until
the GPU is done. Printed are medians and, in brackets, medians of the ratios to ours within a
round, for forward alone and for forward with backward to the parameters and the pictures. Needs
the train extra (PyTorch); columns of kornia are left out where it is missing: `pip install kornia`.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from stn_ros.transformer.families import Affine, Family, Projective, ThinPlateSpline
from stn_ros.transformer.sampler import sample, sample_antialiased, sample_linearized

SHAPES = ((256, 1, 28, 28), (32, 3, 128, 128), (1, 3, 480, 640))
FAMILIES = (Affine(), Projective(), ThinPlateSpline())
SAMPLERS = {
    "bilinear": sample,
    "bicubic": partial(sample, mode="bicubic"),
    "antialiased": sample_antialiased,
    "linearized": sample_linearized,
}
Warp = Callable[[Tensor, Tensor], Tensor]
"""(pictures, parameters) -> output of the pictures' size."""


def ours(family: Family, sampler: str) -> Warp:
    """What this repository does."""
    read = SAMPLERS[sampler]
    return lambda pictures, parameters: read(pictures, family.grid(parameters, pictures.shape[2:]))


def in_torch(family: Family, sampler: str) -> Warp | None:
    """PyTorch's own, where it has it."""
    if not isinstance(family, Affine) or sampler not in ("bilinear", "bicubic"):
        return None

    def warp(pictures: Tensor, parameters: Tensor) -> Tensor:
        theta = parameters.reshape(-1, 2, 3) + torch.eye(2, 3, device=parameters.device)
        grid = functional.affine_grid(theta, list(pictures.shape), align_corners=False)
        return functional.grid_sample(pictures, grid, mode=sampler, align_corners=False)

    return warp


def in_kornia(family: Family, sampler: str) -> Warp | None:
    """Kornia's, where it is installed and has it.

    Its warps take matrices of pixels, input -> output: to find them from our parameters counts as
    its work. Its splines have their centres at the moved points: they differ between the points.
    """
    if find_spec("kornia") is None or sampler not in ("bilinear", "bicubic"):
        return None
    from kornia.geometry import transform

    options = {"mode": sampler, "align_corners": False}
    if isinstance(family, ThinPlateSpline):
        if sampler == "bicubic":
            return None
        control = family.control.float()[None]

        def warp(pictures: Tensor, parameters: Tensor) -> Tensor:
            n = len(parameters)
            here = control.to(parameters.device).expand(n, -1, -1)
            there = here + parameters.reshape(n, -1, 2)
            weights = transform.get_tps_transform(here, there)
            return transform.warp_image_tps(pictures, there, *weights, align_corners=False)

        return warp

    def warp(pictures: Tensor, parameters: Tensor) -> Tensor:
        # Its matrices map input to output pixels, an integer being a centre.
        h, w = pictures.shape[2:]
        rows = [[w / 2, 0, (w - 1) / 2], [0, h / 2, (h - 1) / 2], [0, 0, 1]]
        pixels = torch.tensor(rows, device=parameters.device)
        matrix = pixels @ torch.linalg.inv(family.matrix(parameters)) @ torch.linalg.inv(pixels)
        if isinstance(family, Affine):
            return transform.warp_affine(pictures, matrix[:, :2], (h, w), **options)
        return transform.warp_perspective(pictures, matrix, (h, w), **options)

    return warp


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="PyTorch's name of it (default: cpu)")
    options = parser.parse_args()
    device = torch.device(options.device)
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    cases = [(s, f, r) for s in SHAPES for f in FAMILIES for r in SAMPLERS]
    rows, digits = [], 1 if device.type == "cpu" else 2
    for shape, family, sampler in tqdm(cases, unit="case", leave=False):
        makers = {"ours": ours, "torch": in_torch, "kornia": in_kornia}
        warps = {name: make(family, sampler) for name, make in makers.items()}
        warps = {name: warp for name, warp in warps.items() if warp is not None}
        times = timed(warps, shape, family, options.rounds, device)
        cells = [
            f"{1e3 * np.median(t[name]):.{digits}f} ({np.median(t[name] / t['ours']):.2f})"
            if name in warps
            else ""
            for t in times
            for name in makers
        ]
        n, _, h, w = shape
        title = f"{h} x {w}, batch {n} | {type(family).__name__} | {sampler}"
        rows.append(f"| {title} | " + " | ".join(cells) + " |")
    clock = (
        "processor ms" if device.type == "cpu" else f"ms on {torch.cuda.get_device_name(device)}"
    )
    print(f"median {clock} of {options.rounds} rounds, in brackets the share of ours")
    print("| | | | forward | torch | kornia | + backward | torch | kornia |\n" + "|---" * 9 + "|")
    print("\n".join(rows))


def timed(
    warps: dict[str, Warp],
    shape: tuple[int, ...],
    family: Family,
    rounds: int,
    device: torch.device,
) -> list[dict[str, NDArray[np.float64]]]:
    """Seconds of each in each round but the first two, forward and with backward."""
    pictures = torch.rand(shape, device=device)
    parameters = family.bounded(0.1 * torch.randn(shape[0], family.count, device=device))
    wanted = torch.rand(shape, device=device)

    def seconds(work: Callable[[], object]) -> float:
        if device.type == "cpu":
            start = time.process_time()
            work()
            return time.process_time() - start
        torch.cuda.synchronize(device)
        start = time.perf_counter()
        work()
        torch.cuda.synchronize(device)
        return time.perf_counter() - start

    taken: list[dict[str, list[float]]] = [{name: [] for name in warps} for _ in range(2)]
    for number in range(rounds + 2):
        order = random.Random(number).sample(list(warps), len(warps))
        for name in order:
            with torch.no_grad():
                taken[0][name].append(seconds(partial(warps[name], pictures, parameters)))
        for name in order:
            inputs = pictures.clone().requires_grad_(), parameters.clone().requires_grad_()
            both = partial(_there_and_back, warps[name], inputs, wanted)
            taken[1][name].append(seconds(both))
    return [{name: np.array(t[2:]) for name, t in part.items()} for part in taken]


def _there_and_back(warp: Warp, inputs: tuple[Tensor, Tensor], wanted: Tensor) -> None:
    warp(*inputs).backward(wanted)


if __name__ == "__main__":
    main()
