"""Shards: what is in them, that they train as the files they were made from, and every refusal."""

import hashlib
import io
import json
import multiprocessing
import pickle
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pair_files import WRITERS
from PIL import Image
from torch.utils.data import DataLoader

from pixperts.cli import main
from pixperts.data import ArbitraryScale, PhotoSource, load_photos
from pixperts.errors import DataError, ImageError, UsageError
from pixperts.image import read_image, write_image
from pixperts.packing import PackOptions, pack_pairs, pack_photos, tiles
from pixperts.pairs import match_folders, packed_tasks, read_packed, read_pair
from pixperts.pictures import Member, picture_bytes
from pixperts.published import TASK_SETS, read_task_set
from pixperts.restoration_data import FilePairs, SyntheticPairs
from pixperts.shards import read_index, read_shards
from pixperts.super_resolution_set import SuperResolutionSet
from pixperts.train_config import TrainConfig


def pixels(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng([seed, height, width])
    return random.integers(0, 256, (height, width, channels), dtype=np.uint8)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six photos of all kinds, two of them JPEG, one below 128 pixels and one to be left out."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    write_image(folder / "b.png", pixels(150, 200))
    write_image(folder / "a.png", pixels(140, 130, 1))
    write_image(folder / "deep.png", pixels(131, 133).astype(np.uint16) * 257)
    write_image(folder / "alpha.png", pixels(128, 129, 4))
    Image.fromarray(pixels(144, 160)).save(folder / "c.jpg", quality=90)
    turned = Image.Exif()
    turned[0x112] = 6
    Image.fromarray(pixels(150, 160)).save(folder / "sub" / "d.jpg", exif=turned)
    write_image(folder / "small.png", pixels(60, 300))
    write_image(folder / "out.png", pixels(200, 200))
    return folder


def put_pairs(root: Path, count: int = 3) -> tuple[Path, Path]:
    for number in range(count):
        clean = pixels(20 + number, 26, seed=number) // 2 * 2
        write_image(root / "gt" / f"{number}.png", clean)
        write_image(root / "lq" / f"{number}.png", clean // 2)
    return root / "lq", root / "gt"


def same(first: Any, second: Any) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def sums(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


# ---------------------------------------------------------------- the same training


@pytest.mark.parametrize("kind", [None, "png", "webp"])
def test_a_pack_without_loss_trains_as_its_folder(
    photos: Path, tmp_path: Path, kind: str | None
) -> None:
    pack_photos([photos], tmp_path / "pack", PackOptions(shard_size=100_000, format=kind))
    assert len(list((tmp_path / "pack").glob("*.tar"))) > 1
    folder = load_photos([photos], exclude=["out.png"])
    pack = load_photos([tmp_path / "pack"], exclude=["out.png"])
    assert len(folder) == len(pack) == 6
    assert folder.sizes == pack.sizes
    assert same(folder, pack)
    settings: dict[str, Any] = {"patch": 16, "queries": 30, "seed": 3}
    enlarged = [ArbitraryScale(source, **settings) for source in (folder, pack)]
    assert all(same(enlarged[0][i], enlarged[1][i]) for i in range(30))
    assert enlarged[0].describe() == enlarged[1].describe() == "6 training photos, 0 megapixels"
    tasks = {"noise25": 1.0, "haze": 1.0}
    repaired = [SyntheticPairs(source, tasks=tasks, patch=16) for source in (folder, pack)]
    assert all(same(repaired[0][i], repaired[1][i]) for i in range(12))


def test_a_single_tar_or_several_packs_are_a_source_too(photos: Path, tmp_path: Path) -> None:
    pack_photos([photos], tmp_path / "pack")
    (shard,) = (tmp_path / "pack").glob("*.tar")
    both = load_photos([shard, photos], min_side=1)
    assert len(both) == 16
    assert same(both[:8], both[8:])


def test_pairs_train_as_their_folders(tmp_path: Path) -> None:
    pairs = match_folders(*put_pairs(tmp_path))
    made = pack_pairs(pairs, tmp_path / "pack")
    assert made.index.tasks == {"pair": 3}
    packed = read_packed(tmp_path / "pack")
    assert packed_tasks(tmp_path / "pack") == ("pair",)
    first, second = (FilePairs(p, tasks=("pair",), patch=12, seed=1) for p in (pairs, packed))
    assert all(same(first[i], second[i]) for i in range(10))
    assert first.describe() == second.describe()


@pytest.mark.parametrize("name", ["aio5", "cdd11"])
def test_a_published_set_trains_as_its_folders(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for layout, write in WRITERS.items():
        write(tmp_path / layout)
    roots = {layout: tmp_path / layout for layout in WRITERS}
    options = [f"--layout={layout}={root}" for layout, root in roots.items()]
    pack = tmp_path / "pack"
    assert main(["pack", "--published", name, *options, "-o", str(pack)]) == 0
    assert "samples of pairs" in capsys.readouterr().err
    pairs = read_task_set(name, roots)
    packed = read_task_set(name, {"packed": pack})
    assert [pair.task for pair in pairs] == [pair.task for pair in packed]
    tasks = TASK_SETS[name]
    for first, second in dict.fromkeys(zip(pairs, packed, strict=True)):
        bad, good = read_pair(first)
        packed_bad, packed_good = read_pair(second)
        assert torch.equal(good, packed_good)
        assert (bad is None) == (packed_bad is None)
        assert bad is None or (packed_bad is not None and torch.equal(bad, packed_bad))
    samples = [FilePairs(p, tasks=tasks, patch=4) for p in (pairs, packed)]
    assert all(same(samples[0][i], samples[1][i]) for i in range(5))
    if name == "aio5":
        mixed = read_task_set(name, roots | {"rain": pack})
        assert [pair.task for pair in mixed] == [pair.task for pair in pairs]
        with pytest.raises(DataError, match=r"pack holds no pairs of .*mixtures"):
            read_task_set("cdd11", {"cdd11": pack})


def test_validation_pictures_may_be_packed(photos: Path, tmp_path: Path) -> None:
    (photos / "alpha.png").unlink()
    (photos / "deep.png").unlink()
    (photos / "sub" / "d.jpg").rename(photos / "d.jpg")
    pack_photos([photos], tmp_path / "pack")
    folder, pack = (SuperResolutionSet.open(path) for path in (photos, tmp_path / "pack"))
    assert len(folder) == len(pack) == 6
    assert all(same(folder.pair(i, 2), pack.pair(i, 2)) for i in range(6))


def test_configurations_may_name_packs(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("lightning", reason="needs the train extra: pip install 'pixperts[train]'")
    from pixperts.training import task_of

    lq, gt = put_pairs(tmp_path)
    pack_pairs(match_folders(lq, gt, "rain"), tmp_path / "pairs")
    pack_photos([photos], tmp_path / "photos.pack", exclude=["alpha.png"])
    values = {"model": "moce-ir-tiny", "patch": 16, "validation_images": 2}
    values |= {"validation": str(tmp_path / "photos.pack")}
    pairs = task_of(
        TrainConfig.from_dict(values | {"input": str(tmp_path / "pairs")}, "test")
    ).samples()
    assert isinstance(pairs, FilePairs)
    assert pairs.tasks == ("rain",)
    assert pairs[0].degraded.shape == (3, 16, 16)
    with pytest.raises(UsageError, match="exactly one source"):
        TrainConfig.from_dict(values | {"input": str(lq)}, "test")
    values["target"] = str(gt)
    with pytest.raises(UsageError, match="exactly one source"):
        TrainConfig.from_dict(values | {"input": str(tmp_path / "pairs")}, "test")


# ---------------------------------------------------------------- what is in the tars


def test_shards_are_webdataset_and_plain_tar(photos: Path, tmp_path: Path) -> None:
    """Members of a key are neighbours, keys end at the first dot, `tar` unpacks them."""
    pack_photos([photos], tmp_path / "pack", exclude=["out.png"])
    (shard,) = (tmp_path / "pack").glob("*.tar")
    names = subprocess.check_output(["tar", "tf", shard], text=True).split()
    keys = [f"{number:09}" for number in range(1, 8)]
    expected = [(key, ending) for key in keys for ending in ("json", "picture")]
    kinds = {"png": "picture", "jpg": "picture", "json": "json"}
    found = [(name.partition(".")[0], kinds[name.partition(".")[2]]) for name in names]
    assert sorted(found) == expected
    assert [key for key, _ in found] == sorted(key for key, _ in found)
    subprocess.run(["tar", "xf", shard, "-C", tmp_path], check=True)
    note = json.loads((tmp_path / "000000003.json").read_text())
    assert note == {"source": "photos/b.png", "width": 200, "height": 150}
    assert np.array_equal(read_image(tmp_path / "000000003.png").pixels, pixels(150, 200))
    assert (tmp_path / "000000004.jpg").read_bytes() == (photos / "c.jpg").read_bytes()
    with tarfile.open(shard) as archive:
        assert {(m.mtime, m.uid, m.gid, m.uname) for m in archive} == {(0, 0, 0, "")}


def test_the_index_counts_and_is_not_needed(photos: Path, tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    made = pack_photos([photos], pack, PackOptions(shard_size=100_000))
    index = json.loads((pack / "index.json").read_text())
    assert (index["kind"], index["samples"]) == ("photos", 8)
    assert sum(shard["samples"] for shard in index["shards"]) == 8
    for shard in index["shards"]:
        data = (pack / shard["file"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (shard["bytes"], shard["sha256"])
        assert len(data) <= 100_000 or shard["samples"] == 1
    assert read_index(pack) == made.index
    before = load_photos([pack])
    (pack / "index.json").unlink()
    counted = read_index(pack)
    assert (counted.samples, counted.megapixels) == (8, index["megapixels"])
    assert same(before, load_photos([pack]))


def test_the_same_input_gives_the_same_bytes(photos: Path, tmp_path: Path) -> None:
    options = PackOptions(shard_size=100_000, crop=64, overlap=8)
    for name in ("first", "second"):
        pack_photos([photos], tmp_path / name, options)
    assert sums(tmp_path / "first") == sums(tmp_path / "second")


def test_tiles_cover_the_picture(photos: Path, tmp_path: Path) -> None:
    pack_photos([photos], tmp_path / "pack", PackOptions(crop=64, overlap=10, format="png"))
    samples = [s for s in read_shards(tmp_path / "pack") if s.source == "photos/b.png"]
    whole = np.full((150, 200, 3), -1)
    for sample in samples:
        with tarfile.open(sample.clean.shard) as archive:
            handle = archive.extractfile(sample.clean.name.replace("png", "json"))
            assert handle is not None
            note = json.load(handle)
        top, left = note["crop"]
        tile = np.asarray(Image.open(io.BytesIO(picture_bytes(sample.clean))))
        assert tile.shape == (64, 64, 3)
        whole[top : top + 64, left : left + 64] = tile
    assert np.array_equal(whole, pixels(150, 200))
    assert tiles(150, 200, 64, 10)[-1] == (86, 136, 64, 64)
    assert len(samples) == 3 * 4


def test_tiles_of_pairs_stay_together(tmp_path: Path) -> None:
    pack_pairs(match_folders(*put_pairs(tmp_path)), tmp_path / "pack", PackOptions(crop=12))
    pairs = read_packed(tmp_path / "pack")
    assert len(pairs) == 3 * 2 * 3
    for pair in pairs:
        degraded, clean = read_pair(pair)
        assert degraded is not None
        assert torch.equal(clean, degraded * 2)
        assert clean.shape == (3, 12, 12)


def test_tars_of_others_are_read(tmp_path: Path) -> None:
    """Made by plain tar of files in folders, without any description."""
    for name in ("x/a.png", "x/b.c.png", "y/a.png", "notes.txt"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(20, 30)).save(tmp_path / "in" / name, "png")
    (tmp_path / "in" / "x" / "b.c.png").rename(tmp_path / "in" / "x" / "b.jpeg")
    subprocess.run(["tar", "cf", tmp_path / "all.tar", "-C", tmp_path / "in", "."], check=True)
    found = load_photos([tmp_path / "all.tar"], exclude=["b.jpeg"], min_side=1)
    assert len(found) == 2
    assert torch.equal(found[0], torch.from_numpy(pixels(20, 30)).permute(2, 0, 1))


def test_an_archive_among_photos_changes_nothing(photos: Path, tmp_path: Path) -> None:
    before = load_photos([photos])
    subprocess.run(["tar", "cf", photos / "backup.tar", photos / "b.png"], check=True)
    assert same(before, load_photos([photos]))
    for path in photos.glob("*.*g"):
        path.rename(photos / "sub" / path.name)
    assert len(load_photos([photos])) == len(before)


# ---------------------------------------------------------------- the cache


def test_decoded_photos_are_kept_up_to_the_limit(photos: Path) -> None:
    source = load_photos([photos], min_side=1, limit=200 * 200 * 3 + 150 * 200 * 3)
    for _ in range(2):
        for photo in source:
            assert photo.dtype == torch.uint8
            assert source._bytes == sum(kept.numel() for kept in source._kept.values())
            assert source._bytes <= source.limit
    assert source[2] is source[2]
    last = source[-1]
    for place in range(5):
        _ = source[place]
    assert source[-1] is not last
    assert torch.equal(source[-1], last)
    none = load_photos([photos], min_side=1, limit=0)
    assert none[0] is not none[0]
    with pytest.raises(IndexError):
        none[8]


def test_a_pickled_source_starts_empty(photos: Path) -> None:
    source = load_photos([photos])
    first = source[0]
    again = pickle.loads(pickle.dumps(source))
    assert isinstance(again, PhotoSource)
    assert (again._bytes, len(again._kept)) == (0, 0)
    assert torch.equal(again[0], first)


def test_workers_give_the_samples_of_a_single_process(photos: Path, tmp_path: Path) -> None:
    """After a fork, with photos decoded before it: libvips' threads would hang there."""
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system cannot fork")
    pack_photos([photos], tmp_path / "pack")
    data = ArbitraryScale(load_photos([photos, tmp_path / "pack"]), patch=16, queries=9, seed=2)
    expected = [data[number] for number in range(12)]
    assert read_image(photos / "b.png").pixels.shape == (150, 200, 3)  # with threads
    fresh = ArbitraryScale(load_photos([photos, tmp_path / "pack"]), patch=16, queries=9, seed=2)
    loader = DataLoader(
        fresh, batch_size=6, sampler=range(12), num_workers=1, multiprocessing_context="fork",
        timeout=30,
    )  # fmt: skip
    found = [row for batch in loader for row in zip(*batch, strict=True)]
    assert all(same(a, b) for a, b in zip(expected, found, strict=True))


def test_a_photo_that_changes_is_refused(photos: Path) -> None:
    source = load_photos([photos])
    write_image(photos / "a.png", pixels(200, 130, 1))
    with pytest.raises(DataError, match=r"a\.png has 130x200 pixels, but had 130x140"):
        source[0]


def test_a_photo_cut_short_is_refused_when_it_is_used(photos: Path) -> None:
    data = (photos / "b.png").read_bytes()
    (photos / "b.png").write_bytes(data[: len(data) // 2])
    source = load_photos([photos])
    with pytest.raises(ImageError, match=r"b\.png cannot be decoded as PNG"):
        list(source)
    (photos / "b.png").write_bytes(b"nothing")
    with pytest.raises(ImageError, match=r"b\.png holds no JPEG"):
        load_photos([photos])


def test_a_jpeg_that_loses_its_frame_is_not_copied(tmp_path: Path) -> None:
    """RESIDE's indoor clear pictures are larger than the hazy ones by 10 pixels on each side."""
    for half, height, width in (("hazy", 30, 40), ("clear", 50, 60)):
        (tmp_path / half).mkdir()
        Image.fromarray(pixels(height, width)).save(tmp_path / half / "1.jpg")
    pairs = match_folders(tmp_path / "hazy", tmp_path / "clear", "haze")
    pack_pairs(pairs, tmp_path / "pack")
    (packed,) = read_packed(tmp_path / "pack")
    assert (packed.clean.name, packed.degraded and packed.degraded.name) == (
        "000000001.target.png", "000000001.input.jpg",
    )  # fmt: skip
    assert same(read_pair(packed), read_pair(pairs[0]))


# ---------------------------------------------------------------- refusals


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
        (["IN", "--shard-size", "many"], "no amount of memory"),
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
    with pytest.raises(DataError, match="no folder of shards of pairs"):
        read_packed(tmp_path / "absent")
    with pytest.raises(ImageError, match=r"x\.tar:a\.png holds no JPEG"):
        load_photos([put_tar(tmp_path / "x.tar", a_png=b"not a picture")])
    with pytest.raises(ImageError, match="is cut short"):
        Member(pairs, "a", 0, 10**6).read()
