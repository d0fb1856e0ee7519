"""Addresses to serve on. Importing this costs nothing."""

import ipaddress
import socket
from typing import Any

from pixperts.errors import UsageError, named

LOCAL = "127.0.0.1"


def is_local(host: str) -> bool:
    """Whether only this machine reaches an address.

    >>> is_local("localhost"), is_local("127.0.0.1"), is_local("0.0.0.0"), is_local("example.org")
    (True, True, False, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def shown_address(host: str, port: int) -> str:
    """The URL of a server of this machine, for a browser on the same machine.

    >>> shown_address("0.0.0.0", 80), shown_address("::1", 80)
    ('http://127.0.0.1:80/', 'http://[::1]:80/')
    """
    name = LOCAL if host in ("0.0.0.0", "::") else host
    return f"http://[{name}]:{port}/" if ":" in name else f"http://{name}:{port}/"


def bound(host: str, port: int) -> socket.socket:
    """A socket that is bound to an address; port 0 chooses a free port.

    Raises:
        UsageError: the port is in use, or the address is not one of this machine.
    """
    family: Any = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise UsageError(_reason(host, port, error)) from None
    return made


def free_port(host: str, port: int) -> int:
    """The port, or a free one for 0.

    Raises:
        UsageError: as `bound`.
    """
    with bound(host, port) as probe:
        return int(probe.getsockname()[1])


def _reason(host: str, port: int, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"{named('port', port)} needs permissions that you do not have: choose another."
    if isinstance(error, socket.gaierror):
        return f"{named('host', host)} is not an address: give one such as 0.0.0.0."
    return (
        f"{named('host', host)} with {named('port', port)} cannot be served on ({error.strerror}): "
        "choose "
        f"others; {named('port', 0)} chooses a free port."
    )
