"""The machine that starts a run on a Ray cluster: `RayEngine`. Everything about Ray is here.

Ray Data passes rows to a pool of workers. A row is a number and names, so the object store holds
hardly anything. Ray starts workers that died again and repeats their rows (`max_restarts` and
`max_task_retries` are -1 for the workers of Ray Data).
"""

import contextlib
import logging
import os
import pickle
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pixperts.errors import MissingExtraError, PixpertsError, UsageError, named
from pixperts.jobs.cluster.ledger import Ledger
from pixperts.jobs.cluster.options import RAY, EngineOptions
from pixperts.jobs.cluster.tasks import Order, Reply, Task
from pixperts.jobs.cluster.worker import RowWorker

_STORE = 80_000_000  # bytes of the object store on this machine alone; the least that Ray takes
_NAMES = 2000  # bytes of it for each picture, several times what one needs
_STARTS = 3  # attempts
_REACH = 5.0  # seconds
_ROWS = 32  # pictures of a block at most: if a worker dies, its whole block is repeated
_BLOCKS = 2000  # below that, every picture is a block of its own


class RayEngine:
    """A connection to a Ray cluster, or to one on this machine alone; a context manager.

    If the program is connected to Ray already, that connection is used and stays open.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: the cluster cannot be reached.
        PixpertsError: Ray cannot be started.
    """

    def __init__(self, options: EngineOptions) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else it reports to its makers
        # Our errors say what a user needs to know.
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        try:
            import ray
            import ray.data
        except ImportError as error:
            raise MissingExtraError(named("engine", "ray"), "cluster") from error
        self._ray: Any = ray
        self._options = options
        self._pictures = 0
        self._own = False

    def expect(self, pictures: int) -> None:
        """Set the largest number of pictures of a run, before the cluster starts."""
        self._pictures = pictures

    def __enter__(self) -> "RayEngine":
        if not self._ray.is_initialized():
            with _silence():
                self._start()
            self._own = True
        return self

    def __exit__(self, *_: object) -> None:
        if self._own:
            self._ray.shutdown()

    def room(self, device: str) -> tuple[int, bool]:
        """How many workers the cluster has room for now, and whether each gets a GPU."""
        resources: Mapping[str, float] = self._ray.cluster_resources()
        gpus = 0 if device == "cpu" else int(resources.get("GPU", 0))
        return max(1, gpus or int(resources.get("CPU", 0) // self._options.threads)), gpus > 0

    def run(self, order: Order, tasks: Sequence[tuple[int, Task]]) -> Iterator[tuple[int, Reply]]:
        """Process tasks on the cluster; (number, reply) of each as it comes in.

        Args:
            order: what all pictures have in common.
            tasks: (number, task) of each picture.

        Raises:
            PixpertsError: a machine cannot do the work, or the cluster failed.
        """
        room, has_gpus = self.room(order.loading.get("device", "auto"))
        wanted = min(self._options.processes or room, len(tasks))
        ledger = self._ledger()
        data = self._ray.data
        _hide_bars(data)
        rows = [{"number": number, "task": pickle.dumps(task)} for number, task in tasks]
        size = max(1, min(_ROWS, len(rows) // _BLOCKS))
        results = data.from_items(rows, override_num_blocks=-(-len(rows) // size)).map(
            RowWorker,
            fn_constructor_args=(order, ledger, self._neighbors(wanted)),
            compute=data.ActorPoolStrategy(
                min_size=1, max_size=wanted, initial_size=min(room, wanted)
            ),
            num_cpus=self._options.threads,
            num_gpus=1 if has_gpus else None,
        )
        with self._explained():
            for row in results.iter_rows():
                if row["problem"]:
                    raise PixpertsError(row["problem"])
                number = int(row["number"])
                ledger.forget.remote([number])
                yield number, pickle.loads(row["reply"])

    def _start(self) -> None:
        address = self._options.address or os.environ.get("RAY_ADDRESS") or None
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
        if address is None or address == "local":
            with self._explained():
                self._start_here(quiet)
            return
        EngineOptions(engine=RAY, address=address)  # refuses what RAY_ADDRESS must not be, either
        _check_reachable(address)
        try:
            self._ray.init(address=address, **quiet)
        except Exception as error:
            raise UsageError(
                f"The Ray cluster {address} cannot be used ({_first_line(error)}): start the "
                "command on one of its machines, with the same versions of Python and Ray."
            ) from error

    def _start_here(self, quiet: Mapping[str, Any]) -> None:
        """A cluster of this machine alone.

        A busy machine may need more than the 30 seconds after which Ray gives up, so it is tried
        again; processes of failed attempts end with this process.
        """
        processes = self._options.threads * (self._options.processes or 1)
        for left in reversed(range(_STARTS)):
            try:
                self._ray.init(
                    address="local",
                    num_cpus=max(_processors(), processes),
                    object_store_memory=max(_STORE, _NAMES * self._pictures),
                    include_dashboard=False,
                    **quiet,
                )
                return
            except Exception as error:
                if "timed out during startup" not in str(error) or not left:
                    raise

    def _ledger(self) -> Any:
        """The ledger as an actor on this machine, which ends with the run."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = self._ray.get_runtime_context().get_node_id()
        strategy = NodeAffinitySchedulingStrategy(here, soft=False)
        actor = self._ray.remote(num_cpus=0, scheduling_strategy=strategy)(Ledger)
        return actor.remote()

    def _neighbors(self, wanted: int) -> int:
        """The largest number of workers on one machine."""
        threads = self._options.threads
        sizes = [node["Resources"].get("CPU", 0) // threads for node in self._ray.nodes()]
        return int(max(1, min(wanted, max(sizes, default=1))))

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (PixpertsError, KeyboardInterrupt, GeneratorExit):
            raise
        except Exception as error:
            raise PixpertsError(
                f"Ray failed ({_first_line(error)}); what was finished is kept: start again."
            ) from error


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """A context without output on stderr: Ray writes to file descriptor 2 whatever is set."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def _check_reachable(address: str) -> None:
    """Raise UsageError within seconds if no cluster answers; Ray itself waits for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACH).close()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"The Ray cluster {address} cannot be reached ({why}): check {named('address')} or "
            "RAY_ADDRESS, and that 'ray status' on one of its machines answers."
        ) from None


def _hide_bars(data: Any) -> None:
    """Hide the progress bars of Ray, beside our own."""
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def _first_line(error: BaseException) -> str:
    """The first line of the cause of an error of Ray, without the paragraphs after it."""
    while (cause := getattr(error, "cause", None) or error.__cause__) is not None:
        error = cause
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}"[:300] if lines else type(error).__name__


def _processors() -> int:
    """The number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
