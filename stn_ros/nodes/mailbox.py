"""A one-slot mailbox and the thread that empties it: the newest item wins."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Worker(Generic[Item]):
    """Handles the newest item on its own thread, so that an executor never waits for the work.

    `put` never blocks: an item that has not been taken when the next one comes is dropped and
    counted. An exception of `handle` goes to `failed`; the thread lives on.
    """

    def __init__(self, handle: Callable[[Item], None], failed: Callable[[Exception], None]) -> None:
        self._handle = handle
        self._failed = failed
        self._slot: Item | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Items replaced by a newer one before they were handled, since the object was made."""
        return self._dropped

    def start(self) -> None:
        """Start the thread; items put before are handled first."""
        if self._thread is not None:
            raise RuntimeError("worker is running already")
        self._thread = threading.Thread(target=self._run, name="perception", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the item in hand, forget a waiting one, end the thread. Harmless if stopped."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._slot = None
            self._changed.notify()
        if thread is not None:
            thread.join()

    def put(self, item: Item) -> None:
        """Leave an item, in place of the one that was waiting."""
        with self._changed:
            self._dropped += self._slot is not None
            self._slot = item
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while (item := self._slot) is None and self._thread is threading.current_thread():
                    self._changed.wait()
                if item is None or self._thread is not threading.current_thread():
                    return
                self._slot = None
            try:
                self._handle(item)
            except Exception as error:
                self._failed(error)
