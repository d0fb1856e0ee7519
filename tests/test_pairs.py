"""Training pairs: the published layouts, every refusal, and the pixels of one pair."""

import errno
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pixperts.degradations import COMPOSITIONS, TASKS, degrade
from pixperts.errors import DataError, ImageError, UsageError
from pixperts.image import write_image
from pixperts.pairs import Pair, match_folders, read_pair
from pixperts.pictures import PictureFile
from pixperts.published import (
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


def put(root: Path, *names: str, width: int = 6, height: int = 4, bands: int = 3) -> None:
    """Pictures of these names below the root, each in a colour of its own."""
    for name in names:
        level = sum(name.encode()) % 256
        write_image(root / name, np.full((height, width, bands), level, np.uint8))


def put_bmp(path: Path, pixels: np.ndarray, *, top_first: bool = False, bits: int = 24) -> None:
    """A BMP written field by field; pixels (H, W, 3) in RGB order."""
    height, width = pixels.shape[:2]
    stride = (3 * width + 3) // 4 * 4
    rows = np.zeros((height, stride), np.uint8)
    rows[:, : 3 * width] = pixels[:, :, ::-1].reshape(height, -1)
    data = (rows if top_first else rows[::-1]).tobytes()
    info = struct.pack(
        "<IiiHHIIiiII",
        40,
        width,
        -height if top_first else height,
        1,
        bits,
        0,
        len(data),
        0,
        0,
        0,
        0,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"BM" + struct.pack("<IHHI", 54 + len(data), 0, 0, 54) + info + data)


def path_of(file: PictureFile) -> Path:
    assert isinstance(file, Path)
    return file


def names(pairs: list[Pair], root: Path) -> list[tuple[str | None, str, str]]:
    return [
        (
            None if pair.degraded is None else path_of(pair.degraded).relative_to(root).as_posix(),
            path_of(pair.clean).relative_to(root).as_posix(),
            pair.task,
        )
        for pair in pairs
    ]


def put_denoise(root: Path) -> None:
    put(root / "BSD400", "100007.jpg", "22013.jpg")
    put_bmp(root / "WaterlooED" / "00001.bmp", np.zeros((4, 5, 3), np.uint8))


def put_rain(root: Path) -> None:
    put(root / "rainy", "rain-1.png", "rain-10.png", "rain-2.png")
    put(root / "gt", "norain-1.png", "norain-10.png", "norain-2.png")


def put_haze(root: Path) -> None:
    for part in range(1, 5):
        put(root / f"part{part}", f"000{part}_0.8_0.04.jpg", f"000{part}_1_0.2.jpg")
        put(root / "clear", f"000{part}.jpg")
    put(root / "clear", "9999.jpg")  # used by no hazy picture


def put_blur(root: Path) -> None:
    for half in ("input_crops", "target_crops"):
        put(root / "crop" / "train" / half, "GOPR0372_07_00-000047-s001.png", "b.png")


def put_low_light(root: Path) -> None:
    for half in ("low", "high"):
        put(root / "our485" / half, "2.png", "5.png")


def put_cdd11(root: Path) -> None:
    for kind in ("clear", *COMPOSITIONS):
        put(root / "train" / kind, "00001.png", "00002.png")


WRITERS: dict[str, Callable[[Path], None]] = {
    "denoise": put_denoise,
    "rain": put_rain,
    "haze": put_haze,
    "blur": put_blur,
    "low_light": put_low_light,
    "cdd11": put_cdd11,
}


# What belongs together


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


# Refusals


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        call()
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    return message


def test_every_fault_of_two_folders_is_in_one_sentence(tmp_path: Path) -> None:
    lq, hq = tmp_path / "lq", tmp_path / "hq"
    put(lq, "a.png", "b.png", "c.png", "d.png", "same.png", "same.jpg", "size.png", "bad.png")
    put(hq, "only.png", "same.png", "bad.png")
    put(hq, "size.png", width=7)
    (lq / "bad.png").write_bytes(b"")
    assert refusal(lambda: match_folders(lq, hq)) == (
        "Pictures of 'pair' do not pair up: "
        f"4 without clean partner ({lq}/a.png, {lq}/b.png, {lq}/c.png, ...), "
        f"1 without degraded partner ({hq}/only.png), "
        f"1 of one name ({lq}/same.jpg and {lq}/same.png), "
        f"1 unreadable ({lq}/bad.png), "
        f"1 unequal in size ({lq}/size.png 6x4, clean 7x4); correct these."
    )


def test_two_clean_files_of_one_stem_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "lq/a.png", "hq/a.png", "hq/a.jpg")
    message = refusal(lambda: match_folders(tmp_path / "lq", tmp_path / "hq"))
    assert f"1 of one name ({tmp_path}/hq/a.jpg and {tmp_path}/hq/a.png)" in message
    assert "partner" not in message


