"""Queue, processes and metrics of the service: `Service`."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pixperts import __version__
from pixperts.background.orders import Prepare, Step
from pixperts.background.workspace import Workspace
from pixperts.defaults import DEFAULT_ENHANCE_MODEL, DEFAULT_MODEL, DEFAULT_REPAIR_MODEL
from pixperts.errors import UsageError, named
from pixperts.inference.options import UpscaleModelOptions
from pixperts.jobs.enhance import Enhance
from pixperts.serve.failures import Refusal
from pixperts.serve.metrics import Metrics
from pixperts.serve.options import ServeOptions
from pixperts.serve.parameters import Wanted
from pixperts.serve.pool import Pool
from pixperts.weights.packaged import packaged_models

_LONGEST_WAIT = 600  # seconds that a client is sent away for


class Service:
    """What all requests share; a context manager, which loads its models when it is entered.

    Args:
        options: limits, and models beside the packaged ones.
        loading: how models are loaded.
        workspace: for temporary files.

    Attributes:
        models: file or name of each model, by its name in requests.
        inside: number of accepted requests: they arrive, wait, are processed or are sent.

    Raises:
        UsageError: two models have the same name.
    """

    def __init__(
        self, options: ServeOptions, loading: UpscaleModelOptions, workspace: Workspace
    ) -> None:
        self.options, self.loading, self.workspace = options, loading, workspace
        self.models = {name: name for name in packaged_models()}
        own = {}
        for given in options.model or []:
            own[name := _name_of(given)] = given
            if name in self.models:
                raise UsageError(
                    f"{named('model', given)}: there is a model {name!r} already: rename it."
                )
            self.models[name] = given
        first = tuple(own.values()) or (DEFAULT_ENHANCE_MODEL, DEFAULT_REPAIR_MODEL, DEFAULT_MODEL)
        self.pool = Pool(options.workers, Prepare(first, loading))
        self.metrics = Metrics()
        self.inside = 0

    def __enter__(self) -> "Service":
        self.pool.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.close()

    @property
    def waiting(self) -> int:
        """Number of accepted requests that are not being processed."""
        return self.inside - self.pool.working

    @contextmanager
    def place(self) -> Iterator[None]:
        """A context in which a request counts as accepted.

        Raises:
            Refusal: as many requests as may wait are waiting already.
        """
        if self.inside >= self.options.workers + self.options.queue:
            seconds = self.metrics.seconds * self.inside / self.options.workers
            wait = min(max(1, math.ceil(seconds)), _LONGEST_WAIT)
            raise Refusal(
                503,
                f"The service is busy: {self.pool.working} pictures are in work and "
                f"{self.waiting} wait. Try again in {wait} s.",
                {"Retry-After": str(wait)},
            )
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    def step(self, asked: Wanted) -> Step:
        """The order for a picture, by models of this service only.

        Raises:
            UsageError: the service does not offer the model.
        """
        operation = asked.operation
        if isinstance(operation, Enhance) and operation.restore_model is not None:
            other = self._source_of(operation.restore_model)
            operation = replace(operation, restore_model=other)
        return Step(operation, self._source_of(asked.model), self.loading)

    def _source_of(self, model: str) -> str:
        if model not in self.models:
            known = ", ".join(self.models)
            raise UsageError(f"The model {model!r} is unknown here: use {known}.")
        return self.models[model]

    def health(self) -> dict[str, object]:
        """The answer to /health: state, version, and how many requests there are."""
        return {
            "status": "ok",
            "version": __version__,
            "working": self.pool.working,
            "waiting": self.waiting,
        }

    def figures(self) -> str:
        """All metrics in the format of Prometheus."""
        import psutil

        held = 0
        for pid in self.pool.pids:
            try:
                held += psutil.Process(pid).memory_info().rss
            except psutil.Error:  # it has just ended
                continue
        own = psutil.Process().memory_info().rss
        return self.metrics.text(
            {
                "pixperts_working": ("Pictures in work.", self.pool.working),
                "pixperts_waiting": ("Requests that wait.", self.waiting),
                "pixperts_places": (
                    "Requests that are taken on at a time.",
                    self.options.workers + self.options.queue,
                ),
                "pixperts_worker_restarts_total": (
                    "Workers that were ended or died, and were started again.",
                    self.pool.restarts,
                ),
                "pixperts_worker_resident_bytes": ("Memory of all workers.", held),
                "process_resident_memory_bytes": ("Memory of the server's own process.", own),
            }
        )


def _name_of(model: str) -> str:
    """The name in requests of a model that was given as a file or a repository of the hub.

    >>> _name_of("/weights/mine.safetensors"), _name_of("org/name@v1")
    ('mine', 'org/name@v1')
    """
    path = Path(model)
    return path.stem if path.suffix == ".safetensors" or path.exists() else model
