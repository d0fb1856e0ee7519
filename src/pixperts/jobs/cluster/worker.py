"""A worker process of a run on a cluster: it has a model, and takes one picture after another."""

import atexit
import pickle
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from pixperts import __version__
from pixperts.errors import PixpertsError, explain, named, naming_options
from pixperts.io.urls import parse_url
from pixperts.jobs.cluster.ledger import Begun
from pixperts.jobs.cluster.tasks import Order, Reply, Task, unpack
from pixperts.jobs.job import Job
from pixperts.jobs.manifest import Entries
from pixperts.jobs.outcomes import Listener, Outcome
from pixperts.jobs.phases import Phases
from pixperts.jobs.places import places_of
from pixperts.jobs.policy import Policy
from pixperts.jobs.reports import Report
from pixperts.memory import available_memory, keep_freed_memory

if TYPE_CHECKING:
    from pixperts.inference.predictor import AnyPredictor

TRIES = 4  # of a picture whose worker died; then the picture counts as failed


class LedgerClient(Protocol):
    """A `Ledger`, which may be in another process."""

    def begin(self, number: int) -> Begun:
        """See `Ledger.begin`."""

    def writing(self, number: int, digest: str | None, report: Report | None) -> None:
        """See `Ledger.writing`."""


class Worker:
    """Holds one model, and reads, processes and writes one picture after another.

    If a worker is killed, another one tries its picture again: a result that was written is kept
    and reported, everything else is made again.

    Args:
        order: what the pictures have in common.
        ledger: record of what all workers have begun.
        neighbors: number of workers on this machine, which share its memory.

    Raises:
        PixpertsError: this machine cannot do the work, or would get other results.
    """

    def __init__(self, order: Order, ledger: LedgerClient, neighbors: int) -> None:
        if order.version != __version__:
            raise PixpertsError(f"it has pixperts {__version__}, but the run {order.version}")
        import torch

        keep_freed_memory()
        torch.set_num_threads(order.threads)
        self._order, self._ledger = order, ledger
        loading = dict(order.loading)
        if loading.get("max_memory") is None:
            loading["max_memory"] = max(0.5 * available_memory() / neighbors, 2e8)
        self._predictor = order.operation.load(order.model, **loading)
        _check_same(order, self._predictor)
        self._places = places_of([] if order.example is None else [order.example])
        self._places.__enter__()
        atexit.register(self._places.__exit__, None, None, None)

    def work(self, number: int, task: Task) -> Reply:
        """Read, process and write one picture; a failure becomes a reply."""
        begun = self._ledger.begin(number)
        try:
            reply = self._work(number, task, begun)
        except Exception as error:
            reply = Reply(error=explain(task.source, error))
        return replace(reply, times=begun.times)

    def _work(self, number: int, task: Task, begun: Begun) -> Reply:
        job = unpack(task, self._places)
        found = self._written_before(job, task, begun)
        if found is not None:
            return found
        name = task.source
        if begun.times > TRIES:
            return Reply(
                error=f"{name}: {TRIES} worker processes died over it, perhaps for lack of "
                f"memory: try it alone with {named('engine', 'local')}, or give "
                f"{named('max_memory')}."
            )
        if parse_url(name) is None and not job.source.exists():
            return Reply(
                error=f"{name} is not there on {socket.gethostname()}: all machines of a cluster "
                "must see the folders under the same paths."
            )
        return Reply.of(self._make(number, job, self._policy(task)))

    def _policy(self, task: Task) -> Policy:
        order = self._order
        entries = None
        if order.records:
            entries = Entries()
            if task.entry is not None:
                entries.append(task.entry)
        roots = map(self._places.path, order.roots)
        return Policy(order.if_exists, roots, order.making, entries, self._places)

    def _make(self, number: int, job: Job, policy: Policy) -> Outcome:
        phases = Phases(
            {number: job}, self._order.operation, self._predictor, policy, self._places,
            Listener(), lambda: None,
        )  # fmt: skip
        item = phases.read(number)
        if isinstance(item, Outcome):
            return item
        loaded, digest = item
        if job.in_place and digest is None:
            digest = self._places.sha256(job.source)
        if loaded.picture is None:  # written as it is computed
            self._ledger.writing(number, digest, None)
        done = phases.compute(number, item)
        del item
        if isinstance(done, Outcome):
            return done
        self._ledger.writing(number, digest, done[0].report)
        return phases.save(number, done)

    def _written_before(self, job: Job, task: Task, begun: Begun) -> Reply | None:
        """The reply for a result that a worker wrote before it died; None if there is none."""
        places = self._places
        if not begun.writing or not places.is_file(job.target):
            return None
        if job.in_place:  # else the result itself would be processed
            if places.sha256(job.source) == begun.digest:
                return None
        elif task.existed or begun.report is None:
            return None  # it may be an older file; making it again does no harm
        skipped = begun.report is None
        if not self._order.records:
            return Reply(begun.report, skipped=skipped)
        return Reply(
            begun.report, skipped=skipped, hashes=(begun.digest, places.sha256(job.target))
        )


def _check_same(order: Order, predictor: "AnyPredictor") -> None:
    """Raise PixpertsError for a model that would give other results."""
    if predictor.weights_sha256 != order.making.weights:
        raise PixpertsError(
            f"its model {order.model} has other weights than where the run was started: copy that "
            "file to all machines"
        )
    if predictor.precision != order.precision:
        raise PixpertsError(
            f"it would compute in {predictor.precision}, and the machine where the run was started "
            f"in {order.precision}: give "
            f"{named('precision', order.precision)} or {named('precision', 'float32')}"
        )


class RowWorker:
    """A `Worker` for rows of Ray Data: takes a number and a task, gives a number and a reply.

    If the worker cannot start, its error becomes the `problem` of every row.
    """

    def __init__(self, order: Order, ledger: Any, neighbors: int) -> None:
        self._problem: str | None = None
        self._names_options = order.names_options
        try:
            with naming_options(self._names_options):
                self._worker = Worker(order, _Remote(ledger), neighbors)
        except Exception as error:
            text = str(error) if isinstance(error, PixpertsError) else explain("pixperts", error)
            self._problem = text

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """One picture."""
        number = int(row["number"])
        if self._problem is not None:
            return {"number": number, "reply": b"", "problem": self._problem}
        with naming_options(self._names_options):
            reply = self._worker.work(number, pickle.loads(row["task"]))
        return {"number": number, "reply": pickle.dumps(reply), "problem": ""}


class _Remote:
    """A ledger that runs as an actor of Ray."""

    def __init__(self, actor: Any) -> None:
        import ray

        self._actor, self._call = actor, ray.get

    def begin(self, number: int) -> Begun:
        begun: Begun = self._call(self._actor.begin.remote(number))
        return begun

    def writing(self, number: int, digest: str | None, report: Report | None) -> None:
        self._call(self._actor.writing.remote(number, digest, report))
