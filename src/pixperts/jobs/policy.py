"""Which outputs a run keeps, where it may write, and what it records: `Policy`."""

import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pixperts.errors import ImageError
from pixperts.jobs.job import Job
from pixperts.jobs.manifest import Entries, new_entry, settings_of
from pixperts.jobs.operation import Operation
from pixperts.jobs.outcomes import Outcome
from pixperts.jobs.places import Opened, Places
from pixperts.jobs.plan import check_inside
from pixperts.weights.checksums import file_sha256

if TYPE_CHECKING:
    from pixperts.inference.predictor import AnyPredictor


@dataclass(frozen=True)
class Making:
    """How outputs are made, as a manifest records it."""

    model: str
    settings: dict[str, Any]
    weights: str | None  # SHA-256, if a manifest is kept

    @classmethod
    def of(cls, operation: Operation, predictor: "AnyPredictor", *, weights: bool) -> Self:
        """How this operation and this model make outputs.

        Args:
            operation: what is done.
            predictor: the model.
            weights: whether the SHA-256 of the weights is wanted.
        """
        digest = predictor.weights_sha256 if weights else None
        return cls(predictor.name, settings_of(operation, predictor), digest)


def roots_of(jobs: Iterable[Job]) -> set[Path]:
    """The output folders that exist now."""
    roots = {root for job in jobs for root in (job.root, job.map_root) if root is not None}
    return set(filter(os.path.isdir, roots))


class Policy:
    """Decides on outputs, by what exists and what the manifest records.

    Args:
        if_exists: what happens to outputs that exist; one of `options.POLICIES`.
        roots: the result of `roots_of` when the run began.
        making: compared with the entries of the manifest.
        entries: of the manifest; None without a manifest.
        places: where the files lie.
    """

    def __init__(
        self,
        if_exists: str,
        roots: Iterable[Path],
        making: Making,
        entries: Entries | None,
        places: Places,
    ) -> None:
        self.if_exists, self.making = if_exists, making
        self._entries, self._places = entries, places
        self._roots = set(roots)
        self._lock = threading.Lock()

    @property
    def roots(self) -> set[Path]:
        """Output folders that exist, as far as is known."""
        return set(self._roots)

    def has_work(self, job: Job, *, fresh: bool = True) -> bool:
        """Whether a job is to be done, as far as is known without reading the input.

        With `fresh` the output is looked for now; else what was known when the run began may be
        used.
        """
        return job.problem is None and (not self._kept(job, fresh) or self._differs(job))

    def input_hash(self, opened: Opened) -> str | None:
        """SHA-256 of the input; None without a manifest or without a file."""
        if self._entries is None or not os.path.isfile(source := opened.fetch().source):
            return None
        return file_sha256(source)

    def left(self, job: Job, digest: str | None) -> Outcome | None:
        """The outcome of an output that stays as it is; None if the output is to be made.

        Args:
            job: the picture.
            digest: SHA-256 of its input, or None.
        """
        entry = self.made(job)
        if job.in_place and entry is not None and digest is not None:
            done = entry.get("output_sha256") == digest and not self._differs(job)
            return Outcome(job, skipped=True) if done else None
        if self.has_work(job):
            return None
        known = entry is not None and entry.get("settings") is not None
        if entry is not None and known and entry.get("input_sha256") != digest:
            return None
        # Record an output of which the manifest has no entry.
        unknown = self._entries is not None and entry is None
        made = self._places.sha256(job.target) if unknown else None
        return Outcome(job, skipped=True, hashes=(digest, made))

    def check_places(self, job: Job) -> None:
        """Check that outputs may still be written.

        Raises:
            ImageError: an output folder has gone.
            UsageError: a symbolic link leads out of it.
        """
        for target, root in ((job.target, job.root), (job.expert_map, job.map_root)):
            if target is None or root is None:
                continue
            check_inside(target, root)
            if root in self._roots and not os.path.isdir(root):
                raise ImageError(
                    f"{target} cannot be written, because the folder {root} no longer exists: "
                    "restore it and start again."
                )

    def written(self, job: Job) -> str | None:
        """Remember that the output folders exist; SHA-256 of the output if a manifest is kept.

        The job must name files of this machine (see `Opened.fetch`).
        """
        with self._lock:
            self._roots |= set(filter(os.path.isdir, filter(None, (job.root, job.map_root))))
        return None if self._entries is None else file_sha256(job.target)

    def note(self, outcome: Outcome) -> None:
        """Add an entry to the manifest, if there is one and the outcome is new.

        Raises:
            ImageError: the manifest cannot be written.
        """
        if self._entries is None or (outcome.skipped and outcome.hashes[1] is None):
            return
        self._entries.append(self._entry(outcome))

    def _kept(self, job: Job, fresh: bool) -> bool:
        """Whether the output exists and existing outputs are kept."""
        return self.if_exists == "skip" and self._places.is_file(job.target, fresh=fresh)

    def _differs(self, job: Job) -> bool:
        """Whether the manifest records other settings or weights for the output."""
        entry = self.made(job)
        if entry is None or entry.get("settings") is None:
            return False
        made = (entry.get("settings"), entry.get("weights_sha256"))
        return made != (self.making.settings, self.making.weights)

    def made(self, job: Job) -> dict[str, Any] | None:
        """The entry of the output in the manifest; None if there is none."""
        if self._entries is None:
            return None
        return self._entries.made(self._places.name(job.target))

    def _entry(self, outcome: Outcome) -> dict[str, Any]:
        if outcome.skipped:
            return new_entry(
                outcome.job,
                hashes=outcome.hashes,
                more={"skipped": True},
                name=self._places.name,
            )
        more: Mapping[str, Any] = {} if outcome.report is None else asdict(outcome.report)
        return new_entry(
            outcome.job,
            model=self.making.model,
            weights=self.making.weights,
            settings=self.making.settings,
            hashes=outcome.hashes,
            error=outcome.error,
            more=more,
            name=self._places.name,
        )
