"""One picture's job: its files, how they are read and written, and what passes between phases."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pixperts.io.formats import DEFAULT_QUALITY
from pixperts.io.image import Picture
from pixperts.jobs.options import FileOptions
from pixperts.jobs.reports import Report
from pixperts.ops.pixels import Pixels

if TYPE_CHECKING:
    from pixperts.inference.findings import RepairSettings
    from pixperts.models.moce_ir.statistics import Statistics
    from pixperts.video.clip import Clip
    from pixperts.video.codecs import Encoding
    from pixperts.video.joining import Beside


@dataclass(frozen=True)
class Job:
    """One picture file, the file it becomes, and perhaps one for the map of its experts.

    `root` and `map_root` are the folders that the two must not leave through a symbolic link;
    None for a file that was named as such. `problem` is why the picture cannot be done at all,
    where that is known before the start.
    """

    source: Path
    target: Path
    expert_map: Path | None = None
    root: Path | None = None
    map_root: Path | None = None
    problem: str | None = None
    page: int | None = None  # counted from 1; None: the first
    in_place: bool = False  # the target is the source, which shall be replaced


@dataclass(frozen=True, eq=False)
class Scene:
    """What the frames of a scene of a video share.

    `statistics` are the sums over its pictures by which a network judges each of them; None where
    each is judged by itself.
    """

    statistics: "Statistics | None" = None


@dataclass(frozen=True, eq=False)
class ClipPlan:
    """A video, how it will be written, what is copied beside its pictures, and remarks."""

    clip: "Clip"
    encoding: "Encoding"
    beside: "Beside"
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Loaded:
    """What `read` hands to `compute`: the picture, and how its result will be written.

    `picture` is None where the picture is too large to be held, see `medium.Streamed`, and for
    a video, which `clip` describes. `scene` is set where the picture is a frame of a video.
    """

    job: Job
    picture: Picture | None
    source_size: tuple[int, int]  # (width, height)
    size: tuple[int, int]  # of the result
    kind: str  # format of the output
    options: FileOptions
    # Raises where the outputs may no longer be written; a large picture takes hours.
    check: Callable[[], None] | None = None
    copied: bool = False  # the file itself is the result
    is_lossless: bool = False  # the source is, in the format of the output
    clip: ClipPlan | None = None
    scene: Scene | None = None

    def judged(self, settings: "RepairSettings") -> "tuple[RepairSettings, Statistics | None]":
        """The settings of its repair, and the statistics by which it is judged, if not its own.

        In a frame motion blur stays: seen in one and not in the next, it would flicker.
        """
        if self.scene is None:
            return settings, None
        return replace(settings, motion=False), self.scene.statistics

    @property
    def quality(self) -> int | None:
        """Of this output's format."""
        return self.options.quality if self.kind in DEFAULT_QUALITY else None


@dataclass(frozen=True, eq=False)
class Done:
    """What `compute` hands to `save`: pixels, and the report for when they are written."""

    loaded: Loaded
    pixels: Pixels | None  # None: the rows are written already
    software: str
    report: Report
    chart: Pixels | None = None  # the map of experts


def lossless_of(loaded: Loaded) -> bool | None:
    """Whether the result is written without loss; None leaves it to the format.

    What was written without loss stays so, unless a quality is given.
    """
    kept = loaded.is_lossless and loaded.options.quality is None
    return loaded.options.lossless or kept or None
