"""Where the page may be served, and what it refuses."""

import socket

import pytest

from pixperts.app.options import AppOptions
from pixperts.app.server import running
from pixperts.cli.app import main
from pixperts.errors import MissingExtraError, UsageError
from tests.helpers.command_line import one_sentence


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org"])
def test_other_addresses_require_a_password(host: str) -> None:
    with pytest.raises(UsageError, match="give auth, a name and a password"):
        AppOptions(host=host)
    assert AppOptions(host=host, auth=("me", "secret")).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_this_machine_requires_none(host: str) -> None:
    assert AppOptions(host=host).auth is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "--auth"),
        (["--auth", "me"], "--auth takes a name and a password"),
        (["--port", "70000"], "--port is 70000, but must be between 0 and 65535"),
        (["--max-upload", "much"], "not an amount of memory"),
        (["--queue", "0"], "--queue is 0, but must be at least 1"),
    ],
)
def test_wrong_options_get_one_sentence(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["app", *arguments]) == 2
    assert words in one_sentence(capsys)


def test_without_gradio_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError), running(AppOptions(port=0)):
        pass
    assert main(["app", "--no-browser"]) == 2
    assert one_sentence(capsys) == "The page needs an extra: pip install 'pixperts[app]'."


def test_a_port_that_is_taken_is_refused_before_anything_starts() -> None:
    pytest.importorskip("gradio", reason="needs the app extra")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port={port}"), running(AppOptions(port=port)):
            pass
