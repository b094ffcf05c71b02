"""Nodes as child processes of a command: started, watched, ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

PATIENCE = 5.0
"""Seconds a child has to end after each signal, from the polite one to the last."""
_LAST_LINES = 12
_COMPLAINTS = ("[WARN]", "[ERROR]", "[FATAL]")


class Child:
    """A process that runs a module of `stn_ros.nodes`; as a context, it ends with it.

    What it prints goes to the file `log`. A session of its own keeps the terminal's Ctrl-C from
    it: its parent gets that and ends its children in order.
    """

    def __init__(
        self,
        name: str,
        parameters: Mapping[str, object],
        environment: Mapping[str, str],
        log: Path,
        namespace: str = "/",
    ) -> None:
        self.name = name
        self.log = log
        script = f"import sys; from stn_ros.nodes.start import start; sys.exit(start({name!r}))"
        # JSON is YAML, and keeps the text "0" apart from the number.
        assigned = [f"{key}:={json.dumps(value)}" for key, value in parameters.items()]
        options = ["-r", f"__ns:={namespace}"]
        options += [word for each in assigned for word in ("-p", each)]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", script, "--ros-args", *options],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def check(self) -> None:
        """Raise ChildProcessError, with its last words, if the child has ended."""
        status = self._process.poll()
        if status is not None:
            raise ChildProcessError(f"{self.name} has ended with status {status}{self.last_words}")

    @property
    def last_words(self) -> str:
        """The last lines of the log, indented, with a heading."""
        lines = self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        if not lines:
            return f"; it said nothing ({self.log} is empty)"
        return "\n  ".join([f"; the last lines of {self.log}:", *lines])

    @property
    def complaints(self) -> list[str]:
        """The last warnings and errors of the log."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if line.startswith(_COMPLAINTS)][-_LAST_LINES:]

    def cpu_seconds(self) -> float:
        """Processor time used so far, all threads; NaN where the system does not tell."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return float("nan")
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End the child: asked, then told, then killed. Harmless if it has ended."""
        for sent in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is not None:
                return
            self._process.send_signal(sent)
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                continue

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
