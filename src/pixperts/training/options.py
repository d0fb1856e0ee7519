"""Options of a run that are not part of its configuration. Importing this is fast."""

import re
from dataclasses import dataclass
from datetime import timedelta

from pixperts.errors import UsageError, named
from pixperts.options import check_options, option


def parse_duration(text: str) -> timedelta:
    """Read a time from text of the form HH:MM:SS, with up to four digits for the hours.

    Raises:
        UsageError: the text is not of this form, or the time is zero.

    Example:
        >>> parse_duration("02:00:30").total_seconds()
        7230.0
    """
    match = re.fullmatch(r"(\d{1,4}):([0-5]\d):([0-5]\d)", text)
    time = timedelta()
    if match:
        hours, minutes, seconds = map(int, match.groups())
        time = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if not time:
        raise UsageError(
            f"{named('max_time')} is {text!r}, but must be hours:minutes:seconds, as 02:00:00."
        )
    return time


@dataclass(frozen=True)
class RunOptions:
    """The options of `training.run.train`, with the same names.

    Raises:
        UsageError: a value is not allowed; the message names the option.
    """

    max_steps: int | None = option(None, "Stop after this step.", low=1)
    max_time: timedelta | None = option(
        None, "Stop after this time.", parse=parse_duration, metavar="HH:MM:SS"
    )
    resume: bool = option(False, "Continue where the run stopped.")
    devices: int | None = option(
        None, "Processes on this machine; unset under torchrun, which sets them.", low=1
    )
    accelerator: str = option(
        "auto", "auto, cpu, gpu or mps.", choices=("auto", "cpu", "gpu", "mps")
    )
    wandb: str | None = option(
        None, "Log to Weights & Biases too (pixperts[wandb]).", metavar="PROJECT"
    )

    def __post_init__(self) -> None:
        check_options(self)