def test_equal_stems_in_different_folders_are_no_fault(tmp_path: Path) -> None:
    put(tmp_path, "lq/x/a.png", "lq/y/a.png", "hq/x/a.png", "hq/y/a.png")
    assert len(match_folders(tmp_path / "lq", tmp_path / "hq")) == 2


@pytest.mark.parametrize("suffix", [".gif", ".heic", ".ppm"])
def test_pictures_of_other_formats_are_refused_and_not_overlooked(
    tmp_path: Path, suffix: str
) -> None:
    for half in ("lq", "hq"):
        put(tmp_path / half, "a.png")
        (tmp_path / half / f"b{suffix}").write_bytes(b"GIF89a and so on, but nothing known")
    message = refusal(lambda: match_folders(tmp_path / "lq", tmp_path / "hq"))
    assert f"2 unreadable ({tmp_path}/lq/b{suffix}, {tmp_path}/hq/b{suffix})" in message


def test_a_damaged_header_and_a_dead_link_are_unreadable(tmp_path: Path) -> None:
    put(tmp_path, "lq/a.png", "hq/a.png", "hq/b.png")
    whole = (tmp_path / "lq" / "a.png").read_bytes()
    (tmp_path / "lq" / "a.png").write_bytes(whole[:20])
    (tmp_path / "lq" / "b.png").symlink_to(tmp_path / "gone.png")
    message = refusal(lambda: match_folders(tmp_path / "lq", tmp_path / "hq"))
    assert f"2 unreadable ({tmp_path}/lq/a.png, {tmp_path}/lq/b.png)" in message


def test_one_folder_given_twice_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "lq/a.png")
    (tmp_path / "link").symlink_to(tmp_path / "lq")
    message = refusal(lambda: match_folders(tmp_path / "lq", tmp_path / "link"))
    assert message == f"{tmp_path}/lq is given as degraded and as clean: name two folders."


def test_missing_and_empty_folders_of_a_user(tmp_path: Path) -> None:
    put(tmp_path, "lq/a.png")
    (tmp_path / "hq").mkdir()
    assert refusal(lambda: match_folders(tmp_path / "lq", tmp_path / "none")) == (
        f"{tmp_path}/none cannot be listed (No such file or directory): name a folder."
    )
    assert refusal(lambda: match_folders(tmp_path / "lq", tmp_path / "hq")) == (
        f"{tmp_path}/hq holds no picture of 'pair': add some."
    )


def test_a_folder_without_permission_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "lq/a.png", "lq/sub/b.png", "hq/a.png")
    scandir = os.scandir

    def forbid(path: str) -> object:
        if Path(path).name == "sub":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbid)
    message = refusal(lambda: match_folders(tmp_path / "lq", tmp_path / "hq"))
    assert message == f"{tmp_path}/lq/sub cannot be listed (Permission denied): name a folder."


