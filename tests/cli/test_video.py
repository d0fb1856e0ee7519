"""Videos on the command line: what is printed, exit codes, and what is refused."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.clips import look, moving, write_clip
from tests.helpers.command_line import names, one_sentence

Call = Callable[..., int]


def test_a_video_is_enlarged_and_what_is_said_of_it(
    here: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clip(here / "clip.mp4", moving(5), texts=("one",))
    assert call("upscale", "clip.mp4", "-o", "large.webm", "--codec", "av1", "--crf", "30") == 0
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0].startswith("clip.mp4: 2 frames of 32 x 24 to 64 x 48 remain, ")
    assert lines[0].endswith(" s.")
    assert lines[1].startswith("clip.mp4 -> large.webm: 5 frames of 32 x 24 -> 64 x 48, ")
    assert sorted(lines[2:]) == [
        f"large.webm cannot hold 1 stream of clip.mp4, left out: {what}."
        for what in ("sound (aac)", "subtitles (mov_text)")
    ]
    assert look(here / "large.webm").codec in ("libdav1d", "av1")
    assert names(here) == ["clip.mp4", "large.webm"]


def test_repair_and_json(here: Path, call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    write_clip(here / "clip.mp4", moving(4))
    assert call("restore", "clip.mp4", "--strength", "0.5", "--json") == 0
    out, err = capsys.readouterr()
    assert err == ""
    line = json.loads(out)
    assert (line["output"], line["frames"], line["computed"]) == ("clip_restored.mp4", 4, 4)
    assert line["codec"] == "h264"
    assert call("restore", "clip.mp4") == 0
    assert "1 output existed and was kept" in capsys.readouterr().err


def test_a_missing_extra(
    here: Path,
    call: Call,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_clip(here / "clip.mp4", moving(2))
    monkeypatch.setitem(sys.modules, "av", None)
    assert call("upscale", "clip.mp4", "-o", "large.mp4") == 1
    sentence = "clip.mp4 is a video, which needs an extra: pip install 'pixperts[video]'."
    assert one_sentence(capsys) == sentence
    assert names(here) == ["clip.mp4"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["clip.mp4", "-o", "a.png"], 1, "a.png: a video is written as .mp4"),
        (["clip.mp4", "-o", "a.webm", "--codec", "h264"], 1, "a.webm cannot hold h264"),
        (["clip.mp4", "-o", "a.xyz"], 2, "or for a video .mp4, .m4v, .mov, .mkv, .webm: give"),
        (["clip.mp4", "-o", "-"], 2, "A video is not written to standard output"),
        (["clip.mp4", "--in-place"], 2, "--in-place is for pictures, and clip.mp4 is a video"),
        (["clip.mp4", "--expert-map", "a.png"], 2, "--expert-map is for pictures"),
        (["clip.mp4", "-o", "clip.mp4"], 2, "clip.mp4 is an input as well: name another output"),
        (["clip.mp4", "--codec", "mpeg"], 2, "--codec is 'mpeg', but must be h264, h265, av1"),
        (["clip.mp4", "--crf", "99"], 2, "--crf is 99, but must be between 0 and 63"),
        (["cut.mp4", "-o", "a.mp4"], 1, "cut.mp4 cannot be read as a video"),
        (["none.mp4", "-o", "a.mp4"], 1, "none.mp4 does not exist: check the name."),
    ],
)
def test_refusals(
    here: Path,
    call: Call,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    sentence: str,
) -> None:
    whole = write_clip(here / "clip.mp4", moving(3)).read_bytes()
    (here / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    assert call("upscale", *arguments) == code
    assert sentence in one_sentence(capsys)
    assert names(here) == ["clip.mp4", "cut.mp4"]
