"""The command that serves pictures to other programs: `serve`."""

import os
from dataclasses import replace

from pixperts.inference.options import UpscaleModelOptions
from pixperts.serve.options import VARIABLE, ServeOptions, parse_token


def serve(options: ServeOptions, loading: UpscaleModelOptions) -> None:
    """Serve other programs: send a picture by HTTP, receive the result (needs pixperts[serve])."""
    from pixperts.serve.server import serve as run

    given = os.environ.get(VARIABLE)
    if options.token is None and given:
        options = replace(options, token=parse_token(given))
    run(options, loading)
