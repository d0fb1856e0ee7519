"""Small videos that tests make, and what they hold; synthetic."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

RATE = Fraction(30000, 1001)
Frames = list[NDArray[Any]]


def moving(count: int = 8, height: int = 24, width: int = 32, seed: int = 0) -> Frames:
    """Blocks of random colors that move to the right."""
    blocks = np.random.default_rng(seed).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3))
    still = np.kron(blocks, np.ones((4, 4, 1)))[:height, :width].astype(np.uint8)
    return [np.ascontiguousarray(np.roll(still, number, axis=1)) for number in range(count)]


def write_clip(
    path: Path,
    frames: Frames | None = None,
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    rate: Fraction = RATE,
    times: Sequence[int] | None = None,
    colors: tuple[int, int, int, int] | None = None,
    rotation: float | None = None,
    sound: str | None = "aac",
    texts: Sequence[str] = (),
    options: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    chapters: list[dict[str, Any]] | None = None,
    attachment: bytes | None = None,
) -> Path:
    """A video of these frames, with a tone and subtitles.

    `times` are in frames; `colors` are matrix, range, primaries and transfer; `texts` are shown
    for a tenth of a second each.
    """
    frames = moving() if frames is None else frames
    with av.open(str(path), "w") as container:
        container.metadata.update(metadata or {})
        if chapters:
            container.set_chapters(chapters)
        stream: Any = container.add_stream(codec, rate, options=options or {"crf": "12"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixel_format
        if rotation is not None:
            stream.set_display_rotation(rotation)
        if colors is not None:
            context = stream.codec_context
            context.colorspace, context.color_range = colors[:2]
            context.color_primaries, context.color_trc = colors[2:]
        tone = subtitles = None
        if sound is not None:
            tone = container.add_stream(sound, 48000)
            tone.layout = "mono"
        if texts:
            kind = "mov_text" if path.suffix in (".mp4", ".mov") else "subrip"
            subtitles = container.add_mux_stream(kind, time_base=Fraction(1, 1000))
            subtitles.metadata["language"] = "deu"
        if attachment is not None:
            container.add_attachment("a.ttf", "font/ttf", attachment)
        for number, pixels in enumerate(frames):
            options_ = {}
            if colors is not None:
                options_ = {"dst_colorspace": colors[0], "dst_color_range": colors[1]}
            kind = "rgb48le" if pixels.dtype == np.uint16 else "rgb24"
            frame = av.VideoFrame.from_ndarray(pixels, format=kind)
            frame = frame.reformat(format=pixel_format, **options_)
            frame.pts, frame.time_base = (times[number] if times else number), 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if tone is not None:
            length = int(48000 * len(frames) / rate)
            wave = np.sin(np.arange(length) * 0.05).astype(np.float32)[None]
            sample: Any = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            sample.sample_rate, sample.pts = 48000, 0
            container.mux(tone.encode(sample))
            container.mux(tone.encode(None))
        for number, text in enumerate(texts):
            data = text.encode()
            data = len(data).to_bytes(2, "big") + data if path.suffix in (".mp4", ".mov") else data
            packet: Any = av.Packet(data)
            packet.stream, packet.time_base = subtitles, Fraction(1, 1000)
            packet.pts = packet.dts = 100 * number
            packet.duration = 100
            container.mux(packet)
    return path


class Seen(NamedTuple):
    """What a player finds in a file."""

    frames: Frames  # RGB, by the file's own tags
    times: list[Fraction]  # seconds
    sizes: set[tuple[int, int]]
    codec: str
    format: str
    rotation: int
    colors: tuple[int, int, int, int]
    rate: Fraction
    keys: list[int]  # numbers of key frames
    packets: dict[str, list[bytes]]  # of the other streams, by their kinds
    metadata: dict[str, str]
    languages: list[str | None]


def look(path: Path) -> Seen:
    """Decode all of a video."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoded = list(container.decode(stream))
        others = [one for one in container.streams if one.type != "video"]
        packets: dict[str, list[bytes]] = {one.type: [] for one in others}
        for one in container.streams.attachments:
            packets["attachment"].append(one.data)
        with av.open(str(path)) as again:
            copied = [one.index for one in others if one.type != "attachment"]
            for packet in again.demux(*[again.streams[index] for index in copied]):
                if packet.size and copied:
                    packets[packet.stream.type].append(bytes(packet))
        first = decoded[0]
        return Seen(
            [frame.to_ndarray(format="rgb24") for frame in decoded],
            [Fraction(frame.pts or 0) * Fraction(stream.time_base or 0) for frame in decoded],
            {(frame.width, frame.height) for frame in decoded},
            stream.codec_context.name,
            first.format.name,
            first.rotation,
            (
                int(first.colorspace),
                int(first.color_range),
                int(first.color_primaries),
                int(first.color_trc),
            ),
            Fraction(stream.average_rate or 0),
            [number for number, frame in enumerate(decoded) if frame.key_frame],
            packets,
            dict(container.metadata),
            [one.language for one in container.streams],
        )
