"""What does not pair up is refused by name."""

import errno
import os
from pathlib import Path

import pytest

from pixperts.data.layouts import LAYOUTS, read_blur, read_denoise, read_haze, read_low_light
from pixperts.data.pairs import Pair, match_folders
from pixperts.degradations.tasks import COMPOSITIONS
from pixperts.errors import UsageError
from tests.helpers.pair_files import WRITERS, put, put_haze, put_low_light, refusal


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
        f"The folder {tmp_path}/none cannot be listed (No such file or directory): "
        "name one you can read."
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
    assert message == (
        f"The folder {tmp_path}/lq/sub cannot be listed (Permission denied): name one you can read."
    )


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
        f"{tmp_path} holds pictures that cannot be used: 1 unreadable ({tmp_path}/b.jpg); "
        "replace these."
    )


def test_a_pair_to_be_made_needs_a_degradation() -> None:
    assert Pair(Path("a.png"), None, "low_haze").degraded is None
    with pytest.raises(UsageError, match="no degradation 'pair' to make: choose from noise15"):
        Pair(Path("a.png"), None, "pair")
