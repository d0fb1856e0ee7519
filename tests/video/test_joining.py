"""Segments joined: every frame once, at its time, with what the source holds beside."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pixperts.errors import ImageError, UsageError
from pixperts.video.clip import read_clip
from pixperts.video.codecs import VideoOptions
from pixperts.video.frames import read_frames, survey
from pixperts.video.joining import beside, join
from pixperts.video.segments import write_segment
from tests.helpers.clips import RATE, Seen, look, moving, write_clip


def remade(
    source: Path, target: Path, length: int = 5, strip: bool = False, **options: object
) -> Seen:
    """A video decoded, encoded in segments of some frames, and joined."""
    clip = read_clip(source)
    timeline = survey(clip)
    encoding = VideoOptions(**options).chosen(target, clip.deep)  # type: ignore[arg-type]
    frames = [pixels for _, pixels in read_frames(clip, timeline)]
    segments = []
    for start in range(0, len(frames), length):
        segments.append(source.with_name(f"{source.name}-{start}.nut"))
        write_segment(segments[-1], clip, encoding, frames[start : start + length])
    extra = beside(clip, encoding, target)
    join(segments, target, clip, timeline, encoding, extra, strip_metadata=strip)
    return look(target)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("b.mp4", "h264"), ("b.mkv", "h265"), ("b.mov", "h265"), ("b.webm", "av1"), ("b.mkv", "vp9")],
)
def test_every_frame_at_its_time(tmp_path: Path, name: str, codec: str) -> None:
    times = [0, 1, 2, 4, 5, 6, 7, 11, 12, 13, 14, 15, 18]
    frames = moving(13, 48, 64)
    source = write_clip(tmp_path / "a.mp4", frames, times=times)
    before, after = look(source), remade(source, tmp_path / name, codec=codec, crf=10)
    assert len(after.frames) == 13
    clock = Fraction(1, 1000) if name.endswith(("mkv", "webm")) else Fraction(0)
    # Sound that begins before the pictures moves both in Matroska, which has no times below 0.
    for old, new in zip(before.times, after.times, strict=True):
        assert abs(old - new + after.times[0] - before.times[0]) <= clock
    for old_pixels, new_pixels in zip(before.frames, after.frames, strict=True):
        # Frames next to each other differ by 40 levels and more.
        assert np.abs(old_pixels.astype(int) - new_pixels).mean() < 12
    assert set(after.keys) >= {0, 5, 10}
    if name.endswith(("mp4", "mov", "mkv")):
        assert after.packets["audio"] == before.packets["audio"]


def test_what_is_beside_the_pictures_is_copied(tmp_path: Path) -> None:
    chapter = {
        "id": 1, "start": 0, "end": 200, "time_base": Fraction(1, 1000), "metadata": {"title": "A"},
    }  # fmt: skip
    source = write_clip(
        tmp_path / "a.mkv", texts=("one", "two"), metadata={"title": "birds"},
        chapters=[chapter], attachment=b"font",
    )  # fmt: skip
    before, after = look(source), remade(source, tmp_path / "b.mkv")
    assert after.packets == before.packets
    assert after.packets["subtitle"] == [b"one", b"two"]
    assert after.packets["attachment"] == [b"font"]
    assert after.languages == before.languages
    assert after.metadata["title"] == "birds"
    stripped = remade(source, tmp_path / "c.mkv", strip=True)
    assert "title" not in stripped.metadata
    assert "deu" in stripped.languages
    assert stripped.packets == before.packets


def test_what_a_container_cannot_hold_is_named(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "a.mkv", texts=("one",), attachment=b"font")
    clip, target = read_clip(source), tmp_path / "b.mp4"
    found = beside(clip, VideoOptions().chosen(target, False), target)
    assert found.kinds == {"sound": 1}
    assert sorted(found.notes) == [
        f"{target} cannot hold 1 stream of {source}, left out: {what}."
        for what in ("attachments (unknown)", "subtitles (srt)")
    ]
    web = tmp_path / "b.webm"
    kinds = beside(clip, VideoOptions().chosen(web, False), web).kinds
    assert kinds == {}
    kept = write_clip(tmp_path / "c.mp4", texts=("one",))
    assert remade(kept, tmp_path / "d.mp4").packets == look(kept).packets


@pytest.mark.parametrize("name", ["b.mp4", "b.mov", "b.mkv"])
@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_and_colors_are_kept(tmp_path: Path, name: str, rotation: int) -> None:
    colors = (9, 1, 9, 16)
    source = write_clip(tmp_path / "a.mp4", moving(4), rotation=rotation, colors=colors)
    before, after = look(source), remade(source, tmp_path / name)
    assert after.colors == before.colors == colors
    assert after.rotation == before.rotation != 0
    assert after.rate == before.rate == RATE
    assert after.times == before.times or name == "b.mkv"


def test_an_assumed_matrix_is_written_down(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "a.mp4", moving(3))
    assert look(source).colors == (2, 0, 2, 2)
    assert remade(source, tmp_path / "b.mp4").colors == (6, 1, 2, 2)


def test_a_clock_that_begins_anywhere(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "a.ts", moving(6), times=range(90, 96), sound=None)
    seen = look(source)
    assert seen.times[0] > 3
    after = remade(source, tmp_path / "b.mp4")
    assert after.times[0] < Fraction(1, 10)
    steps = [b - a for a, b in zip(after.times, after.times[1:], strict=False)]
    assert max(abs(step - 1 / RATE) for step in steps) < Fraction(1, 1000)


def test_two_joins_give_the_same_bytes(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "a.mkv", texts=("one",))
    for ending in ("mkv", "mp4"):
        one, two = tmp_path / f"b.{ending}", tmp_path / f"c.{ending}"
        remade(source, one)
        remade(source, two)
        assert one.read_bytes() == two.read_bytes()


def test_depth_and_shape_of_pixels(tmp_path: Path) -> None:
    deep = [frame.astype(np.uint16) * 257 for frame in moving(3)]
    source = write_clip(
        tmp_path / "a.mkv", deep, codec="libx265", pixel_format="yuv420p10le",
        options={"x265-params": "log-level=none"},
    )  # fmt: skip
    after = remade(source, tmp_path / "b.mp4")
    assert (after.codec, after.format) == ("hevc", "yuv420p10le")
    assert remade(source, tmp_path / "c.mp4", codec="h264").format == "yuv420p"


def test_options_that_make_no_sense(tmp_path: Path) -> None:
    options = VideoOptions()
    with pytest.raises(UsageError, match=r"a\.png: a video is written as \.mp4, .* endings"):
        options.chosen(Path("a.png"), False)
    with pytest.raises(UsageError, match=r"a\.webm cannot hold h264: give codec av1 or vp9"):
        VideoOptions(codec="h264").chosen(Path("a.webm"), False)
    with pytest.raises(UsageError, match="crf is 60, but h264 takes 0 to 51"):
        VideoOptions(crf=60).chosen(Path("a.mp4"), False)
    with pytest.raises(UsageError, match=r"crf is 20\.5, but av1 takes whole numbers"):
        VideoOptions(codec="av1", crf=20.5).chosen(Path("a.mp4"), False)
    with pytest.raises(UsageError, match="codec is 'mpeg2', but must be h264, h265, av1 or vp9"):
        VideoOptions(codec="mpeg2")


def test_segments_that_do_not_fit(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "a.mp4", moving(4))
    clip, target = read_clip(source), tmp_path / "b.mp4"
    encoding = VideoOptions().chosen(target, False)
    part = tmp_path / "0.nut"
    assert write_segment(part, clip, encoding, moving(3)) == 3
    with pytest.raises(ImageError, match="do not fit together: start again"):
        join([part], target, clip, survey(clip), encoding, beside(clip, encoding, target))
    assert not target.exists()
