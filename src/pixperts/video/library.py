"""PyAV, imported when it is first used, and its errors as sentences."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pixperts.errors import ImageError, MissingDecoderError, PixpertsError
from pixperts.io.vips import file_status, reason


def library(path: Path) -> Any:
    """The module `av`; `path` is the video, for the error.

    Raises:
        MissingDecoderError: PyAV is not installed.
    """
    # SVT-AV1 reports its settings on stderr otherwise.
    os.environ.setdefault("SVT_LOG", "1")
    try:
        import av
    except ImportError:
        raise MissingDecoderError(path, "a video", "video") from None
    return av


def open_video(path: Path) -> Any:
    """An input container of PyAV, to be closed by the caller.

    Raises:
        ImageError: the file is missing, empty, unreadable or no video.
        MissingDecoderError: PyAV is not installed.
    """
    av = library(path)
    found = file_status(path)
    if found is None:
        raise ImageError(f"{path} does not exist: check the name.")
    if not path.is_file():
        raise ImageError(f"{path} is not a regular file: name a video file.")
    if found.st_size == 0:
        raise ImageError(f"{path} is empty (0 bytes): copy it again from its source.")
    with readable(path):
        # With a protocol, the name of a file is never mistaken for a URL.
        return av.open(f"file:{path}", metadata_errors="replace")


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """A context that reads a video; errors of PyAV become ImageError with one sentence."""
    try:
        yield
    except (PixpertsError, MemoryError):
        raise
    except PermissionError:
        raise ImageError(f"{path} may not be read: change its permissions.") from None
    except (OSError, ValueError, EOFError) as error:  # the errors of PyAV derive from these
        raise ImageError(
            f"{path} cannot be read as a video ({_short(error)}): it is damaged, cut short or of "
            "an unsupported kind, so copy it again from its source."
        ) from None


@contextlib.contextmanager
def writable(path: Path) -> Iterator[None]:
    """A context that writes a video; errors of PyAV become ImageError with one sentence."""
    try:
        yield
    except (PixpertsError, MemoryError):
        raise
    except (OSError, ValueError, EOFError) as error:
        raise ImageError(
            f"{path} could not be written ({_short(error)}): check the free space and the "
            "permissions of its folder."
        ) from None


def _short(error: BaseException) -> str:
    """The message of PyAV without the names of the file and of a function of FFmpeg."""
    return reason(error).split(": '")[0]
