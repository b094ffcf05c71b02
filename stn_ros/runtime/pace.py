"""How often there is time to search while frames come in."""

from __future__ import annotations

SHARE = 0.5
"""Of the time, for frames with searches while something is followed."""
BURST = 0.5
"""One frame is not searched for longer, however slowly frames come, seconds."""


class Pace:
    """How many searches a frame has time for.

    Searching takes many times as long as following, and an object may be absent for ever: while
    others are followed, frames with searches take no more than `SHARE` of the time. While nothing
    is followed, there is always one, and as many as fit between two frames.
    """

    def __init__(self) -> None:
        self._last: float | None = None
        self._credit = 0.0
        self._cost = 0.0

    def searches(self, now: float, following: bool) -> int:
        """For a frame that came at `now`, seconds of a clock that never jumps."""
        elapsed = 0.0 if self._last is None else now - self._last
        self._last = now
        earned = min(elapsed * (SHARE if following else 1.0), BURST)
        # No more is saved than one search costs: what was not searched for long stalls no frame.
        self._credit = min(self._credit + earned, max(earned, self._cost))
        affordable = int(self._credit / self._cost) if self._cost else 1
        return affordable if following else max(1, affordable)

    def took(self, searches: int, seconds: float) -> None:
        """Tell how long the whole work on a frame with so many searches took."""
        if searches:
            self._cost = seconds / searches
            self._credit = max(0.0, self._credit - seconds)
