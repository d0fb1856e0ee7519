"""Which part of the inputs a run takes, from "3/16" or from a scheduler's variables."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass

from pixperts.errors import UsageError, named

VARIABLE = "PIXPERTS_SHARD"
AUTO = "auto"
_CURE = "give a shard and their number, such as 3/16, or auto, or auto/16"


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of the inputs; `index` counts from 1.

    A part is chosen by a hash of the input's name and not by its place in the list: shards that
    start at different times see different lists while files are added, and must still agree on
    which shard takes which file. Therefore parts differ a little in size.

    Example:
        >>> [n for n in range(1, 4) if Shard(n, 3).holds("a/b.jpg")]
        [1]
    """

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def holds(self, name: str) -> bool:
        """Whether an input of this name belongs to this part."""
        digest = hashlib.sha256(os.fsencode(name)).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index - 1


def parse_shard(text: str, by: str | None = None) -> Shard:
    """A shard from "3/16", or from the scheduler's variables for "auto" and "auto/16".

    Raises UsageError for anything else, and where the scheduler does not say enough; its message
    names `by`, or the argument `shard` if that is None.

    >>> str(parse_shard("3/16"))
    '3/16'
    """
    by = by or named("shard")
    first, slash, last = text.partition("/")
    count = _whole(last) if slash else None
    if first == AUTO and (count or not slash):
        return scheduled(os.environ, count, by)
    index = _whole(first)
    if not index or not count or index > count:
        raise UsageError(f"{by} is {text!r}: {_CURE}.")
    return Shard(index, count)


def scheduled(environment: Mapping[str, str], count: int | None, by: str | None = None) -> Shard:
    """The shard of a task of a Slurm array or of a pod of an indexed Kubernetes job.

    With a `count`, a Slurm array is numbered from 1 and its index is that of the shard, so that
    some shards can be run again by an array such as 3,7. Without one, the array is all shards.

    Raises:
        UsageError: there is no such task, or its number or count cannot be used.
    """
    by = by or named("shard")
    given = f"{by} {AUTO}" if count is None else f"{by} {AUTO}/{count}"
    if "SLURM_ARRAY_TASK_ID" in environment:
        index = _variable(environment, "SLURM_ARRAY_TASK_ID")
        if count is None:
            index, count = _place_in_array(environment, index, by)
        hint = f"number the array from 1, as by --array=1-{count}"
    elif "JOB_COMPLETION_INDEX" in environment:
        index = _variable(environment, "JOB_COMPLETION_INDEX") + 1
        if count is None:
            raise UsageError(
                f"{given} lacks the number of shards, which Kubernetes does not say: give "
                f"{by} {AUTO}/16 for a job of 16 completions."
            )
        hint = f"the job must have {count} completions"
    else:
        raise UsageError(
            f"{given} finds neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX: start it in a "
            "Slurm array or an indexed Kubernetes job, or give a shard such as 3/16."
        )
    if not 1 <= index <= count:
        raise UsageError(f"{given} would be shard {index} of {count}: {hint}.")
    return Shard(index, count)


def _place_in_array(environment: Mapping[str, str], index: int, by: str) -> tuple[int, int]:
    """(place from 1, number of tasks) in a Slurm array without gaps."""
    first = _variable(environment, "SLURM_ARRAY_TASK_MIN")
    count = _variable(environment, "SLURM_ARRAY_TASK_COUNT")
    last = environment.get("SLURM_ARRAY_TASK_MAX", "")
    if last and _variable(environment, "SLURM_ARRAY_TASK_MAX") - first + 1 != count:
        raise UsageError(
            f"{by} {AUTO} needs a Slurm array without gaps, but this one has {count} tasks from "
            f"{first} to {last}: give the number of shards as well, such as {by} {AUTO}/16."
        )
    return index - first + 1, count


def _variable(environment: Mapping[str, str], name: str) -> int:
    value = _whole(environment.get(name, ""))
    if value is None:
        said = f"{environment[name]!r}" if name in environment else "not set"
        raise UsageError(f"{name} is {said}, but must be a whole number: {_CURE}.")
    return value


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
