"""The service as a whole: its bytes, its load, and how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

import serve as benchmark
from pixperts.cli.app import main
from pixperts.inference.options import UpscaleModelOptions
from pixperts.io.image import read_image
from pixperts.serve import server
from pixperts.serve.options import ServeOptions
from pixperts.serve.server import running
from tests.helpers import gated_work
from tests.helpers.command_line import picture
from tests.helpers.gated_service import Gated, wait_until
from tests.helpers.http import later, send
from tests.helpers.photo_files import write_photo

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def address(files: dict[str, Path]) -> Iterator[str]:
    """A service that offers two small models."""
    options = ServeOptions(
        port=0, quiet=True, queue=3, model=[str(path) for path in files.values()]
    )
    with running(options, UpscaleModelOptions(device="cpu")) as found:
        yield found


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("/upscale?model=tiny&scale=1.5&budget=0.5", ["upscale", "-s", "1.5", "--budget", "0.5"]),
        ("/restore?model=mini&strength=0.8", ["restore", "--strength", "0.8"]),
        (
            "/enhance?model=tiny&restore_model=mini&scale=1.5&jpeg=1",
            ["enhance", "-s", "1.5", "--jpeg", "1", "--restore-model", "mini"],
        ),
        ("/upscale?model=tiny&format=avif&quality=70", ["upscale", "--quality", "70"]),
    ],
)
def test_the_answer_is_the_file_of_the_command_line(
    address: str, files: dict[str, Path], tmp_path: Path, path: str, command: list[str]
) -> None:
    photo = write_photo(tmp_path / "a.jpg")
    kind = "avif" if "avif" in path else "jpeg"
    own = tmp_path / f"own.{kind}"
    names = {"tiny": files["upscale"], "mini": files["restore"]}
    command = [str(names.get(word, word)) for word in command]
    model = "mini" if command[0] == "restore" else "tiny"
    loading = ["-m", str(names[model]), "--device", "cpu"]
    assert main([*command, str(photo), *loading, "-q", "-o", str(own)]) == 0
    answer = send(address, path, photo.read_bytes())
    assert answer.code == 200, answer.body
    assert answer.headers["content-type"] == f"image/{kind}"
    assert answer.body == own.read_bytes()
    metadata = read_image(own).metadata
    assert metadata.exif is not None
    assert metadata.icc is not None
    report = json.loads(answer.headers["pixperts-report"])
    assert report["model"] == ("mini+tiny" if command[0] == "enhance" else model)
    assert report["input"] == "picture.jpg"


def test_load_loses_nothing_and_memory_stays_flat(address: str, tmp_path: Path) -> None:
    pictures = benchmark.parts_of(ROOT / "examples", 24, 4, tmp_path)
    path = "/upscale?model=tiny&scale=1.5"
    benchmark.load(address, path, pictures, 6, 20, longest_wait=0.05)  # warm up
    result = benchmark.load(address, path, pictures, 6, 60, longest_wait=0.05)
    assert (result.sent, result.done, result.lost) == (60, 60, 0), result.failed
    assert result.different == 0
    assert result.refused > 0  # six clients, and places for four
    assert result.without_hint == 0
    for held in zip(*result.memory, strict=True):  # of the server, and of its worker
        assert max(held) - held[0] < 16e6, held


@contextmanager
def command(temporary: Path) -> Iterator[tuple[Gated, "subprocess.Popen[str]"]]:
    """`pixperts serve` in a process of its own, with gated work."""
    gate = temporary / "open"
    environment = {**os.environ, "TMPDIR": str(temporary), gated_work.VARIABLE: str(gate)}
    environment["PYTHONPATH"] = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
    code = (
        "import sys; from pixperts.serve import pool; from tests.helpers import gated_work; "
        "pool.carry_out = gated_work.carry_out; from pixperts.cli.app import main; "
        "sys.exit(main(['serve', '--port', '0', '--queue', '1']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, process_group=0,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            (address,) = re.findall(r"http://\S+", process.stdout.readline())
            yield Gated(address, gate, temporary), process
        finally:
            process.kill()


def refuses(service: Gated) -> bool:
    try:
        service.send("/health")
    except OSError:
        return True
    return False


def test_it_ends_when_its_work_is_finished(tmp_path: Path) -> None:
    photo = picture(tmp_path / "a.png").read_bytes()
    with command(tmp_path) as (service, process), ThreadPoolExecutor(2) as threads:
        inside = [later(threads, service.address, "/restore", photo) for _ in range(2)]
        wait_until(lambda: service.health() == (1, 1))
        os.killpg(process.pid, signal.SIGTERM)  # also to its workers, as a supervisor does
        wait_until(lambda: refuses(service))
        assert process.poll() is None
        service.open()
        assert [(one.result().code, one.result().body) for one in inside] == [(200, photo)] * 2
        assert process.wait(60) == 0
        assert process.stderr is not None
        lines = process.stderr.read().splitlines()
        assert [line.rpartition(" ")[0][:12] for line in lines] == ["restore 200 "] * 2
        assert service.folders() == []
        assert list(tmp_path.glob("pixperts-serve-*")) == []


def test_it_ends_while_it_starts(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    environment["PYTHONPATH"] = str(ROOT / "src")
    arguments = [sys.executable, "-m", "pixperts", "serve", "--port", "0"]
    with subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE) as process:
        wait_until(lambda: list(tmp_path.glob("pixperts-serve-*")) != [])
        process.terminate()
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert list(tmp_path.glob("pixperts-serve-*")) == []


def test_a_second_signal_does_not_cut_the_end_short(monkeypatch: pytest.MonkeyPatch) -> None:
    removed = []

    @contextmanager
    def prepared(*_: object) -> Iterator[None]:
        try:
            signal.raise_signal(signal.SIGTERM)
            yield
        finally:
            signal.raise_signal(signal.SIGINT)
            removed.append("temporary files")

    monkeypatch.setattr(server, "_prepared", prepared)
    with pytest.raises(SystemExit):
        server.serve(ServeOptions(port=0))
    assert removed == ["temporary files"]