TITLES = {
    "denoise": "clean photos (BSD400 and WED)",
    "rain": "rain (RainTrainL)",
    "haze": "haze (RESIDE OTS)",
    "blur": "blur (GoPro)",
    "low_light": "low light (LOLv1)",
    "cdd11": "mixtures (CDD-11)",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_missing_root_names_the_set(tmp_path: Path, layout: str) -> None:
    message = refusal(lambda: LAYOUTS[layout](tmp_path / "none"))
    assert message == (f"{tmp_path}/none: there is no such folder; name that of {TITLES[layout]}.")


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("denoise", "holds no picture of clean photos (BSD400 and WED): add some."),
        (
            "rain",
            "is not laid out as rain (RainTrainL): it should hold rainy/ and gt/, "
            "or rain/ and norain/, or input/ and target/.",
        ),
        (
            "haze",
            "is not laid out as haze (RESIDE OTS): it should hold part1/ to part4/ and clear/, "
            "or synthetic/ and original/, or hazy/ and clear/, or input/ and target/.",
        ),
        (
            "blur",
            "is not laid out as blur (GoPro): it should hold train/SEQUENCE/blur and "
            "train/SEQUENCE/sharp, or crop/train/input_crops/ and crop/train/target_crops/, "
            "or train/input_crops/ and train/target_crops/, or input_crops/ and target_crops/.",
        ),
        (
            "low_light",
            "is not laid out as low light (LOLv1): it should hold our485/low/ and our485/high/, "
            "or Train/input/ and Train/target/, or low/ and high/.",
        ),
        ("cdd11", f"lacks clear, {', '.join(COMPOSITIONS)} of mixtures (CDD-11): complete it."),
    ],
)
def test_an_empty_root_says_what_it_should_hold(tmp_path: Path, layout: str, expected: str) -> None:
    assert refusal(lambda: LAYOUTS[layout](tmp_path)) == f"{tmp_path} {expected}"


@pytest.mark.parametrize(
    ("layout", "gone", "expected"),
    [
        ("denoise", "BSD400", "{} lacks BSD400 of clean photos (BSD400 and WED): complete it."),
        ("denoise", "WaterlooED", "{} lacks WaterlooED of clean photos (BSD400 and WED): "),
        ("rain", "gt", "{} is not laid out as rain (RainTrainL)"),
        ("haze", "part3", "{} lacks part3 of haze (RESIDE OTS): complete it."),
        ("haze", "clear", "{} lacks clear of haze (RESIDE OTS): complete it."),
        ("blur", "crop/train/target_crops", "{} is not laid out as blur (GoPro)"),
        ("low_light", "our485/high", "{} is not laid out as low light (LOLv1)"),
        ("cdd11", "train/low_rain", "{}/train lacks low_rain of mixtures (CDD-11): complete it."),
    ],
)
def test_a_missing_part_is_named(tmp_path: Path, layout: str, gone: str, expected: str) -> None:
    WRITERS[layout](tmp_path)
    (tmp_path / gone).rename(tmp_path / "elsewhere")
    assert refusal(lambda: LAYOUTS[layout](tmp_path)).startswith(expected.format(tmp_path))


@pytest.mark.parametrize(
    ("layout", "folder"),
    [
        ("denoise", "WaterlooED"),
        ("rain", "gt"),
        ("haze", "part2"),
        ("blur", "crop/train/input_crops"),
        ("low_light", "our485/low"),
        ("cdd11", "train/snow"),
    ],
)
def test_an_empty_part_is_named(tmp_path: Path, layout: str, folder: str) -> None:
    WRITERS[layout](tmp_path)
    for path in (tmp_path / folder).iterdir():
        path.unlink()
    assert refusal(lambda: LAYOUTS[layout](tmp_path)) == (
        f"{tmp_path}/{folder} holds no picture of {TITLES[layout]}: add some."
    )


@pytest.mark.parametrize(
    ("layout", "gone", "fault"),
    [
        ("rain", "gt/norain-10.png", "1 without clean partner ({}/rainy/rain-10.png)"),
        ("rain", "rainy/rain-2.png", "1 without degraded partner ({}/gt/norain-2.png)"),
        (
            "haze",
            "clear/0002.jpg",
            "2 without clean partner ({0}/part2/0002_0.8_0.04.jpg, {0}/part2/0002_1_0.2.jpg)",
        ),
        (
            "blur",
            "crop/train/input_crops/b.png",
            "1 without degraded partner ({}/crop/train/target_crops/b.png)",
        ),
        ("low_light", "our485/high/5.png", "1 without clean partner ({}/our485/low/5.png)"),
        ("cdd11", "train/snow/00002.png", "1 without degraded partner ({}/train/clear/00002.png)"),
    ],
)
def test_a_file_without_partner_is_named(
    tmp_path: Path, layout: str, gone: str, fault: str
) -> None:
    WRITERS[layout](tmp_path)
    (tmp_path / gone).unlink()
    message = refusal(lambda: LAYOUTS[layout](tmp_path))
    assert message.endswith(f" do not pair up: {fault.format(tmp_path)}; correct these.")


