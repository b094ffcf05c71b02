"""What an environment lacks is said at the head of the run."""

from importlib.util import find_spec

TORCH_MISSING = find_spec("torch") is None
collect_ignore = ["transformer", "training"] if TORCH_MISSING else []


def pytest_report_header() -> list[str]:
    return ["PyTorch is not installed: transformer/ and training/ left out"] * TORCH_MISSING
