"""The options of `upscale`, `restore` and `enhance`. Importing this costs nothing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pixperts.defaults import DEFAULT_REPAIR_MODEL, MAX_PIXELS, ColorFix, ToneMode
from pixperts.errors import UsageError, named
from pixperts.inference.size_request import SizeRequest
from pixperts.io.formats import DEFAULT_QUALITY, SUFFIXES, is_video_path
from pixperts.jobs.names import Template
from pixperts.jobs.page_choice import parse_page
from pixperts.jobs.scale_out.shard import Shard, parse_shard
from pixperts.options import FOLDER, MODEL, OUTPUT, check_options, option
from pixperts.video.codecs import VIDEO_OPTIONS, VideoOptions

if TYPE_CHECKING:
    from pixperts.inference.findings import RepairSettings
    from pixperts.jobs.job import Job

POLICIES = ("skip", "overwrite", "rename", "error")

# Pixels of input and output together beyond which rows are read and written as they are needed.
STREAMED_PIXELS = 48_000_000
_HELD = 40.0  # bytes of memory for each pixel that is not streamed, copies included


@dataclass(frozen=True)
class FileOptions:
    """How files are read and written.

    Raises:
        UsageError: naming the option.
    """

    quality: int | None = option(
        None,
        "Quality of lossy formats; visually lossless if unset.",
        low=1,
        high=100,
        panel=OUTPUT,
    )
    lossless: bool = option(
        False,
        "Write lossless WebP, AVIF and similar. Lossless inputs stay lossless unless --quality is "
        "given.",
        panel=OUTPUT,
    )
    color: str = option(
        "keep",
        "keep: keep the pixels and their color profile; srgb: convert to sRGB.",
        choices=("keep", "srgb"),
        panel=OUTPUT,
    )
    strip_metadata: bool = option(
        False, "Remove EXIF, XMP, IPTC and texts; the color profile stays.", panel=OUTPUT
    )
    page: int | str | None = option(
        None,
        "Page or frame of files with several: a number from 1, or all, which makes one file of "
        "each. The first if unset.",
        parse=parse_page,
        metavar="PAGE",
        panel=OUTPUT,
    )
    video: VideoOptions = VIDEO_OPTIONS
    # These two refuse pictures, but never change a result.
    strict: bool = option(
        False,
        "Refuse JPEG and PNG files that end too early, even if only few rows are missing.",
        setting=False,
        panel=OUTPUT,
    )
    max_pixels: int = option(
        MAX_PIXELS,
        "Refuse inputs with more pixels.",
        low=1,
        setting=False,
        panel=OUTPUT,
    )
    # Bytes; on the command line that of `ModelOptions` serves both.
    max_memory: float | None = field(default=None, metadata={"setting": False})

    def __post_init__(self) -> None:
        check_options(self)
        if self.page is not None:
            parse_page(str(self.page))

    def streams(self, pixels: int) -> bool:
        """Whether so many pixels, of input and output together, are too many for the memory."""
        limit = math.inf if self.max_memory is None else 0.25 * self.max_memory
        return pixels > STREAMED_PIXELS or pixels * _HELD > limit

    def check(self, jobs: "Sequence[Job]") -> None:
        """Raise UsageError for options that no output, or not every output, can use."""
        clips = [job for job in jobs if is_video_path(job.source)]
        if self.video != VIDEO_OPTIONS and not clips:
            given = named("codec" if self.video.crf is None else "crf")
            raise UsageError(f"{given} does not apply, because no input is a video: leave it out.")
        if clips:
            self._check_clips(clips)
        if self.quality is None or len(clips) == len(jobs):
            return
        pictures = [job for job in jobs if not is_video_path(job.source)]
        kinds = {SUFFIXES.get(job.target.suffix.lower(), "unknown") for job in pictures}
        if kinds.isdisjoint({*DEFAULT_QUALITY, "unknown"}):
            known = ", ".join(DEFAULT_QUALITY)
            raise UsageError(
                f"{named('quality')} does not apply, because no output is {known}: leave it out."
            )

    def _check_clips(self, clips: "Sequence[Job]") -> None:
        """Raise UsageError for options that videos do not have."""
        given = {
            "quality": (self.quality is not None, f"give {named('crf')} for videos"),
            "lossless": (self.lossless, f"give {named('crf', 0)} for videos"),
            "color": (self.color != "keep", "videos keep their colors"),
            "page": (self.page is not None, "videos are processed as a whole"),
            "in_place": (clips[0].in_place, "videos are encoded again: name another output"),
            "expert_map": (any(job.expert_map for job in clips), "a video would have thousands"),
        }
        for argument, (is_given, cure) in given.items():
            if is_given:
                raise UsageError(
                    f"{named(argument)} is for pictures, and {clips[0].source} is a video: leave "
                    "it "
                    f"out; {cure}."
                )


FILE_OPTIONS = FileOptions()  # the usual ones

COLOR_FIX = (
    "none, or give the result the input's mean color (mean) or its low frequencies (wavelet)."
)


@dataclass(frozen=True)
class UpscaleOptions:
    """What `upscale` does to every picture.

    Raises:
        UsageError: naming the option.
    """

    size: SizeRequest
    budget: float | None = option(
        None,
        "How much to compute: 0 = the cheapest expert everywhere, 1 = the best. If unset, the "
        "model decides.",
        low=0,
        high=1,
        panel=MODEL,
    )
    files: FileOptions = FILE_OPTIONS
    color_fix: ColorFix = option("none", COLOR_FIX, choices=get_args(ColorFix), panel=OUTPUT)

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class RestoreOptions:
    """What `restore` does to every picture.

    Raises:
        UsageError: naming the option.
    """

    strength: float = option(
        1.0,
        "1 = the network's result, 0 = the input, in between: a blend.",
        low=0,
        high=1,
        panel=MODEL,
    )
    denoise: float = option(
        1.0,
        "1 = remove all noise, 0 = leave it, in between: a part (moce-ir-light).",
        low=0,
        high=1,
        panel=MODEL,
    )
    jpeg: float = option(
        1.0,
        "1 = remove all traces of compression, 0 = leave them (moce-ir-light).",
        low=0,
        high=1,
        panel=MODEL,
    )
    tone: ToneMode = option(
        "auto",
        "Darkness and haze: undo them where the network is sure (auto), never (off), or always "
        "(on) (moce-ir-light).",
        choices=get_args(ToneMode),
        panel=MODEL,
    )
    dust: float = option(
        0.0,
        "1 = remove dust and scratches, for scans of prints and film; what looks like them, such "
        "as stars, goes, too. 0 = leave them (moce-ir-light).",
        low=0,
        high=1,
        panel=MODEL,
    )
    files: FileOptions = FILE_OPTIONS
    color_fix: ColorFix = option("none", COLOR_FIX, choices=get_args(ColorFix), panel=OUTPUT)

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def settings(self) -> "RepairSettings":
        """How much of each fault is undone."""
        from pixperts.inference.findings import RepairSettings

        return RepairSettings(self.strength, self.denoise, self.jpeg, self.tone, dust=self.dust)


@dataclass(frozen=True)
class EnhanceOptions(RestoreOptions, UpscaleOptions):
    """What `enhance` does to every picture: all that `restore` and `upscale` do.

    Raises:
        UsageError: naming the option.
    """

    restore_model: str | None = option(
        None,
        f"Model that repairs first, for a model that only enlarges; {DEFAULT_REPAIR_MODEL} if "
        "unset.",
        metavar="NAME",
        panel=MODEL,
    )


@dataclass(frozen=True)
class FolderOptions:
    """How the files of a run are found, named and kept.

    Raises:
        UsageError: naming the option.
    """

    recursive: bool = option(
        False,
        "Include subfolders; the output folder gets the same ones.",
        also=("-r",),
        panel=FOLDER,
    )
    name: str | None = option(
        None,
        "Names of the outputs, such as '{stem}_{model}_x{scale}'. Fields: stem, name, suffix, "
        "ext, model, scale, width, height, index.",
        metavar="TEMPLATE",
        panel=FOLDER,
    )
    format: str | None = option(
        None,
        "Format of the outputs in a folder, such as png or jpeg; that of each input if unset.",
        panel=OUTPUT,
    )
    in_place: bool = option(
        False,
        "Replace each picture with its result, once that is written completely; without -o.",
        setting=False,
        panel=OUTPUT,
    )
    if_exists: str | None = option(
        None,
        "skip, overwrite, rename (to NAME_1) or error. If unset, a file named by -o is "
        "overwritten, and other files are kept.",
        choices=POLICIES,
        metavar="WHAT",
        panel=FOLDER,
    )
    workers: int = option(
        1,
        "Number of pictures read ahead, and being written, while one is computed; 0 needs the "
        "least memory.",
        low=0,
        high=64,
        panel=FOLDER,
    )
    shard: str | Shard | None = option(
        None,
        "Take one of several parts of the inputs, 3/16 for the third of sixteen; auto or auto/16: "
        "as the index of a Slurm array or a Kubernetes job says. PIXPERTS_SHARD does the same.",
        parse=parse_shard,
        metavar="PART",
        setting=False,
        panel=FOLDER,
    )
    manifest: str | Path | None = option(
        None,
        "Append a JSON line per picture: hashes, model, settings, times. Outputs that it records "
        "with other settings are made again.",
        metavar="FILE",
        panel=FOLDER,
    )

    def __post_init__(self) -> None:
        Template(self.template.text, self.format)
        check_options(self)
        _ = self.part  # refuses what is none
        if self.in_place:
            for name in ("name", "format", "if_exists"):
                if getattr(self, name) is not None:
                    raise UsageError(
                        f"{named('in_place')} keeps name and format, and replaces: leave "
                        f"{named(name)} "
                        "out."
                    )

    @property
    def part(self) -> Shard | None:
        """The part of the inputs that is taken; None for all."""
        return parse_shard(self.shard) if isinstance(self.shard, str) else self.shard

    @property
    def template(self) -> Template:
        """The names of the outputs in a folder."""
        return Template("{stem}" if self.name is None else self.name, self.format)
