"""What the node does and why nothing comes out, as one diagnostic status."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.time import Time

OK, WARN, ERROR = (DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR)
LOG_PERIOD = 10.0


@dataclass
class _Counts:
    """What happened since the last report."""

    events: dict[str, int] = field(default_factory=dict)
    durations: dict[str, list[float]] = field(default_factory=dict)
    problems: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    objects: dict[str, str] = field(default_factory=dict)


class Monitor:
    """Collects counts, durations and problems from any thread and sums them up for a report.

    A problem has a code (`camera_info`), under which it is told once a report and logged when new,
    then every ten seconds; it ends by not being told any more.
    """

    def __init__(
        self, log: Callable[[bytes, str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._counts = _Counts()
        self._since = clock()
        self._logged: dict[str, float] = {}
        self._problems_of_last_report: set[str] = set()
        self._totals: dict[str, int] = {}

    def count(self, event: str, number: int = 1) -> None:
        """Note that an event happened; reported as a rate, and as a total since the start."""
        with self._lock:
            self._counts.events[event] = self._counts.events.get(event, 0) + number
            self._totals[event] = self._totals.get(event, 0) + number

    def total(self, event: str) -> int:
        """How often an event happened since the start."""
        with self._lock:
            return self._totals.get(event, 0)

    def duration(self, name: str, seconds: float) -> None:
        """Note how long something took; reported as p50, p95 and maximum."""
        with self._lock:
            self._counts.durations.setdefault(name, []).append(seconds)

    def object_state(self, name: str, state: str) -> None:
        """Note the latest state of an object, in words."""
        with self._lock:
            self._counts.objects[name] = state

    def problem(self, code: str, text: str, level: bytes = WARN) -> None:
        """Note a problem; `text` says what is wrong and what to do."""
        with self._lock:
            self._counts.problems[code] = (level, text)
            now = self._clock()
            silent = code in self._logged and now - self._logged[code] < LOG_PERIOD
            if not silent:
                self._logged[code] = now
        if not silent:
            self._log(level, text)

    def report(
        self, name: str, hardware_id: str, summary: str, facts: Mapping[str, str], stamp: Time
    ) -> DiagnosticArray:
        """The status since the last report, which starts the next one.

        `summary` is the message while there is no problem, `facts` lead the values.
        """
        with self._lock:
            counts, self._counts = self._counts, _Counts()
            now = self._clock()
            elapsed, self._since = max(now - self._since, 1e-9), now
            totals = dict(self._totals)
            for code in self._problems_of_last_report - counts.problems.keys():
                self._logged.pop(code, None)  # gone: when it comes back, it is news
            self._problems_of_last_report = set(counts.problems)
        values = dict(facts)
        for event, total in sorted(totals.items()):
            values[f"{event} per second"] = f"{counts.events.get(event, 0) / elapsed:.1f}"
            values[f"{event} in all"] = str(total)
        for what, seconds in sorted(counts.durations.items()):
            middle, high, longest = np.percentile(seconds, (50, 95, 100)) * 1e3
            values[f"{what} (ms)"] = f"p50 {middle:.1f}, p95 {high:.1f}, max {longest:.1f}"
        values.update({f"object {name}": state for name, state in sorted(counts.objects.items())})
        problems = sorted(counts.problems.values(), key=lambda problem: problem[0], reverse=True)
        status = DiagnosticStatus(
            level=max((level for level, _ in problems), default=OK),
            name=name,
            hardware_id=hardware_id,
            message="; ".join(text for _, text in problems) or summary,
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = stamp.to_msg()
        return array
