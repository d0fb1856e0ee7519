"""How videos are written: containers, codecs and their quality. Importing this costs nothing."""

from dataclasses import dataclass
from pathlib import Path

from pixperts.errors import UsageError, named
from pixperts.io.formats import CONTAINERS
from pixperts.options import OUTPUT, check_options, option


@dataclass(frozen=True)
class Codec:
    """An encoder of FFmpeg.

    Attributes:
        encoder: its name in FFmpeg.
        crf: the default quality, which is visually lossless; lower is better and larger.
        worst: the largest `crf`.
        deep: whether it writes 10 bits.
        options: for the encoder. The number of threads is fixed, because the bytes depend on it.
        containers: names of the containers that can hold it.
    """

    encoder: str
    crf: float
    worst: int
    deep: bool
    options: dict[str, str]
    containers: frozenset[str]


_ISO = frozenset({"mp4", "mov", "matroska"})
CODECS = {
    # With its macroblock tree, x264 gives other bytes from time to time on processors that have
    # AVX-512, for the same frames and with one thread as well (seen in PyAV 18.1).
    "h264": Codec(
        "libx264", 17, 51, False, {"preset": "medium", "threads": "4", "mbtree": "0"}, _ISO
    ),
    "h265": Codec(
        "libx265",
        19,
        51,
        True,
        {"preset": "medium", "x265-params": "log-level=none:pools=4:frame-threads=1"},
        _ISO,
    ),
    "av1": Codec("libsvtav1", 22, 63, True, {"preset": "7"}, _ISO | {"webm"}),
    "vp9": Codec(
        "libvpx-vp9",
        20,
        63,
        False,
        {"b": "0", "deadline": "good", "cpu-used": "3", "threads": "1"},
        frozenset({"mp4", "matroska", "webm"}),
    ),
}


@dataclass(frozen=True)
class VideoOptions:
    """How videos are written.

    Raises:
        UsageError: naming the option.
    """

    codec: str | None = option(
        None,
        "Codec of videos (extra video). If unset, h264, or vp9 in .webm; with more than 8 bits "
        "h265, or av1 in .webm.",
        choices=tuple(CODECS),
        metavar="NAME",
        panel=OUTPUT,
    )
    crf: float | None = option(
        None,
        "Quality of videos: lower is better and larger; visually lossless if unset.",
        low=0,
        high=63,
        panel=OUTPUT,
    )

    def __post_init__(self) -> None:
        check_options(self)

    def chosen(self, target: Path, deep: bool) -> "Encoding":
        """The encoding for an output.

        Args:
            target: its ending names the container.
            deep: whether the video has more than 8 bits a sample.

        Raises:
            UsageError: the container holds no videos, or not of this codec, or `crf` is too large.
        """
        container = CONTAINERS.get(target.suffix.lower())
        if container is None:
            raise UsageError(
                f"{target}: a video is written as {', '.join(CONTAINERS)}: give it one of these "
                "endings."
            )
        usual = ("av1" if deep else "vp9") if container == "webm" else ("h265" if deep else "h264")
        name = self.codec or usual
        codec = CODECS[name]
        if container not in codec.containers:
            able = [key for key, one in CODECS.items() if container in one.containers]
            raise UsageError(
                f"{target} cannot hold {name}: give {named('codec')} {' or '.join(able)}, or an "
                "output that ends in .mkv."
            )
        if self.crf is not None and self.crf > codec.worst:
            raise UsageError(
                f"{named('crf')} is {self.crf:g}, but {name} takes 0 to {codec.worst}."
            )
        if self.crf is not None and name in ("av1", "vp9") and self.crf % 1:
            raise UsageError(f"{named('crf')} is {self.crf:g}, but {name} takes whole numbers.")
        return Encoding(name, container, codec.crf if self.crf is None else self.crf, deep)


VIDEO_OPTIONS = VideoOptions()  # the usual ones


@dataclass(frozen=True)
class Encoding:
    """How one video is written.

    Attributes:
        name: a key of `CODECS`.
        container: of the output, as FFmpeg calls it.
        crf: quality.
        deep: whether the source has more than 8 bits.
    """

    name: str
    container: str
    crf: float
    deep: bool

    @property
    def codec(self) -> Codec:
        """The codec of this name."""
        return CODECS[self.name]

    @property
    def pixel_format(self) -> str:
        """Pixel format in FFmpeg: 4:2:0, which all players support, with 8 or 10 bits."""
        return "yuv420p10le" if self.deep and self.codec.deep else "yuv420p"

    @property
    def options(self) -> dict[str, str]:
        """Options for the encoder of FFmpeg."""
        return self.codec.options | {"crf": f"{self.crf:g}"}