def test_frames_need_both_halves(tmp_path: Path) -> None:
    put(tmp_path, "train/A/blur/1.png", "train/A/sharp/1.png", "train/B/blur/1.png")
    message = refusal(lambda: read_blur(tmp_path))
    assert f"1 without clean partner ({tmp_path}/train/B/blur/1.png)" in message


def test_two_clear_pictures_for_one_hazy_are_refused(tmp_path: Path) -> None:
    put_haze(tmp_path)
    put(tmp_path, "clear/0001.png")
    message = refusal(lambda: read_haze(tmp_path))
    assert f"1 of one name ({tmp_path}/clear/0001.jpg and {tmp_path}/clear/0001.png)" in message


def test_unequal_sizes_in_a_published_layout_are_refused(tmp_path: Path) -> None:
    put_low_light(tmp_path)
    put(tmp_path, "our485/high/5.png", width=9)
    message = refusal(lambda: read_low_light(tmp_path))
    assert f"1 unequal in size ({tmp_path}/our485/low/5.png 6x4, clean 9x4)" in message


def test_unreadable_clean_photos_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    (tmp_path / "b.jpg").write_text("no picture")
    assert refusal(lambda: read_denoise(tmp_path)) == (
        f"{tmp_path} holds pictures that do not serve: 1 unreadable ({tmp_path}/b.jpg); "
        "replace these."
    )


def test_a_pair_to_be_made_needs_a_degradation() -> None:
    assert Pair(Path("a.png"), None, "low_haze").degraded is None
    with pytest.raises(UsageError, match="no degradation 'pair' to make: choose from noise15"):
        Pair(Path("a.png"), None, "pair")


# Pixels


def test_a_pair_is_two_uint8_pictures_channels_first(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (2, 5, 7, 3), np.uint8)
    write_image(tmp_path / "lq.png", pixels[0])
    write_image(tmp_path / "hq.tif", pixels[1])
    degraded, clean = read_pair(Pair(tmp_path / "hq.tif", tmp_path / "lq.png", "rain"))
    assert degraded is not None
    for found, expected in ((degraded, pixels[0]), (clean, pixels[1])):
        assert found.dtype == torch.uint8
        assert found.is_contiguous()
        assert np.array_equal(found.numpy(), expected.transpose(2, 0, 1))


def test_a_clean_photo_alone_feeds_its_degradation(tmp_path: Path) -> None:
    put(tmp_path, "a.png", width=16, height=16)
    pair = read_denoise(tmp_path)[1]
    degraded, clean = read_pair(pair)
    assert degraded is None
    noisy = degrade(clean.float() / 255, pair.task, seed=0)
    assert 10 < float((noisy - clean / 255).std()) * 255 < 40  # level 25, clipped perhaps


def test_grey_becomes_three_channels_and_16_bit_the_nearest_level(tmp_path: Path) -> None:
    """65535 = 255 * 257, so level v lies at 257 v and 128 more still belongs to it."""
    codes = np.array([[[0], [257 * 100 - 128], [257 * 100 + 128], [65535]]], np.uint16)
    write_image(tmp_path / "deep.png", codes)
    clean = read_pair(Pair(tmp_path / "deep.png", None, "rain"))[1]
    assert clean.dtype == torch.uint8
    assert clean.tolist() == [[[0, 100, 100, 255]]] * 3


@pytest.mark.parametrize("bands", [2, 4])
def test_alpha_is_refused(tmp_path: Path, bands: int) -> None:
    put(tmp_path, "a.png", bands=bands)
    expected = f"{tmp_path}/a.png has an alpha channel: convert it to grey or RGB without alpha."
    assert refusal(lambda: read_pair(Pair(tmp_path / "a.png", None, "rain"))) == expected


