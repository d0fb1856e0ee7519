"""What a working process does gives the files and the sentences of the command line."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pixperts.background.events import Ended, Event, Failed, Finished
from pixperts.background.orders import Prepare, Run, Step
from pixperts.cli.app import main
from pixperts.errors import WriteError
from pixperts.inference.options import UpscaleModelOptions
from pixperts.inference.size_request import SizeRequest
from pixperts.io.image import write_image
from pixperts.jobs.operations import Restore, Upscale
from pixperts.jobs.options import FileOptions, FolderOptions
from pixperts.serve.work import carry_out
from tests.helpers.command_line import one_sentence, picture
from tests.helpers.photo_files import write_photo

LOADING = UpscaleModelOptions(device="cpu")


@pytest.fixture
def order(tmp_path: Path, files: dict[str, Path]) -> Callable[..., Run]:
    def make(path: Path, work: str = "restore", **file_options: object) -> Run:
        options = FileOptions(**file_options)  # type: ignore[arg-type]
        operation = (
            Upscale(size=SizeRequest(scale=1.5), budget=0.5, files=options)
            if work == "upscale"
            else Restore(strength=0.8, files=options)
        )
        step = Step(operation, str(files[work]), LOADING)
        return Run((str(path),), str(tmp_path), step, FolderOptions(workers=0), 10**6)

    return make


def outcome(order: Run | Prepare) -> Finished | Failed:
    events: list[Event] = []
    carry_out(order, events.append)
    assert sum(isinstance(event, Ended | Failed) for event in events) == 1
    (found,) = [event for event in events if isinstance(event, Finished | Failed)]
    return found


@pytest.mark.parametrize("work", ["upscale", "restore"])
def test_the_file_is_that_of_the_command_line(
    work: str, tmp_path: Path, order: Callable[..., Run], files: dict[str, Path]
) -> None:
    photo = write_photo(tmp_path / "a.jpg")
    own = tmp_path / "own.jpg"
    options = {"upscale": ["-s", "1.5", "--budget", "0.5"], "restore": ["--strength", "0.8"]}
    model = ["-m", str(files[work]), "--device", "cpu"]
    assert main([work, str(photo), *model, *options[work], "-q", "-o", str(own)]) == 0
    done = outcome(order(photo, work))
    assert isinstance(done, Finished)
    assert done.output is not None
    assert Path(done.output).read_bytes() == own.read_bytes()
    report = done.report
    assert report is not None
    assert report["input"] == "a.jpg"
    assert report["output"] == Path(done.output).name
    assert done.chart is None


def test_a_bad_file_gets_the_sentence_of_the_command_line(
    tmp_path: Path,
    order: Callable[..., Run],
    files: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = picture(tmp_path / "cut.png", 64, 64).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    failed = outcome(order(tmp_path / "cut.png"))
    monkeypatch.chdir(tmp_path)
    assert main(["restore", "cut.png", "-m", str(files["restore"])]) == 1
    assert failed.error == one_sentence(capsys)
    assert failed.fault == "picture"


def test_sizes_are_refused_by_the_header(tmp_path: Path, order: Callable[..., Run]) -> None:
    photo = picture(tmp_path / "a.png", 40, 50)
    failed = outcome(order(photo, max_pixels=1999))
    assert failed.error is not None
    assert failed.error.startswith("a.png has 50 x 40 pixels, over the limit of 1999")
    assert failed.fault == "size"
    assert outcome(order(photo, max_pixels=2000)).error is None
    failed = outcome(replace(order(photo, "upscale"), max_result_pixels=4499))
    assert failed.error is not None
    assert "a.png would become 75 x 60 pixels, over this service's limit of 4499" in failed.error
    assert failed.fault == "request"


def test_the_limit_of_results_looks_at_the_page_that_is_taken(
    tmp_path: Path, order: Callable[..., Run]
) -> None:
    from PIL import Image

    pages = [Image.fromarray(np.zeros((side, side, 3), np.uint8)) for side in (8, 40)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    limited = replace(order(tmp_path / "a.tif", "upscale", page=2), max_result_pixels=1000)
    failed = outcome(limited)
    assert failed.error is not None
    assert "a.tif would become 60 x 60 pixels" in failed.error


def test_faults_are_told_apart(
    tmp_path: Path, order: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    run = order(tmp_path / "a.png", quality=50)
    assert (outcome(run).fault, "quality does not apply" in str(outcome(run).error)) == (
        "request",
        True,
    )
    run = order(tmp_path / "a.png")
    for error, fault in (
        (MemoryError(), "size"),
        (OSError(28, "No space left on device"), "server"),
        (WriteError("a.png could not be written"), "server"),
        (ZeroDivisionError("?"), "server"),
    ):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr("pixperts.jobs.operations.Restore.apply", fail)
        failed = outcome(run)
        assert failed.fault == fault, error
        assert str(tmp_path) not in str(failed.error)


def test_models_are_loaded_beforehand(files: dict[str, Path], tmp_path: Path) -> None:
    events: list[Event] = []
    carry_out(Prepare((str(files["restore"]),), LOADING), events.append)
    assert events == [Ended()]
    failed = outcome(Prepare((str(tmp_path / "none.safetensors"),), LOADING))
    assert "none.safetensors" in str(failed.error)
