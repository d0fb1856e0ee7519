"""Serve until SIGTERM: `serve`, and `running` for a program of one's own."""

import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pixperts.background.address import bound, shown_address
from pixperts.background.workspace import Workspace
from pixperts.errors import MissingExtraError, naming_options
from pixperts.inference.options import UpscaleModelOptions
from pixperts.serve.options import ServeOptions

if TYPE_CHECKING:
    from uvicorn import Server

_MODULES = ("starlette", "uvicorn")
_LOADING = UpscaleModelOptions()


def serve(options: ServeOptions, loading: UpscaleModelOptions = _LOADING) -> None:
    """Serve until SIGTERM or Ctrl-C; then accepted requests are finished, and others refused.

    Args:
        options: address, access and limits.
        loading: how models are loaded.

    Raises:
        MissingExtraError: starlette or uvicorn is not installed.
        ModelError: a model cannot be loaded.
        UsageError: the port is in use, the address is not one of this machine, or other machines
            can reach it and there is no token.
    """
    serving, ending = threading.Event(), threading.Event()

    def end(*_: object) -> None:
        # While it serves, uvicorn ends it, and calls this once more when that is done. A second
        # signal would cut short the removal of temporary files that the first one began.
        if not serving.is_set() and not ending.is_set():
            ending.set()
            raise SystemExit(0)

    before = {sign: signal.signal(sign, end) for sign in (signal.SIGTERM, signal.SIGINT)}
    try:
        with _prepared(options, loading) as (server, address, run):
            print(f"pixperts serves at {address} until SIGTERM or Ctrl-C.", flush=True)
            serving.set()
            with naming_options(False):  # a request has parameters
                run()
            if server.force_exit:
                print("Ended at once; unfinished work is lost.", file=sys.stderr, flush=True)
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


@contextmanager
def running(options: ServeOptions, loading: UpscaleModelOptions = _LOADING) -> Iterator[str]:
    """A context in which the service runs in other threads; yields its address.

    Args:
        options: as `serve`.
        loading: as `serve`.

    Raises:
        MissingExtraError, ModelError, UsageError: as `serve`.
    """
    with _prepared(options, loading) as (server, address, run):
        thread = threading.Thread(target=run, name="pixperts-serve", daemon=True)
        thread.start()
        try:
            while thread.is_alive() and not server.started:
                time.sleep(0.01)
            yield address
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def _prepared(
    options: ServeOptions, loading: UpscaleModelOptions
) -> Iterator[tuple["Server", str, Callable[[], None]]]:
    """A context with a server that is ready to run: models are loaded, the address is bound."""
    options.check_access()
    if any(find_spec(name) is None for name in _MODULES):
        raise MissingExtraError("The service", "serve")
    import uvicorn

    from pixperts.serve.application import build_application
    from pixperts.serve.service import Service

    if options.workers > 1 and "OMP_NUM_THREADS" not in os.environ:
        # Else every process would have a thread for each core, and all would be slower.
        os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // options.workers))
    if not os.environ.get("PIXPERTS_TRACEBACK"):  # our own messages say what is wrong
        logging.getLogger("uvicorn").addHandler(logging.NullHandler())
    with (
        bound(options.host, options.port) as address,
        Workspace("serve") as workspace,
        Service(options, loading, workspace) as service,
    ):
        config = uvicorn.Config(
            build_application(service),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            # Requests end within their own limits; this is for clients that keep a connection open
            # and read nothing.
            timeout_graceful_shutdown=2 * math.ceil(options.timeout) + 5,
        )
        server = uvicorn.Server(config)
        address.listen(128)  # so that whoever reads the address can connect
        port = int(address.getsockname()[1])
        yield server, shown_address(options.host, port), lambda: server.run([address])