def test_sizes_are_compared_again(tmp_path: Path) -> None:
    put(tmp_path, "lq.png")
    put(tmp_path, "hq.png", height=5)
    pair = Pair(tmp_path / "hq.png", tmp_path / "lq.png", "rain")
    assert refusal(lambda: read_pair(pair)) == (
        f"{tmp_path}/lq.png of 6x4 pixels does not fit {tmp_path}/hq.png of 6x5: "
        "put the right pictures there."
    )


def test_the_frame_of_reside_is_cut_off_and_nothing_else(tmp_path: Path) -> None:
    inner = np.random.default_rng(2).integers(0, 255, (8, 9, 3), np.uint8)
    framed = np.pad(inner, ((10, 10), (10, 10), (0, 0)), constant_values=255)
    write_image(tmp_path / "hazy" / "1_1_0.9.png", inner)
    write_image(tmp_path / "clear" / "1.png", framed)
    pair = read_haze(tmp_path)[0]
    degraded, clean = read_pair(pair)
    assert degraded is not None
    assert torch.equal(clean, degraded)
    other = Pair(pair.clean, pair.degraded, "rain")
    assert "9x8 pixels does not fit" in refusal(lambda: read_pair(other))
    write_image(tmp_path / "clear" / "1.png", framed[:-1])
    message = refusal(lambda: read_haze(tmp_path))
    assert re.search(r"1 unequal in size \(\S+/1_1_0\.9\.png 9x8, clean 29x27\)", message)


@pytest.mark.parametrize("top_first", [False, True])
@pytest.mark.parametrize("width", [1, 4, 5])
def test_bmp_pixels(tmp_path: Path, width: int, top_first: bool) -> None:
    """Rows are padded to four bytes and stored from the bottom unless the height is negative."""
    pixels = np.random.default_rng(3).integers(0, 256, (3, width, 3), np.uint8)
    put_bmp(tmp_path / "a.bmp", pixels, top_first=top_first)
    write_image(tmp_path / "clean" / "a.png", pixels)
    put_bmp(tmp_path / "lq" / "a.bmp", pixels, top_first=top_first)
    degraded, clean = read_pair(match_folders(tmp_path / "lq", tmp_path / "clean")[0])
    assert degraded is not None
    assert torch.equal(degraded, clean)
    assert np.array_equal(clean.numpy(), pixels.transpose(2, 0, 1))


def test_bmp_as_another_program_writes_it(tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.random.default_rng(4).integers(0, 256, (6, 7, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.bmp")
    clean = read_pair(read_denoise(tmp_path)[0])[1]
    assert np.array_equal(clean.numpy(), pixels.transpose(2, 0, 1))


def test_bmp_of_other_kinds_or_cut_short_is_refused(tmp_path: Path) -> None:
    pixels = np.zeros((3, 4, 3), np.uint8)
    put_bmp(tmp_path / "deep.bmp", pixels, bits=32)
    put_bmp(tmp_path / "short.bmp", pixels)
    put_bmp(tmp_path / "head.bmp", pixels)
    for name, kept in (("short.bmp", -1), ("head.bmp", 20)):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:kept])
    message = refusal(lambda: read_denoise(tmp_path))
    assert "3 unreadable" in message
    for name in ("deep.bmp", "short.bmp", "head.bmp"):
        with pytest.raises(ImageError, match="cut short or no plain 24-bit BMP: convert it"):
            read_pair(Pair(tmp_path / name, None, "noise15"))


def test_a_missing_picture_is_an_image_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="does not exist"):
        read_pair(Pair(tmp_path / "gone.png", None, "rain"))


@pytest.mark.parametrize(("folder", "read"), [("derain", read_rain), ("dehaze", read_haze)])
def test_published_benchmark_pairs_are_read(
    folder: str, read: Callable[[Path], list[Pair]]
) -> None:
    root = Path(__file__).parents[2] / "shared" / "data" / "bench" / "pairs" / folder
    if not root.is_dir():
        pytest.skip("needs the benchmark pairs of the shared data folder")
    pairs = read(root)
    assert len(pairs) == 2
    for pair in pairs:
        degraded, clean = read_pair(pair)
        assert degraded is not None
        assert pair.degraded is not None
        assert path_of(pair.degraded).stem.split("_")[0] == path_of(pair.clean).stem
        assert degraded.shape == clean.shape
        assert not torch.equal(degraded, clean)
