"""A record of what was made from what: one JSON line per picture, appended to a file.

An entry holds absolute paths, or URLs of objects (`input`, `output`, `expert_map`),
`input_sha256` and `output_sha256`, `model` and `weights_sha256`, `settings` (what was given and
is not a default, precision and tile included), `error` (None where the picture was done),
`version`, `time`, and what `--json` prints: sizes, seconds, experts and shares. An output that
existed before its first entry gets one with "skipped": true, whose model and settings are None.
"""

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pixperts import __version__
from pixperts.errors import ImageError, UsageError
from pixperts.io.atomic import lock
from pixperts.io.vips import reason
from pixperts.jobs.job import Job

if TYPE_CHECKING:
    from pixperts.inference.predictor import AnyPredictor


class Entries:
    """The entries of a manifest in memory, the last one of each output."""

    def __init__(self) -> None:
        self._last: dict[str, dict[str, Any]] = {}

    def made(self, output: str) -> dict[str, Any] | None:
        """The last entry of this output that records no failure; None if there is none."""
        return self._last.get(output)

    def append(self, entry: dict[str, Any]) -> None:
        """Add an entry; one with an error changes nothing."""
        if entry.get("error") is None:
            self._last[str(entry["output"])] = entry


class Manifest(Entries):
    """A manifest file: its entries, and a way to append more.

    Attributes:
        path: the file; it is made with its first line.

    Raises:
        UsageError: the file is not a manifest; it is left as it is.
        ImageError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        with contextlib.suppress(FileNotFoundError):
            for _, entry in read_entries(path):
                super().append(entry)

    def append(self, entry: dict[str, Any]) -> None:
        """Add a line as a whole or not at all, and remove an incomplete line at the end before it.

        The file is locked meanwhile, so that several runs may share a manifest.

        Raises:
            ImageError: the file cannot be written.
            UsageError: the file is no longer a manifest.
        """
        self._append((json.dumps(entry, allow_nan=False) + "\n").encode())
        super().append(entry)

    def make(self) -> None:
        """Make the file if it is missing, for a run that may have nothing to record.

        Raises:
            ImageError: the file cannot be written.
        """
        self._append(b"")

    def _append(self, line: bytes) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab+", buffering=0) as file:
                lock(file)  # so that no other run changes its size meanwhile
                size = _end_of_lines(file)
                file.seek(size)
                if head := file.read(len(_START)):
                    _check_torn(self.path, head)
                    file.truncate(size)
                try:
                    if file.write(line) != len(line):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                except OSError:
                    file.truncate(size)
                    raise
        except OSError as error:
            raise ImageError(
                f"The manifest {self.path} could not be written ({reason(error)}): check the "
                "free space and the permissions of its folder."
            ) from error


_START = b'{"input": '
_BLOCK = 1 << 16  # bytes


def read_entries(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The lines of a manifest and their entries, without an incomplete last line.

    The file is open only while a block of it is read.

    Raises:
        UsageError: the file is not a manifest.
        ImageError: the file cannot be read.
        FileNotFoundError: there is no such file.
    """
    for line in _lines(path):
        if not line.endswith(b"\n"):
            _check_torn(path, line[: len(_START)])
            return
        entry = _parsed(line)
        if entry is None:
            raise UsageError(f"{path} is not a manifest of pixperts: name another file.")
        yield line, entry


def _lines(path: Path) -> Iterator[bytes]:
    at = 0
    while True:
        try:
            with path.open("rb") as file:
                file.seek(at)
                block = file.readlines(_BLOCK)
                at = file.tell()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ImageError(f"{path} cannot be read ({reason(error)}).") from None
        if not block:
            return
        yield from block


def _check_torn(path: Path, head: bytes) -> None:
    """Raise UsageError unless this may be the beginning of a line that was cut off."""
    if not _START.startswith(head):
        raise UsageError(f"{path} is not a manifest of pixperts: name another file.")


def _end_of_lines(file: IO[bytes]) -> int:
    """Where the last whole line of a file ends."""
    at = file.seek(0, os.SEEK_END)
    while at > 0:
        start = max(0, at - _BLOCK)
        file.seek(start)
        found = file.read(at - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        at = start
    return 0


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and {"input", "output", "error"} <= set(entry) else None


def new_entry(
    job: Job,
    *,
    model: str | None = None,
    weights: str | None = None,
    settings: dict[str, Any] | None = None,
    hashes: tuple[str | None, str | None] = (None, None),
    error: str | None = None,
    more: Mapping[str, Any] | None = None,
    name: Callable[[Path], str] = os.path.abspath,
) -> dict[str, Any]:
    """The entry of one picture.

    Args:
        job: the picture.
        model: name of the model.
        weights: SHA-256 of the weights.
        settings: of `settings_of`.
        hashes: SHA-256 of input and output.
        error: why the picture failed; None if it did not.
        more: further fields; those that every entry has are not replaced.
        name: gives the name of a file in the manifest.
    """
    chart = job.expert_map
    entry = {
        "input": name(job.source),
        "output": name(job.target),
        "expert_map": None if chart is None else name(chart),
        "error": error,
        "input_sha256": hashes[0],
        "output_sha256": hashes[1],
        "model": model,
        "weights_sha256": weights,
        "settings": settings,
        "version": __version__,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return entry | {key: value for key, value in (more or {}).items() if key not in entry}


def settings_of(operation: Any, predictor: "AnyPredictor | None" = None) -> dict[str, Any]:
    """The fields of an operation that differ from their defaults, nested ones included.

    With a predictor, also its precision, runtime and tile if these differ from the defaults,
    because they change pixels, too.

    Example:
        >>> from pixperts.inference.size_request import SizeRequest
        >>> from pixperts.jobs.operations import Restore, Upscale
        >>> settings_of(Upscale(SizeRequest(scale=2.5)))
        {'does': 'Enlargement', 'size': {'scale': 2.5}}
        >>> settings_of(Restore())
        {'does': 'Repair'}
    """
    # Through JSON, so that the result can be compared with the settings in a file.
    settings: dict[str, Any] = json.loads(json.dumps(_changed(operation), default=str))
    if predictor is not None and predictor.precision != "float32":
        settings["precision"] = predictor.precision
    if predictor is not None and predictor.runtime != "torch":
        settings["runtime"] = predictor.runtime
    if predictor is not None and predictor.tile is not None:
        settings["tile"] = predictor.tile
    return {"does": operation.does, **settings}


def _changed(value: Any) -> Any:
    if not is_dataclass(value):
        return value
    result = {}
    for field in fields(value):
        mine = getattr(value, field.name)
        usual = field.default_factory() if callable(field.default_factory) else field.default
        if not field.metadata.get("setting", True) or (usual is not MISSING and mine == usual):
            continue
        changed = _changed(mine)
        if changed != {}:  # a dataclass of which nothing counts as a setting
            result[field.name] = changed
    return result
