"""Who may use the service: `Access`, in front of everything else."""

import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from pixperts.background.address import is_local
from pixperts.serve.failures import Refusal

OPEN = ("/health",)  # probes of schedulers send no token, and learn nothing


class Access:
    """Middleware that refuses requests without the right token.

    Args:
        app: the application behind it.
        token: None accepts all requests to this machine, except those from pages in a browser.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await refusal.response()(scope, receive, send)

    def _refusal(self, scope: Scope) -> Refusal | None:
        if scope["path"] in OPEN:
            return None
        headers = Headers(scope=scope)
        if self._token is None:
            return _of_a_page(headers)
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # Compared in constant time, so that the time reveals nothing of the token.
        same = hmac.compare_digest(given.strip().encode(), self._token.encode())
        if same and scheme.lower() == "bearer":
            return None
        return Refusal(
            401,
            "A token is required: send the header 'Authorization: Bearer TOKEN'.",
            {"WWW-Authenticate": "Bearer"},
        )


def _of_a_page(headers: Headers) -> Refusal | None:
    """The refusal of a request that may come from a web page in the browser of the user.

    A page can send requests to the machine of the user, also under a host name of its own that
    resolves to it (DNS rebinding).
    """
    host = headers.get("host", "")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    if not is_local(name):
        return Refusal(
            403, f"The name {name[:80]!r} is not this computer's: use localhost, or a token."
        )
    if "origin" in headers:
        return Refusal(403, "Requests from web pages are refused without a token.")
    return None
