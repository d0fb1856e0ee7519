"""Objects of S3, Google Cloud Storage and Azure: listed, fetched, and put whole or not at all.

Everything about obstore, which is imported when the first client is made.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from pixperts.errors import ImageError, MissingExtraError
from pixperts.io.formats import SUFFIXES
from pixperts.io.object_errors import sentence_of
from pixperts.io.urls import ObjectUrl
from pixperts.io.vips import reason

_BLOCK = 1 << 20  # bytes that are read at once
_PART = 8 << 20  # of an upload; larger objects go in several requests
_PARTS = 4  # at a time, which bounds the memory of an upload
_PAGE = 1000  # objects of a request, the most that the stores give
RETRIES = 6  # of a request that failed for no fault of its own, over about ten seconds
_TYPES = {"heic": "image/heic", "jp2": "image/jp2", "jxl": "image/jxl", "exr": "image/x-exr"}


class Children(NamedTuple):
    """What a folder holds: names of folders, and of objects."""

    folders: list[str]
    names: list[str]


class ObjectStore:
    """The objects of any number of buckets; may be used by several threads.

    Credentials, regions and endpoints come from the usual environment variables of each provider.

    Args:
        url: the one for whose sake a client is needed, for the sentence on a missing extra.

    Raises:
        MissingExtraError: obstore is not installed.
    """

    def __init__(self, url: ObjectUrl) -> None:
        try:
            import obstore
            import obstore.store
        except ImportError as error:
            raise MissingExtraError(str(url), "cloud") from error
        self._obstore: Any = obstore
        self._buckets: dict[tuple[str, str], Any] = {}

    def exists(self, url: ObjectUrl) -> bool:
        """Whether there is an object of this name.

        Raises:
            UsageError, ImageError: with one sentence.
        """
        with _explained(url, "looked up"):
            try:
                self._obstore.head(self._bucket(url), url.key)
            except FileNotFoundError:
                return False
        return True

    def is_folder(self, url: ObjectUrl) -> bool:
        """Whether there are objects below this name.

        Raises:
            UsageError, ImageError: with one sentence.
        """
        return not url.key or next(self._pages(url), None) is not None

    def check_bucket(self, url: ObjectUrl) -> None:
        """Raise UsageError where the bucket does not exist; who may not list it is let through."""
        with contextlib.suppress(ImageError):
            next(self._pages(ObjectUrl(url.scheme, url.bucket)), None)

    def below(self, url: ObjectUrl) -> Iterator[str]:
        """The keys of all objects below a folder, listed page by page.

        Raises:
            UsageError, ImageError: with one sentence.
        """
        for page in self._pages(url):
            for found in page:
                yield found["path"]

    def children(self, url: ObjectUrl) -> Children:
        """What lies in a folder, without what its own folders hold.

        Raises:
            UsageError, ImageError: with one sentence.
        """
        with _explained(url, "listed"):
            found = self._obstore.list_with_delimiter(self._bucket(url), url.key or None)
        return Children(
            [_last(key) for key in found["common_prefixes"]],
            [_last(one["path"]) for one in found["objects"]],
        )

    def fetch(self, url: ObjectUrl, path: Path) -> None:
        """Write an object's bytes to a file.

        Raises:
            UsageError, ImageError: with one sentence.
        """
        try:
            with path.open("wb") as file:
                for block in self._blocks(url):
                    file.write(block)
        except OSError as error:
            raise ImageError(
                f"{url} could not be kept in {path.parent} ({reason(error)}): make room there, or "
                "set TMPDIR to another folder."
            ) from error

    def sha256(self, url: ObjectUrl) -> str:
        """SHA-256 of an object's bytes, in hexadecimal.

        Raises:
            UsageError, ImageError: with one sentence.
        """
        digest = hashlib.sha256()
        for block in self._blocks(url):
            digest.update(block)
        return digest.hexdigest()

    def put(self, path: Path, url: ObjectUrl) -> None:
        """Make a file's bytes an object, which replaces one of that name and is never partial.

        Raises:
            UsageError, ImageError: with one sentence.
        """
        kind = SUFFIXES.get(path.suffix.lower())
        attributes = {"Content-Type": _TYPES.get(kind, f"image/{kind}")} if kind else None
        with _explained(url, "written"):
            self._obstore.put(
                self._bucket(url),
                url.key,
                path,
                attributes=attributes,
                chunk_size=_PART,
                max_concurrency=_PARTS,
            )

    def _bucket(self, url: ObjectUrl) -> Any:
        key = url.scheme, url.bucket
        if key not in self._buckets:
            self._buckets[key] = self._obstore.store.from_url(
                f"{url.scheme}://{url.bucket}",
                client_options={
                    # An endpoint without encryption is one that somebody named as such.
                    "allow_http": True,
                    "connect_timeout": "10s",
                    "read_timeout": "60s",
                    "timeout": "6h",  # of a whole object; the usual 30 s end large ones
                },
                retry_config={
                    "max_retries": RETRIES,
                    "retry_timeout": timedelta(minutes=2),
                    "backoff": {
                        "init_backoff": timedelta(seconds=0.2),
                        "max_backoff": timedelta(seconds=5),
                        "base": 2,
                    },
                },
            )
        return self._buckets[key]

    def _pages(self, url: ObjectUrl) -> Iterator[Any]:
        with _explained(url, "listed"):
            yield from self._obstore.list(self._bucket(url), url.key or None, chunk_size=_PAGE)

    def _blocks(self, url: ObjectUrl) -> Iterator[Any]:
        """An object's bytes; one that ends too early is an error."""
        with _explained(url, "read"):
            found = self._obstore.get(self._bucket(url), url.key)
            size, held = found.meta["size"], 0
            blocks = iter(found.stream(min_chunk_size=_BLOCK))
        while True:
            with _explained(url, "read"):
                block = next(blocks, None)
            if block is None:
                break
            held += len(block)
            yield block
        if held != size:
            raise ImageError(f"{url} ended after {held} of {size} bytes: start again.")


@contextlib.contextmanager
def _explained(url: ObjectUrl, verb: str) -> Iterator[None]:
    """Turn what obstore raises into one sentence."""
    try:
        yield
    except Exception as error:
        raise sentence_of(error, url, verb) from error


def _last(key: str) -> str:
    return key.removesuffix("/").rpartition("/")[2]
