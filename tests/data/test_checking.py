"""`check-data` names every bad file with its reason, and counts the good ones."""

import json
from pathlib import Path

import numpy as np
import pytest

from pixperts.cli.app import main
from pixperts.data.options import PackOptions
from pixperts.data.packing import pack_pairs, pack_photos
from pixperts.data.pairs import match_folders
from pixperts.io.image import write_image
from tests.helpers.packing_files import pixels, put_pairs
from tests.helpers.pair_files import WRITERS


def check(
    capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, dict[str, str], str]:
    """Exit code, reason by file name, and the summary."""
    code = main(["check-data", *map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert len(rows) == len({row["file"] for row in rows})
    return code, {Path(row["file"]).name: row["reason"] for row in rows}, err


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in "abc":
        write_image(tmp_path / "photos" / f"{name}.png", pixels(130, 200, seed=ord(name)))
    write_image(tmp_path / "photos" / "d.jpg", pixels(200, 200))
    return tmp_path / "photos"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def test_good_photos(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(capsys, photos) == (0, {}, "photos: 4 good, 0.1 megapixels\nall good\n")


def test_every_bad_photo_is_named_once(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut(photos / "a.png")
    cut(photos / "d.jpg")
    (photos / "empty.jpg").touch()
    (photos / "text.png").write_text("hello")
    write_image(photos / "small.png", pixels(99, 300))
    code, bad, summary = check(capsys, photos, photos, "--patch", 100)
    assert code == 1
    assert sorted(bad) == ["a.png", "d.jpg", "empty.jpg", "small.png", "text.png"]
    assert bad["a.png"].startswith("cannot be decoded as PNG")
    assert bad["d.jpg"].startswith("cannot be decoded as JPEG")
    assert bad["empty.jpg"].startswith("is empty")
    assert bad["text.png"].startswith("holds no JPEG")
    assert bad["small.png"] == "too small: 300x99 pixels, 100 a side are needed"
    assert summary.endswith("5 bad\n")
    excluded = [f"--exclude={name}" for name in bad]
    assert check(capsys, photos, *excluded)[0] == 0
    assert main(["check-data", str(photos)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{photos / 'a.png'}: cannot be decoded as PNG")
    assert lines[-2:] == ["photos: 3 good, 0.1 megapixels", "4 bad"]  # small.png serves here


def test_pairs_of_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lq, gt = put_pairs(tmp_path, 8)
    assert check(capsys, "--input", lq, "--target", gt)[::2] == (
        0, "pair: 8 good, 0.0 megapixels\nall good\n",
    )  # fmt: skip
    (gt / "0.png").unlink()
    (lq / "1.png").unlink()
    write_image(lq / "2.png", pixels(9, 9))
    cut(gt / "3.png")
    (lq / "4.png").write_bytes(b"?")
    write_image(lq / "5.png", pixels(25, 26, 4))
    code, bad, summary = check(capsys, "--input", lq, "--target", gt, "--patch", 27)
    assert code == 1
    assert bad["0.png"] == "no clean partner"
    assert bad["1.png"] == "no degraded partner"
    assert bad["2.png"] == "sizes differ: 9x9, clean 26x22"
    assert bad["3.png"].startswith("cannot be decoded as PNG")
    assert bad["4.png"] == "unreadable"
    assert bad["5.png"].startswith("has an alpha channel")
    assert bad["6.png"] == "too small: 26x26 pixels, the patch has 27"
    assert bad["7.png"] == "too small: 26x27 pixels, the patch has 27"
    assert summary == "8 bad\n"


def test_published_sets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for layout, write in WRITERS.items():
        write(tmp_path / layout)
    for name in ("aio5", "cdd11"):
        options = [f"--layout={layout}={tmp_path / layout}" for layout in WRITERS]
        code, bad, summary = check(capsys, "--published", name, *options)
        assert (code, bad) == (0, {})
        assert "all good" in summary
    first, second = sorted((tmp_path / "cdd11").rglob("clear/*.png"))[:2]
    cut(first)
    gone = first.parents[1] / "haze_rain" / first.name
    gone.unlink()
    (second.parents[1] / "haze_snow" / second.name).write_bytes(b"?")
    code, bad, _ = check(capsys, "--published", "cdd11", *options)
    assert code == 1
    assert sorted(bad) == [first.name, second.name]
    assert bad[first.name].startswith("no degraded partner; cannot be decoded as PNG")
    assert bad[second.name] == "unreadable"
    code, bad, _ = check(capsys, "--published", "aio3", f"--layout=rain={tmp_path / 'rain'}")
    assert (code, list(bad)) == (1, ["aio3"])


def test_packs(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack = tmp_path / "pack"
    pack_photos([photos], pack, PackOptions(shard_size=150_000))
    assert check(capsys, pack)[:2] == (0, {})
    shards = sorted(pack.glob("*.tar"))
    assert len(shards) > 2
    data = bytearray(shards[0].read_bytes())
    data[3000] ^= 1  # within a picture
    shards[0].write_bytes(data)
    code, bad, summary = check(capsys, pack)
    assert (code, list(bad)) == (1, [shards[0].name])
    assert "bytes do not match the checksum" in bad[shards[0].name]
    (pack / "index.json").unlink()  # then the picture itself tells
    code, bad, _ = check(capsys, pack)
    assert (code, list(bad)) == (1, ["photos-000000.tar:000000001.png"])
    cut(shards[1])
    code, bad, summary = check(capsys, pack)
    assert (code, len(bad)) == (1, 2)
    assert shards[1].name in bad
    assert "photos: " in summary  # the other shards were examined all the same


def test_packs_of_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lq, gt = put_pairs(tmp_path)
    pack_pairs(match_folders(lq, gt, "rain"), tmp_path / "pack")
    for arguments in ([tmp_path / "pack"], ["--input", tmp_path / "pack"]):
        assert check(capsys, *arguments) == (0, {}, "rain: 3 good, 0.0 megapixels\nall good\n")
    code, bad, _ = check(capsys, tmp_path / "pack", "--patch", 21)
    assert code == 1
    assert bad == {
        "pairs-000000.tar:000000001.target.png": "too small: 26x20 pixels, the patch has 21"
    }
    code, bad, _ = check(capsys, "--input", lq)
    assert (code, bad) == (1, {"lq": "is not a folder of shards of pairs"})


def test_configurations(
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("yaml", reason="needs the train extra: pip install 'pixperts[train]'")
    lq, gt = put_pairs(tmp_path)
    pack_pairs(match_folders(lq, gt), tmp_path / "pack")
    write_image(photos / "left.png", np.zeros((5, 5, 3), np.uint8))
    repair = tmp_path / "repair.yaml"
    repair.write_text(
        f"model: moce-ir-tiny\nphotos: [{photos}]\nexclude: [left.png]\ntasks: {{rain: 1}}\n"
        f"validation: {photos}\npatch: 129\n"
    )
    code, bad, summary = check(capsys, repair)
    assert code == 1  # left.png is a validation picture
    assert bad == {"left.png": "too small: 5x5 pixels, 128 a side are needed"}
    assert "photos: 4 good" in summary
    assert "validation: 4 good" in summary
    (photos / "left.png").unlink()
    enlarge = tmp_path / "enlarge.yaml"
    enlarge.write_text(f"model: moeisr-tiny\nphotos: [{photos}]\nvalidation: {photos}\n")
    pairs = tmp_path / "pairs.yaml"
    pairs.write_text(f"model: moce-ir-tiny\ninput: {tmp_path / 'pack'}\npatch: 16\n")
    code, bad, summary = check(capsys, repair, enlarge, pairs)
    assert (code, bad) == (0, {})
    assert "pair: 3 good" in summary
    cut(photos / "a.png")
    code, bad, _ = check(capsys, enlarge)
    assert (code, list(bad)) == (1, ["a.png"])

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["check-data", str(enlarge)]) == 2
    assert "pixperts[train]" in capsys.readouterr().err
    assert main(["check-data", str(tmp_path / "pack")]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Name a configuration or folders"),
        (["absent"], "absent: there is no such configuration or folder"),
        (["--target", "a"], "--target needs --input"),
        (["--published", "aio9"], "no published set 'aio9'"),
    ],
)
def test_wrong_arguments_are_named(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check-data", *arguments]) == 2
    assert message in capsys.readouterr().err
