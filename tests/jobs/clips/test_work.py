"""Videos in a run over files: pixels, sizes, resuming, and what is refused."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixperts.errors import UsageError
from pixperts.inference.size_request import SizeRequest
from pixperts.inference.upscaler import Upscaler
from pixperts.jobs.clips import parts
from pixperts.jobs.operations import Upscale
from pixperts.jobs.options import FileOptions
from pixperts.jobs.run import run_folder
from pixperts.ops.pixels import Pixels
from pixperts.video.codecs import VideoOptions
from tests.helpers.clip_jobs import Noted, decoded, run
from tests.helpers.clips import RATE, look, moving, write_clip
from tests.helpers.folder_jobs import TWICE, Recorder, picture


def test_frames_are_what_the_path_of_pictures_gives(
    tmp_path: Path, model: Upscaler, encoded: list[Pixels]
) -> None:
    source = write_clip(tmp_path / "a.mp4", moving(5))
    noted = Noted()
    assert run(source, tmp_path / "b.mp4", TWICE, model, noted) == []
    wanted = [model.upscale(pixels, scale=2) for pixels in decoded(source)]
    assert len(encoded) == 5
    for made, one in zip(encoded, wanted, strict=True):
        assert np.array_equal(made, one)
    before, after = look(source), look(tmp_path / "b.mp4")
    assert after.sizes == {(64, 48)}
    assert (after.times, after.packets) == (before.times, before.packets)
    for shown, one in zip(after.frames, wanted, strict=True):
        assert np.abs(shown.astype(int) - one).mean() < 12  # what colors at half size cost
    report = noted.outcomes[0].report
    assert report is not None
    line = f"{source} -> {tmp_path / 'b.mp4'}: 5 frames of 32 x 24 -> 64 x 48, "
    assert report.to_line().startswith(line)
    assert report.to_line().endswith("copied: sound")
    assert len(noted.said) == 1
    assert noted.said[0].startswith(f"{source}: 2 frames of 32 x 24 to 64 x 48 remain, ")
    assert noted.shares == sorted(noted.shares)
    assert noted.shares[-1] < 1


def test_deep_frames_are_computed_in_16_bits(
    tmp_path: Path, model: Upscaler, encoded: list[Pixels]
) -> None:
    deep = [frame.astype(np.uint16) * 257 for frame in moving(2)]
    source = write_clip(
        tmp_path / "a.mkv", deep, codec="ffv1", pixel_format="yuv420p10le", options={}
    )
    assert run(source, tmp_path / "b.mkv", TWICE, model) == []
    assert [frame.dtype for frame in encoded] == [np.uint16] * 2
    wanted = [model.upscale(pixels, scale=2) for pixels in decoded(source)]
    assert all(np.array_equal(*pair) for pair in zip(encoded, wanted, strict=True))
    assert look(tmp_path / "b.mkv").format == "yuv420p10le"


@pytest.mark.parametrize(("scale", "sizes"), [(2, (66, 50)), (1.5, (50, 38)), (1, (34, 26))])
def test_odd_sides_become_even(
    tmp_path: Path, model: Upscaler, scale: float, sizes: tuple[int, int]
) -> None:
    frames = moving(2, 25, 33)
    source = write_clip(
        tmp_path / "a.mkv", frames, codec="ffv1", pixel_format="yuv444p", options={}
    )
    options = FileOptions(video=VideoOptions(crf=12))
    noted = Noted()
    operation = Upscale(SizeRequest(scale=scale), files=options)
    assert run(source, tmp_path / "b.mp4", operation, model, noted) == []
    assert look(tmp_path / "b.mp4").sizes == {sizes}
    report = noted.outcomes[0].report
    assert report is not None
    assert any("as videos have even sides" in note for note in report.notes) == (scale == 1)


def test_a_turned_video_is_sized_as_it_is_shown(tmp_path: Path, model: Upscaler) -> None:
    source = write_clip(tmp_path / "a.mp4", moving(3), rotation=90)
    assert run(source, tmp_path / "b.mp4", Upscale(SizeRequest(width=48)), model) == []
    seen = look(tmp_path / "b.mp4")
    assert (seen.sizes, seen.rotation) == ({(64, 48)}, 90)


def test_a_rate_that_varies_stays(tmp_path: Path, model: Upscaler) -> None:
    source = write_clip(tmp_path / "a.mp4", moving(6), times=[0, 1, 5, 6, 7, 9])
    assert run(source, tmp_path / "b.mp4", TWICE, model) == []
    assert look(tmp_path / "b.mp4").times == look(source).times == [
        number / RATE for number in (0, 1, 5, 6, 7, 9)
    ]  # fmt: skip


@pytest.mark.usefixtures("short")
def test_a_run_that_was_stopped_continues(
    tmp_path: Path, model: Upscaler, encoded: list[Pixels]
) -> None:
    source = write_clip(tmp_path / "a.mp4", moving(14))
    whole, target = tmp_path / "whole.mp4", tmp_path / "b.mp4"
    assert run(source, whole, TWICE, model) == []
    encoded.clear()
    with pytest.raises(KeyboardInterrupt):
        run(source, target, TWICE, model, Noted(stop=0.6))
    assert not target.exists()
    folder = parts.folder_of(target)
    assert sorted(path.name for path in folder.glob("*.nut")) == ["000000.nut", "000001.nut"]
    assert parts.finished_frames(target) == 8
    encoded.clear()
    noted = Noted()
    assert run(source, target, TWICE, model, noted) == []
    assert len(encoded) == 6
    assert noted.said[0] == f"{source}: 8 of 14 frames were done before."
    assert target.read_bytes() == whole.read_bytes()
    assert not folder.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4", "whole.mp4"]


@pytest.mark.usefixtures("short")
def test_segments_of_other_settings_are_made_again(
    tmp_path: Path, model: Upscaler, encoded: list[Pixels]
) -> None:
    source, target = write_clip(tmp_path / "a.mp4", moving(12)), tmp_path / "b.mp4"
    with pytest.raises(KeyboardInterrupt):
        run(source, target, TWICE, model, Noted(stop=0.6))
    encoded.clear()
    other = Upscale(SizeRequest(scale=2), files=FileOptions(video=VideoOptions(crf=30)))
    noted = Noted()
    assert run(source, target, other, model, noted) == []
    assert len(encoded) == 12
    assert not any("done before" in said for said in noted.said)


def test_two_runs_at_one_output(tmp_path: Path, model: Upscaler) -> None:
    source, target = write_clip(tmp_path / "a.mp4"), tmp_path / "b.mp4"
    with parts.Parts(target, {}, 4):
        errors = run(source, target, TWICE, model)
    sentence = f"{target} is being made by another run: wait for it, or name another output."
    assert errors == [f"{source}: {sentence}"]


def test_names_and_outputs_that_exist(tmp_path: Path, model: Upscaler) -> None:
    source = write_clip(tmp_path / "a.avi", moving(2), codec="mpeg4", options={})
    photo = picture(tmp_path / "p.png")
    first = Recorder()
    both = [source, photo]
    run_folder(both, tmp_path / "out", TWICE, model, listener=first)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.mkv", "p.png"]
    again = Recorder()
    run_folder(both, tmp_path / "out", TWICE, model, listener=again)
    assert [outcome.skipped for outcome in again.outcomes] == [True, True]
    assert run(source, None, TWICE, model) == []
    assert (tmp_path / "a_x2.mkv").is_file()
    name = "{stem}_{width}x{height}"
    assert run(source, f"{tmp_path / 'sized'}/", TWICE, model, name=name) == []
    assert (tmp_path / "sized" / "a_64x48.mkv").is_file()


def test_folders_leave_videos_out_and_patterns_find_them(tmp_path: Path, model: Upscaler) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_clip(folder / "a.mp4", moving(2))
    picture(folder / "p.png")
    run_folder(folder, tmp_path / "one", TWICE, model)
    assert [p.name for p in (tmp_path / "one").iterdir()] == ["p.png"]
    run_folder(folder / "*.mp4", tmp_path / "two", TWICE, model)
    assert [p.name for p in (tmp_path / "two").iterdir()] == ["a.mp4"]


def test_a_manifest_knows_videos(tmp_path: Path, model: Upscaler) -> None:
    source, record = write_clip(tmp_path / "a.mp4", moving(2)), tmp_path / "m.jsonl"
    for _ in range(2):
        assert run(source, tmp_path / "b.mp4", TWICE, model, manifest=record) == []
    entry = json.loads(record.read_text().splitlines()[0])
    assert (entry["frames"], entry["codec"], entry["copied"]) == (2, "h264", {"sound": 1})
    assert entry["output_sha256"]


def test_a_video_that_keeps_its_size_is_copied(tmp_path: Path, model: Upscaler) -> None:
    source = write_clip(tmp_path / "a.mp4", moving(2))
    smaller = Upscale(SizeRequest(width=8, only_enlarge=True))
    noted = Noted()
    assert run(source, tmp_path / "b.mp4", smaller, model, noted) == []
    assert (tmp_path / "b.mp4").read_bytes() == source.read_bytes()
    report = noted.outcomes[0].report
    assert report is not None
    assert report.to_line().endswith("size kept")


def test_a_smaller_video_is_reduced(tmp_path: Path, model: Upscaler) -> None:
    source = write_clip(tmp_path / "a.mp4", moving(2))
    assert run(source, tmp_path / "b.mp4", Upscale(SizeRequest(scale=0.5)), model) == []
    assert look(tmp_path / "b.mp4").sizes == {(16, 12)}


@pytest.mark.parametrize(
    ("of_files", "of_folder", "sentence"),
    [
        (
            {"quality": 90},
            {},
            "quality is for pictures, and .* is a video: leave it out; give crf",
        ),
        ({"lossless": True}, {}, "lossless is for pictures"),
        ({"color": "srgb"}, {}, "color is for pictures"),
        ({"page": 1}, {}, "page is for pictures"),
        ({}, {"format": "png"}, "format is for pictures"),
    ],
)
def test_options_of_pictures_are_refused(
    tmp_path: Path, model: Upscaler, of_files: Any, of_folder: Any, sentence: str
) -> None:
    source = write_clip(tmp_path / "a.mp4", moving(2))
    operation = Upscale(SizeRequest(scale=2), files=FileOptions(**of_files))
    with pytest.raises(UsageError, match=sentence):
        run(source, f"{tmp_path / 'out'}/", operation, model, **of_folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4"]


def test_options_of_videos_need_one(tmp_path: Path, model: Upscaler) -> None:
    operation = Upscale(SizeRequest(), files=FileOptions(video=VideoOptions(crf=20)))
    with pytest.raises(UsageError, match="crf does not apply, because no input is a video"):
        run(picture(tmp_path / "a.png"), tmp_path / "b.png", operation, model)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("b.png", r"b\.png: a video is written as \.mp4, \.m4v, \.mov, \.mkv, \.webm"),
        ("b.avi", r"b\.avi: a video is written as"),
        ("no/b.mp4", "no is not a folder"),
    ],
)
def test_outputs_that_cannot_be(tmp_path: Path, model: Upscaler, name: str, sentence: str) -> None:
    source = write_clip(tmp_path / "a.mp4", moving(2))
    (tmp_path / "no").write_bytes(b"")
    errors = run(source, tmp_path / name, TWICE, model)
    assert len(errors) == 1
    assert re.search(sentence, errors[0])


def test_frames_that_are_too_large(tmp_path: Path, model: Upscaler) -> None:
    source = write_clip(tmp_path / "a.mp4", moving(2))
    files = FileOptions(max_pixels=700)
    errors = run(source, tmp_path / "b.mp4", Upscale(SizeRequest(), files=files), model)
    assert errors == [
        f"{source} has frames of 32 x 24 pixels, more than 700: allow more with max_pixels."
    ]


def test_a_failure_costs_the_video_only(tmp_path: Path, model: Upscaler) -> None:
    bad = tmp_path / "a.mp4"
    bad.write_bytes(b"nothing" * 100)
    good = write_clip(tmp_path / "b.mp4", moving(2))
    heard = Recorder()
    summary = run_folder([bad, good], tmp_path / "out", TWICE, model, listener=heard)
    assert (summary.done, summary.failed) == (1, 1)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["b.mp4"]
