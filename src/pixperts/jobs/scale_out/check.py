"""Check that the outputs in a manifest exist and are unchanged."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixperts.errors import ImageError, UsageError
from pixperts.io.vips import reason
from pixperts.jobs.job import Job
from pixperts.jobs.manifest import read_entries
from pixperts.jobs.places import Places, places_of

KINDS = ("failed", "duplicate", "missing", "changed", "unreadable")


@dataclass(frozen=True)
class Problem:
    """What is wrong with an output; `kind` is one of `KINDS`."""

    kind: str
    input: str
    output: str
    detail: str

    @property
    def sentence(self) -> str:
        """For a person."""
        return f"{self.kind}: {self.detail}"


def check(
    manifest: Path, found: Callable[[Problem], None], *, checksums: bool = True
) -> Counter[str]:
    """Compare a manifest with the files; each problem goes to `found`.

    Args:
        manifest: the file.
        found: called with each problem.
        checksums: whether outputs are read and their SHA-256 compared; else they need only exist.

    Returns:
        Counts by name: "outputs", and each of `KINDS`.

    Raises:
        UsageError: the manifest is missing, or the file is something else.
        ImageError: the manifest cannot be read.
        MissingExtraError: outputs are objects of a store, and obstore is not installed.
    """
    records = _Records(manifest)
    counts = Counter({"outputs": len(records.made)} | dict.fromkeys(KINDS, 0))
    with places_of(records.outputs()) as places:
        paths = map(places.path, records.outputs())
        places.survey([Job(path, path, root=path.parent) for path in paths])
        for problem in records.problems(checksums, places):
            counts[problem.kind] += 1
            found(problem)
    return counts


class _Records:
    """The last entries of a manifest for each output.

    Attributes:
        made: (input, SHA-256, map of experts) by output.
        failed: error by (input, output), unless a later try succeeded.
        others: by output, earlier inputs whose results were overwritten by another input's.
    """

    def __init__(self, manifest: Path) -> None:
        self.made: dict[str, tuple[str, str | None, str | None]] = {}
        self.failed: dict[tuple[str, str], str] = {}
        self.others: dict[str, set[str]] = {}
        try:
            for _, entry in read_entries(manifest):
                self._note(entry)
        except FileNotFoundError:
            raise UsageError(f"{manifest} does not exist: name a manifest.") from None

    def _note(self, entry: dict[str, Any]) -> None:
        source, output = str(entry["input"]), str(entry["output"])
        if entry["error"] is not None:
            self.failed[source, output] = str(entry["error"])
            return
        self.failed.pop((source, output), None)
        before = self.made.get(output)
        if before is not None and before[0] != source:
            self.others.setdefault(output, set()).add(before[0])
        chart = None if entry.get("skipped") else entry.get("expert_map")
        self.made[output] = (source, entry.get("output_sha256"), chart)

    def outputs(self) -> list[str]:
        """All files that should exist, maps of experts included."""
        return [*self.made, *(chart for _, _, chart in self.made.values() if chart is not None)]

    def problems(self, checksums: bool, places: Places) -> Iterator[Problem]:
        """All problems, failures first."""
        for (source, output), error in self.failed.items():
            yield Problem("failed", source, output, error)
        for output, (source, digest, chart) in self.made.items():
            for other in sorted(self.others.get(output, set()) - {source}):
                text = f"{other} and {source} were both written to {output}."
                yield Problem("duplicate", other, output, text)
            if chart is not None and not places.is_file(places.path(chart), fresh=False):
                text = f"{chart}, the map of experts of {source}, is not there."
                yield Problem("missing", source, chart, text)
            yield from _problems_of(source, output, digest if checksums else None, places)


def _problems_of(source: str, output: str, digest: str | None, places: Places) -> Iterator[Problem]:
    """Problems of one output; its SHA-256 is compared unless `digest` is None."""
    path = places.path(output)
    if not places.is_file(path, fresh=False):
        yield Problem("missing", source, output, f"{output}, made of {source}, is not there.")
        return
    try:
        same = digest is None or places.sha256(path) == digest
    except (OSError, ImageError) as error:
        text = f"{output} cannot be read ({reason(error)})."
        text = str(error) if isinstance(error, ImageError) else text
        yield Problem("unreadable", source, output, text)
        return
    if not same:
        text = f"{output}, made of {source}, is no longer the file that was written."
        yield Problem("changed", source, output, text)
