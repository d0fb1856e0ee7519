"""Properties of a video by its header and first frame: `Clip`."""

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from pixperts.errors import ImageError
from pixperts.video.colors import Colors, colors_of
from pixperts.video.library import open_video, readable

_USUAL_RATE = Fraction(25)
_FINEST = 100_000  # denominator of a frame rate that encoders take


@dataclass(frozen=True)
class Clip:
    """A video file.

    Attributes:
        path: of the file.
        stream: index of the video stream among all streams.
        stored_width: pixels of a frame in the file, before rotation.
        stored_height: pixels of a frame in the file, before rotation.
        matrix: display matrix, nine numbers that rotate a frame for display; None for no rotation.
        turned: whether width and height are swapped for display.
        aspect: width of a pixel divided by its height.
        rate: frames a second, on average.
        frames: number of frames by the header; 0 if unknown.
        colors: of the frames.
        bits: of a sample.
        notes: sentences for the user on properties that the result will not have.
    """

    path: Path
    stream: int
    stored_width: int
    stored_height: int
    matrix: tuple[int, ...] | None
    turned: bool
    aspect: Fraction | None
    rate: Fraction
    frames: int
    colors: Colors
    bits: int
    notes: tuple[str, ...] = ()

    @property
    def deep(self) -> bool:
        """Whether a sample has more than 8 bits."""
        return self.bits > 8

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels for display, rotation included."""
        return self.swapped(self.stored_width, self.stored_height)

    def swapped(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) for display from those in the file, or the other way round."""
        return (height, width) if self.turned else (width, height)


def read_clip(path: Path) -> Clip:
    """Read the header of a video and decode its first frame.

    Raises:
        ImageError: the file is missing or damaged, or holds no moving pictures.
        MissingDecoderError: PyAV is not installed.
    """
    with open_video(path) as container, readable(path):
        stream = pictures_of(container, path)
        frame = next(iter(container.decode(stream)), None)
        if frame is None:
            raise ImageError(f"{path} holds no frame that can be decoded: copy it again.")
        matrix = _matrix_of(frame)
        rate = Fraction(stream.average_rate or stream.guessed_rate or _USUAL_RATE)
        rate = rate if 0 < rate <= 1000 else _USUAL_RATE
        notes = []
        if frame.interlaced_frame:
            notes.append(
                f"{path} is interlaced: two fields in one frame look like combs; deinterlace it "
                "first."
            )
        if any(component.is_alpha for component in frame.format.components):
            notes.append(f"The transparency of {path} is left out.")
        return Clip(
            path=path,
            stream=stream.index,
            stored_width=frame.width,
            stored_height=frame.height,
            matrix=matrix,
            turned=round(frame.rotation / 90) % 2 == 1,
            aspect=stream.sample_aspect_ratio or None,
            rate=rate.limit_denominator(_FINEST),
            frames=stream.frames or round(_seconds(container, stream) * rate),
            colors=colors_of(frame),
            bits=max(component.bits for component in frame.format.components),
            notes=tuple(notes),
        )


def pictures_of(container: Any, path: Path) -> Any:
    """The stream of moving pictures, not that of a cover picture.

    Raises:
        ImageError: there is none.
    """
    cover = type(container.streams[0].disposition).attached_pic if len(container.streams) else None
    moving = [one for one in container.streams.video if not one.disposition & cover]
    if not moving:
        raise ImageError(f"{path} holds no moving pictures: name a video.")
    best = container.streams.best("video")
    stream = best if best in moving else moving[0]
    if stream.codec_context is None:
        raise ImageError(f"{path} has a coding that cannot be read here: convert it first.")
    stream.thread_type = "AUTO"
    return stream


def _matrix_of(frame: Any) -> tuple[int, ...] | None:
    """The display matrix of a frame; None if it does nothing."""
    found = frame.side_data.get("DISPLAYMATRIX")
    if found is None:
        return None
    matrix = tuple(np.frombuffer(bytes(found), np.int32).tolist())
    return None if matrix[:2] + matrix[3:5] == (65536, 0, 0, 65536) else matrix


def _seconds(container: Any, stream: Any) -> Fraction:
    """Duration in seconds by the header; 0 if unknown."""
    if stream.duration:
        return Fraction(stream.duration * stream.time_base)
    # Matroska stores the duration as text, such as 00:01:02.500000000.
    given = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if given is not None:
        return 3600 * Fraction(given[1]) + 60 * Fraction(given[2]) + Fraction(given[3])
    return Fraction(container.duration or 0, 1_000_000)
