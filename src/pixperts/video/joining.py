"""Join segments into one video, with the sound, subtitles and texts of the source.

Nothing is encoded again: packets are copied. Frames get the times of those of the source.
"""

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from pixperts.errors import ImageError
from pixperts.video.clip import Clip
from pixperts.video.codecs import Encoding
from pixperts.video.frames import Timeline
from pixperts.video.library import library, open_video, readable, writable

_BIT_EXACT = 0x400  # AVFMT_FLAG_BITEXACT: no random numbers and no versions in the file
_COPIED = ("audio", "subtitle", "attachment")
_WORDS = {"audio": "sound", "subtitle": "subtitles", "attachment": "attachments"}
_SHIFTED = ("mpegts", "mpeg", "vob")  # formats whose clock begins anywhere


@dataclass(frozen=True)
class Beside:
    """The streams of a source beside its pictures.

    Attributes:
        copied: indexes of the streams that are copied.
        kinds: how many of these there are of each kind.
        notes: sentences for the user on streams that the output cannot hold.
    """

    copied: tuple[int, ...]
    kinds: dict[str, int]
    notes: tuple[str, ...]


def beside(clip: Clip, encoding: Encoding, target: Path) -> Beside:
    """Find out which streams of a source a container can hold, by trying each.

    Raises:
        ImageError: the source cannot be read.
    """
    av = library(clip.path)
    copied: list[int] = []
    left: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    with open_video(clip.path) as source:
        for stream in source.streams:
            if stream.index == clip.stream:
                continue
            if stream.type in _COPIED and _fits(av, stream, encoding.container):
                copied.append(stream.index)
                kinds[_WORDS[stream.type]] += 1
                continue
            name = stream.codec_context.name if stream.codec_context is not None else "unknown"
            what = _WORDS.get(stream.type, stream.type)
            left[f"{what} ({name})" if what != "video" else "other pictures, such as a cover"] += 1
    notes = [
        f"{target} cannot hold {count} stream{'s' if count > 1 else ''} of {clip.path}, left out: "
        f"{what}."
        for what, count in left.items()
    ]
    return Beside(tuple(copied), dict(kinds), tuple(notes))


def _fits(av: Any, stream: Any, container: str) -> bool:
    """Whether a container takes a copy of this stream."""
    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            if container == "matroska" and stream.type == "attachment":
                return True
            trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (OSError, ValueError, NotImplementedError):
        return False
    return bool(stream.type != "attachment")


def join(
    segments: Sequence[Path],
    temporary: Path,
    clip: Clip,
    timeline: Timeline,
    encoding: Encoding,
    extra: Beside,
    *,
    strip_metadata: bool = False,
    factors: tuple[Fraction, Fraction] = (Fraction(1), Fraction(1)),
) -> None:
    """Write the frames of segments and the other streams of the source into one file.

    Args:
        segments: files of `write_segment`, in order.
        temporary: the file to write.
        clip: the source.
        timeline: of the source.
        encoding: of the segments.
        extra: streams to copy.
        strip_metadata: whether texts and places are left out; languages of streams stay.
        factors: new width and height divided by the old ones, before rotation.

    Raises:
        ImageError: a segment or the source cannot be read, or the file cannot be written.
    """
    av = library(clip.path)
    order = _order(segments)
    if sum(len(numbers) for numbers in order) != len(timeline):
        raise ImageError(f"The segments of {clip.path} do not fit together: start again.")
    decoding = _decoding_times(order, timeline)
    with open_video(clip.path) as source, open_video(segments[0]) as first, writable(temporary):
        # A browser can begin to play such an MP4 before all of it is loaded.
        options = {"movflags": "+faststart"} if encoding.container in ("mp4", "mov") else {}
        shift = Fraction(0)
        if source.format.name in _SHIFTED and source.start_time:
            shift = Fraction(source.start_time, 1_000_000)
        with av.open(
            f"file:{temporary}", "w", format=encoding.container, container_options=options
        ) as output:
            output.flags |= _BIT_EXACT
            own = source.streams[clip.stream]
            pictures = _pictures(output, first.streams.video[0], own, clip, timeline, encoding)
            _scale_matrix(pictures, clip, factors)
            copies = {index: _copy(output, source.streams[index]) for index in extra.copied}
            if not strip_metadata:
                output.metadata.update(_texts(source.metadata))
                output.set_chapters(source.chapters())
            for index, made in ((clip.stream, pictures), *copies.items()):
                if made is not None:
                    kept = source.streams[index].metadata
                    language = {key: kept[key] for key in ("language",) if key in kept}
                    made.metadata.update(language if strip_metadata else _texts(kept))
                    made.disposition = source.streams[index].disposition
            flows = [_own_packets(segments, order, decoding, timeline, pictures, shift)]
            flows.append(_copied_packets(source, copies, shift, clip.path))
            for packet in _merged(flows):
                output.mux(packet)


