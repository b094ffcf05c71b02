"""The experiments are scripts in a folder of their own; their tests import them from there."""

import sys
from importlib.util import find_spec
from pathlib import Path

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
sys.path.append(str(EXPERIMENTS))

collect_ignore_glob = ["test_*.py"] if find_spec("torch") is None else []
