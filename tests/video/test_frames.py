"""Times, scenes and damage of videos, and their frames."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pixperts.errors import ImageError
from pixperts.video.clip import read_clip
from pixperts.video.frames import read_frames, survey
from tests.helpers.clips import RATE, moving, write_clip


def test_times_are_those_of_the_file(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", moving(9))
    timeline = survey(read_clip(path))
    assert timeline.unit == Fraction(1, 30000)
    assert timeline.times == tuple(range(0, 9 * 1001, 1001))
    assert (timeline.lasts, timeline.is_steady, timeline.notes) == (1001, True, ())


def test_a_rate_that_varies(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", moving(5), times=[0, 1, 5, 6, 9])
    timeline = survey(read_clip(path))
    assert [round(time * timeline.unit * RATE) for time in timeline.times] == [0, 1, 5, 6, 9]
    assert not timeline.is_steady


def test_scenes(tmp_path: Path) -> None:
    frames = [*moving(6, seed=1), *moving(5, seed=2), *moving(4, seed=3)]
    timeline = survey(read_clip(write_clip(tmp_path / "a.mp4", frames)))
    assert timeline.scenes == (0, 6, 11)
    assert [timeline.scene_of(number) for number in (0, 5, 6, 10, 11, 14)] == [0, 0, 1, 1, 2, 2]
    assert timeline.frames_of(1) == range(6, 11)


@pytest.mark.parametrize("colors", [(1, 2, 1, 13), (9, 1, 9, 14), (5, 1, 5, 6)])
def test_frames_are_decoded_by_the_tags(tmp_path: Path, colors: tuple[int, int, int, int]) -> None:
    frames = moving()
    path = write_clip(
        tmp_path / "a.mkv", frames, colors=colors, codec="ffv1", pixel_format="yuv444p", options={}
    )
    clip = read_clip(path)
    found = dict(read_frames(clip, survey(clip), 3))
    assert sorted(found) == [3, 4, 5, 6, 7]
    for number, pixels in found.items():
        assert np.abs(pixels.astype(int) - frames[number]).max() <= 4


def test_an_end_that_is_missing(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "b.mkv", moving(60), sound=None, options={"g": "1"})
    assert survey(read_clip(path)).notes == ()
    with av.open(str(path)) as container:
        places = [packet.pos or 0 for packet in container.demux(video=0) if packet.size]
    data = path.read_bytes()
    path.write_bytes(data[: places[56] + 10])
    clip = read_clip(path)
    timeline = survey(clip)
    assert len(timeline) in (56, 57)
    assert timeline.notes == (
        f"{path} is cut short or damaged after {len(timeline)} of its 60 frames: the rest is "
        "missing.",
    )
    assert len(list(read_frames(clip, timeline))) == len(timeline)
    with pytest.raises(ImageError, match=r"b\.mkv"):
        survey(clip, strict=True)
    path.write_bytes(data[: places[30] + 10])
    with pytest.raises(ImageError, match=r"b\.mkv .*(damaged|ends after \d+ of its 60 frames)"):
        survey(read_clip(path))


def test_damage_in_the_middle(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", moving(40, 48, 64), sound=None)
    data = bytearray(path.read_bytes())
    middle = len(data) // 3
    data[middle : middle + 400] = bytes(400)
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"a\.mp4 (is damaged|cannot be read)"):
        survey(read_clip(path))


def test_sizes_that_change(tmp_path: Path) -> None:
    small = write_clip(tmp_path / "a.ts", moving(6), sound=None, codec="mpeg2video", options={})
    large = write_clip(
        tmp_path / "b.ts", moving(6, 48, 64), sound=None, codec="mpeg2video", options={}
    )
    both = tmp_path / "c.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    with pytest.raises(ImageError, match="changes from 32 x 24 to 64 x 48 pixels at frame"):
        survey(read_clip(both))


def test_a_shortened_survey(tmp_path: Path) -> None:
    timeline = survey(read_clip(write_clip(tmp_path / "a.mp4", moving(9))), max_frames=4)
    assert (len(timeline), timeline.notes) == (4, ())
