"""Where the service may be reached, and what its options refuse."""

import socket

import pytest

from pixperts.cli.app import main
from pixperts.errors import MissingExtraError, UsageError
from pixperts.serve import server
from pixperts.serve.options import VARIABLE, ServeOptions
from pixperts.serve.server import running
from tests.helpers.command_line import one_sentence

TOKEN = "0123456789abcdef"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org"])
def test_other_addresses_require_a_token(host: str) -> None:
    with pytest.raises(UsageError, match=f"host={host!r} admits other computers: set {VARIABLE}"):
        ServeOptions(host=host).check_access()
    ServeOptions(host=host, token=TOKEN).check_access()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_this_machine_requires_none(host: str) -> None:
    ServeOptions(host=host).check_access()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "admits other computers"),
        (["--token", "secret"], "takes at least 16 letters, digits"),
        (["--token", "0123456789 abcdef"], "takes at least 16 letters, digits"),
        (["--port", "70000"], "--port is 70000, but must be between 0 and 65535"),
        (["--max-upload", "much"], "not an amount of memory"),
        (["--queue", "-1"], "--queue is -1, but must be at least 0"),
        (["--workers", "0"], "--workers is 0, but must be at least 1"),
        (["--timeout", "0.5"], "--timeout is 0.5, but must be between 1 and 86400"),
        (["--tile", "wide"], "--tile is 'wide', but must be auto or a number"),
    ],
)
def test_wrong_options_get_one_sentence(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert main(["serve", *arguments]) == 2
    assert words in one_sentence(capsys)


def test_the_environment_may_hold_the_token(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    taken: list[ServeOptions] = []
    monkeypatch.setattr(server, "serve", lambda options, _: taken.append(options))
    monkeypatch.setenv(VARIABLE, TOKEN)
    assert main(["serve", "--host", "0.0.0.0"]) == 0
    assert main(["serve", "--token", TOKEN * 2]) == 0
    assert [options.token for options in taken] == [TOKEN, TOKEN * 2]
    monkeypatch.setenv(VARIABLE, "short")
    assert main(["serve"]) == 2
    assert VARIABLE in one_sentence(capsys)


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_its_libraries_the_extra_is_named(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server, "find_spec", lambda name: None if name == missing else object())
    with pytest.raises(MissingExtraError), running(ServeOptions(port=0)):
        pass
    assert main(["serve", "--port", "0"]) == 2
    assert one_sentence(capsys) == "The service needs an extra: pip install 'pixperts[serve]'."


def test_a_port_that_is_taken_is_refused_before_anything_starts() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port={port}"), running(ServeOptions(port=port)):
            pass


def test_two_models_of_one_name_are_refused() -> None:
    options = ServeOptions(port=0, model=["/mine/moeisr-photo.safetensors"])
    with pytest.raises(UsageError, match="'moeisr-photo' already: rename it"), running(options):
        pass


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_ends_the_start(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["serve", "--port", "0", "--model", "/nowhere/mine.safetensors"]) == 1
    assert "/nowhere/mine.safetensors" in one_sentence(capsys)
