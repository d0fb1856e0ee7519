"""Videos in files, by PyAV (extra `video`): frames as arrays in, frames as arrays out."""

from typing import TYPE_CHECKING

from pixperts.lazy import attach

if TYPE_CHECKING:
    from pixperts.video.clip import Clip, read_clip
    from pixperts.video.codecs import VideoOptions
    from pixperts.video.frames import Timeline, read_frames, survey
    from pixperts.video.joining import join
    from pixperts.video.segments import write_segment
else:
    __getattr__ = attach(
        __name__,
        {
            "clip": ["Clip", "read_clip"],
            "codecs": ["VideoOptions"],
            "frames": ["Timeline", "read_frames", "survey"],
            "joining": ["join"],
            "segments": ["write_segment"],
        },
    )

__all__ = [
    "Clip",
    "Timeline",
    "VideoOptions",
    "join",
    "read_clip",
    "read_frames",
    "survey",
    "write_segment",
]
