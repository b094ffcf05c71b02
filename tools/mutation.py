#!/usr/bin/env python3
"""Breaks the code at random places, one at a time, and shows which breaks no test notices.

    pip install cosmic-ray==8.7.0
    tools/mutation.py --seed 1 --count 60

Mutations are Cosmic Ray's; drawn evenly from all of the rooms named, but for those that change
nothing when the program runs (annotations). The tests of the module's own name come first, then
those of all the rooms named. The checkout must be clean: files are changed in place and restored.
"""

from __future__ import annotations

import argparse
import ast
import random
import subprocess
import sys
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOMS = ("runtime", "nodes", "geometry")
LIMIT = 1200.0
"""Seconds of one run of tests; a mutant that takes longer is noticed, too."""


def main() -> int:
    """Draw, break, test; returns 0 if at least `--demand` of the mutants were noticed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--rooms", nargs="+", default=list(ROOMS))
    parser.add_argument("--demand", type=float, default=0.9)
    parser.add_argument("--python", default=sys.executable, help="that runs the tests")
    options = parser.parse_args()
    drawn = draw(options.rooms, options.count, random.Random(options.seed))
    survivors = 0
    for number, (path, line, mutant) in enumerate(drawn, 1):
        killer = test(path, mutant, options.rooms, options.python)
        survivors += killer is None
        before = path.read_text().splitlines()[line - 1].strip()
        after = mutant.splitlines()[line - 1].strip()
        print(f"{number:3} {killer or 'SURVIVED':40} {path}:{line}: {before}  ->  {after}")
        sys.stdout.flush()
    share = 1 - survivors / len(drawn)
    print(f"seed {options.seed}: {len(drawn) - survivors} of {len(drawn)} noticed ({share:.0%})")
    return 0 if share >= options.demand else 1


def draw(rooms: list[str], count: int, rng: random.Random) -> list[tuple[Path, int, str]]:
    """Files, changed lines and whole mutated sources."""
    # Two operators want to be told which variables they are for.
    names = [name for name in sorted(operator_names()) if "/Variable" not in name]
    places = []
    for room in rooms:
        for path in sorted((Path("stn_ros") / room).rglob("*.py")):
            source = path.read_text()
            tree = get_ast(source)
            for name in names:
                operator = get_operator(name)()
                found = sum(
                    len(list(operator.mutation_positions(node))) for node in ast_nodes(tree)
                )
                places += [(path, name, occurrence) for occurrence in range(found)]
    rng.shuffle(places)
    drawn = []
    for path, name, occurrence in places:
        source = path.read_text()
        mutant = mutate_code(source, get_operator(name)(), occurrence)
        if mutant is None or running(mutant) in (None, running(source)):
            continue
        lines = zip(source.splitlines(), mutant.splitlines(), strict=False)
        line = next((i for i, (old, new) in enumerate(lines, 1) if old != new), 1)
        drawn.append((path, line, mutant))
        if len(drawn) == count:
            break
    return drawn


def running(source: str) -> str | None:
    """What of a source runs: its tree without annotations and docstrings; None if it has none."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant(None)
    return ast.dump(tree)


def test(path: Path, mutant: str, rooms: list[str], python: str) -> str | None:
    """The test file that notices a mutant; None if none does."""
    source = path.read_text()
    own = sorted(Path("test").rglob(f"test_{path.stem}*.py"))
    suites = [[str(each)] for each in own]
    suites.append([*(f"test/{room}" for room in rooms), "test/test_perception.py"])
    try:
        path.write_text(mutant)
        for suite in suites:
            command = [python, "-m", "pytest", "-x", "-q", "--no-header", *suite]
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, timeout=LIMIT, check=False
                )
            except subprocess.TimeoutExpired:
                return "time ran out"
            if done.returncode != 0:
                failed = [w for w in done.stdout.split() if w.startswith("test/") and "::" in w]
                return failed[-1].split("/")[-1] if failed else Path(suite[0]).name
        return None
    finally:
        path.write_text(source)


if __name__ == "__main__":
    sys.exit(main())
