"""Reading, computing and writing of many pictures at once, with results in order.

One thread computes, the caller's; others read ahead and write behind, as many of each as there
are workers. No more pictures are held than workers that read, workers that write, and two.
"""

import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Generic, TypeVar, cast

R = TypeVar("R")  # an outcome
L = TypeVar("L")  # a loaded picture
D = TypeVar("D")  # a finished one, not yet written


class Interrupts:
    """Ctrl-C as a request: raised where it does no harm, and remembered everywhere else.

    Inside `heed`, KeyboardInterrupt is raised at once; elsewhere `check` raises it, so that no
    line is cut off half-way and no write is lost.
    """

    def __init__(self) -> None:
        self._pressed = False
        self._heeded = False

    def __enter__(self) -> "Interrupts":
        default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        self._own = default and threading.current_thread() is threading.main_thread()
        if self._own:
            signal.signal(signal.SIGINT, self._remember)
        return self

    def __exit__(self, *_: object) -> None:
        if self._own:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._pressed = True
        if self._heeded:
            raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed."""
        if self._pressed:
            raise KeyboardInterrupt

    @contextmanager
    def heed(self) -> Iterator[None]:
        """A part that Ctrl-C may cut short."""
        self._heeded = True
        try:
            self.check()
            yield
        finally:
            self._heeded = False


class InOrder(Generic[R]):
    """Hands outcomes on in the order of their numbers, whichever thread brings them."""

    def __init__(self, finish: Callable[[int, R], None]) -> None:
        self._finish = finish
        self._waiting: dict[int, R] = {}
        self._next = 0
        self._lock = threading.Lock()

    def put(self, number: int, outcome: R) -> None:
        """Hand it on, and those that waited for it; or keep it until its turn."""
        with self._lock:
            self._waiting[number] = outcome
            while self._next in self._waiting:
                self._next += 1
                self._finish(self._next - 1, self._waiting.pop(self._next - 1))


def run_overlapped(
    count: int,
    read: Callable[[int], L | R],
    compute: Callable[[int, L, Callable[[], bool]], D | R],
    save: Callable[[int, D], R],
    finish: Callable[[int, R], None],
    *,
    ended: type[R],
    workers: int,
    heed: Callable[[], AbstractContextManager[None]],
) -> None:
    """Take the pictures 0 to `count` - 1 through the three phases.

    A phase that returns an instance of `ended` spares its picture the others. `compute` gets a
    function that waits for all writes and says whether there were any, which frees their memory.
    `finish` is called once a picture, in order, never twice at a time. With 0 workers everything
    is done by the caller's thread, one after the other.

    What a phase raises ends the run; writes in flight are waited for, and finished in order.
    """
    turn = InOrder(finish)
    if workers == 0:
        for number in range(count):
            with heed():
                item = read(number)
                done = item if isinstance(item, ended) else compute(number, cast(L, item), _nothing)
            del item
            turn.put(number, done if isinstance(done, ended) else save(number, cast(D, done)))
            del done  # the next picture needs the room
        return

    reads: deque[Future[L | R]] = deque()
    writes: deque[Future[None]] = deque()

    def settle() -> bool:
        any_write = any(not write.done() for write in writes)
        for write in writes:
            write.result()
        return any_write

    def write(number: int, done: D) -> None:
        turn.put(number, save(number, done))

    readers = ThreadPoolExecutor(workers, "pixperts-read")
    writers = ThreadPoolExecutor(workers, "pixperts-write")
    try:
        for number in range(count):
            for ahead in range(number + len(reads), min(count, number + 1 + workers)):
                reads.append(readers.submit(read, ahead))
            with heed():
                item = reads.popleft().result()
                done = item if isinstance(item, ended) else compute(number, cast(L, item), settle)
            del item
            if isinstance(done, ended):
                turn.put(number, done)
            else:
                while len(writes) >= workers:
                    writes.popleft().result()
                writes.append(writers.submit(write, number, cast(D, done)))
            del done
        settle()
    finally:
        readers.shutdown(cancel_futures=True)
        writers.shutdown()


def _nothing() -> bool:
    return False
