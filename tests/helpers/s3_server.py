"""An S3 server on this machine, moto's, in a process of its own."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

ACCESS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


class Server:
    """Buckets, seen by plain requests."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def variables(self) -> dict[str, str]:
        """What a client finds it by."""
        return {**ACCESS, "AWS_ENDPOINT_URL": self.url}

    def request(self, method: str, path: str, body: bytes | None = None) -> Any:
        # The type that urllib would name is that of a form, as which moto would read the body. It
        # looks whether there is a signature, and not at what it says.
        signed = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request"
        headers = {"Content-Type": "application/octet-stream", "Authorization": signed}
        asked = urllib.request.Request(f"{self.url}/{quote(path)}", body, headers, method=method)
        return urllib.request.urlopen(asked, timeout=20)

    def put(self, path: str, body: bytes = b"") -> None:
        """An object, "bucket/key", or a bucket."""
        self.request("PUT", path, body).close()

    def get(self, path: str) -> bytes:
        with self.request("GET", path) as answer:
            found: bytes = answer.read()
        return found

    def delete(self, path: str) -> None:
        self.request("DELETE", path).close()

    def content_type(self, path: str) -> str:
        with self.request("HEAD", path) as answer:
            return str(answer.headers["Content-Type"])

    def tree(self, bucket: str, folder: str = "") -> dict[str, bytes]:
        """All objects below a folder, by their names in it; without those that make folders."""
        import obstore
        from obstore.store import S3Store

        store = S3Store(
            bucket,
            endpoint=self.url,
            access_key_id="test",
            secret_access_key="test",
            region=ACCESS["AWS_REGION"],
            client_options={"allow_http": True},
        )
        keys = [one["path"] for page in obstore.list(store, folder or None) for one in page]
        start = len(folder) + 1 if folder else 0
        return {
            key[start:]: self.get(f"{bucket}/{key}")
            for key in sorted(keys)
            if not any(other.startswith(f"{key}/") for other in keys)
        }


@contextlib.contextmanager
def s3_server() -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Pages of three objects, so that every listing has several.
    environment = os.environ | {"MOTO_S3_DEFAULT_MAX_KEYS": "3"}
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(port, process)
        yield Server(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("moto's server did not start")
