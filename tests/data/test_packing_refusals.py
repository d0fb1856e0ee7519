"""What cannot be packed, packs that were cut short or damaged, and tars that make no sense."""

import io
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from pixperts.cli.app import main
from pixperts.data.image_files import Member
from pixperts.data.options import PackOptions
from pixperts.data.packing import pack_photos
from pixperts.data.pairs import read_packed
from pixperts.data.photos import load_photos
from pixperts.errors import DataError, ImageError, UsageError
from pixperts.io.image import write_image
from tests.helpers.packing_files import pixels, put_pairs, put_photos, sums


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return put_photos(tmp_path / "photos")


def test_an_interrupted_pack_leaves_nothing(photos: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    options = PackOptions(shard_size=100_000)  # the first shards are complete by then
    with pytest.raises(KeyboardInterrupt):
        pack_photos([photos], tmp_path / "out" / "pack", options, progress=stop)
    assert list((tmp_path / "out").iterdir()) == []

    def fill_up(done: int, total: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(DataError, match=r"pack could not be written \(No space left on device\)"):
        pack_photos([photos], tmp_path / "out" / "pack", options, progress=fill_up)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_bad_picture_stops_the_pack_or_is_left_out(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = (photos / "c.jpg").read_bytes()
    (photos / "c.jpg").write_bytes(data[: len(data) // 2])
    out = tmp_path / "new" / "pack"
    assert main(["pack", str(photos), "-o", str(out)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "c.jpg cannot be decoded as JPEG" in lines[0]
    assert not out.exists()
    assert list(out.parent.iterdir()) == []  # nothing hidden either
    assert main(["pack", str(photos), "-o", str(out), "--skip-bad"]) == 0
    err = capsys.readouterr().err
    assert "left out: " in err
    assert "7 samples of photos" in err
    assert "1 left out" in err
    assert len(load_photos([out], min_side=1)) == 7


def test_unpaired_files_stop_the_pack_or_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lq, gt = put_pairs(tmp_path)
    (gt / "1.png").unlink()
    arguments = ["pack", "--input", str(lq), "--target", str(gt), "-o", str(tmp_path / "pack")]
    assert main(arguments) == 1
    assert "1.png" in capsys.readouterr().err
    assert main([*arguments, "--skip-bad"]) == 0
    assert "1.png was left out: no clean partner" in capsys.readouterr().err
    assert len(read_packed(tmp_path / "pack")) == 2


def test_a_full_folder_is_refused(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    pack_photos([photos], tmp_path / "empty")
    before = sums(tmp_path / "empty")
    with pytest.raises(UsageError, match="holds something already"):
        pack_photos([photos], tmp_path / "empty")
    assert sums(tmp_path / "empty") == before
    with pytest.raises(DataError, match="no picture to pack"):
        pack_photos([photos], tmp_path / "none", exclude=[p.name for p in photos.rglob("*")])
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["IN", "--format", "gif"], "--format is 'gif'"),
        (["IN", "--crop", "8", "--overlap", "8"], "--overlap is 8, but must be less than --crop"),
        (["IN", "--overlap", "8"], "must be less than --crop"),
        (["IN", "--shard-size", "many"], "not an amount of memory"),
        (["IN", "--input", "a", "--target", "b"], "Give one of"),
        (["--input", "a"], "Give one of"),
        ([], "Give one of"),
        (["--published", "aio9", "--layout", "rain=a"], "no published set 'aio9'"),
        (["--published", "aio3", "--layout", "rain"], "must be NAME=DIR"),
        (["--published", "aio3", "--layout", "rain=a"], "needs --layout haze=DIR"),
        (["IN", "--layout", "rain=a"], "--layout belongs to --published"),
    ],
)
def test_wrong_arguments_are_named(
    photos: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [str(photos) if a == "IN" else a for a in arguments]
    assert main(["pack", *given, "-o", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photos"]


def damaged(pack: Path, how: str) -> None:
    first, *_, last = sorted(pack.glob("*.tar"))
    data = bytearray(first.read_bytes())
    match how:
        case "missing":
            last.unlink()
        case "extra":
            (pack / "other.tar").write_bytes(data)
        case "index":
            (pack / "index.json").write_text('{"format": "pixperts shards 1"}')
        case "picture":
            write_image(pack / "loose.png", pixels(9, 9))
        case "gzip":
            (pack / "index.json").unlink()
            first.write_bytes(b"\x1f\x8b" + bytes(2000))
        case "short":
            (pack / "index.json").unlink()
            first.write_bytes(data[: len(data) // 2])
        case "end":
            (pack / "index.json").unlink()
            first.write_bytes(data[:-10240])
        case "header":
            (pack / "index.json").unlink()
            data[1024:1100] = bytes(range(76))
            first.write_bytes(data)
        case "cut":
            first.write_bytes(data[:-512])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", r"lacks the shard photos-00000\d\.tar"),
        ("extra", r"holds other\.tar, which its index\.json does not list"),
        ("index", r"index\.json cannot be read"),
        ("picture", r"holds shards and pictures such as loose\.png"),
        ("gzip", r"photos-000000\.tar cannot be read as a plain tar"),
        ("short", r"photos-000000\.tar (cannot be read as a plain tar|is damaged)"),
        ("end", r"photos-000000\.tar (is damaged|cannot be read)"),
        ("header", r"photos-000000\.tar is damaged or cut short"),
        ("cut", r"photos-000000\.tar has \d+ bytes, but \d+ in index\.json"),
    ],
)
def test_damaged_packs_are_named(photos: Path, tmp_path: Path, how: str, message: str) -> None:
    pack = tmp_path / "pack"
    pack_photos([photos], pack, PackOptions(shard_size=100_000))
    damaged(pack, how)
    with pytest.raises(DataError, match=message):
        load_photos([pack])


def put_tar(path: Path, **members: bytes) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name.replace("_", "."))
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def test_samples_that_make_no_sense_are_named(tmp_path: Path) -> None:
    data = io.BytesIO()
    Image.fromarray(pixels(8, 8)).save(data, "png")
    png = data.getvalue()
    cases: list[tuple[dict[str, bytes], str]] = [
        ({"a_input_png": png}, "no clean partner"),
        ({"a_target_png": png}, "no degraded version and no task"),
        ({"a_png": png, "a_jpg": png}, "a key has one picture"),
        ({"a_seg_png": png}, "belongs to no sample"),
        ({"a_png": png, "a_json": b"{"}, "no valid JSON"),
        ({"a_png": png, "b_input_png": png, "b_target_png": png}, "photos and pairs at once"),
        ({"a_txt": b"x"}, "holds no picture"),
    ]
    for members, message in cases:
        with pytest.raises(DataError, match=message):
            load_photos([put_tar(tmp_path / "x.tar", **members)])
    pairs = put_tar(tmp_path / "p.tar", a_input_png=png, a_target_png=png)
    with pytest.raises(DataError, match="holds pairs, not photos"):
        load_photos([pairs])
    assert [pair.task for pair in read_packed(pairs)] == ["pair"]
    with pytest.raises(DataError, match="holds photos, not pairs"):
        read_packed(put_tar(tmp_path / "q.tar", a_png=png))
    with pytest.raises(DataError, match="not a folder of shards of pairs"):
        read_packed(tmp_path / "absent")
    with pytest.raises(ImageError, match=r"x\.tar:a\.png holds no JPEG"):
        load_photos([put_tar(tmp_path / "x.tar", a_png=b"not a picture")])
    with pytest.raises(ImageError, match="is cut short"):
        Member(pairs, "a", 0, 10**6).read()
