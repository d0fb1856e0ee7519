"""Names of outputs from templates."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixperts.errors import UsageError
from pixperts.io.formats import SUFFIXES
from pixperts.jobs.names import FIELDS, Template, Value

VALUES: Mapping[str, Callable[[], Value]] = {
    "model": lambda: "tiny",
    "scale": lambda: "2.5",
    "width": lambda: 400,
    "height": lambda: 30,
    "index": lambda: 7,
}


@pytest.mark.parametrize(
    ("text", "format", "source", "name"),
    [
        ("{stem}", None, "in/a.jpg", "a.jpg"),
        ("{stem}", "png", "in/a.jpg", "a.png"),
        ("{stem}", "jpeg", "in/a.png", "a.jpg"),
        ("{stem}", "jpg", "in/a.JPEG", "a.JPEG"),  # is one already
        ("{stem}", "tif", "in/a.png", "a.tif"),
        ("{stem}_{model}_x{scale}", None, "in/a.b.jpg", "a.b_tiny_x2.5.jpg"),
        ("{stem}_{width}x{height}", None, "a.png", "a_400x30.png"),
        ("{stem}.png", None, "a.jpg", "a.png"),
        ("{stem}.png", "png", "a.jpg", "a.png"),
        ("{stem}.v2", None, "a.jpg", "a.v2.jpg"),
        ("{name}", None, "a.jpg", "a.jpg"),
        ("{name}", "png", "a.jpg", "a.jpg.png"),
        ("{stem}-big{suffix}", None, "a.JPG", "a-big.JPG"),
        ("{stem}-big.{ext}", None, "a.JPG", "a-big.JPG"),
        ("{stem}_{ext}", "png", "a.jpg", "a_jpg.png"),
        ("{index:04}", None, "a.jpg", "0007.jpg"),
        ("{index:3d}", None, "a.jpg", "  7.jpg"),
        ("{{{stem}}}", None, "a.jpg", "{a}.jpg"),
        ("{stem}", None, "no-ending", "no-ending"),
        ("{stem}", "png", "no-ending", "no-ending.png"),
        ("{stem}", None, "x.jpg.png", "x.jpg.png"),  # a stem proves nothing
        ("{stem}", "webp", "x.jpg.png", "x.jpg.webp"),
        ("all", None, "a.jpg", "all.jpg"),
    ],
)
def test_names(text: str, format: str | None, source: str, name: str) -> None:  # noqa: A002
    assert Template(text, format).render(Path(source), VALUES) == name


@pytest.mark.parametrize(
    ("text", "format", "reason"),
    [
        ("", None, "is empty"),
        ("{artist}", None, f"unknown field {{artist}}: use {', '.join(FIELDS)}."),
        ("{}", None, "unknown field {}"),
        ("{0}", None, "unknown field {0}"),
        ("{stem.upper}", None, "unknown field {stem.upper}"),
        ("{stem[0]}", None, "unknown field {stem[0]}"),
        ("{stem!r}", None, "unknown field {stem!...}"),
        ("{stem:04}", None, "unknown format '04'"),
        ("{index:x}", None, "unknown format 'x'"),
        ("{index:{width}}", None, "unknown format"),
        ("{index:999999999}", None, "unknown format"),
        ("{stem", None, "is not a template"),
        ("stem}", None, "is not a template"),
        ("sub/{stem}", None, "holds a slash"),
        ("../{stem}", None, "holds a slash"),
        ("/{stem}", None, "holds a slash"),
        ("{stem}\0", None, "holds a null byte"),
        ("{stem}.jpg", "png", "contradict each other"),
        ("{stem}", "gifv", "format is 'gifv', which is unknown: use one of jpeg, png"),
    ],
)
def test_templates_that_make_no_sense(text: str, format: str | None, reason: str) -> None:  # noqa: A002
    with pytest.raises(UsageError) as caught:
        Template(text, format)
    assert reason in str(caught.value)


@pytest.mark.parametrize("value", ["../b", "a/b", "a\0b", "/etc/x"])
def test_values_cannot_leave_the_folder(value: str) -> None:
    with pytest.raises(UsageError, match="is not a file name"):
        Template("{model}").render(Path("a.png"), {**VALUES, "model": lambda: value})


@pytest.mark.parametrize(("text", "value"), [("{model}", ".."), ("{model}", "."), ("{model}", "")])
def test_names_that_are_folders_or_nothing(text: str, value: str) -> None:
    with pytest.raises(UsageError, match="is not a file name"):
        Template(text).render(Path("no-ending"), {"model": lambda: value})


@pytest.mark.parametrize("text", [".png", "..png", "...JPG", ".{ext}"])
def test_names_that_are_an_ending_alone(text: str) -> None:
    with pytest.raises(UsageError, match="an ending without a name"):
        Template(text).render(Path("a.jpg"), VALUES)


@given(
    text=st.lists(st.sampled_from([f"{{{f}}}" for f in FIELDS] + [".", "..", "-", "a", ".png"]))
    .map("".join)
    .filter(bool),
    stem=st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=9),
    suffix=st.sampled_from(["", ".dat", *SUFFIXES, ".JPG"]),
    model=st.text(max_size=9),
    wanted=st.sampled_from([None, "png", "jpeg", "tif"]),
)
@pytest.mark.slow
def test_any_name_stays_in_its_folder_and_has_the_wanted_ending(
    text: str, stem: str, suffix: str, model: str, wanted: str | None
) -> None:
    source = Path("in", stem + suffix)
    try:
        template = Template(text, wanted)
        name = template.render(source, {**VALUES, "model": lambda: model})
    except UsageError:
        return
    target = Path("out") / name
    assert target.parent == Path("out")
    assert target.name == name
    if wanted is not None:
        kind = {"tif": "tiff"}.get(wanted, wanted)
        assert SUFFIXES[Path(name).suffix.lower()] == kind
