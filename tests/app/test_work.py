"""What a working process does gives the files of the command line, byte by byte."""

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from pixperts.app.orders import Look, Order, Trial
from pixperts.app.summary import seen, view_sizes
from pixperts.app.work import carry_out
from pixperts.background.events import Advanced, Ended, Event, Failed, Finished, Previewed, Started
from pixperts.background.orders import Run, Step
from pixperts.cli.app import main
from pixperts.inference.size_request import SizeRequest
from pixperts.io.image import read_image
from pixperts.jobs.enhance import Enhance
from pixperts.jobs.operations import Restore, Upscale
from pixperts.jobs.options import FileOptions, FolderOptions
from tests.helpers.command_line import one_sentence, picture
from tests.helpers.photo_files import write_photo

Make = Callable[..., Run]


def carried_out(order: Order) -> list[Event]:
    events: list[Event] = []
    carry_out(order, events.append)
    assert isinstance(events[-1], Ended | Failed)
    return events


def finished(events: Sequence[Event]) -> list[Finished]:
    return [one for one in events if isinstance(one, Finished)]


def archive_of(events: Sequence[Event]) -> str | None:
    last = events[-1]
    assert isinstance(last, Ended), last
    return last.archive


@pytest.fixture
def run(tmp_path: Path, files: dict[str, Path]) -> Make:
    """An order for these pictures, which lie in a folder of their own as uploads do."""

    def make(paths: list[Path], work: str, **options: object) -> Run:
        size, repairs = SizeRequest(scale=2), str(files["restore"])
        step = {
            "upscale": Step(Upscale(size=size, budget=0.5), str(files["upscale"])),
            "restore": Step(Restore(strength=0.8), repairs),
            "enhance": Step(
                Enhance(size=size, budget=0.5, strength=0.8, restore_model=repairs),
                str(files["upscale"]),
            ),
        }[work]
        named = FolderOptions(**options)  # type: ignore[arg-type]
        return Run(tuple(map(str, paths)), str(tmp_path / "run"), step, named, 10**6)

    (tmp_path / "run" / "in").mkdir(parents=True)
    return make


def test_an_enlargement_is_that_of_the_command_line(
    tmp_path: Path, run: Make, files: dict[str, Path]
) -> None:
    photo = write_photo(tmp_path / "run" / "in" / "a.jpg")
    events = carried_out(run([photo], "upscale"))
    (one,) = finished(events)
    assert one.error is None
    assert one.output is not None
    assert Path(one.output).name == "a_x2.jpg"
    model = ["-m", str(files["upscale"])]
    target = tmp_path / "own.jpg"
    assert main(["upscale", str(photo), *model, "-s", "2", "--budget", "0.5", "-o", str(target),
                 "--expert-map", str(tmp_path / "own.png"), "-q"]) == 0  # fmt: skip
    assert Path(one.output).read_bytes() == target.read_bytes()
    assert one.chart is not None
    assert Path(one.chart).read_bytes() == (tmp_path / "own.png").read_bytes()
    assert set(one.views) == {"before", "after", "map"}
    assert one.lines[0].startswith("a.jpg -> a_x2.jpg: 32 x 48 -> 64 x 96")
    shares = [event.share for event in events if isinstance(event, Advanced)]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_repair_is_that_of_the_command_line(
    tmp_path: Path, run: Make, files: dict[str, Path]
) -> None:
    photo = write_photo(tmp_path / "run" / "in" / "a.jpg")
    (one,) = finished(carried_out(run([photo], "restore")))
    target = tmp_path / "own.jpg"
    assert main(["restore", str(photo), "-m", str(files["restore"]), "--strength", "0.8", "-q",
                 "-o", str(target)]) == 0  # fmt: skip
    assert one.output is not None
    assert Path(one.output).name == "a_restored.jpg"
    assert Path(one.output).read_bytes() == target.read_bytes()
    assert set(one.views) == {"before", "after"}


def test_both_are_enhance_of_the_command_line(
    tmp_path: Path, run: Make, files: dict[str, Path]
) -> None:
    photo = write_photo(tmp_path / "run" / "in" / "a.jpg")
    events = carried_out(run([photo], "enhance"))
    (one,) = finished(events)
    target = tmp_path / "own.jpg"
    assert main(["enhance", str(photo), "-m", str(files["upscale"]), "-s", "2", "--budget", "0.5",
                 "--restore-model", str(files["restore"]), "--strength", "0.8", "-q",
                 "--expert-map", str(tmp_path / "own.png"), "-o", str(target)]) == 0  # fmt: skip
    assert one.name == "a.jpg"
    assert one.output is not None
    assert Path(one.output).name == "a_enhanced_x2.jpg"
    assert Path(one.output).read_bytes() == target.read_bytes()
    assert read_image(one.output).metadata.exif is not None
    assert one.chart is not None
    assert Path(one.chart).read_bytes() == (tmp_path / "own.png").read_bytes()
    assert set(one.views) == {"before", "after", "map"}
    assert one.report is not None
    assert one.report["model"] == "mini+tiny"
    assert "Repaired and enlarged from 32 x 48 to 64 x 96 pixels" in seen(one)
    shares = [event.share for event in events if isinstance(event, Advanced)]
    assert shares == sorted(shares)


