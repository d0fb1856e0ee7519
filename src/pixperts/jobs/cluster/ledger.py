"""What workers have begun and written, for a worker that continues after another died."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pixperts.jobs.reports import Report


@dataclass(frozen=True)
class Begun:
    """A picture that was begun.

    Attributes:
        times: how often, this time included.
        writing: whether an earlier try may have written the result.
        digest: SHA-256 of its input when that try began; None if it is not needed.
        report: of that result, if it was known before writing.
    """

    times: int = 0
    writing: bool = False
    digest: str | None = None
    report: Report | None = None


class Ledger:
    """The record of what was begun, kept by one process for all workers.

    Pictures are named by their numbers.

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
        """Record that a worker begins with a picture, and return what is known of it."""
        before = self._begun.get(number, Begun())
        self._begun[number] = replace(before, times=before.times + 1)
        return self._begun[number]

    def writing(self, number: int, digest: str | None, report: Report | None) -> None:
        """Record that the result of a picture is about to be written."""
        self._begun[number] = Begun(self._begun[number].times, True, digest, report)

    def forget(self, numbers: Iterable[int]) -> None:
        """Drop pictures whose outcomes have reached the machine that started the run."""
        for number in numbers:
            self._begun.pop(number, None)
