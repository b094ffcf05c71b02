"""How much of the time searching may take while frames come in."""

from __future__ import annotations

BURST = 0.25
"""So much is saved up, seconds, or what one search takes: no pause makes a frame wait for long."""


class Pace:
    """An allowance of seconds that grows with the time and is spent on searching.

    Searching takes many times as long as following, and an object may be absent for ever.

    Args:
        share: of the time that following leaves, 0..1.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self._now: float | None = None
        self._left, self._dearest = 0.0, 0.0

    def advance(self, now: float, followed: float) -> None:
        """A frame came at `now`, seconds of a clock that never jumps.

        followed: seconds that following takes of each frame.
        """
        elapsed = 0.0 if self._now is None else max(0.0, now - self._now)
        self._now = now
        earned = self.share * max(0.0, elapsed - followed)
        self._left = min(self._left + earned, max(BURST, self._dearest))

    def affords(self, seconds: float) -> int:
        """How often there is time for something that takes so long, at most."""
        self._dearest = seconds
        return max(0, int(self._left / seconds)) if seconds > 0 else 1

    def spend(self, seconds: float) -> None:
        """Something took so long. What exceeds the allowance is paid back by later frames."""
        self._left -= seconds
