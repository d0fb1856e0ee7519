"""What an object store answers, as one sentence with the cure."""

import re

from pixperts.errors import ImageError, PixpertsError, UsageError
from pixperts.io.urls import ObjectUrl

# What gives access, and where everything else is said, by the scheme of a URL.
_KEYS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
_PUBLIC = {
    "s3": "AWS_SKIP_SIGNATURE",
    "gs": "GOOGLE_SKIP_SIGNATURE",
    "az": "AZURE_SKIP_SIGNATURE",
}
_ENDPOINT = {"s3": "AWS_ENDPOINT_URL", "gs": "GOOGLE_BASE_URL", "az": "AZURE_STORAGE_ENDPOINT"}
# The stores have their own words for the same; all of them stand in the text of the error.
_NO_BUCKET = re.compile(
    r"NoSuchBucket|ContainerNotFound|specified bucket does not exist|InvalidBucketName"
)
_DENIED = re.compile(r"\b(401 Unauthorized|403 Forbidden)\b")
# Without any, the clients ask the machine itself, at addresses that only clouds have.
_NO_KEYS = re.compile(r"api/token|169\.254\.|metadata\.google|Account must be specified")
_REGION = re.compile(r"configured region|AuthorizationHeaderMalformed|PermanentRedirect")
_UNREACHED = re.compile(
    r"error sending request|dns error|tcp connect|timed out|connection (closed|reset|refused)",
    re.IGNORECASE,
)
_STATUS = re.compile(r"status code: (\d{3} [A-Z][A-Za-z ]*)")


def sentence_of(error: Exception, url: ObjectUrl, verb: str) -> PixpertsError:
    """The error to raise for one of obstore's.

    Args:
        error: what it raised.
        url: what it was about.
        verb: what could not be done to that, "read".

    Example:
        >>> str(sentence_of(FileNotFoundError("..."), ObjectUrl("s3", "b", "a.jpg"), "read"))
        's3://b/a.jpg does not exist: check the name.'
    """
    if isinstance(error, PixpertsError):
        return error
    text = str(error).split("\n\nDebug source")[0]
    start, scheme = f"{url} cannot be {verb}", url.scheme
    if _NO_BUCKET.search(text):
        return UsageError(
            f"{start}, because there is no bucket {url.bucket}: check its name and the endpoint."
        )
    if isinstance(error, FileNotFoundError):
        return ImageError(f"{url} does not exist: check the name.")
    if _NO_KEYS.search(text):
        return ImageError(
            f"{start}, because no credentials were found: set {_KEYS[scheme]}, or "
            f"{_PUBLIC[scheme]}=true where everybody may do that."
        )
    kind = type(error).__name__
    if kind in ("PermissionDeniedError", "UnauthenticatedError") or _DENIED.search(text):
        return ImageError(
            f"{start}, because access was denied: check {_KEYS[scheme]}, and what that key may do."
        )
    if kind == "InvalidPathError":
        return ImageError(
            f"{start}, because an object in it has an empty part, '.' or '..' in its name, which "
            f"is not supported ({_short(text)}): rename it, or name other folders."
        )
    if _REGION.search(text):
        return ImageError(
            f"{start}, because its bucket is in another region: set AWS_REGION to that one."
        )
    status = _STATUS.search(text)
    if status is not None and status[1].startswith("5"):
        return ImageError(f"{start}, because the server failed ({status[1]}): try again later.")
    if _UNREACHED.search(text):
        return ImageError(
            f"{start}, because the server was not reached: check the network, and "
            f"{_ENDPOINT[scheme]} if it is set."
        )
    return ImageError(f"{start} ({_short(text) if status is None else status[1]}).")


def _short(text: str) -> str:
    """What matters of a text of many lines."""
    return " ".join(text.split("\n")[0].split())[-200:].strip(" .:")
