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
_PATIENCE = 2.0  # seconds until a process is ended; small pictures stop much sooner


def carry_out(order: Order, tell: Tell) -> None:
    """Carry out an order in a working process; the imports for it happen there."""
    from pixperts.serve.work import carry_out as work

    work(order, tell)


class Pool:
    """Several working processes, each with one picture at a time; a context manager.

    Args:
        size: number of processes.
        first: models that each of them loads before its first picture.

    Attributes:
        working: number of pictures that are processed now.
        restarts: how often a process was started again, after it died or had to be ended.
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
            ModelError: a model cannot be loaded.
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
        """End all processes at once."""
        for worker in self._workers:
            worker.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)

    @property
    def pids(self) -> list[int]:
        """The ids of the processes."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    async def work(self, order: Run) -> Finished | Failed:
        """Process a picture as soon as a process is free; its result or failure.

        If this is canceled, the work ends at its next report, or the process is ended if no report
        comes soon.
        """
        worker = await self._free.get()
        stop, pid = threading.Event(), worker.pid
        self.working += 1
        loop = asyncio.get_running_loop()
        done = loop.run_in_executor(self._threads, _follow, worker, order, stop)
        try:
            return await asyncio.shield(done)
        finally:
            # If the caller was canceled, the thread still has to end its process.
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
