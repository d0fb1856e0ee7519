"""The command for manifests: join those of shards, check one against its files."""

import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pixperts.cli.options import JsonOption
from pixperts.errors import UsageError, printable
from pixperts.options import Option

if TYPE_CHECKING:
    from pixperts.jobs.scale_out.check import Problem


def manifest(
    action: Annotated[
        str,
        Option(
            "join several manifests, or check that results are there and unchanged.",
            positional=True,
            metavar="ACTION",
            choices=("join", "check"),
        ),
    ],
    files: Annotated[
        list[str],
        Option(
            "For join: the manifest to write, then its parts. For check: one manifest.",
            positional=True,
            metavar="FILE",
        ),
    ],
    *,
    no_checksums: Annotated[
        bool, Option("check: only test whether the outputs exist, without reading them.")
    ] = False,
    report: JsonOption,
) -> int:
    """Join manifests, or check that results are unchanged (exit code 1 if one is not)."""
    if "" in files:
        raise UsageError("An empty name was given: name manifests.")
    paths = [Path(name) for name in files]
    if action == "join":
        if no_checksums:
            raise UsageError("--no-checksums is for 'manifest check': leave it out.")
        return _join(paths, report.as_json)
    if len(paths) > 1:
        raise UsageError(
            "'manifest check' takes one manifest: join them first, with 'pixperts manifest join "
            "OUT PART...'."
        )
    return _check(paths[0], not no_checksums, report.as_json)


def _join(paths: list[Path], as_json: bool) -> int:
    from pixperts.jobs.scale_out.join import join

    target, *parts = paths
    if not parts:
        raise UsageError("'manifest join' takes the file to write and then its parts: name both.")
    joined = join(target, parts)
    if as_json:
        print(json.dumps({"output": str(target), **joined._asdict()}))
    else:
        again = f", {joined.repeated} repeated ones left out" if joined.repeated else ""
        text = f"{target}: {joined.lines} lines{again}."
        print(printable(text), file=sys.stderr)
    return 0


def _check(path: Path, checksums: bool, as_json: bool) -> int:
    from pixperts.jobs.scale_out.check import KINDS, check

    def show(problem: "Problem") -> None:
        if as_json:
            print(json.dumps(asdict(problem)), flush=True)
        else:
            print(printable(problem.sentence), file=sys.stderr, flush=True)

    counts: Counter[str] = check(path, show, checksums=checksums)
    if as_json:
        print(json.dumps({"manifest": str(path), **counts}))
    else:
        wrong = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if counts[kind])
        text = f"{path}: {counts['outputs']} outputs, {wrong or 'all as they were made'}."
        print(printable(text), file=sys.stderr)
    return 1 if any(counts[kind] for kind in KINDS) else 0
