"""Errors of requests: an HTTP status code and one sentence."""

from collections.abc import Mapping

from starlette.responses import JSONResponse

from pixperts.background.events import Fault

GONE = 499  # in logs and metrics: nobody waits for the answer
CODES: dict[Fault, int] = {
    "request": 400,
    "size": 413,
    "format": 415,
    "picture": 422,
    "server": 500,
}


class Refusal(Exception):  # noqa: N818  # an answer, not a fault of the program
    """An error that the client receives in place of a picture."""

    def __init__(self, code: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.code, self.sentence, self.headers = code, sentence, headers

    def response(self) -> JSONResponse:
        """The answer, as JSON."""
        return JSONResponse(
            {"error": self.sentence}, status_code=self.code, headers=dict(self.headers or {})
        )


class ClientGone(Exception):  # noqa: N818
    """The connection was closed before the answer."""
