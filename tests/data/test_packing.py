"""Shards: what is in them, and that they train as the files they were made from."""

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pixperts.cli.app import main
from pixperts.data.benchmarks import SuperResolutionSet
from pixperts.data.image_files import picture_bytes
from pixperts.data.layouts import TASK_SETS, read_task_set
from pixperts.data.options import PackOptions
from pixperts.data.packing import pack_pairs, pack_photos, tiles
from pixperts.data.pairs import match_folders, packed_tasks, read_packed, read_pair
from pixperts.data.photos import load_photos
from pixperts.data.restoration import FilePairs, SyntheticPairs
from pixperts.data.shards import read_shards, stored_index
from pixperts.data.super_resolution import ArbitraryScale
from pixperts.errors import DataError, UsageError
from pixperts.io.image import read_image
from pixperts.training.config import TrainConfig
from tests.helpers.packing_files import pixels, put_pairs, put_photos, same, sums
from tests.helpers.pair_files import WRITERS


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return put_photos(tmp_path / "photos")


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
    from pixperts.training.run import module_of

    lq, gt = put_pairs(tmp_path)
    pack_pairs(match_folders(lq, gt, "rain"), tmp_path / "pairs")
    pack_photos([photos], tmp_path / "photos.pack", exclude=["alpha.png"])
    values = {"model": "moce-ir-tiny", "patch": 16, "validation_images": 2}
    values |= {"validation": str(tmp_path / "photos.pack")}
    pairs = module_of(
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
    assert stored_index(pack) == made.index
    before = load_photos([pack])
    (pack / "index.json").unlink()
    assert stored_index(pack) is None
    sizes = [sample.size for sample in read_shards(pack)]
    assert len(sizes) == 8
    assert sum(width * height for width, height in sizes) / 1e6 == pytest.approx(
        index["megapixels"], abs=1e-3
    )
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
