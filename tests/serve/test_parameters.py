"""A query is understood as the command line is."""

from dataclasses import fields

import pytest

from pixperts.defaults import DEFAULT_ENHANCE_MODEL
from pixperts.errors import UsageError
from pixperts.inference.size_request import SizeRequest
from pixperts.jobs.enhance import Enhance
from pixperts.jobs.operations import Restore, Upscale
from pixperts.jobs.options import EnhanceOptions, FileOptions, RestoreOptions, UpscaleOptions
from pixperts.options import options_of
from pixperts.serve.parameters import ENHANCE, RESTORE, UPSCALE, Wanted, fields_for, wanted

LIMIT = 1000


def read(name: str, **query: str) -> Wanted:
    return wanted(name, query.items(), LIMIT, 5e9)


def test_every_option_of_the_commands_is_a_parameter() -> None:
    own = {"max_pixels"}  # of the service
    files = {*options_of(FileOptions)} - own
    assert {*options_of(RestoreOptions), *files} <= fields_for(RESTORE).keys()
    size = {one.name for one in fields(SizeRequest)}
    assert {*options_of(UpscaleOptions), *files, *size} <= fields_for(UPSCALE).keys()
    assert {*options_of(EnhanceOptions), *files, *size} <= fields_for(ENHANCE).keys()


def test_a_query_becomes_the_operation_of_the_command_line() -> None:
    files = FileOptions(quality=90, strict=True, page=2, max_pixels=LIMIT, max_memory=5e9)
    found = read(UPSCALE, scale="2.5x", budget="0.25", quality="90", strict="", page="2")
    assert found.operation == Upscale(size=SizeRequest(scale=2.5), budget=0.25, files=files)
    assert (found.model, found.options.format, found.filename) == ("moeisr-photo", None, None)
    found = read(RESTORE, denoise="0.5", tone="off", lossless="no", model="mine", format="png")
    files = FileOptions(max_pixels=LIMIT, max_memory=5e9)
    assert found.operation == Restore(denoise=0.5, tone="off", files=files)
    assert (found.model, found.options.format) == ("mine", "png")
    found = read(ENHANCE, jpeg="0.5", width="9", restore_model="other")
    size = SizeRequest(width=9)
    assert found.operation == Enhance(jpeg=0.5, size=size, restore_model="other", files=files)
    assert found.model == DEFAULT_ENHANCE_MODEL


def test_nothing_is_the_default_and_the_last_one_counts() -> None:
    files = FileOptions(max_pixels=LIMIT, max_memory=None)
    assert wanted(RESTORE, [], LIMIT, None).operation == Restore(files=files)
    twice = [("long-side", "64"), ("long_side", "640")]
    operation = wanted(UPSCALE, twice, LIMIT, None).operation
    assert isinstance(operation, Upscale)
    assert operation.size == SizeRequest(long_side=640)


@pytest.mark.parametrize(
    ("name", "query", "words"),
    [
        (UPSCALE, {"skale": "2"}, "upscale has no option 'skale': did you mean scale?"),
        (RESTORE, {"scale": "2"}, "restore has no option 'scale'"),
        (UPSCALE, {"scale": "2", "width": "9"}, "scale and width contradict each other"),
        (UPSCALE, {"budget": "2"}, "budget is 2, but must be between 0 and 1"),
        (UPSCALE, {"width": "2.5"}, "width: '2.5' is not a whole number"),
        (RESTORE, {"color": "red"}, "color is 'red', but must be keep or srgb"),
        (RESTORE, {"strict": "perhaps"}, "strict takes true or false, not 'perhaps'"),
        (RESTORE, {"page": "all"}, "page='all' makes several files"),
        (RESTORE, {"format": "doc"}, "format is 'doc', which is unknown"),
        (RESTORE, {"filename": "a/b.MP4"}, "b.MP4 is a video: the service takes pictures"),
        (RESTORE, {"max_pixels": "9"}, "restore has no option 'max_pixels'"),
    ],
)
def test_mistakes_get_one_sentence(name: str, query: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("?", r"\?")) as found:
        read(name, **query)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("a b.jpg", "a b.jpg"), ("../../etc/a.png", "a.png"), ("C:\\b\\c.NEF", "c.NEF"), ("", None)],
)
def test_of_a_path_the_last_part_is_the_name(given: str, expected: str | None) -> None:
    assert read(RESTORE, filename=given).filename == expected


@pytest.mark.parametrize("given", ["..", "/", "a/..", "a\nb.jpg", "a\0.jpg", "ä" * 101])
def test_what_is_no_name_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="must be the name of a file"):
        read(RESTORE, filename=given)
