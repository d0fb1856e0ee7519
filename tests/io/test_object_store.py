"""What goes wrong with a store of objects is one sentence that names the URL and the cure."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pixperts.errors import ImageError, PixpertsError, UsageError
from pixperts.io import object_store
from pixperts.io.object_errors import sentence_of
from pixperts.io.object_store import ObjectStore
from pixperts.io.urls import ObjectUrl, parse_url

CLOSED = "http://127.0.0.1:1"  # nothing listens there


class Answers(BaseHTTPRequestHandler):
    """A bucket named code-403 is answered by that code; one named short ends too early."""

    def answer(self) -> None:
        bucket = self.path.split("/")[1].split("?")[0]
        body = b"<Error><Code>Odd</Code></Error>"
        self.send_response(int(bucket[-3:]) if bucket.startswith("code-") else 200)
        self.send_header("Content-Length", str(len(body) * (2 if bucket == "short" else 1)))
        self.send_header("Last-Modified", "Sun, 01 Nov 2026 00:00:00 GMT")
        self.send_header("ETag", '"1"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        self.answer()

    def do_HEAD(self) -> None:
        self.answer()

    def do_PUT(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(object_store, "RETRIES", 1)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
        "AWS_METADATA_ENDPOINT": CLOSED,
    }.items():
        monkeypatch.setenv(name, value)
    yield url
    server.shutdown()
    server.server_close()


def failures(url: str, folder: Path) -> list[PixpertsError]:
    """Of everything that can be done with an object."""
    parsed = parse_url(url)
    assert parsed is not None
    store, file = ObjectStore(parsed), folder / "file.png"
    file.write_bytes(b"a picture")
    found = []
    for act in (
        lambda: store.is_folder(parsed),
        lambda: list(store.below(parsed)),
        lambda: store.children(parsed),
        lambda: store.exists(parsed),
        lambda: store.fetch(parsed, folder / "fetched"),
        lambda: store.sha256(parsed),
        lambda: store.put(file, parsed),
    ):
        with pytest.raises(PixpertsError) as caught:
            act()
        found.append(caught.value)
    return found


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (403, "access was denied: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        (401, "access was denied: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        (301, "its bucket is in another region: set AWS_REGION"),
        (500, "the server failed (500 Internal Server Error): try again later"),
        (400, "(400 Bad Request)"),
    ],
)
@pytest.mark.slow
def test_refusals_of_the_server(code: int, words: str, endpoint: str, tmp_path: Path) -> None:
    url = f"s3://code-{code}/a.png"
    for error in failures(url, tmp_path):
        assert type(error) is ImageError
        assert str(error).startswith(f"{url} cannot be ")
        assert words in str(error)
        assert "\n" not in str(error)


@pytest.mark.slow
def test_no_server_and_no_credentials(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", CLOSED)
        for error in failures("s3://bucket/a.png", tmp_path):
            assert "the server was not reached: check the network, and AWS_ENDPOINT" in str(error)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    for error in failures("s3://bucket/a.png", tmp_path):
        assert "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET" in str(error)


@pytest.mark.slow
def test_an_object_that_ends_too_early(endpoint: str, tmp_path: Path) -> None:
    url = ObjectUrl("s3", "short", "a.png")
    with pytest.raises(ImageError, match=r"^s3://short/a\.png "):
        ObjectStore(url).fetch(url, tmp_path / "fetched")


def test_no_room_for_a_copy(endpoint: str) -> None:
    url = ObjectUrl("s3", "full", "a.png")
    with pytest.raises(ImageError, match=r"^s3://full/a\.png could not be kept .*set TMPDIR"):
        ObjectStore(url).fetch(url, Path("/dev/full"))


def test_words_of_the_other_stores() -> None:
    gs, az = ObjectUrl("gs", "b", "a.png"), ObjectUrl("az", "c", "a.png")
    for text in (
        "404 Not Found: <Code>ContainerNotFound</Code>",
        '404 Not Found: {"message": "The specified bucket does not exist."}',
    ):
        error = sentence_of(RuntimeError(text), az, "listed")
        assert isinstance(error, UsageError)
        assert str(error).startswith("az://c/a.png cannot be listed, because there is no bucket c")
    error = sentence_of(RuntimeError("status code: 403 Forbidden: ..."), gs, "read")
    assert "GOOGLE_APPLICATION_CREDENTIALS" in str(error)
    error = sentence_of(RuntimeError("Account must be specified"), az, "read")
    assert "set AZURE_STORAGE_ACCOUNT_NAME" in str(error)
    text = "GET http://169.254.169.254/computeMetadata/v1 - status code: 403 Forbidden"
    assert "no credentials were found" in str(sentence_of(RuntimeError(text), gs, "read"))
    error = sentence_of(RuntimeError("something else\n\nDebug source:\nlong"), az, "read")
    assert str(error) == "az://c/a.png cannot be read (something else)."
