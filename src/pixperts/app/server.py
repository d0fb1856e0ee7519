"""Serve the page until it is ended: `serve`."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pixperts.app.options import AppOptions
from pixperts.background.address import free_port, shown_address
from pixperts.background.workspace import Workspace
from pixperts.errors import MissingExtraError, naming_options

if TYPE_CHECKING:
    from gradio import Blocks


def serve(options: AppOptions) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    Raises:
        MissingExtraError: without gradio.
        UsageError: for a port that is taken or an address that is not this machine's.
    """
    ended = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        with running(options) as address:
            print(f"pixperts is at {address} until Ctrl-C.", flush=True)
            if not options.no_browser:
                import webbrowser

                webbrowser.open(address)
            try:
                with naming_options(False):  # a form has fields
                    ended.wait()
            except KeyboardInterrupt:
                print("Ended; its temporary files were removed.", flush=True)
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def running(options: AppOptions) -> Iterator[str]:
    """The page, served from other threads; its address.

    Raises:
        MissingExtraError, UsageError: as `serve`.
    """
    _check_extra()
    port = free_port(options.host, options.port)
    with Workspace("app") as workspace:
        # gradio reads these when it is imported, and this one when a component is made.
        os.environ["GRADIO_TEMP_DIR"] = str(workspace.root)
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ["HF_HUB_OFFLINE"] = "1"
        from pixperts.app.page import build_page
        from pixperts.app.service import Service
        from pixperts.weights.catalogue import list_trained_models

        models = list_trained_models()
        with Service(options, workspace, models) as service:
            page = build_page(service).queue(max_size=options.queue)
            try:
                _launch(page, options, port)
                yield shown_address(options.host, port)
            finally:
                page.close(verbose=False)


def _check_extra() -> None:
    from importlib.util import find_spec

    if find_spec("gradio") is None:
        raise MissingExtraError("The page", "app")


def _launch(page: "Blocks", options: AppOptions, port: int) -> None:
    from pixperts.app.look import CSS, JS, make_theme

    page.launch(
        server_name=options.host,
        server_port=port,
        auth=options.auth,
        max_file_size=options.max_upload,
        share=False,
        inbrowser=False,
        prevent_thread_lock=True,
        show_error=True,
        quiet=True,
        footer_links=["api", "settings"],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        theme=make_theme(),
        css=CSS,
        js=JS,
    )
