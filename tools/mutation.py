#!/usr/bin/env python3
"""Breaks the code at random places, one at a time, and shows which breaks no test notices.

    pip install cosmic-ray==8.7.0
    tools/mutation.py --seed 1 --count 60

Mutations are Cosmic Ray's; drawn evenly from all of the rooms named, but for those that change
nothing when the program runs (annotations). All are shown to the tests of the module's own name;
what these do not notice, to those of all the rooms named, on two cores. The checkout must be clean:
files are changed in place and restored.
"""

from __future__ import annotations

import argparse
import ast
import os
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
    own = {number: own_tests(path) for number, (path, _, _) in enumerate(drawn, 1)}
    rooms = [*(f"test/{room}" for room in options.rooms), "test/test_perception.py", "-n2"]
    left = list(own)
    for suites in (own, dict.fromkeys(own, rooms)):
        unnoticed = []
        for number in left:
            path, line, mutant = drawn[number - 1]
            killer = test(path, mutant, suites[number], options.python)
            if killer is None:
                unnoticed.append(number)
            if killer is not None or suites is not own:
                before = path.read_text().splitlines()[line - 1].strip()
                after = mutant.splitlines()[line - 1].strip()
                print(f"{number:3} {killer or 'SURVIVED'}  {path}:{line}: {before}  ->  {after}")
                sys.stdout.flush()
        left = unnoticed
    survivors = len(left)
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
            nodes = list(ast_nodes(get_ast(source)))
            for name in names:
                operator = get_operator(name)()
                found = sum(len(list(operator.mutation_positions(node))) for node in nodes)
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


def own_tests(path: Path) -> list[str]:
    """Test files of a module's name in its room."""
    room = Path("test") / path.parts[1]
    return [str(each) for each in sorted(room.rglob(f"test_{path.stem}*.py"))]


def test(path: Path, mutant: str, suite: list[str], python: str) -> str | None:
    """The first test of a suite that notices a mutant; None if none does."""
    if not suite:
        return None
    source = path.read_text()
    command = [python, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:randomly", *suite]
    # Bytecode of one mutant must not be taken for another's of the same second and length.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        path.write_text(mutant)
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        return "time ran out"
    finally:
        path.write_text(source)
    if done.returncode == 0:
        return None
    failed = [word for word in done.stdout.split() if word.startswith("test/") and "::" in word]
    return failed[-1].split("/")[-1] if failed else f"{suite[0]}: not even collected"


if __name__ == "__main__":
    sys.exit(main())
