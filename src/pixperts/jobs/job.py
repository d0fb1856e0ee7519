"""The job for one picture: its files, and what passes between reading, computing and saving."""

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
    """One input file, the file that it becomes, and perhaps one for the map of its experts.

    `root` and `map_root` are the output folders of `target` and `expert_map`, which symbolic links
    must not lead out of; None for an output that was named as a file. `problem` says why the
    picture cannot be processed, if that is known before the start.
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
    """What all frames of one scene of a video share.

    `statistics` are the sums over pixels by which the network chooses experts and amounts, the
    same for each frame; None if they are computed for each frame. `member` is the number of the
    network that enlarges them, if a model has several.
    """

    statistics: "Statistics | None" = None
    member: int | None = None


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

    `picture` is None if the picture is too large for the memory (see `medium.Streamed`), and for
    a video, which `clip` describes. `scene` is set if the picture is a frame of a video.
    """

    job: Job
    picture: Picture | None
    source_size: tuple[int, int]  # (width, height)
    size: tuple[int, int]  # of the result
    kind: str  # format of the output
    options: FileOptions
    # Raises if the outputs may no longer be written, which can change while a picture is computed.
    check: Callable[[], None] | None = None
    copied: bool = False  # the file itself is the result
    is_lossless: bool = False  # the source is lossless and has the format of the output
    clip: ClipPlan | None = None
    scene: Scene | None = None

    def judged(self, settings: "RepairSettings") -> "tuple[RepairSettings, Statistics | None]":
        """The settings of the repair, and the statistics of the scene if it is a frame of one.

        Motion blur stays in frames: found in one and not in the next, it would flicker.
        """
        if self.scene is None:
            return settings, None
        return replace(settings, motion=False), self.scene.statistics

    @property
    def quality(self) -> int | None:
        """The quality that was set, if the format of the output has one."""
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
    """Whether the result is written without loss; None leaves that to the format.

    A lossless input gives a lossless result, unless a quality is set.
    """
    kept = loaded.is_lossless and loaded.options.quality is None
    return loaded.options.lossless or kept or None
