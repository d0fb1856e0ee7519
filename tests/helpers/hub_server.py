"""A stand-in of the hub's HTTP interface: files of repositories, and commits to them.

A GET or HEAD of /ORG/NAME/resolve/REVISION/FILE gives a file; what `HfApi.upload_folder` posts
becomes one. Requests are recorded, so that tests can say that there were none.
"""

import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMITS = {"main": "a" * 40, "v1": "b" * 40}


class Hub(ThreadingHTTPServer):
    """Repositories by name, each with its files."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, dict[str, bytes]] = {}
        self.seen: list[str] = []
        self.forbidden: set[str] = set()  # repositories whose config.json may not be read

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._resolve(body=False)

    def do_GET(self) -> None:
        self._resolve(body=True)

    def do_POST(self) -> None:
        self.server.seen.append(f"POST {self.path}")
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/api/repos/create":
            asked = json.loads(sent)
            name = f"{asked['organization']}/{asked['name']}"
            self.server.files.setdefault(name, {})
            self._json({"url": f"{self.server.url}/{name}", "name": name})
        elif self.path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = json.loads(sent)["files"]
            self._json(
                {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                           for f in files]}
            )  # fmt: skip
        elif "/commit/" in self.path:
            name = "/".join(self.path.split("/")[3:5])
            for line in map(json.loads, sent.splitlines()):
                if line["key"] == "file":
                    value = line["value"]
                    self.server.files[name][value["path"]] = base64.b64decode(value["content"])
            url = f"{self.server.url}/{name}/commit/{COMMITS['main']}"
            self._json({"commitUrl": url, "commitOid": COMMITS["main"], "success": True})
        else:
            self._fail("EntryNotFound")

    def _resolve(self, *, body: bool) -> None:
        self.server.seen.append(f"{self.command} {self.path}")
        parts = self.path.strip("/").split("/")
        name = "/".join(parts[:2])
        if name not in self.server.files:
            return self._fail("RepoNotFound")
        if parts[2:3] != ["resolve"]:
            return self._json({"id": name, "sha": COMMITS["main"], "siblings": []})
        commit = COMMITS.get(parts[3], parts[3])
        if commit not in COMMITS.values():
            return self._fail("RevisionNotFound")
        if name in self.server.forbidden and parts[-1] == "config.json":
            return self._fail("", commit, 403)
        data = self.server.files[name].get("/".join(parts[4:]))
        if data is None:
            return self._fail("EntryNotFound", commit)
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)
        return None

    def _json(self, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _fail(self, code: str, commit: str = "", status: int = 404) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", commit or COMMITS["main"])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Silence."""


@contextlib.contextmanager
def serving() -> Iterator[Hub]:
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
