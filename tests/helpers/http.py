"""A plain client of HTTP."""

import http.client
import json
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

PATIENCE = 120.0  # seconds; a machine may be busy with other things


@dataclass(frozen=True)
class Answer:
    """What came back."""

    code: int
    headers: Mapping[str, str]  # in small letters
    body: bytes

    @property
    def error(self) -> str:
        """The sentence of a refusal."""
        assert self.headers["content-type"] == "application/json"
        found = json.loads(self.body)
        assert list(found) == ["error"]
        return str(found["error"])


def connect(address: str) -> http.client.HTTPConnection:
    """A connection that belongs to the caller."""
    return http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE)


def send(
    address: str,
    path: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    method: str | None = None,
) -> Answer:
    """One request; with a body it is a POST."""
    connection = connect(address)
    try:
        method = method or ("GET" if body is None else "POST")
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read())
    finally:
        connection.close()


def later(threads: ThreadPoolExecutor, address: str, path: str, body: bytes) -> Future[Answer]:
    """The same in another thread."""
    return threads.submit(send, address, path, body)
