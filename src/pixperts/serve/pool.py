"""Working processes for requests that come at the same time: `Pool`."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from pixperts.background.events import Ended, Failed, Finished
from pixperts.background.orders import Prepare, Run
from pixperts.background.relay import Tell
from pixperts.background.worker import Worker
from pixperts.errors import ModelError

Order = Run | Prepare
_PATIENCE = 2.0  # seconds; a small picture is given up much sooner


def carry_out(order: Order, tell: Tell) -> None:
    """Do what is ordered, in a working process, which imports what that needs only then."""
    from pixperts.serve.work import carry_out as work

    work(order, tell)


class Pool:
    """A number of working processes; each has one picture at a time. A context manager.

    Args:
        size: how many.
        first: models that each of them loads before its first picture.

    Attributes:
        working: pictures that are worked on now.
        restarts: processes that died, or had to be ended to stop their work, and were started
            again.
    """

    def __init__(self, size: int, first: Prepare) -> None:
        self._first = first
        self._workers: list[Worker[Order]] = [
            Worker(carry_out, first, patience=_PATIENCE) for _ in range(size)
        ]
        self._free: asyncio.Queue[Worker[Order]] = asyncio.Queue()
        self._threads = ThreadPoolExecutor(size, "pixperts-pool")
        self.working = self.restarts = 0

    def __enter__(self) -> "Pool":
        """Start all processes, and wait until their models are loaded.

        Raises:
            ModelError: for a model that cannot be loaded.
        """
        try:
            for worker in self._workers:
                worker.start()
            for worker in self._workers:
                for event in worker.work(self._first):
                    if isinstance(event, Failed):
                        raise ModelError(event.error)
                self._free.put_nowait(worker)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes, whatever they do."""
        for worker in self._workers:
            worker.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)

    @property
    def pids(self) -> list[int]:
        """Of the processes that are there."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    async def work(self, order: Run) -> Finished | Failed:
        """What became of a picture, once a process was free for it.

        Canceling ends the work, at its next report or, if none comes soon, with the process.
        """
        worker = await self._free.get()
        stop, pid = threading.Event(), worker.pid
        self.working += 1
        loop = asyncio.get_running_loop()
        done = loop.run_in_executor(self._threads, _follow, worker, order, stop)
        try:
            return await asyncio.shield(done)
        finally:
            # Where the caller was canceled, the thread is still to end its process.
            stop.set()
            await asyncio.wait({done})
            self.working -= 1
            self.restarts += worker.pid != pid
            self._free.put_nowait(worker)


def _follow(worker: Worker[Order], order: Run, stop: threading.Event) -> Finished | Failed:
    result: Finished | Failed = Failed("The work was stopped.")
    events = worker.work(order)
    try:
        for event in events:
            if isinstance(event, Finished | Failed):
                result = event
            elif stop.is_set() and not isinstance(event, Ended):
                break
    finally:
        events.close()  # type: ignore[attr-defined]
    return result
