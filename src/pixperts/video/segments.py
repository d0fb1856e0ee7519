"""A part of a video, encoded into a file of its own.

Every segment begins with a key frame and depends on no other segment, so that segments of a run
that was killed can be joined with those of the run that continues it.
"""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

from pixperts.io.atomic import appearing
from pixperts.ops.pixels import Pixels
from pixperts.video.clip import Clip
from pixperts.video.codecs import Encoding
from pixperts.video.colors import from_rgb
from pixperts.video.library import library, writable

ENDING = ".nut"  # a container of FFmpeg that holds every codec
_GLOBAL_HEADER = 1 << 22  # AV_CODEC_FLAG_GLOBAL_HEADER: decoder settings apart from the frames


def write_segment(path: Path, clip: Clip, encoding: Encoding, frames: Iterable[Pixels]) -> int:
    """Encode frames into a file, which appears when it is complete.

    The times of frames are their numbers; `join` sets the real ones.

    Args:
        path: of the segment.
        clip: the source, for colors, shape of pixels and rate.
        encoding: codec and quality.
        frames: RGB pixels (H, W, 3) uint8 or uint16, all of one size.

    Returns:
        The number of frames.

    Raises:
        ImageError: the file cannot be written.
    """
    av, count = library(clip.path), 0
    with (
        appearing(path) as temporary,
        writable(path),
        av.open(f"file:{temporary}", "w", format="nut") as container,
    ):
        stream: Any = None
        for pixels in frames:
            frame = from_rgb(pixels, clip.colors, encoding.pixel_format)
            if stream is None:
                stream = _stream(container, clip, encoding, frame)
            frame.pts, frame.time_base = count, 1 / clip.rate
            container.mux(stream.encode(frame))
            count += 1
        if stream is not None:
            container.mux(stream.encode(None))
    return count


def _stream(container: Any, clip: Clip, encoding: Encoding, frame: Any) -> Any:
    stream = container.add_stream(encoding.codec.encoder, clip.rate, options=encoding.options)
    stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, frame.format.name
    context = stream.codec_context
    context.time_base = 1 / Fraction(clip.rate)
    context.flags |= _GLOBAL_HEADER
    colors = clip.colors
    context.color_range, context.colorspace = colors.range, colors.matrix
    context.color_primaries, context.color_trc = colors.primaries, colors.transfer
    if clip.aspect is not None:
        context.sample_aspect_ratio = clip.aspect
    return stream
