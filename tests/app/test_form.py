"""The form is made from the command line's options, and gives the same operations."""

from dataclasses import dataclass

import pytest

from pixperts.app.form import (
    all_fields,
    folder_options_of,
    size_of,
    step_of,
)
from pixperts.app.texts import WORDS
from pixperts.background.fields import fields_of
from pixperts.defaults import DEFAULT_ENHANCE_MODEL
from pixperts.errors import UsageError
from pixperts.inference.size_request import SizeRequest
from pixperts.jobs.enhance import Enhance
from pixperts.jobs.operations import Restore, Upscale
from pixperts.jobs.options import FileOptions, FolderOptions, RestoreOptions, UpscaleOptions
from pixperts.options import option, options_of

LIMIT = 1000


def test_every_option_of_the_two_operations_has_a_field() -> None:
    wanted = {*options_of(RestoreOptions), *options_of(UpscaleOptions), *options_of(FileOptions)}
    assert wanted - {"max_pixels"} <= {one.key for one in all_fields()}


def test_every_field_has_words_of_the_page() -> None:
    assert {one.key for one in all_fields()} == set(WORDS)


def test_a_new_option_gets_a_control_that_fits_it() -> None:
    @dataclass(frozen=True)
    class Group:
        amount: float = option(0.5, "How much.", low=0, high=1)
        level: float | None = option(None, "A level, found out if unset.", low=0, high=75)
        way: str = option("a", "Which way.", choices=("a", "b"))
        exact: bool = option(False, "Whether.")

    fields = fields_of(Group)
    assert [one.kind for one in fields] == ["slider", "text", "choice", "switch"]
    assert [one.value("") for one in fields] == [0.5, None, "a", False]
    assert fields[1].value("12.5") == 12.5
    assert fields[1].info == "A level, found out if unset. (0 to 75)"
    with pytest.raises(UsageError, match="level is 80, but must be between 0 and 75"):
        fields[1].value(80)
    with pytest.raises(UsageError, match="level: 'much' is not a number"):
        fields[1].value("much")


def test_what_was_filled_in_becomes_the_operations_of_the_command_line() -> None:
    given = {"strength": 0.5, "budget": "0.25", "size": "2.5x", "quality": "90", "format": ""}
    files = FileOptions(quality=90, max_pixels=LIMIT)
    repair, enlarge, both = (step_of(work, given, LIMIT) for work in ("repair", "enlarge", "both"))
    size = SizeRequest(scale=2.5)
    assert repair.operation == Restore(strength=0.5, files=files)
    assert enlarge.operation == Upscale(size=size, budget=0.25, files=files)
    assert both.operation == Enhance(size=size, strength=0.5, budget=0.25, files=files)
    assert (repair.model, enlarge.model, both.model) == (
        "moce-ir-light", "moeisr-photo", DEFAULT_ENHANCE_MODEL,
    )  # fmt: skip
    models = {"repair_model": "mine", "enlarge_model": "yours"}
    assert step_of("repair", models, 1).model == "mine"
    both = step_of("both", models, 1)
    assert isinstance(both.operation, Enhance)
    assert (both.operation.restore_model, both.model) == ("mine", "yours")
    both = step_of("both", {"enlarge_model": "yours"}, 1)
    assert isinstance(both.operation, Enhance)
    assert (both.operation.restore_model, both.model) == ("moce-ir-light", "yours")
    assert folder_options_of({"format": "png", "name": ""}) == FolderOptions(format="png")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, SizeRequest(scale=2.0)),
        ({"size_by": "size", "size": "640x480"}, SizeRequest(size=(640, 480))),
        ({"size_by": "long_side", "size": 640.0}, SizeRequest(long_side=640)),
        ({"size_by": "megapixels", "size": "12"}, SizeRequest(megapixels=12)),
        ({"size": "3", "only_enlarge": True}, SizeRequest(scale=3, only_enlarge=True)),
    ],
)
def test_sizes(given: dict[str, object], expected: SizeRequest) -> None:
    assert size_of(given) == expected


@pytest.mark.parametrize(
    ("work", "given", "words"),
    [
        ("paint", {}, "use both, repair, enlarge"),
        ("enlarge", {"size_by": "area", "size": "2"}, "cannot be given as 'area'"),
        ("enlarge", {"size_by": "width", "size": ""}, "width is empty"),
        ("enlarge", {"size_by": "width", "size": "2.5"}, "not a whole number"),
        ("enlarge", {"size": "-1"}, "scale must be a positive"),
        ("repair", {"strength": 2}, "strength is 2, but must be between 0 and 1"),
        ("repair", {"color": "pink"}, "color is 'pink'"),
        ("repair", {"page": "0"}, "page"),
    ],
)
def test_what_makes_no_sense_gets_a_sentence(
    work: str, given: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        step_of(work, given, LIMIT)


def test_no_name_leads_out_of_the_folder() -> None:
    with pytest.raises(UsageError, match="slash"):
        folder_options_of({"name": "../{stem}"})
