"""Commands that are made from functions and groups of options."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
from cyclopts import App

from pixperts.cli.app import COMMANDS, command_of, main
from pixperts.cli.commands import GROUPS, PANELS, REQUIRED, Command
from pixperts.errors import UsageError, naming_options
from pixperts.options import Option, option, parse_bytes
from tests.helpers.command_line import one_sentence


@dataclass(frozen=True)
class Inner:
    size: int | None = option(None, "Side.", low=1)
    words: list[str] | None = option(None, "Words.", flag="--word")


@dataclass(frozen=True)
class Outer:
    inner: Inner
    memory: int = option(7, "Memory.", parse=parse_bytes, shown="7")
    fast: bool = option(False, "Hurry.", also=("-f",))
    hidden: int = 3  # no option


seen: list[object] = []


def command(
    files: Annotated[list[Path], Option("Files.", positional=True, metavar="FILE")],
    *,
    group: Outer,
    output: Annotated[str, Option("Where.", also=("-o",))],
    share: Annotated[float, Option("Share.", low=0, high=1)] = 0.5,
) -> int:
    """Do it."""
    seen.append((files, group, output, share))
    return 3


def run(*tokens: str) -> object:
    app = App(
        result_action="return_value",
        group_arguments=GROUPS["Arguments"],
        group_parameters=GROUPS["Options"],
    )
    Command("do", command).add_to(app, 0)
    seen.clear()
    return app(["do", *tokens], exit_on_error=False, print_error=False)


def test_defaults_come_from_the_groups() -> None:
    assert run("a", "b", "-o", "c") == 3
    assert seen == [([Path("a"), Path("b")], Outer(Inner()), "c", 0.5)]


def test_values_reach_their_groups() -> None:
    run("a", "-fo", "c", "--size", "4", "--word", "x", "--word", "y", "--memory", "2K",
        "--share", "1")  # fmt: skip
    group = Outer(Inner(4, ["x", "y"]), memory=2000, fast=True)
    assert seen == [([Path("a")], group, "c", 1.0)]


def test_numbers_are_not_rounded() -> None:
    for size in ("2.5", "2.0", "two", ""):
        with pytest.raises(UsageError, match="is not a whole number"):
            run("a", "-o", "c", "--size", size)
    assert seen == []


def test_the_last_value_counts() -> None:
    run("a", "-o", "c", "--size", "4", "-o", "d", "--size=5")
    assert seen == [([Path("a")], Outer(Inner(5)), "d", 0.5)]


def test_bounds_are_checked_and_texts_name_their_option() -> None:
    sentence = r"^--share is 2, but must be between 0 and 1\.$"
    with naming_options(), pytest.raises(UsageError, match=sentence):  # as `main` does
        run("a", "-o", "c", "--share", "2")
    with pytest.raises(UsageError, match=r"^Invalid value for '--memory': 'much' is not an amount"):
        run("a", "-o", "c", "--memory", "much")
    assert seen == []


def test_usage_and_help() -> None:
    made = Command("do", command)
    assert made.usage == "pixperts do [OPTIONS] --output TEXT FILE..."
    assert made.summary == "Do it."
    entries = {entry.name: entry for entry in made.entries()}
    assert list(entries) == [
        "FILE", "--size", "--word", "--memory", "--fast", "--output", "--share",
    ]  # fmt: skip
    assert [entry.metavar for entry in entries.values()] == [
        "FILE", "INT", "TEXT", "INT", None, "TEXT", "NUMBER",
    ]  # fmt: skip
    assert entries["--size"].meaning == "Side. (at least 1)"
    assert entries["--memory"].default_text == "7"
    assert entries["--fast"].default_text is None
    assert entries["--output"].default is REQUIRED


def test_a_parameter_that_is_no_option_is_a_mistake_of_ours() -> None:
    def wrong(size: int) -> None: ...

    with pytest.raises(TypeError, match="size is neither an option nor a group"):
        Command("wrong", wrong).entries()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command(name: str) -> None:
    entries = command_of(name).entries()
    names = [name for entry in entries for name in (entry.name, *entry.option.also)]
    assert len(set(names)) == len(names)
    keys = [entry.key for entry in entries]
    assert len(set(keys)) == len(keys)
    for entry in entries:
        assert entry.panel in PANELS
        assert entry.option.summary.endswith("."), entry.name
        if entry.default is not REQUIRED:
            entry.option.check(entry.key, entry.default)
        if entry.option.parse is not None and entry.option.shown in {"auto", "256M"}:
            assert entry.option.parse(entry.option.shown) == entry.default


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("upscale a -o b --scael 2", "No such option '--scael': did you mean --scale?"),
        ("upscale a -o b --zzz=3", "No such option '--zzz': --help lists the options."),
        ("--zzz", "No such option '--zzz': --help lists the options."),
        ("upscal a", "No such command 'upscal': did you mean upscale?"),
        ("upscale -o b -s 2", "Missing argument 'INPUT'."),
        ("evaluate bicubic", "Missing argument 'DATA'."),
        ("upscale a -o b -s", "Option '--scale' requires a value."),
        ("upscale a -s 2 -o", "Option '--output' requires a value."),
        ("upscale a -o b --width 2.5", "Invalid value for '--width': '2.5' is not a whole number."),
        (
            "upscale a -o b -s two",
            "Invalid value for '--scale': 'two' is not a factor such as 2, 2.5, 2x or 250%.",
        ),
        ("models --json=3", "Option '--json' takes no value such as '3'."),
        ("models all", "Unexpected argument 'all': leave it out."),
    ],
)
def test_sentences(line: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    assert one_sentence(capsys) == sentence


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    text = capsys.readouterr().out
    places = [text.index(f" {name} ") for name in COMMANDS]
    assert places == sorted(places)  # as they are listed
