"""Find outputs that share a name, and outputs that are inputs, before anything is written."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pixperts.errors import UsageError, named
from pixperts.jobs.job import Job


def without_clashes(jobs: Sequence[Job], manifest: Path | None) -> list[Job]:
    """The jobs; those that would write over one another or over an input have a `problem`.

    Raises:
        UsageError: nothing would be left to do, or the manifest is an input or an output.
    """
    inputs = {key for job in jobs for key in _identity(job.source)}
    outputs: dict[str, list[int]] = defaultdict(list)
    for number, job in enumerate(jobs):
        for target in _targets(job):
            outputs[os.path.realpath(target)].append(number)
    if manifest is not None:
        if not inputs.isdisjoint(_identity(manifest)):
            raise UsageError(f"{manifest} is an input as well: name another manifest.")
        if outputs.get(os.path.realpath(manifest)):
            job = jobs[outputs[os.path.realpath(manifest)][0]]
            raise UsageError(
                f"{manifest} and {job.source} would both be written to {manifest}: name another "
                "manifest."
            )
    result = []
    for number, job in enumerate(jobs):
        problem = job.problem or _problem(number, job, jobs, inputs, outputs)
        result.append(job if problem is None else replace(job, problem=problem))
    able = [job for job in jobs if job.problem is None]
    if able and all(job.problem is not None for job in result):
        first = next(i for i, job in enumerate(jobs) if job.problem is None)
        raise UsageError(result[first].problem or "")
    return result


def _targets(job: Job) -> Iterator[Path]:
    if job.problem is None:
        yield from filter(None, (job.target, job.expert_map))


def _problem(
    number: int,
    job: Job,
    jobs: Sequence[Job],
    inputs: set[object],
    outputs: dict[str, list[int]],
) -> str | None:
    for target in _targets(job):
        replaced = job.in_place and target == job.target
        if not replaced and not inputs.isdisjoint(_identity(target)):
            return (
                f"{target} is an input as well: name another output, or give {named('in_place')}."
            )
        sharing = outputs[os.path.realpath(target)]
        if len(sharing) > 1:
            others = [jobs[one] for one in sharing if one != number] or [job]
            pair = sorted((number, next((one for one in sharing if one != number), number)))
            first, second = (jobs[one].source for one in pair)
            if pair[0] != pair[1] and not _identity(first).isdisjoint(_identity(second)):
                if first == second:
                    return f"{first} is given twice: leave one of them out."
                return f"{first} and {second} are the same file: leave one of them out."
            template = "{stem}_{ext}" if _differ_by_ending(job, others) else "{index}_{stem}"
            return (
                f"{first} and {second} would both be written to {target}: put them into different "
                f"folders, or give them different names, such as with {named('name', template)}."
            )
    return None


def _differ_by_ending(job: Job, others: Sequence[Job]) -> bool:
    """Whether stems and endings of the inputs together are enough for different names."""
    names = [(one.source.stem, one.source.suffix) for one in (job, *others)]
    return len(set(names)) == len(names)


def _identity(path: Path) -> set[object]:
    """Keys that two names share if they mean the same file.

    Device and inode find that out also on file systems that ignore case.
    """
    keys: set[object] = {os.path.realpath(path)}
    if os.path.exists(path):
        found = os.stat(path)
        keys.add((found.st_dev, found.st_ino))
    return keys
