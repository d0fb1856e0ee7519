"""One bar over many pieces of work of unequal size, on stderr, that never moves back."""

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self


class ProgressBar:
    """A bar over `weights`, one number a piece; lines that are said meanwhile appear above it.

    Attributes:
        value: the share of all weights that is done, from 0 to 1.

    Example:
        >>> bar = ProgressBar([3, 1], visible=False)
        >>> bar.update(0, 0.5)
        >>> bar.value
        0.375
        >>> bar.update(0, 0.1)  # an earlier point: the bar stays
        >>> bar.update(1, 1.0)
        >>> bar.value
        1.0
    """

    def __init__(self, weights: Sequence[float], *, visible: bool) -> None:
        self.value = 0.0
        self._before = [0.0]
        for weight in weights:
            self._before.append(self._before[-1] + weight)
        self._shown: Any = None
        if visible:
            self._shown = _rich_progress()
            self._task = self._shown.add_task("", total=1.0)

    def __enter__(self) -> Self:
        if self._shown is not None:
            self._shown.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._shown is not None:
            self._shown.stop()

    def update(self, piece: int, share: float, label: str | None = None) -> None:
        """Say that `share` (0 to 1) of a piece is done, and all of those before it."""
        before, after, total = self._before[piece], self._before[piece + 1], self._before[-1]
        reached = before + (after - before) * share
        self.value = max(self.value, min(1.0, reached / total) if total else 0.0)
        if self._shown is not None:
            changes = {} if label is None else {"description": label}
            self._shown.update(self._task, completed=self.value, **changes)

    def say(self, line: str) -> None:
        """One line on stderr, above the bar where there is one."""
        if self._shown is None:
            print(line, file=sys.stderr, flush=True)
        else:
            self._shown.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _rich_progress() -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        # Bands of a large picture can be minutes apart; the default forgets after 30 seconds.
        speed_estimate_period=600.0,
    )
