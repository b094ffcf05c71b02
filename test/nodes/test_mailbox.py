"""One-slot worker: newest wins, drops counted, errors survived."""

import threading

import pytest

from stn_ros.nodes.mailbox import Worker


class Recorder:
    """Handles numbers, one at a time, when the test lets it; negative ones fail."""

    def __init__(self) -> None:
        self.handled: list[int] = []
        self.errors: list[Exception] = []
        self.threads: set[str] = set()
        self.entered = threading.Semaphore(0)
        self.allowed = threading.Semaphore(0)
        self.done = threading.Semaphore(0)

    def handle(self, item: int) -> None:
        self.entered.release()
        assert self.allowed.acquire(timeout=60)
        self.threads.add(threading.current_thread().name)
        self.handled.append(item)
        self.done.release()
        if item < 0:
            raise ValueError(f"bad item {item}")


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def worker(recorder: Recorder):
    worker = Worker(recorder.handle, recorder.errors.append)
    yield worker
    for _ in range(10):
        recorder.allowed.release()
    worker.stop()


def test_newest_wins_and_drops_are_counted(worker: Worker[int], recorder: Recorder):
    worker.start()
    worker.put(1)
    assert recorder.entered.acquire(timeout=60)  # 1 is in hand now: 2 and 3 are replaced by 4
    for item in (2, 3, 4):
        worker.put(item)
    recorder.allowed.release()
    recorder.allowed.release()
    assert recorder.done.acquire(timeout=60)
    assert recorder.done.acquire(timeout=60)
    assert recorder.handled == [1, 4]
    assert worker.dropped == 2


def test_work_is_done_off_the_callers_thread(worker: Worker[int], recorder: Recorder):
    worker.start()
    recorder.allowed.release()
    worker.put(1)
    assert recorder.done.acquire(timeout=60)
    assert recorder.threads == {"perception"}


def test_an_error_is_reported_and_the_next_item_handled(worker: Worker[int], recorder: Recorder):
    worker.start()
    for item in (-1, 2):
        recorder.allowed.release()
        worker.put(item)
        assert recorder.done.acquire(timeout=60)
    assert recorder.handled == [-1, 2]
    assert [str(error) for error in recorder.errors] == ["bad item -1"]


def test_stop_forgets_the_waiting_item_and_start_works_again(
    worker: Worker[int], recorder: Recorder
):
    worker.put(1)
    worker.stop()
    worker.start()
    recorder.allowed.release()
    worker.put(2)
    assert recorder.done.acquire(timeout=60)
    assert recorder.handled == [2]


def test_stop_waits_for_the_item_in_hand(worker: Worker[int], recorder: Recorder):
    worker.start()
    worker.put(1)
    assert recorder.entered.acquire(timeout=60)
    stopper = threading.Thread(target=worker.stop)
    stopper.start()
    stopper.join(0.05)
    assert stopper.is_alive()
    recorder.allowed.release()
    stopper.join(5)
    assert not stopper.is_alive()
    assert recorder.handled == [1]


def test_starting_twice_is_refused(worker: Worker[int]):
    worker.start()
    with pytest.raises(RuntimeError, match="running already"):
        worker.start()
