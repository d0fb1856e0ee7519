"""Standard input and output in the place of files: `-` on the command line.

A picture that is piped in goes into a temporary file first, and a result that is piped out comes
from one, because decoders go back and forth and a result appears whole or not at all.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from pixperts.errors import ImageError, PixpertsError, UsageError
from pixperts.io.formats import is_video_path
from pixperts.io.urls import local_name, parse_url
from pixperts.io.vips import reason, sniff
from pixperts.io.writable import ending_of, writable_formats

PIPE = "-"
LIMIT = 1_000_000_000  # bytes of a file from standard input, unless --max-memory says otherwise
_BLOCK = 1 << 20
_IN, _OUT = "standard input", "standard output"


class Pipes:
    """The files that stand for `-` during a run; a context manager.

    Args:
        inputs: as given; one of them may be `-`.
        output: as given, `-` for standard output; None is that for a single input of `-`.
        format: of the output; that of the input where None.
        limit: bytes that may be read; None = `LIMIT`.
        beside: whether results lie beside the inputs, and do not replace them.
        results: whether there are any.

    Attributes:
        inputs: names of files in the place of what was given.
        output: likewise.
        writes: whether the result goes to standard output.

    Raises:
        UsageError: several pictures for one pipe, or a pipe that is a terminal.
        ImageError: standard input that is empty, too large or cannot be kept.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        output: str | None = None,
        format: str | None = None,  # noqa: A002
        *,
        limit: float | None = None,
        beside: bool = True,
        results: bool = True,
    ) -> None:
        self.inputs, self.output = list(inputs), output
        reads = inputs.count(PIPE)
        if reads and not beside:
            raise UsageError(
                "--in-place replaces files: it cannot be used with standard input, '-'."
            )
        unnamed = results and output is None
        self.writes = output == PIPE or (unnamed and self.inputs == [PIPE])
        self._shown: dict[str, str] = {}
        self._folder: Path | None = None
        if reads > 1:
            raise UsageError("Standard input holds one picture: give '-' once.")
        if self.writes and len(inputs) != 1:
            raise UsageError("Standard output takes one picture: name a folder with -o.")
        if reads and unnamed and not self.writes:
            raise UsageError("The result of standard input has no name: name a folder with -o.")
        if self.writes and is_video_path(self.inputs[0]):
            raise UsageError("A video is not written to standard output: name a file with -o.")
        if self.writes and sys.stdout.isatty():
            raise UsageError("A picture cannot be shown in a terminal: give -o a file name.")
        if reads and sys.stdin.isatty():
            raise UsageError("Nothing is piped in: name a file instead of '-'.")
        if not (reads or self.writes):
            return
        self._folder = Path(tempfile.mkdtemp(prefix="pixperts-"))
        try:
            if reads:
                source = _keep(sys.stdin.buffer, self._folder, limit)
                self.inputs[self.inputs.index(PIPE)] = str(source)
                self._shown[str(source)] = _IN
            if self.writes:
                self.output = str(self._folder / f"stdout{_ending(self.inputs[0], format)}")
                self._shown[self.output] = _OUT
        except BaseException as error:
            if isinstance(error, PixpertsError):
                self.rename(error)
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, PixpertsError):
            self.rename(error)
        self.close()

    def close(self) -> None:
        """Remove the temporary files."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def named(self, text: str) -> str:
        """A text in which temporary files are called what they stand for."""
        for path, name in self._shown.items():
            text = text.replace(path, name)
        return text

    def rename(self, error: PixpertsError) -> None:
        """The same in the message of an error."""
        error.args = tuple(self.named(one) if isinstance(one, str) else one for one in error.args)

    def deliver(self) -> None:
        """Send the result to standard output, where it goes there and was made.

        Raises:
            ImageError: standard output was closed, or is a file on a full disk.
        """
        if not self.writes or self.output is None or not os.path.exists(self.output):
            return
        try:
            with open(self.output, "rb") as handle:
                shutil.copyfileobj(handle, sys.stdout.buffer, _BLOCK)
            sys.stdout.buffer.flush()
        except OSError as error:
            # Python would try once more at its end, and complain.
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
            raise ImageError(
                f"The picture could not be written to standard output ({reason(error)})."
            ) from None


def _keep(stream: BinaryIO, folder: Path, limit: float | None) -> Path:
    """Standard input as a file that ends like its format."""
    path, size = folder / "stdin", 0
    most = LIMIT if limit is None else limit
    try:
        with path.open("wb") as handle:
            while block := stream.read(_BLOCK):
                size += len(block)
                if size > most:
                    raise ImageError(
                        f"Standard input holds more than {most / 1e6:g} MB: name a file, or "
                        "allow more with --max-memory."
                    )
                handle.write(block)
    except OSError as error:
        raise ImageError(
            f"Standard input could not be kept in {folder} ({reason(error)}): make room there or "
            "set TMPDIR to another folder."
        ) from None
    if not size:
        raise ImageError("Standard input is empty: pipe a picture into it.")
    try:
        kind = sniff(path)
    except ImageError as error:
        error.args = (str(error).replace(str(path), _IN),)
        raise
    return path.rename(path.with_suffix(f".{kind}"))


def _ending(source: str, format: str | None) -> str:  # noqa: A002
    """Of the file that is piped out."""
    if format is not None:
        return ending_of(format)
    if parse_url(source) is not None:
        raise UsageError(
            f"Standard output needs a format, which {source} does not say before it is read: give "
            "--format."
        )
    kind = sniff(Path(local_name(source)))
    return ending_of(kind if kind in writable_formats() else "png")