def test_several_pictures_come_in_a_zip_under_the_names_of_the_command_line(
    tmp_path: Path, run: Make
) -> None:
    inside = tmp_path / "run" / "in"
    paths = [picture(inside / "a.png"), picture(inside / "b.webp"), inside / "broken.png"]
    paths[2].write_bytes(b"no picture")
    events = carried_out(run(paths, "restore", name="{index:02}_{stem}"))
    found = finished(events)
    assert [one.error is None for one in found] == [True, True, False]
    archive = archive_of(events)
    assert archive is not None
    with zipfile.ZipFile(archive) as file:
        assert sorted(file.namelist()) == ["01_a.png", "02_b.webp"]
        for one in found[:2]:
            assert one.output is not None
            assert file.read(Path(one.output).name) == Path(one.output).read_bytes()


def test_a_bad_file_gets_the_sentence_of_the_command_line(
    tmp_path: Path,
    run: Make,
    files: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    inside = tmp_path / "run" / "in"
    whole = picture(inside / "cut.png", 64, 64).read_bytes()
    (inside / "cut.png").write_bytes(whole[: len(whole) // 2])
    (one,) = finished(carried_out(run([inside / "cut.png"], "restore")))
    monkeypatch.chdir(inside)
    assert main(["restore", "cut.png", "-m", str(files["restore"])]) == 1
    assert one.error == one_sentence(capsys)
    assert sorted(path.name for path in inside.iterdir()) == ["cut.png"]


def test_what_makes_no_sense_for_a_model_is_said_once(
    tmp_path: Path, run: Make, files: dict[str, Path], dense: Path
) -> None:
    photo = picture(tmp_path / "run" / "in" / "a.png")
    order = run([photo], "upscale")
    order = replace(order, step=replace(order.step, model=str(dense)))
    events = carried_out(order)
    assert isinstance(events[-1], Failed)
    assert "dense has a single expert: leave budget out" in events[-1].error


def test_a_result_that_would_be_too_large_is_refused_before_the_work(
    tmp_path: Path, run: Make
) -> None:
    inside = tmp_path / "run" / "in"
    order = run([picture(inside / "a.png"), picture(inside / "big.png", 40, 50)], "upscale")
    events = carried_out(replace(order, max_result_pixels=1000))
    errors = {one.name: one.error for one in finished(events)}
    assert errors["a.png"] is None
    assert errors["big.png"] is not None
    assert (
        "big.png would become 100 x 80 pixels, over this page's limit of 1000"
        in (errors["big.png"])
    )


def test_the_megapixels_of_each_model_are_said_first(
    tmp_path: Path, run: Make, files: dict[str, Path]
) -> None:
    inside = tmp_path / "run" / "in"
    photos = [picture(inside / "a.png", 20, 30), picture(inside / "b.png", 10, 10)]
    first = carried_out(run(photos, "enhance"))[0]
    assert isinstance(first, Started)
    assert first.megapixels == pytest.approx(
        {str(files["restore"]): 700e-6, str(files["upscale"]): 2800e-6}
    )


def test_every_result_is_told_as_soon_as_it_is_there(tmp_path: Path, run: Make) -> None:
    inside = tmp_path / "run" / "in"
    photos = [picture(inside / f"{name}.png", 20, 30) for name in "abc"]
    events = carried_out(run(photos, "restore"))
    # A run that is stopped keeps them.
    done = [place for place, one in enumerate(events) if isinstance(one, Finished)]
    last = max(place for place, one in enumerate(events) if isinstance(one, Advanced))
    assert len(done) == 3
    assert done[0] < last


def test_the_page_that_was_chosen_is_shown_before_and_after(tmp_path: Path, run: Make) -> None:
    photo = tmp_path / "run" / "in" / "a.tif"
    sizes = [(10, 12), (20, 16)]
    pages = [np.full((height, width, 3), 90, np.uint8) for height, width in sizes]
    with tifffile.TiffWriter(photo) as file:
        for page in pages:
            file.write(page, photometric="rgb")
    order = run([photo], "restore")
    files = FileOptions(page=2)
    step = replace(order.step, operation=Restore(files=files))
    (one,) = finished(carried_out(replace(order, step=step)))
    assert view_sizes(one.views) == {"before": (16, 20), "after": (16, 20)}
    trial = Trial(str(photo), str(tmp_path), step, (0.0, 0.0), 18, 10_000, 10_000)
    (one,) = finished(carried_out(trial))
    assert view_sizes(one.views)["after"] == (16, 18)


def test_a_lossless_picture_stays_so_on_the_way_through_both(tmp_path: Path, run: Make) -> None:
    inside = tmp_path / "run" / "in"
    assert main(["upscale", str(picture(tmp_path / "a.png", 16, 16)), "-s", "1", "--lossless",
                 "-q", "-o", str(inside / "a.webp")]) == 0  # fmt: skip
    (one,) = finished(carried_out(run([inside / "a.webp"], "enhance")))
    assert one.output is not None
    assert b"VP8L" in Path(one.output).read_bytes()[:64]


def test_a_trial_works_on_its_part_alone(tmp_path: Path, files: dict[str, Path]) -> None:
    photo = picture(tmp_path / "a.png", 40, 50)
    step = Step(Upscale(size=SizeRequest(scale=2)), str(files["upscale"]))
    order = Trial(str(photo), str(tmp_path), step, (0.0, 0.0), 16, 10_000, 10_000)
    (one,) = finished(carried_out(order))
    assert one.output is not None
    assert read_image(one.output).pixels.shape == (32, 32, 3)
    assert set(one.views) == {"before", "after", "map"}
    (refused,) = carried_out(replace(order, max_pixels=100))
    assert isinstance(refused, Failed)
    assert refused.error.startswith("a.png has 50 x 40 pixels, over the limit of 100")


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ({"long_side": 100}, (32, 32)),
        ({"size": (25, 80)}, (32, 8)),
        ({"width": 25}, (8, 8)),
        ({"long_side": 50}, (16, 16)),
    ],
)
def test_a_part_grows_as_much_as_the_picture_would(
    tmp_path: Path, files: dict[str, Path], size: dict[str, Any], expected: tuple[int, int]
) -> None:
    photo = picture(tmp_path / "a.png", 40, 50)
    step = Step(Upscale(size=SizeRequest(**size)), str(files["upscale"]))
    order = Trial(str(photo), str(tmp_path), step, (0.0, 0.0), 16, 10_000, 1_000_000)
    (one,) = finished(carried_out(order))
    assert one.output is not None
    assert read_image(one.output).pixels.shape[:2] == expected
    huge = replace(step, operation=Upscale(size=SizeRequest(long_side=100_000)))
    (refused,) = carried_out(replace(order, step=huge))
    assert isinstance(refused, Failed)
    assert "over this page's limit of 1000000" in refused.error


def test_a_trial_takes_what_is_for_whole_files_only(tmp_path: Path, files: dict[str, Path]) -> None:
    photo = write_photo(tmp_path / "a.jpg")
    step = Step(Restore(files=FileOptions(quality=80)), str(files["restore"]))
    order = Trial(str(photo), str(tmp_path), step, (0.5, 0.5), 16, 10_000, 10_000)
    (one,) = finished(carried_out(order))
    assert (one.error, Path(one.output or "").name) == (None, "a_part_restored.png")


def test_a_first_look_tells_the_size_or_the_reason(tmp_path: Path) -> None:
    photo = picture(tmp_path / "a.png", 40, 50)
    found, _ = carried_out(Look(str(photo), str(tmp_path), 10_000))
    assert found == Previewed("a.png", 50, 40, str(tmp_path / "preview.png"))
    (refused,) = carried_out(Look(str(photo), str(tmp_path), 100))
    assert isinstance(refused, Failed)
    assert refused.error.startswith("a.png has 50 x 40 pixels, over the limit of 100")


def test_no_sentence_names_the_folder_of_the_run(tmp_path: Path, run: Make) -> None:
    inside = tmp_path / "run" / "in"
    photo = write_photo(inside / "a.jpg")
    for work in ("upscale", "enhance"):
        for one in finished(carried_out(run([photo], work, format="avif"))):
            assert one.error is None
            assert one.lines
            assert str(tmp_path) not in " ".join(one.lines)
    strict = replace(run([photo], "restore"), options=FolderOptions(format="png"))
    files = FileOptions(max_pixels=100)
    step = replace(strict.step, operation=Restore(files=files))
    (one,) = finished(carried_out(replace(strict, step=step)))
    assert one.error is not None
    assert one.error.startswith("a.jpg has 48 x 32 pixels")
