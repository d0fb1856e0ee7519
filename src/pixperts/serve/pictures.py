"""One request: a picture is received and processed, and its result is sent."""

import asyncio
import json
import re
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from pixperts.background.events import Failed
from pixperts.background.orders import Run
from pixperts.background.relay import without_folders
from pixperts.errors import ImageError, UsageError, printable
from pixperts.io.formats import MEDIA_TYPES, SUFFIXES
from pixperts.io.vips import sniff
from pixperts.serve.failures import CODES, GONE, ClientGone, Refusal
from pixperts.serve.parameters import Wanted, wanted
from pixperts.serve.service import Service

REPORT = "Pixperts-Report"  # header with what `--json` prints
_LONGEST_REPORT = 4000  # characters; many servers take 8 kB for all headers
_BLOCK = 1 << 18  # bytes
_RAW_BODY = (
    "Send the picture itself as the body, as it is: curl --data-binary @photo.jpg, without a form "
    "and without Content-Encoding."
)


@dataclass(frozen=True)
class Result:
    """The file to send, and its report."""

    path: Path
    report: dict[str, Any]


class Pictures:
    """An ASGI application for one operation.

    Args:
        service: gives processes and limits.
        name: of the operation.
    """

    def __init__(self, service: Service, name: str) -> None:
        self._service, self._name = service, name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began, code, note = time.monotonic(), GONE, ""
        deadline = asyncio.get_running_loop().time() + self._service.options.timeout
        try:
            await self._answer(Request(scope, receive), send, deadline)
            code = 200
        except Refusal as refusal:
            code, note = refusal.code, f" {printable(refusal.sentence)}"
            await refusal.response()(scope, receive, send)
        except (ClientGone, TimeoutError):  # the client went away, or reads nothing
            note = " the client is gone"
        except Exception:
            code = CODES["server"]
            raise
        finally:
            seconds = time.monotonic() - began
            self._service.metrics.request(self._name, code, seconds)
            if not self._service.options.quiet:
                print(f"{self._name} {code} {seconds:.2f} s{note}", file=sys.stderr, flush=True)

    async def _answer(self, request: Request, send: Send, deadline: float) -> None:
        service, limits = self._service, self._service.options
        _check_headers(request, limits.max_upload)
        try:
            asked = wanted(
                self._name,
                request.query_params.multi_items(),
                limits.max_pixels,
                service.loading.max_memory,
            )
            step = service.step(asked)
        except UsageError as error:
            raise Refusal(CODES["request"], str(error)) from None
        with service.place():
            folder = service.workspace.make()
            try:
                path = await self._receive(request, asked, folder / "in", deadline)
                order = Run((str(path),), str(folder), step, asked.options, limits.max_result)
                result = await self._compute(order, request.receive, deadline)
                async with asyncio.timeout(limits.timeout):
                    await _send(result, send)
            finally:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _receive(
        self, request: Request, asked: Wanted, folder: Path, deadline: float
    ) -> Path:
        """The picture as a file; see `_named`."""
        path, size = folder / (asked.filename or "picture"), 0
        limit = self._service.options.max_upload
        try:
            async with asyncio.timeout_at(deadline):
                with path.open("xb") as file:
                    async for block in _body(request.receive):
                        size += len(block)
                        if size > limit:
                            raise _too_heavy(limit)
                        file.write(block)
        except TimeoutError:
            limit_s = self._service.options.timeout
            raise Refusal(408, f"The picture did not arrive within {limit_s:g} s.") from None
        except OSError as error:
            raise Refusal(
                CODES["server"], f"The picture could not be kept ({error.strerror}); try later."
            ) from None
        self._service.metrics.received(size)
        if not size:
            raise Refusal(CODES["request"], f"The body is empty. {_RAW_BODY}")
        return _named(path, asked.filename)

    async def _compute(self, order: Run, receive: Receive, deadline: float) -> Result:
        """The result; stopped if the client goes away or the time is over."""
        began = time.monotonic()
        work = asyncio.ensure_future(self._service.pool.work(order))
        gone = asyncio.ensure_future(_gone(receive))
        left = deadline - asyncio.get_running_loop().time()
        try:
            await asyncio.wait({work, gone}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                if gone.done():
                    raise ClientGone
                limit_s = self._service.options.timeout
                raise Refusal(
                    504,
                    f"The result was not ready within {limit_s:g} s: send a smaller picture, "
                    "choose a smaller size, or try when less is waiting.",
                )
            done = work.result()
        finally:
            work.cancel()
            gone.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)
        if isinstance(done, Failed) or done.output is None:
            raise Refusal(CODES[done.fault], done.error or "There is no result.")
        report = done.report
        assert report is not None  # every result has one
        self._service.metrics.done(self._name, report["megapixels"], time.monotonic() - began)
        return Result(Path(done.output), report)


def _check_headers(request: Request, limit: int) -> None:
    """Refuse a request by its headers, before the body is read."""
    encoding = request.headers.get("content-encoding", "identity")
    kind = request.headers.get("content-type", "")
    if encoding.lower() != "identity" or kind.lower().startswith("multipart/"):
        raise Refusal(CODES["format"], _RAW_BODY)
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise _too_heavy(limit)


def _too_heavy(limit: int) -> Refusal:
    return Refusal(
        CODES["size"],
        f"The file is larger than {limit / 1e6:g} MB, the limit of this service: send a smaller "
        "one, or use the command line.",
    )


async def _body(receive: Receive) -> Any:
    """The blocks of a body."""
    while True:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body", False):
            return


async def _gone(receive: Receive) -> None:
    """Wait until the client closes its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _named(path: Path, filename: str | None) -> Path:
    """The picture under a name with the ending of its format, unless the client gave a name.

    Raises:
        Refusal: by its first bytes, the file is no picture.
    """
    try:
        kind = sniff(path)
    except ImageError as error:
        text = without_folders(str(error), path.parent)
        raise Refusal(CODES["format"], text) from None
    if filename is not None:
        return path
    ending = next((suffix for suffix, known in SUFFIXES.items() if known == kind), f".{kind}")
    return path.rename(path.with_suffix(ending))


async def _send(result: Result, send: Send) -> None:
    size = result.path.stat().st_size
    headers = {
        "Content-Type": MEDIA_TYPES[sniff(result.path)][0],
        "Content-Length": str(size),
        "Content-Disposition": _disposition(result.path.name),
        "X-Content-Type-Options": "nosniff",
        REPORT: _header(result.report),
    }
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": raw})
    with result.path.open("rb") as file:
        while block := file.read(_BLOCK):
            size -= len(block)
            await send({"type": "http.response.body", "body": block, "more_body": size > 0})


def _disposition(name: str) -> str:
    """The name of a file for a header (RFC 6266), also for clients that read ASCII only.

    >>> _disposition("a.png")
    'attachment; filename="a.png"'
    """
    plain = re.sub(r"[^A-Za-z0-9 ._()+-]", "_", name)
    exact = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'attachment; filename="{plain}"{exact}'


def _header(report: dict[str, Any]) -> str:
    """A report as JSON for a header; long values are left out, notes last."""
    text = json.dumps(report, allow_nan=False)
    if len(text) <= _LONGEST_REPORT:
        return text
    kept = {key: value for key, value in report.items() if not isinstance(value, list | dict)}
    kept["notes"] = report["notes"]
    text = json.dumps(kept, allow_nan=False)
    if len(text) > _LONGEST_REPORT:
        many = len(report["notes"])
        kept["notes"] = [f"{many} notes are too long for a header: the command line prints them."]
    return json.dumps(kept, allow_nan=False)
