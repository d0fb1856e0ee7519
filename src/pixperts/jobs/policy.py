"""What a run leaves as it is, where it may write, and what it notes: `Policy`."""

import os
import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pixperts.errors import ImageError
from pixperts.jobs.job import Job
from pixperts.jobs.manifest import Manifest, new_entry, settings_of
from pixperts.jobs.operation import Operation
from pixperts.jobs.outcomes import Outcome
from pixperts.jobs.places import Opened, Places
from pixperts.jobs.plan import Plan, check_inside
from pixperts.weights.checksums import file_sha256

if TYPE_CHECKING:
    from pixperts.inference.predictor import AnyPredictor


class Policy:
    """The decisions about outputs, from what is there and what the manifest knows.

    Args:
        planned: the jobs, and what happens to outputs that exist.
        operation: what is done; its settings are compared with the manifest's.
        predictor: the model, whose weights are compared likewise.
        manifest: None where none is kept.
        places: where the files lie.
    """

    def __init__(
        self,
        planned: Plan,
        operation: Operation,
        predictor: "AnyPredictor",
        manifest: Manifest | None,
        places: Places,
    ) -> None:
        self._if_exists = planned.if_exists
        self._manifest, self._places = manifest, places
        self._model = predictor.name
        self._settings = settings_of(operation, predictor)
        self._weights = None if manifest is None else predictor.weights_sha256
        jobs = planned.jobs
        roots = {root for job in jobs for root in (job.root, job.map_root) if root is not None}
        self._roots = set(filter(os.path.isdir, roots))  # those that are there
        self._lock = threading.Lock()

    def has_work(self, job: Job, *, fresh: bool = True) -> bool:
        """Whether it is to be done, as far as is known without reading the input.

        Unless `fresh`, what was known of the outputs when the run began may do.
        """
        return job.problem is None and (not self._kept(job, fresh) or self._differs(job))

    def input_hash(self, opened: Opened) -> str | None:
        """SHA-256 of the input, where it is noted."""
        if self._manifest is None or not os.path.isfile(source := opened.fetch().source):
            return None
        return file_sha256(source)

    def left(self, job: Job, digest: str | None) -> Outcome | None:
        """The outcome of an output that stays as it is, or None if it is to be made.

        Args:
            job: the picture.
            digest: of its input.
        """
        entry = self._made(job)
        if job.in_place and entry is not None and digest is not None:
            done = entry.get("output_sha256") == digest and not self._differs(job)
            return Outcome(job, skipped=True) if done else None
        if self.has_work(job):
            return None
        known = entry is not None and entry.get("settings") is not None
        if entry is not None and known and entry.get("input_sha256") != digest:
            return None
        # The manifest learns of an output that it did not know.
        unknown = self._manifest is not None and entry is None
        made = self._places.sha256(job.target) if unknown else None
        return Outcome(job, skipped=True, hashes=(digest, made))

    def check_places(self, job: Job) -> None:
        """Raise ImageError where links or folders have changed so that nothing may be written."""
        for target, root in ((job.target, job.root), (job.expert_map, job.map_root)):
            if target is None or root is None:
                continue
            check_inside(target, root)
            if root in self._roots and not os.path.isdir(root):
                raise ImageError(
                    f"{target} cannot be written, because the folder {root} has vanished: bring "
                    "it back and start again."
                )

    def written(self, job: Job) -> str | None:
        """Note that its folders are there; SHA-256 of the output, where it is noted.

        The job is one whose files lie here.
        """
        with self._lock:
            self._roots |= set(filter(os.path.isdir, filter(None, (job.root, job.map_root))))
        return None if self._manifest is None else file_sha256(job.target)

    def note(self, outcome: Outcome) -> None:
        """Add a line to the manifest, where there is one and something is new.

        Raises:
            ImageError: if it cannot be written.
        """
        if self._manifest is None or (outcome.skipped and outcome.hashes[1] is None):
            return
        self._manifest.append(self._entry(outcome))

    def _kept(self, job: Job, fresh: bool) -> bool:
        """Whether the output is there and shall not be replaced lightly."""
        return self._if_exists == "skip" and self._places.is_file(job.target, fresh=fresh)

    def _differs(self, job: Job) -> bool:
        """Whether the manifest knows that the output was made with other settings or weights."""
        entry = self._made(job)
        if entry is None or entry.get("settings") is None:
            return False
        made = (entry.get("settings"), entry.get("weights_sha256"))
        return made != (self._settings, self._weights)

    def _made(self, job: Job) -> dict[str, Any] | None:
        if self._manifest is None:
            return None
        return self._manifest.made(self._places.name(job.target))

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
            model=self._model,
            weights=self._weights,
            settings=self._settings,
            hashes=outcome.hashes,
            error=outcome.error,
            more=more,
            name=self._places.name,
        )
