"""A process that works, and can be ended at any moment: `Worker`.

A network may compute for a minute between two steps of its progress, so that a thread could not be
stopped within a second. A process can be, and returns all its memory. If a damaged file or a lack
of memory ends a process, the server keeps running.
"""

import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Generic, Self, TypeVar

from pixperts.background.events import Ended, Event, Failed

Order = TypeVar("Order")
CarryOut = Callable[[Order, Callable[[Event], None]], None]

TICK = 0.2  # seconds between two checks for reports of the process
_DIED = (
    "The work ended too early, perhaps because memory ran out: choose a smaller size, or close "
    "other programs."
)


class _Stop:
    """Sent in place of an order, to stop the present one."""


class _Stopped(BaseException):
    """Ends an order at its next report; no Exception, so that no picture counts as failed."""


class Worker(Generic[Order]):
    """One process for one order at a time, started when it is needed; a context manager.

    Args:
        carry_out: carries out an order in the process; a function of a module, which reports by its
            second argument, the last time with `Ended` or `Failed`.
        first: an order for every process when it starts, whose reports are dropped.
        patience: seconds that a process has to stop an order at its next report, before it is
            ended. With 0 it is ended at once; a new one takes seconds to start.
    """

    def __init__(
        self, carry_out: CarryOut[Order], first: Order | None = None, *, patience: float = 0.0
    ) -> None:
        self._carry_out, self._first, self._patience = carry_out, first, patience
        self._turn = threading.Lock()
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # a signal that ended the program while the process started
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int | None:
        """The id of the process; None if there is none."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process, so that the next order does not wait for it."""
        if self._process is not None and self._process.is_alive():
            return
        # A forked process would inherit the locks of threads of libvips and torch.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_serve,
            args=(theirs, self._carry_out, self._first),
            name="pixperts-worker",
            daemon=True,
        )
        with _uninterrupted():
            process.start()
            theirs.close()
            self._process, self._pipe = process, ours

    def kill(self) -> None:
        """End the process at once."""
        process, self._process = self._process, None
        pipe, self._pipe = self._pipe, None
        if process is not None:
            process.kill()
            process.join()
        if pipe is not None:
            pipe.close()

    def work(self, order: Order) -> Iterator[Event | None]:
        """Carry out an order: its reports, and None every `TICK` seconds without one.

        The last event is `Ended` or `Failed`. If the caller closes the iterator before that, the
        work is stopped, and the process is ended unless it stops in time.
        """
        with self._turn:
            self.start()
            over = False
            try:
                for event in self._listen(order):
                    over = isinstance(event, Ended | Failed)
                    yield event
            finally:
                if not over and not self._gives_up():
                    self.kill()
                    self.start()

    def _gives_up(self) -> bool:
        """Ask the process to stop its order; whether it did so within `patience`."""
        pipe, end = self._pipe, time.monotonic() + self._patience
        if pipe is None or not self._patience:
            return False
        try:
            pipe.send(_Stop())
            while pipe.poll(max(0.0, end - time.monotonic())):
                if isinstance(pipe.recv(), Ended | Failed):
                    return True
        except (EOFError, OSError):  # it has died
            pass
        return False

    def _listen(self, order: Order) -> Iterator[Event | None]:
        pipe = self._pipe
        assert pipe is not None
        try:
            pipe.send(order)
            while True:
                if not pipe.poll(TICK):
                    yield None
                    continue
                event = pipe.recv()
                yield event
                if isinstance(event, Ended | Failed):
                    return
        except (EOFError, OSError):
            self.kill()
            yield Failed(_DIED)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Delay SIGTERM and Ctrl-C to the end: a process that is starting would print a traceback."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    noted: list[int] = []
    signs = (signal.SIGTERM, signal.SIGINT)
    before = {sign: signal.signal(sign, lambda number, _: noted.append(number)) for sign in signs}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler or signal.SIG_DFL)
    for number in noted[:1]:
        signal.raise_signal(number)


def _serve(pipe: Connection, carry_out: CarryOut[Order], first: Order | None) -> None:
    """The main loop of the process: take orders, send events, until the pipe is closed."""
    # Only the server reacts to Ctrl-C and SIGTERM, also if a terminal or a supervisor sends them to
    # all processes at once. It then lets this process finish, or ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    from pixperts.memory import keep_freed_memory

    keep_freed_memory()
    if first is not None:
        carry_out(first, lambda _: None)

    def tell(event: Event) -> None:
        if not isinstance(event, Ended | Failed) and pipe.poll():
            pipe.recv()  # during an order, only `_Stop` is sent
            raise _Stopped
        pipe.send(event)

    try:
        while True:
            order = pipe.recv()
            if isinstance(order, _Stop):  # too late: the order was finished
                continue
            try:
                carry_out(order, tell)
            except _Stopped:
                pipe.send(Ended())
    except (EOFError, OSError):  # the server has gone
        return
