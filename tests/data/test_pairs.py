"""Pairs of training pictures are found in every published layout."""

from pathlib import Path

import numpy as np
import pytest

from pixperts.data.layouts import (
    LAYOUTS,
    REPEATS,
    TASK_SETS,
    read_blur,
    read_cdd11,
    read_denoise,
    read_haze,
    read_low_light,
    read_rain,
    read_task_set,
)
from pixperts.data.pairs import match_folders, read_pair
from pixperts.degradations.tasks import COMPOSITIONS, TASKS
from pixperts.errors import DataError, ImageError, UsageError
from pixperts.io.image import write_image
from tests.helpers.pair_files import WRITERS, names, path_of, put, put_cdd11, put_denoise


def test_folders_pair_by_relative_path_whatever_the_suffix(tmp_path: Path) -> None:
    put(tmp_path / "lq", "b.jpg", "sub/a.webp", "a.v2.png", ".hidden.png", ".trash/x.png")
    put(tmp_path / "hq", "sub/a.tif", "b.png", "a.v2.jpg")
    (tmp_path / "lq" / "notes.txt").write_text("no picture")
    pairs = match_folders(tmp_path / "lq", tmp_path / "hq")
    assert names(pairs, tmp_path) == [
        ("lq/a.v2.png", "hq/a.v2.jpg", "pair"),
        ("lq/b.jpg", "hq/b.png", "pair"),
        ("lq/sub/a.webp", "hq/sub/a.tif", "pair"),
    ]


def test_the_label_of_matched_folders_is_free(tmp_path: Path) -> None:
    put(tmp_path, "lq/a.png", "hq/a.png")
    assert match_folders(tmp_path / "lq", tmp_path / "hq", "dust")[0].task == "dust"


def test_linked_folders_are_followed_and_loops_end(tmp_path: Path) -> None:
    put(tmp_path, "elsewhere/a.png", "hq/s/a.png")
    (tmp_path / "lq").mkdir()
    (tmp_path / "lq" / "s").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "lq" / "loop").symlink_to(tmp_path / "lq")
    pairs = match_folders(tmp_path / "lq", tmp_path / "hq")
    assert names(pairs, tmp_path) == [("lq/s/a.png", "hq/s/a.png", "pair")]


def test_sizes_are_those_seen_after_turning(tmp_path: Path) -> None:
    """A photo on its side in the file has the size of its upright partner."""
    import pyvips

    put(tmp_path, "hq/a.jpg", width=4, height=6)
    (tmp_path / "lq").mkdir()
    lying = pyvips.Image.black(6, 4, bands=3).copy(interpretation="srgb").copy()
    lying.set_type(pyvips.GValue.gint_type, "orientation", 6)
    lying.jpegsave(str(tmp_path / "lq" / "a.jpg"))
    degraded, clean = read_pair(match_folders(tmp_path / "lq", tmp_path / "hq")[0])
    assert degraded is not None
    assert degraded.shape == clean.shape == (3, 6, 4)


