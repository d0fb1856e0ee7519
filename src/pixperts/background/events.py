"""What a working process reports: values that go through a pipe."""

from dataclasses import dataclass, field
from typing import Any, Literal

# The cause of a failure: the options of the request, the format, the picture itself, the size of
# picture or result, or the machine.
Fault = Literal["request", "format", "picture", "size", "server"]


@dataclass(frozen=True)
class Started:
    """The work has begun.

    Attributes:
        remarks: sentences on files that are left out.
        megapixels: of all pictures together, by the name of the model: of the pictures for a model
            that repairs, of the results for one that enlarges.
    """

    remarks: tuple[str, ...] = ()
    megapixels: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Advanced:
    """`share` (0 to 1) of the whole run is done; `name` is the picture that is processed."""

    share: float
    name: str


@dataclass(frozen=True)
class Finished:
    """One picture is finished, with a result or with `error`, one sentence.

    Paths are those of files in the folder of the run. `views` are zoomable versions for the page
    (Deep Zoom, .dzi files), with the keys before, after and map.
    """

    name: str  # of the upload
    source: str | None = None
    output: str | None = None
    chart: str | None = None  # the map of experts
    error: str | None = None
    lines: tuple[str, ...] = ()  # the text that the command line prints
    report: dict[str, Any] | None = None  # the values that `--json` prints
    page: int | None = None  # of a file with several
    views: dict[str, str] = field(default_factory=dict)
    fault: Fault = "server"  # where there is an error


@dataclass(frozen=True)
class Previewed:
    """The first look at an upload: its size, and a small picture of it."""

    name: str
    width: int
    height: int
    path: str


@dataclass(frozen=True)
class Ended:
    """The run is finished; `archive` is a file with the results of several pictures."""

    archive: str | None = None


@dataclass(frozen=True)
class Failed:
    """The run ended early; `error` is the reason in one sentence."""

    error: str
    fault: Fault = "server"


Event = Started | Advanced | Finished | Previewed | Ended | Failed
