"""What the command line shows while it works."""

import io
import json
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pixperts.cli import progress
from pixperts.cli.progress import ProgressBar
from tests.helpers.command_line import picture


def test_the_bar_goes_by_pixels_and_never_back() -> None:
    bar = ProgressBar([100, 0, 300], visible=False)
    values = []
    for piece, share in [(0, 0.0), (0, 0.5), (0, 0.2), (0, 1.0), (1, 0.5), (2, 0.5), (2, 1.0)]:
        bar.update(piece, share)
        values.append(bar.value)
    assert values == [0.0, 0.125, 0.125, 0.25, 0.25, 0.625, 1.0]
    nothing = ProgressBar([0.0], visible=False)
    nothing.update(0, 1.0)
    assert nothing.value == 0.0


def test_lines_in_place_of_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr("pixperts.cli.progress.time.monotonic", lambda: now)
    with ProgressBar([3e6, 0, 1e6], visible=False, lines=True, pixels=True) as bar:
        bar.update(0, 0.1, "a.png")
        now += progress.PAUSE - 1
        bar.update(0, 0.2, "a.png")
        assert capsys.readouterr().err == ""
        now += 1
        bar.update(0, 1 / 3, "a.png")
        bar.update(0, 0.4, "a.png")
        assert capsys.readouterr().err == "1 of 3 a.png, 25%, 0.10 MP/s, about 30 s left\n"
        now += progress.PAUSE - 1
        bar.say("something")  # a line is a sign of life
        now += 1
        bar.update(2, 0.5, "c.png")
        assert capsys.readouterr().err == "something\n"
        now += 1000
        bar.update(2, 0.5, "c.png")
        assert capsys.readouterr().err == "3 of 3 c.png, 88%, 0.00 MP/s, about 2.4 min left\n"


class Listening(io.StringIO):
    """A pipe that says when a line came."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = threading.Event()

    def write(self, text: str) -> int:
        written = super().write(text)
        self.heard.set()
        return written

    def next_line(self) -> str:
        """The last line so far, once another one has come."""
        assert self.heard.wait(60)
        self.heard.clear()
        return self.getvalue().splitlines()[-1]


def test_lines_come_while_no_tile_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """One large picture: nothing moves for minutes, and there is no terminal."""
    monkeypatch.setattr(progress, "PAUSE", 0.01)
    pipe = Listening()
    monkeypatch.setattr(sys, "stderr", pipe)
    with ProgressBar([2e6], visible=False, lines=True, pixels=True) as bar:
        assert re.fullmatch(r"1 of 1, 0%, \d+ s so far", pipe.next_line())
        bar.update(0, 0.0, "a.png")
        pipe.heard.clear()
        while not pipe.next_line().startswith("1 of 1 a.png, 0%, "):
            pass
        bar.update(0, 1.0)
        while not pipe.next_line().endswith(" MP/s, being written"):
            pass
    talking = [one for one in threading.enumerate() if one.name.startswith("pixperts-progress")]
    for thread in talking:
        thread.join(60)
        assert not thread.is_alive()


def test_no_lines_where_none_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PAUSE", 0.0)
    pipe = Listening()
    monkeypatch.setattr(sys, "stderr", pipe)
    before = threading.active_count()
    with ProgressBar([1.0], visible=False) as bar:
        bar.update(0, 0.5, "a.png")
        assert threading.active_count() == before
    assert pipe.getvalue() == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_a_bar_that_rises(
    tmp_path: Path, upscale: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    real = ProgressBar.update

    def watch(self: ProgressBar, piece: int, share: float, label: str | None = None) -> None:
        real(self, piece, share, label)
        seen.append(self.value)

    monkeypatch.setattr(ProgressBar, "update", watch)
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    folder = tmp_path / "in"
    picture(folder / "a.png", 8, 10)
    (folder / "b.png").write_text("words")
    picture(folder / "c.png", 24, 10)
    assert upscale(folder, "-o", tmp_path / "out", "-s", 2) == 1
    assert seen == sorted(seen)
    assert seen[0] == 0.0
    assert seen[-1] == 1.0
    assert 0.25 in seen  # a.png has a quarter of the pixels, the broken b.png none
    first = min(value for value in seen if value > 0)
    assert first <= 0.25
    text = screen.getvalue()
    assert "%" in text
    assert "c.png: 10 x 24 -> 20 x 48" in text
    assert "MP/s" in text


def test_no_bar_with_json(
    tmp_path: Path,
    upscale: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    source = picture(tmp_path / "a.png")
    assert upscale(source, "-o", tmp_path / "b.png", "-s", 2, "--json") == 0
    assert screen.getvalue() == ""
    assert json.loads(capsys.readouterr().out)["new_width"] == 20
