"""The command that serves the page: `app`."""

import sys
from pathlib import Path

from pixperts.app.options import AppOptions


def app(options: AppOptions) -> None:
    """Open a page to repair and enlarge photos in the browser (needs pixperts[app])."""
    if options.static is not None:
        from pixperts.app.static_page import write_static

        folder = write_static(
            Path(options.static),
            runtime=None if options.runtime is None else Path(options.runtime),
            webgpu=options.webgpu,
            progress=lambda text: print(f"{text} ...", file=sys.stderr, flush=True),
        )
        print(f"{folder} is ready: try it with 'python -m http.server -d {folder}'.")
        return
    from pixperts.app.server import serve

    serve(options)
