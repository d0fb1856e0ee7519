"""What workers have begun and written, so that one that takes over for a dead one knows it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pixperts.jobs.reports import Report


@dataclass(frozen=True)
class Begun:
    """A picture that was begun.

    Attributes:
        times: how often, this time included.
        writing: whether its result may have been written before.
        digest: SHA-256 of its input, as it was when that began; None where nobody needs it.
        report: of that result, where it was known before it was written.
    """

    times: int = 0
    writing: bool = False
    digest: str | None = None
    report: Report | None = None


class Ledger:
    """Kept by one process for all workers. Pictures go by their numbers.

    Example:
        >>> ledger = Ledger()
        >>> ledger.begin(7).times, ledger.begin(7).times
        (1, 2)
        >>> ledger.writing(7, "ab12", None)
        >>> ledger.begin(7).digest
        'ab12'
    """

    def __init__(self) -> None:
        self._begun: dict[int, Begun] = {}

    def begin(self, number: int) -> Begun:
        """Note that somebody takes it up, and say what is known of it."""
        before = self._begun.get(number, Begun())
        self._begun[number] = replace(before, times=before.times + 1)
        return self._begun[number]

    def writing(self, number: int, digest: str | None, report: Report | None) -> None:
        """Note that its result is about to be written."""
        self._begun[number] = Begun(self._begun[number].times, True, digest, report)

    def forget(self, numbers: Iterable[int]) -> None:
        """These are over and done with, also for whoever started the run."""
        for number in numbers:
            self._begun.pop(number, None)
