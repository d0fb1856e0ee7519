"""The frames of a video: when each is shown, where scenes begin, and their pixels."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixperts.errors import ImageError
from pixperts.ops.pixels import Pixels
from pixperts.video.clip import Clip, pictures_of
from pixperts.video.colors import to_rgb
from pixperts.video.library import open_video, readable

_MISSING = 8  # one frame in so many may be missing at the end
_THUMB = (64, 36)  # width and height to which frames are reduced to tell scenes apart
# Mean difference of two thumbs, of 255 levels, from which they belong to two scenes. Unrelated
# pictures differ by 40 and more, those of a fast pan by less than 20.
_CUT = 24.0

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Timeline:
    """When the frames of a video are shown.

    Attributes:
        times: of each frame, in multiples of `unit`, rising.
        lasts: duration of the last frame, in multiples of `unit`.
        unit: of time, in seconds.
        scenes: numbers of the frames that begin a scene; the first is 0.
        notes: sentences for the user on missing frames.
    """

    times: tuple[int, ...]
    lasts: int
    unit: Fraction
    scenes: tuple[int, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.times)

    @property
    def is_steady(self) -> bool:
        """Whether all frames have the same duration, up to one unit of rounding."""
        steps = np.diff(self.times)
        return len(steps) < 2 or int(steps.max() - steps.min()) <= 1

    def scene_of(self, number: int) -> int:
        """The number of the scene of a frame, from 0."""
        return int(np.searchsorted(self.scenes, number, side="right")) - 1

    def frames_of(self, scene: int) -> range:
        """The numbers of the frames of a scene."""
        ends = (*self.scenes[1:], len(self))
        return range(self.scenes[scene], ends[scene])


def survey(
    clip: Clip,
    *,
    strict: bool = False,
    max_frames: int | None = None,
    advance: Advance = lambda number: None,
) -> Timeline:
    """Decode a whole video once, to find the times of its frames and its scenes.

    Args:
        clip: of `read_clip`.
        strict: whether a missing end is always an error.
        max_frames: largest number of frames to decode; None = all.
        advance: called with the number of each frame.

    Raises:
        ImageError: the video is damaged, the size of its frames changes, or times are not rising.
            If at most an eighth of the frames at the end is missing, this is a note instead.
    """
    times: list[int] = []
    scenes: list[int] = []
    before: NDArray[np.int16] | None = None
    damage: str | None = None
    lasts = 0
    path = clip.path
    with open_video(path) as container:
        stream = pictures_of(container, path)
        unit = Fraction(stream.time_base)
        step = max(1, round(1 / (clip.rate * unit)))
        frames = _decoded(clip, container, stream)
        while True:
            try:
                frame = next(frames, None)
            except ImageError as error:
                damage = str(error)
                break
            if frame is None or len(times) == max_frames:
                break
            number = len(times)
            advance(number)
            time = times[-1] + step if frame.pts is None and times else int(frame.pts or 0)
            if times and time <= times[-1]:
                raise ImageError(
                    f"{path} has a clock that runs backwards at frame {number + 1}: copy it into "
                    "a .mkv with another program first."
                )
            thumb = _thumb(frame)
            if before is None or float(np.abs(thumb - before).mean()) >= _CUT:
                scenes.append(number)
            before = thumb
            times.append(time)
            lasts = int(frame.duration or step)
    cut = max_frames is not None and len(times) == max_frames
    notes = () if cut else _gaps(clip, len(times), damage, strict)
    return Timeline(tuple(times), lasts, unit, tuple(scenes), notes)


def read_frames(clip: Clip, timeline: Timeline, start: int = 0) -> Iterator[tuple[int, Pixels]]:
    """The frames from number `start` on: (number, RGB pixels (H, W, 3)).

    Pixels are uint16 for more than 8 bits, else uint8.

    Raises:
        ImageError: the video is damaged.
    """
    with open_video(clip.path) as container:
        stream = pictures_of(container, clip.path)
        for number, frame in zip(
            range(len(timeline)), _decoded(clip, container, stream), strict=False
        ):
            if number >= start:
                yield number, to_rgb(frame, clip.colors, clip.deep)


def _decoded(clip: Clip, container: Any, stream: Any) -> Iterator[Any]:
    """The frames of PyAV; ImageError if one is damaged."""
    path, number = clip.path, 0
    with readable(path):
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise ImageError(
                    f"{path} is damaged at frame {number + 1}: copy it again from its source."
                )
            if (frame.width, frame.height) != (clip.stored_width, clip.stored_height):
                raise ImageError(
                    f"{path} changes from {clip.stored_width} x {clip.stored_height} to "
                    f"{frame.width} x {frame.height} pixels at frame {number + 1}: split it there."
                )
            yield frame
            number += 1


def _gaps(clip: Clip, found: int, damage: str | None, strict: bool) -> tuple[str, ...]:
    """A note on a missing end, if there is one.

    Raises:
        ImageError: too much is missing.
    """
    # A duration may be rounded, or count a frame more.
    complete = damage is None and found >= clip.frames - max(2, clip.frames // 100)
    if complete:
        return ()
    if strict or found == 0 or found < clip.frames * (1 - 1 / _MISSING):
        raise ImageError(
            damage
            or f"{clip.path} ends after {found} of its {clip.frames} frames: copy it again from "
            "its source."
        )
    of = f" of its {clip.frames}" if clip.frames >= found else ""
    return (f"{clip.path} is cut short or damaged after {found}{of} frames: the rest is missing.",)


def _thumb(frame: Any) -> NDArray[np.int16]:
    from av.video.reformatter import Interpolation

    small = frame.reformat(*_THUMB, format="gray", interpolation=Interpolation.AREA, threads=1)
    thumb: NDArray[np.int16] = small.to_ndarray().astype(np.int16)
    return thumb
