"""The finished runs of an experiment, kept as they come, so that an interrupted one can go on."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


class Runs:
    """Finished runs in `folder`/runs.json, a list of flat objects.

    Runs of other settings stay in the file and are not seen. Changes of code are not seen either:
    after one, take another folder.

    Args:
        folder: of the results; made with the first run. same: what the runs of one table have in
            common (data, settings), as JSON knows it; no run may use one of these names.

    Example:
        >>> import tempfile
        >>> runs = Runs(Path(tempfile.mkdtemp()), {"epochs": 3})
        >>> runs.add(model="cnn", seed=0, error=1.5)
        >>> runs.done(model="cnn", seed=0), runs.done(model="cnn", seed=1)
        (True, False)
        >>> runs.runs()
        [{'epochs': 3, 'model': 'cnn', 'seed': 0, 'error': 1.5}]
    """

    def __init__(self, folder: Path, same: Mapping[str, Any]) -> None:
        self.folder = folder
        self.same: dict[str, Any] = json.loads(json.dumps(same))  # tuples become lists, as in JSON
        self._file = folder / "runs.json"

    def runs(self) -> list[dict[str, Any]]:
        """Those of these settings, in the order they were made."""
        return [run for run in self._all() if _holds(run, self.same)]

    def done(self, **key: str | float) -> bool:
        """Whether a run with these values is finished."""
        return any(_holds(run, key) for run in self.runs())

    def add(self, **run: Any) -> None:  # noqa: ANN401 (JSON)
        """Keep a finished run. What was kept before is never lost, whenever this is interrupted.

        Raises:
            ValueError: the run uses a name of `same`.
        """
        if taken := self.same.keys() & run.keys():
            raise ValueError(f"a run must not set {', '.join(sorted(taken))}: these are in `same`")
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = self._file.with_suffix(".new")
        text = json.dumps([*self._all(), {**self.same, **run}], indent=1)
        fresh.write_text(text + "\n", encoding="utf-8")
        fresh.replace(self._file)

    def _all(self) -> list[dict[str, Any]]:
        if not self._file.is_file():
            return []
        try:
            return json.loads(self._file.read_text("utf-8"))
        except json.JSONDecodeError as error:
            raise ValueError(f"{self._file}: not JSON ({error}); mend it or delete it") from error


def machine() -> str:
    """The processor and what computes on it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.machine()
    device = f"{torch.cuda.get_device_name()}, " if torch.cuda.is_initialized() else ""
    return f"{device}{name}, {torch.get_num_threads()} thread(s), PyTorch {torch.__version__}"


def _holds(run: Mapping[str, Any], key: Mapping[str, Any]) -> bool:
    return all(name in run and run[name] == value for name, value in key.items())
