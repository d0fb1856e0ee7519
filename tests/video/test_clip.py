"""What is read of a video's header and first frame."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pixperts.errors import ImageError
from pixperts.video.clip import read_clip
from tests.helpers.clips import RATE, moving, write_clip


def test_facts(tmp_path: Path) -> None:
    clip = read_clip(write_clip(tmp_path / "a.mp4", moving(5)))
    assert (clip.size, clip.frames, clip.rate, clip.bits) == ((32, 24), 5, RATE, 8)
    assert (clip.matrix, clip.turned, clip.notes) == (None, False, ())


def test_a_turned_video_has_the_size_that_is_shown(tmp_path: Path) -> None:
    clip = read_clip(write_clip(tmp_path / "a.mp4", rotation=90))
    assert clip.size == (24, 32)
    assert (clip.stored_width, clip.stored_height, clip.turned) == (32, 24, True)
    upside = read_clip(write_clip(tmp_path / "b.mp4", rotation=180))
    assert (upside.size, upside.turned) == ((32, 24), False)
    assert upside.matrix is not None


def test_frames_are_counted_where_the_header_only_has_a_duration(tmp_path: Path) -> None:
    clip = read_clip(write_clip(tmp_path / "a.mkv", moving(31), sound=None))
    assert clip.frames == 31


def test_deep_and_transparent(tmp_path: Path) -> None:
    deep = [frame.astype(np.uint16) * 257 for frame in moving()]
    clip = read_clip(
        write_clip(tmp_path / "a.mkv", deep, codec="ffv1", pixel_format="yuv420p10le", options={})
    )
    assert clip.deep
    path = tmp_path / "b.mkv"
    clip = read_clip(write_clip(path, codec="ffv1", pixel_format="yuva420p", options={}))
    assert clip.notes == (f"The transparency of {path} is left out.",)


def test_a_cover_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mkv"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("libopus", 48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), "s16", "mono")
        frame.sample_rate = 48000
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    with pytest.raises(ImageError, match=r"song\.mkv holds no moving pictures: name a video"):
        read_clip(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "does not exist: check the name"),
        (b"", "is empty (0 bytes): copy it again from its source"),
        (b"no video at all" * 50, "it is damaged, cut short or of an unsupported kind"),
    ],
)
def test_what_is_no_video(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    path = tmp_path / "a.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        read_clip(path)
    assert str(path) in str(caught.value)
    assert sentence in str(caught.value)


def test_a_video_whose_index_is_missing(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes()[:3000])  # the index comes last
    with pytest.raises(ImageError, match=r"cannot be read as a video .*cut short"):
        read_clip(path)


def test_a_folder_and_a_name_like_an_address(tmp_path: Path) -> None:
    (tmp_path / "b.mp4").mkdir()
    with pytest.raises(ImageError, match="is not a regular file"):
        read_clip(tmp_path / "b.mp4")
    odd = tmp_path / "concat:a|b.mp4"
    write_clip(tmp_path / "a.mp4").rename(odd)
    assert read_clip(odd).rate == Fraction(RATE)