def test_matching_reads_headers_and_decodes_nothing(tmp_path: Path) -> None:
    """A JPEG cut off in its data keeps its size; only `read_pair` meets the damage."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for half in ("lq", "hq"):
        write_image(tmp_path / half / "a.jpg", noise)
    whole = (tmp_path / "lq" / "a.jpg").read_bytes()
    (tmp_path / "lq" / "a.jpg").write_bytes(whole[: len(whole) // 2])
    pair = match_folders(tmp_path / "lq", tmp_path / "hq")[0]
    with pytest.raises(ImageError, match=r"lq/a\.jpg"):
        read_pair(pair)


def test_denoise_is_every_clean_photo_at_three_levels(tmp_path: Path) -> None:
    put_denoise(tmp_path)
    put(tmp_path, "cBSD68/test.png")  # the published folder also holds test pictures
    clean = ["BSD400/100007.jpg", "BSD400/22013.jpg", "WaterlooED/00001.bmp"]
    assert names(read_denoise(tmp_path), tmp_path) == [
        (None, path, task) for task in ("noise15", "noise25", "noise50") for path in clean
    ]


def test_denoise_in_one_folder_and_under_the_short_name(tmp_path: Path) -> None:
    put(tmp_path / "flat", "00002.png", "a1.jpg")
    put(tmp_path / "named", "BSD400/b.jpg", "WED/w.png")
    flat = [pair.clean.name for pair in read_denoise(tmp_path / "flat")]
    named = [pair.clean.name for pair in read_denoise(tmp_path / "named")]
    assert flat == ["00002.png", "a1.jpg"] * 3
    assert named == ["b.jpg", "w.png"] * 3


@pytest.mark.parametrize(
    ("rainy", "clean"),
    [
        ("rainy/rain-{}.png", "gt/norain-{}.png"),
        ("rain/rain-{}.png", "norain/norain-{}.png"),
        ("input/{}.png", "target/{}.png"),
        ("rain-{}.png", "norain-{}.png"),
    ],
)
def test_rain_layouts(tmp_path: Path, rainy: str, clean: str) -> None:
    numbers = (1, 10, 2)  # as sorted by name
    for number in numbers:
        put(tmp_path, rainy.format(number), clean.format(number))
    put(tmp_path, "rainstreak-1.png")
    assert names(read_rain(tmp_path), tmp_path) == [
        (rainy.format(number), clean.format(number), "rain") for number in numbers
    ]


@pytest.mark.parametrize(
    ("hazy", "clear"),
    [
        ("part{}", "clear"),
        ("synthetic/part{}", "original"),
        ("hazy", "clear"),
        ("input", "target"),
    ],
)
def test_haze_layouts_share_one_clear_picture(tmp_path: Path, hazy: str, clear: str) -> None:
    expected = []
    for part in range(1, 5):
        put(tmp_path, f"{clear}/000{part}.jpg")
        for tail in ("0.8_0.04", "1_0.2"):
            path = f"{hazy.format(part)}/000{part}_{tail}.jpg"
            put(tmp_path, path)
            expected.append((path, f"{clear}/000{part}.jpg", "haze"))
    put(tmp_path, f"{clear}/9999.jpg")
    assert names(read_haze(tmp_path), tmp_path) == expected


@pytest.mark.parametrize("base", ["crop/train/", "train/", ""])
def test_blur_crops(tmp_path: Path, base: str) -> None:
    put(
        tmp_path,
        *(f"{base}{half}_crops/{name}.png" for half in ("input", "target") for name in "ba"),
    )
    put(tmp_path, "train/SEQ/blur/1.png", "train/SEQ/sharp/1.png")  # crops go first
    assert names(read_blur(tmp_path), tmp_path) == [
        (f"{base}input_crops/{name}.png", f"{base}target_crops/{name}.png", "blur") for name in "ab"
    ]


def test_blur_frames_of_sequences(tmp_path: Path) -> None:
    """Frame numbers repeat between sequences; the gamma version is another degradation."""
    for sequence in ("GOPR0384_11_00", "GOPR0372_07_00"):
        for half in ("blur", "blur_gamma", "sharp"):
            put(tmp_path / "train" / sequence / half, "000048.png", "000047.png")
    assert names(read_blur(tmp_path), tmp_path) == [
        (f"train/{sequence}/blur/{frame}.png", f"train/{sequence}/sharp/{frame}.png", "blur")
        for sequence in ("GOPR0372_07_00", "GOPR0384_11_00")
        for frame in ("000047", "000048")
    ]


@pytest.mark.parametrize(
    ("low", "high"),
    [("our485/low", "our485/high"), ("Train/input", "Train/target"), ("low", "high")],
)
def test_low_light_layouts(tmp_path: Path, low: str, high: str) -> None:
    put(tmp_path, f"{low}/5.png", f"{low}/2.png", f"{high}/2.png", f"{high}/5.png")
    assert names(read_low_light(tmp_path), tmp_path) == [
        (f"{low}/{number}.png", f"{high}/{number}.png", "low_light") for number in (2, 5)
    ]


@pytest.mark.parametrize("base", ["train", "CDD-11_train", "."])
def test_cdd11_layouts(tmp_path: Path, base: str) -> None:
    for kind in ("clear", *COMPOSITIONS):
        put(tmp_path / base / kind, "00001.png", "00002.png")
    pairs = read_cdd11(tmp_path)
    assert [pair.task for pair in pairs[::2]] == list(COMPOSITIONS)
    for pair in pairs:
        assert pair.degraded is not None
        assert pair.degraded == tmp_path / base / pair.task / pair.clean.name
        assert path_of(pair.clean).parent == tmp_path / base / "clear"


# Sets


def test_task_names_are_those_of_the_degradations() -> None:
    assert TASK_SETS["aio3"] == ("haze", "rain", "noise15", "noise25", "noise50")
    assert TASK_SETS["aio5"] == (*TASK_SETS["aio3"], "blur", "low_light")
    assert TASK_SETS["cdd11"] == tuple(COMPOSITIONS)
    assert {task for tasks in TASK_SETS.values() for task in tasks} <= TASKS.keys()


def test_all_tasks_name_no_degradation_twice() -> None:
    every = TASK_SETS["all"]
    steps = [TASKS[task] for task in every]
    assert len(set(steps)) == len(every) == 15
    others = [task for name in ("aio3", "aio5", "cdd11") for task in TASK_SETS[name]]
    assert {TASKS[task] for task in [*others, "snow"]} == set(steps)


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("sets")
    for layout, write in WRITERS.items():
        write(base / layout)
    return {layout: base / layout for layout in WRITERS}


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        (
            "aio3",  # two hazy pictures in four parts, three rainy ones, three clean photos
            {"haze": 8, "rain": 3 * 120, "noise15": 3 * 3, "noise25": 3 * 3, "noise50": 3 * 3},
        ),
        (
            "aio5",
            {
                "haze": 8,
                "rain": 3 * 120,
                "noise15": 3 * 3,
                "noise25": 3 * 3,
                "noise50": 3 * 3,
                "blur": 2 * 5,
                "low_light": 2 * 20,
            },
        ),
        ("cdd11", dict.fromkeys(COMPOSITIONS, 2 * 2)),
    ],
)
def test_sets_repeat_as_published(
    roots: dict[str, Path], name: str, counts: dict[str, int]
) -> None:
    pairs = read_task_set(name, roots)
    tasks = [pair.task for pair in pairs]
    assert list(dict.fromkeys(tasks)) == list(REPEATS[name]) == list(TASK_SETS[name])
    assert {task: tasks.count(task) for task in counts} == counts
    assert len(tasks) == sum(counts.values())
    for task, count in REPEATS[name].items():
        once = [pair for pair in pairs if pair.task == task]
        assert {once.count(pair) for pair in once} == {count}


def test_reading_twice_gives_the_same_list(roots: dict[str, Path]) -> None:
    for layout, read in LAYOUTS.items():
        pairs = read(roots[layout])
        assert pairs == read(roots[layout])
        paths = [path_of(pair.degraded or pair.clean) for pair in pairs]
        for task in {pair.task for pair in pairs}:
            mine = [path for path, pair in zip(paths, pairs, strict=True) if pair.task == task]
            assert mine == sorted(mine)


def test_a_set_reads_only_the_layouts_it_needs(tmp_path: Path) -> None:
    put_cdd11(tmp_path)
    assert len(read_task_set("cdd11", {"cdd11": tmp_path, "rain": tmp_path / "absent"})) == 44


def test_an_unknown_set_is_refused() -> None:
    with pytest.raises(UsageError, match="published set 'all': choose from aio3, aio5, cdd11"):
        read_task_set("all", {})


def test_a_set_names_the_roots_that_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_task_set("aio5", {"rain": tmp_path, "denoise": tmp_path})
    assert str(caught.value) == (
        "The set aio5 needs a folder for each of these: 'haze': haze (RESIDE OTS); "
        "'blur': blur (GoPro); 'low_light': low light (LOLv1)."
    )
