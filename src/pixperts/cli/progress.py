"""One bar over many pieces of work of unequal size, on stderr, that never moves back."""

import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from pixperts.jobs.reports import duration

PAUSE = 10.0  # seconds between two lines of progress where there is no terminal


class ProgressBar:
    """A bar over `weights`, one number a piece; lines that are said meanwhile appear above it.

    Args:
        weights: of the pieces; output pixels, if `pixels`, and then the speed is shown.
        visible: whether there is a bar.
        lines: whether, without a bar, a line reports long work every `PAUSE` seconds, also while
            no update comes.

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

    def __init__(
        self, weights: Sequence[float], *, visible: bool, lines: bool = False, pixels: bool = False
    ) -> None:
        self.value = 0.0
        self._before = [0.0]
        for weight in weights:
            self._before.append(self._before[-1] + weight)
        self._pixels = pixels
        self._lines = lines and not visible
        self._label = ""
        self._piece = 0
        self._ended = threading.Event()
        self._started = self._spoken = time.monotonic()
        self._lock = threading.Lock()
        self._shown: Any = None
        if visible:
            self._shown = _rich_progress()
            self._task = self._shown.add_task("", total=1.0, speed="")

    def __enter__(self) -> Self:
        self._started = self._spoken = time.monotonic()
        if self._shown is not None:
            self._shown.start()
        elif self._lines and len(self._before) > 1:
            threading.Thread(
                target=self._keep_talking, name="pixperts-progress", daemon=True
            ).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._shown is not None:
            self._shown.stop()

    def _keep_talking(self) -> None:
        """A line whenever there was none for `PAUSE` seconds: a tile may take minutes."""
        wait = PAUSE
        while not self._ended.wait(max(wait, 0.01)):
            with self._lock:
                self._speak()
                wait = self._spoken + PAUSE - time.monotonic()

    def _speak(self) -> None:
        if time.monotonic() - self._spoken >= PAUSE and not self._ended.is_set():
            self._spoken = time.monotonic()
            print(self._line(self._piece), file=sys.stderr, flush=True)

    def update(self, piece: int, share: float, label: str | None = None) -> None:
        """Say that `share` (0 to 1) of a piece is done, and all of those before it."""
        before, after, total = self._before[piece], self._before[piece + 1], self._before[-1]
        reached = before + (after - before) * share
        with self._lock:
            self.value = max(self.value, min(1.0, reached / total) if total else 0.0)
            self._label = self._label if label is None else label
            self._piece = max(self._piece, piece)
            if self._shown is not None:
                self._shown.update(
                    self._task, completed=self.value, description=self._label, speed=self._speed()
                )
            elif self._lines:
                self._speak()

    def say(self, line: str) -> None:
        """One line on stderr, above the bar where there is one."""
        if self._shown is None:
            with self._lock:
                self._spoken = time.monotonic()
                print(line, file=sys.stderr, flush=True)
        else:
            self._shown.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _speed(self) -> str:
        seconds = time.monotonic() - self._started
        if not self._pixels or self.value == 0 or seconds <= 0:
            return ""
        return f"{self.value * self._before[-1] / 1e6 / seconds:.2f} MP/s"

    def _line(self, piece: int) -> str:
        """What a bar would show, in words."""
        parts = [f"{piece + 1} of {len(self._before) - 1} {self._label}".strip()]
        parts.append(f"{self.value:.0%}")
        if speed := self._speed():
            parts.append(speed)
        if self.value == 0:
            parts.append(f"{duration(time.monotonic() - self._started)} so far")
        elif self.value == 1 and self._pixels:
            parts.append("being written")
        else:
            left = (time.monotonic() - self._started) * (1 - self.value) / self.value
            parts.append(f"about {duration(left)} left")
        return ", ".join(parts)


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
        TextColumn("{task.fields[speed]}", markup=False),
        console=Console(stderr=True),
        transient=True,
        # Bands of a large picture can be minutes apart; the default forgets after 30 seconds.
        speed_estimate_period=600.0,
    )
