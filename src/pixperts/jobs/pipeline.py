"""Reading, computing and writing of many pictures at once, with results in order.

One thread computes, the caller's; others read ahead and write behind, as many of each as there
are workers. At most two more pictures are in memory than there are readers and writers.
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
    """A context in which Ctrl-C does no harm: no printed line is cut off and no write is lost.

    Inside `heed`, KeyboardInterrupt is raised at once; elsewhere Ctrl-C is remembered, and `check`
    raises it.
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
        """A context in which Ctrl-C is raised at once."""
        self._heeded = True
        try:
            self.check()
            yield
        finally:
            self._heeded = False


class InOrder(Generic[R]):
    """Passes outcomes on in the order of their numbers, from whichever thread they come."""

    def __init__(self, finish: Callable[[int, R], None]) -> None:
        self._finish = finish
        self._waiting: dict[int, R] = {}
        self._next = 0
        self._lock = threading.Lock()

    def put(self, number: int, outcome: R) -> None:
        """Pass an outcome on, and all that follow it; or keep it until it is its turn."""
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

    An exception of a phase ends the run, once the writes that have begun are finished.

    Args:
        count: of pictures.
        read: gives a picture by its number.
        compute: gives its result. Its last argument is a function that waits for all writes, which
            frees their memory, and returns whether there were any.
        save: writes the result, and gives the outcome.
        finish: takes the outcome; called for one picture at a time, in order.
        ended: type of outcomes; a picture of which `read` or `compute` returns an outcome skips
            the other phases.
        workers: threads that read, and as many that write. With 0, the thread of the caller does
            everything, one picture after the other.
        heed: context around the work that Ctrl-C may interrupt.
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
