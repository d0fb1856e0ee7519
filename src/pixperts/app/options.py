"""The options of `pixperts app`. Importing this costs nothing."""

from dataclasses import dataclass

from pixperts.background.address import LOCAL, is_local
from pixperts.errors import UsageError, named
from pixperts.options import check_options, option, parse_bytes

LIMITS = "Limits"


def parse_auth(text: str) -> tuple[str, str]:
    """A name and a password from "name:password".

    Raises:
        UsageError: for text without the two.

    Example:
        >>> parse_auth("me:a:b")
        ('me', 'a:b')
    """
    name, _, password = text.partition(":")
    if not name or not password:
        raise UsageError(f"{named('auth')} takes a name and a password, such as me:secret.")
    return name, password


@dataclass(frozen=True)
class AppOptions:
    """Where the page is served, to whom, and how much it takes on.

    Raises:
        UsageError: naming the option.
    """

    host: str = option(
        LOCAL,
        "Address to listen on. Any address other than this computer's requires --auth.",
        metavar="ADDRESS",
    )
    port: int = option(7860, "Port to listen on; 0 chooses a free one.", low=0, high=65535)
    auth: tuple[str, str] | None = option(
        None,
        "Name and password that visitors must enter.",
        parse=parse_auth,
        metavar="NAME:PASSWORD",
    )
    no_browser: bool = option(False, "Do not open a browser, only print the address.")
    static: str | None = option(
        None,
        "Do not serve, but write a page into this folder that enlarges in the browser, for any web "
        "server (needs pixperts[export] and npm).",
        metavar="DIR",
    )
    runtime: str | None = option(
        None,
        "For --static: an unpacked npm package of onnxruntime-web, instead of npm.",
        metavar="DIR",
    )
    webgpu: bool = option(
        False,
        "For --static: use the GPU of visitors whose browser has WebGPU, which adds 27 MB to the "
        "page.",
    )
    max_upload: int = option(
        200_000_000,
        "Refuse larger files.",
        parse=parse_bytes,
        shown="200M",
        metavar="BYTES",
        panel=LIMITS,
    )
    max_pixels: int = option(100_000_000, "Refuse pictures with more pixels.", low=1, panel=LIMITS)
    max_result: int = option(
        400_000_000, "Refuse to make larger results, in pixels.", low=1, panel=LIMITS
    )
    max_files: int = option(100, "Most pictures in one run.", low=1, panel=LIMITS)
    queue: int = option(
        8, "Most runs that may wait; further ones are refused.", low=1, panel=LIMITS
    )

    def __post_init__(self) -> None:
        check_options(self)
        if self.static is None:
            for name, given in (("runtime", self.runtime is not None), ("webgpu", self.webgpu)):
                if given:
                    raise UsageError(f"{named(name)} is for {named('static')}: leave it out.")
        if not is_local(self.host) and self.auth is None:
            raise UsageError(
                f"{named('host', self.host)} admits other computers: give {named('auth')}, a name "
                f"and a password, or leave {named('host')} out."
            )
