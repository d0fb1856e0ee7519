"""Names of objects such as `s3://bucket/photos/a.jpg`, and of files written as `file:///...`."""

import os
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from pixperts.errors import UsageError

SCHEMES = ("s3", "gs", "az")
_KNOWN = "s3://, gs://, az:// or file://"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://", re.ASCII)
_ONE_SLASH = re.compile(r"(s3|gs|az|file):/?[^/]", re.ASCII)
_BUCKET = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]*", re.ASCII)


@dataclass(frozen=True)
class ObjectUrl:
    """An object, a folder of them, or a whole bucket.

    Attributes:
        scheme: one of `SCHEMES`.
        bucket: called a container on Azure.
        key: parts joined by slashes, with none at its ends; "" for the bucket itself.
    """

    scheme: str
    bucket: str
    key: str = ""

    def __str__(self) -> str:
        end = f"/{self.key}" if self.key else ""
        return f"{self.scheme}://{self.bucket}{end}"


def parse_url(text: str) -> ObjectUrl | None:
    """The object that a name means; None for the name of a file.

    Nothing is decoded: what stands behind the bucket is the object's name as it is stored. The
    name of a file that exists is one, whatever it looks like.

    Raises:
        UsageError: a URL of another kind, without a bucket, or with a name that cannot be used.

    Example:
        >>> parse_url("s3://bucket/2019/a b.jpg")
        ObjectUrl(scheme='s3', bucket='bucket', key='2019/a b.jpg')
        >>> str(parse_url("s3://bucket/2019/")), parse_url("photos/a.jpg")
        ('s3://bucket/2019', None)
    """
    match = _SCHEME.match(text)
    if match is None:
        if _ONE_SLASH.match(text) and not os.path.lexists(text):
            example = "file:///photos" if text.startswith("file") else "s3://bucket/photos"
            raise UsageError(f"{text} is not a URL: write it as in {example}.")
        return None
    scheme = match[1].lower()
    if scheme == "file":
        return None
    if scheme not in SCHEMES:
        if os.path.lexists(text):
            return None
        raise UsageError(f"{text} is a URL that is not supported: use {_KNOWN}.")
    bucket, _, key = text[match.end() :].partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise UsageError(f"{text} names no bucket that could exist: write {scheme}://BUCKET/NAME.")
    key = key.removesuffix("/")
    if any(part in {"", ".", ".."} for part in key.split("/")) and key:
        raise UsageError(
            f"{text} has an empty part, '.' or '..' in its name, which is not supported: leave it "
            "out, or rename the object."
        )
    return ObjectUrl(scheme, bucket, key)


def local_name(text: str) -> str:
    """The path that a `file://` URL means; anything else is returned as it is.

    Raises:
        UsageError: a URL of another machine, or one without a whole path.

    Example:
        >>> local_name("file:///photos/a%20b.jpg"), local_name("photos/a%20b.jpg")
        ('/photos/a b.jpg', 'photos/a%20b.jpg')
    """
    if text[:7].lower() != "file://":
        return text
    parts = urlsplit(text[:7] + re.sub(r"[?#]", lambda sign: f"%{ord(sign[0]):02X}", text[7:]))
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise UsageError(
            f"{text} does not name a file of this machine: write three slashes and the whole path, "
            "as in file:///photos/a.jpg, or the path alone."
        )
    return url2pathname(parts.path) if os.name == "nt" else unquote(parts.path)