def _pictures(
    output: Any, template: Any, own: Any, clip: Clip, timeline: Timeline, encoding: Encoding
) -> Any:
    stream = output.add_stream_from_template(template, opaque=True)
    stream.time_base = timeline.unit
    stream.codec_context.framerate = own.average_rate or clip.rate
    if clip.aspect is not None:
        stream.codec_context.sample_aspect_ratio = clip.aspect
    if encoding.name == "h265" and encoding.container in ("mp4", "mov"):
        stream.codec_context.codec_tag = "hvc1"  # players of Apple need this one of the two tags
    return stream


def _scale_matrix(stream: Any, clip: Clip, factors: tuple[Fraction, Fraction]) -> None:
    if clip.matrix is not None:
        matrix = list(clip.matrix)
        moved = zip(matrix[6:8], factors, strict=True)
        matrix[6:8] = [round(part * factor) for part, factor in moved]
        stream.set_display_matrix(matrix)


def _copy(output: Any, stream: Any) -> Any:
    if stream.type == "attachment":
        name = stream.metadata.get("filename") or stream.name or "attachment"
        output.add_attachment(name, stream.mimetype or "application/octet-stream", stream.data)
        return None
    return output.add_stream_from_template(stream)


def _texts(metadata: dict[str, str]) -> dict[str, str]:
    """The texts without those on how the source was written."""
    own = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
    return {key: text for key, text in metadata.items() if key.lower() not in own}


def _order(segments: Sequence[Path]) -> list[list[int]]:
    """The number of the frame in the video, for each packet of each segment."""
    order, start = [], 0
    for path in segments:
        with open_video(path) as container, readable(path):
            times = [p.pts for p in container.demux(container.streams.video[0]) if p.size]
        ranks = {time: rank for rank, time in enumerate(sorted(times))}
        order.append([start + ranks[time] for time in times])
        start += len(times)
    return order


def _decoding_times(order: Sequence[Sequence[int]], timeline: Timeline) -> list[int]:
    """The decoding time of each packet: rising, and never after its frame is shown.

    A frame that others refer to is decoded before them. Decoding therefore runs ahead of display by
    the largest number of places that any packet is late.
    """
    numbers = [number for part in order for number in part]
    ahead = max(place - number for place, number in enumerate(numbers))
    times = timeline.times
    step = times[1] - times[0] if len(times) > 1 else timeline.lasts
    first = [times[0] - step * back for back in range(ahead, 0, -1)]
    return [*first, *times][: len(numbers)]


def _own_packets(
    segments: Sequence[Path],
    order: Sequence[Sequence[int]],
    decoding: Sequence[int],
    timeline: Timeline,
    stream: Any,
    shift: Fraction,
) -> Iterator[tuple[Fraction, Any]]:
    """(decoding time in seconds, packet) of all frames."""
    times, place = timeline.times, 0
    offset = round(shift / timeline.unit)
    for path, numbers in zip(segments, order, strict=True):
        with open_video(path) as container, readable(path):
            packets = (p for p in container.demux(container.streams.video[0]) if p.size)
            for packet, number in zip(packets, numbers, strict=True):
                after = times[number + 1] if number + 1 < len(times) else None
                lasts = timeline.lasts if after is None else after - times[number]
                packet.pts, packet.dts = times[number] - offset, decoding[place] - offset
                packet.duration, packet.time_base = lasts, timeline.unit
                packet.stream = stream
                place += 1
                yield packet.dts * timeline.unit, packet


def _copied_packets(
    source: Any, copies: dict[int, Any], shift: Fraction, path: Path
) -> Iterator[tuple[Fraction, Any]]:
    """(decoding time in seconds, packet) of all copied streams."""
    streams = [source.streams[index] for index, made in copies.items() if made is not None]
    if not streams:
        return
    with readable(path):
        for packet in source.demux(*streams):
            if packet.size == 0 or packet.dts is None:  # end of a stream, or a damaged packet
                continue
            unit = Fraction(packet.time_base)
            offset = round(shift / unit)
            packet.dts -= offset
            if packet.pts is not None:
                packet.pts -= offset
            moment = packet.dts * unit
            packet.stream = copies[packet.stream_index]
            yield moment, packet


def _merged(flows: Sequence[Iterator[tuple[Fraction, Any]]]) -> Iterator[Any]:
    """The packets of several flows, ordered by time, as players need them."""
    heads = {place: one for place, flow in enumerate(flows) if (one := next(flow, None))}
    while heads:
        place = min(heads, key=lambda key: heads[key][0])
        yield heads[place][1]
        following = next(flows[place], None)
        if following is None:
            del heads[place]
        else:
            heads[place] = following
