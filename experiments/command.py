"""What the experiments' commands share: options, the loop over unfinished runs, parts of a page."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from runs import Runs, machine


def parser(description: str, epilog: str, name: str) -> argparse.ArgumentParser:
    """A command line with --seeds, --threads and --out; `name` is the folder below out/."""
    made = argparse.ArgumentParser(
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--seeds", type=int, default=3, help="runs of each model (default: 3)")
    made.add_argument("--threads", type=int, default=1, help="of the CPU (default: 1)")
    made.add_argument(
        "--out",
        type=Path,
        default=Path("out/experiments") / name,
        help="folder of the results (default: %(default)s)",
    )
    return made


def add_some(
    made: argparse.ArgumentParser,
    name: str,
    every: Mapping[str, str] | Sequence[str],
    default: Sequence[str] | None = None,
) -> None:
    """Add an option that takes some of `every`, which may say what each means; by default all."""
    words = (
        [f"{key}: {text}" for key, text in every.items()] if isinstance(every, Mapping) else every
    )
    chosen = "all" if default is None else " ".join(default)
    made.add_argument(
        f"--{name}",
        nargs="+",
        choices=list(every),
        default=list(every if default is None else default),
        metavar=name[0].upper(),
        help=f"{'; '.join(words)} (default: {chosen})",
    )


def add_digits(made: argparse.ArgumentParser) -> None:
    """Add --idx-folder and --full, see `digits.load`, and --device."""
    made.add_argument(
        "--idx-folder",
        type=Path,
        metavar="FOLDER",
        help="take MNIST's own files, train-images-idx3-ubyte[.gz] and so on, from here instead",
    )
    made.add_argument("--full", action="store_true", help="all digits of the source")
    made.add_argument("--device", default="cpu", help="PyTorch's name of it (default: cpu)")


def add_pairs(made: argparse.ArgumentParser, steps: int, pairs: int) -> None:
    """Add --steps and --pairs, with these defaults."""
    made.add_argument("--steps", type=int, default=steps, help="of training (default: %(default)s)")
    made.add_argument(
        "--pairs", type=int, default=pairs, help="judged in each run (default: %(default)s)"
    )


def options(made: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """Read the arguments, refuse whole numbers below 1, and set PyTorch's threads."""
    read = made.parse_args(arguments)
    for name, value in vars(read).items():
        if isinstance(value, int) and not isinstance(value, bool) and value < 1:
            made.error(f"--{name.replace('_', '-')} is {value}: must be at least 1")
    torch.set_num_threads(read.threads)
    return read


def complete(
    runs: Runs, jobs: Iterable[Mapping[str, str | int]], run: Callable[..., dict[str, Any]]
) -> None:
    """Make those of the runs that are not finished, each kept at once; Ctrl-C ends it.

    Args:
        jobs: what names each run. run: called with a job's entries; gives what is to be kept.
    """
    jobs = list(jobs)
    try:
        for number, job in enumerate(jobs, start=1):
            if runs.done(**job):
                continue
            started = time.monotonic()
            result = run(**job)
            seconds = round(time.monotonic() - started, 1)
            runs.add(**job, **result, seconds=seconds, machine=machine())
            named = " ".join(f"{key} {value}" for key, value in job.items())
            values = ", ".join(f"{k} {v:.4g}" for k, v in result.items() if isinstance(v, float))
            print(f"[{number}/{len(jobs)}] {named}: {values} ({seconds:.0f} s)", flush=True)
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on with the first unfinished run")


def taken(runs: Sequence[Mapping[str, Any]], value: str, **key: str | int) -> list[Any]:
    """The `value` of those runs that have the entries of `key` and have it."""
    return [
        run[value]
        for run in runs
        if run.get(value) is not None and all(run.get(k) == v for k, v in key.items())
    ]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Mean and standard deviation of several, the value of one, nothing of none."""
    if not values:
        return ""
    text = f"{statistics.mean(values):.{digits}f}"
    return f"{text} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else text


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]
    return "\n".join(lines)


def write(page: str, folder: Path) -> None:
    """Keep a page as table.md, and show it."""
    (folder / "table.md").write_text(page, encoding="utf-8")
    print(f"\n{page}\nwritten to {folder}")


def effort(runs: Sequence[Mapping[str, Any]]) -> str:
    """The last line of a page: how much was run, and on what."""
    seconds = sum(run["seconds"] for run in runs)
    machines = "; ".join(sorted({run["machine"] for run in runs}))
    return f"{len(runs)} runs, {seconds / 60:.1f} minutes: {machines}."
