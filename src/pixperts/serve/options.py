"""The options of `pixperts serve`. Importing this costs nothing."""

import re
from dataclasses import dataclass

from pixperts.background.address import LOCAL, is_local
from pixperts.errors import UsageError, named
from pixperts.options import MODEL, check_options, option, parse_bytes

LIMITS = "Limits"
VARIABLE = "PIXPERTS_TOKEN"
_SHORTEST = 16  # characters of a token


def parse_token(text: str) -> str:
    """Check a token: HTTP must be able to carry it (RFC 6750, 2.1), and it must not be short.

    Raises:
        UsageError: it is too short or has other characters.

    Example:
        >>> parse_token("0123456789abcdef")
        '0123456789abcdef'
    """
    if len(text) < _SHORTEST or not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", text):
        raise UsageError(
            f"{named('token')} or {VARIABLE} takes at least {_SHORTEST} letters, digits and -._~+/ "
            ": make "
            "one with 'openssl rand -hex 32'."
        )
    return text


@dataclass(frozen=True)
class ServeOptions:
    """Address, access and limits of the service.

    Raises:
        UsageError: naming the option.
    """

    host: str = option(
        LOCAL,
        "Address to listen on. Any address other than this computer's requires a token.",
        metavar="ADDRESS",
    )
    port: int = option(8000, "Port to listen on; 0 chooses a free one.", low=0, high=65535)
    token: str | None = option(
        None,
        f"Token that clients must send as 'Authorization: Bearer TOKEN'. {VARIABLE} does the same, "
        "and does not show in the list of processes.",
        parse=parse_token,
        metavar="TOKEN",
    )
    quiet: bool = option(False, "Print no line for each request.", also=("-q",))
    model: list[str] | None = option(
        None,
        "One more model to offer beside the packaged ones: a weights file, which is then called "
        "by its name without the ending, or org/name on the hub; repeatable.",
        also=("-m",),
        panel=MODEL,
    )
    workers: int = option(
        1, "Pictures to process at a time, each in its own process.", low=1, panel=LIMITS
    )
    queue: int = option(
        16, "Most requests that may wait; further ones are refused.", low=0, panel=LIMITS
    )
    timeout: float = option(
        300.0,
        "Seconds until the result of a request must be ready, and the same to send it.",
        low=1,
        high=86400,
        shown="300",
        metavar="SECONDS",
        panel=LIMITS,
    )
    max_upload: int = option(
        100_000_000,
        "Refuse larger files.",
        parse=parse_bytes,
        shown="100M",
        metavar="BYTES",
        panel=LIMITS,
    )
    max_pixels: int = option(100_000_000, "Refuse pictures with more pixels.", low=1, panel=LIMITS)
    max_result: int = option(
        400_000_000, "Refuse to make larger results, in pixels.", low=1, panel=LIMITS
    )

    def __post_init__(self) -> None:
        check_options(self)
        if self.token is not None:
            parse_token(self.token)

    def check_access(self) -> None:
        """Raise UsageError if other machines could reach the service and there is no token."""
        if self.token is None and not is_local(self.host):
            raise UsageError(
                f"{named('host', self.host)} admits other computers: set {VARIABLE}, give "
                f"{named('token')}, or leave {named('host')} out."
            )
