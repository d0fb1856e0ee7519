"""Reports on pictures and videos that were done: values for `--json`, and a line to print."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from pixperts.errors import printable

_WITHOUT_NETWORK = {"lanczos": "reduced by Lanczos", "copy": "size kept"}
_NETWORKS = {"photo": "photos", "clean": "clean pictures"}


def _network(name: str | None) -> str:
    """Which of several networks enlarged a picture, for a line.

    >>> _network("photo"), _network(None)
    (', network for photos', '')
    """
    return "" if name is None else f", network for {_NETWORKS.get(name, name)}"


class Report(Protocol):
    """The report on one file: a dataclass of plain values, and a line of text.

    The values hold names as they are; in the line, control characters are escaped.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def input(self) -> str:
        """Name of the file that was read."""

    @property
    def output(self) -> str:
        """Name of the file that was written."""

    @property
    def notes(self) -> list[str]:
        """Sentences for the user."""

    def to_line(self) -> str:
        """One line for a person, and one for each note."""


def duration(seconds: float) -> str:
    """A time for a person.

    >>> duration(41.7), duration(150), duration(9000)
    ('42 s', '2.5 min', '2.5 h')
    """
    for limit, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 1.5 * limit:
            return f"{seconds / limit:.1f} {unit}"
    return f"{seconds:.0f} s"


@dataclass(frozen=True)
class UpscaleReport:
    """One enlarged picture, as `--json` prints it."""

    input: str
    output: str
    width: int  # pixels
    height: int
    new_width: int
    new_height: int
    seconds: float  # of the enlargement, without reading and writing files
    model: str
    mean_cost: float | None  # 1 = the most expensive expert everywhere; None for a dense model
    shares: list[float] | None  # of output pixels for each expert
    multiply_adds: float
    megapixels: float  # of the output
    method: str  # network, lanczos (nothing grew), both (one side grew) or copy
    network: str | None = None  # photo or clean; None if the model is one network, or did not run
    notes: list[str] = field(default_factory=list)  # what the file could not carry over

    def to_line(self) -> str:
        """One line for a person, and one for each note."""
        sizes = f"{self.width} x {self.height} -> {self.new_width} x {self.new_height}"
        line = f"{self.input} -> {self.output}: {sizes}, {self.seconds:.1f} s"
        if self.method in _WITHOUT_NETWORK:
            line += f", {_WITHOUT_NETWORK[self.method]}"
        line += _network(self.network)
        if self.mean_cost is not None and self.shares is not None:
            shares = " / ".join(f"{100 * share:.0f}" for share in self.shares)
            line += f", mean cost {self.mean_cost:.2f}, experts {shares} %"
        return "\n".join(map(printable, [line, *self.notes]))


@dataclass(frozen=True)
class RestoreReport:
    """One repaired picture, as `--json` prints it."""

    input: str
    output: str
    width: int  # pixels
    height: int
    seconds: float  # of the repair, without reading and writing files
    model: str
    strength: float  # 1 = what the network says
    experts: list[list[int]]  # chosen in each decoder block, the best first
    gates: list[list[float]]  # their weights
    skipped: float  # share of the work of all experts, in multiply-adds, that was saved
    task: str | None  # most similar one by its routing; None if the weights hold no signatures
    confidence: float | None  # probability of `task`, 0 to 1
    findings: dict[str, Any] | None  # faults that were found; None if the network does not say
    found: str | None  # the same in words
    motion: list[float] | None  # length in pixels and angle in degrees of the blur that was undone
    multiply_adds: float
    megapixels: float
    notes: list[str] = field(default_factory=list)  # what the file could not carry over

    def to_line(self) -> str:
        """One line for a person, and one for each note."""
        chosen = " ".join("+".join(map(str, block)) for block in self.experts)
        line = f"{self.input} -> {self.output}: {self.width} x {self.height}, {self.seconds:.1f} s"
        line += f", experts {chosen}"
        if self.found is not None:
            line += f", {self.found}"
        elif self.task is not None and self.confidence is not None:
            line += f", looks like {self.task} ({self.confidence:.0%})"
        if self.motion is not None and self.found is None:
            line += ", motion blur of {:.1f} pixels at {:.0f} degrees undone".format(*self.motion)
        return "\n".join(map(printable, [line, *self.notes]))


@dataclass(frozen=True)
class EnhanceReport:
    """One picture that was repaired and enlarged, as `--json` prints it."""

    input: str
    output: str
    width: int  # pixels
    height: int
    new_width: int
    new_height: int
    seconds: float  # of both, without reading and writing files
    model: str  # names of both
    strength: float  # 1 = what the network says
    experts: list[list[int]]  # chosen in each block of the repair, the best first
    gates: list[list[float]]  # their weights
    skipped: float  # share of the work of all experts of the repair that was saved
    task: str | None  # as in `RestoreReport`, likewise the next four
    confidence: float | None
    findings: dict[str, Any] | None
    found: str | None
    motion: list[float] | None
    mean_cost: float | None  # as in `UpscaleReport`, likewise the next one
    shares: list[float] | None
    method: str  # of the enlargement: network, lanczos, both or copy, as in `UpscaleReport`
    multiply_adds: float
    megapixels: float  # of the output
    network: str | None = None  # as in `UpscaleReport`
    notes: list[str] = field(default_factory=list)  # what the file could not carry over

    def to_line(self) -> str:
        """One line for a person, and one for each note."""
        sizes = f"{self.width} x {self.height} -> {self.new_width} x {self.new_height}"
        line = f"{self.input} -> {self.output}: {sizes}, {self.seconds:.1f} s"
        line += _network(self.network)
        if self.mean_cost is not None and self.shares is not None:
            shares = " / ".join(f"{100 * share:.0f}" for share in self.shares)
            line += f", mean cost {self.mean_cost:.2f}, experts {shares} %"
        if self.found is not None:
            line += f", {self.found}"
        elif self.motion is not None:
            line += ", motion blur of {:.1f} pixels at {:.0f} degrees undone".format(*self.motion)
        return "\n".join(map(printable, [line, *self.notes]))


@dataclass(frozen=True)
class VideoReport:
    """One video that was enlarged or repaired, as `--json` prints it."""

    input: str
    output: str
    width: int  # pixels of a frame, as it is shown
    height: int
    new_width: int
    new_height: int
    seconds: float  # of this run, reading and writing included
    model: str
    frames: int
    computed: int  # frames computed in this run; an earlier run did the others
    scenes: int  # within each, experts and amounts stay the same
    rate: float  # frames a second, on average
    codec: str | None  # None: the file was copied
    crf: float | None
    copied: dict[str, int]  # streams beside the pictures, by their kind
    mean_cost: float | None  # as in `UpscaleReport`, of the computed frames
    multiply_adds: float  # of the computed frames
    megapixels: float  # likewise
    notes: list[str] = field(default_factory=list)  # what the result does not have

    def to_line(self) -> str:
        """One line for a person, and one for each note."""
        sizes = f"{self.width} x {self.height}"
        if (self.width, self.height) != (self.new_width, self.new_height):
            sizes += f" -> {self.new_width} x {self.new_height}"
        line = f"{self.input} -> {self.output}: {self.frames} frames of {sizes}"
        line += f", {duration(self.seconds)}"
        if self.codec is None:
            line += ", size kept"
        if self.mean_cost is not None:
            line += f", mean cost {self.mean_cost:.2f}"
        if self.copied:
            streams = [kind + f" ({n} streams)" * (n > 1) for kind, n in self.copied.items()]
            line += f", copied: {', '.join(streams)}"
        return "\n".join(map(printable, [line, *self.notes]))
