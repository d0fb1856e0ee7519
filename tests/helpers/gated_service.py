"""The service with work that ends when a test says so; see `gated_work`."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pixperts.serve import pool
from pixperts.serve.options import ServeOptions
from pixperts.serve.server import running
from tests.helpers import gated_work
from tests.helpers.http import PATIENCE, Answer, send


@dataclass(frozen=True)
class Gated:
    """A service that is running."""

    address: str
    gate: Path
    temporary: Path

    def send(self, path: str, body: Any = None, **more: Any) -> Answer:
        """One request."""
        return send(self.address, path, body, **more)

    def open(self) -> None:
        """Let all pictures be finished, also those to come."""
        self.gate.touch()

    def close(self) -> None:
        """Let pictures wait."""
        self.gate.unlink(missing_ok=True)

    def health(self) -> tuple[int, int]:
        """Pictures that are worked on, and requests that wait."""
        found = json.loads(self.send("/health").body)
        return found["working"], found["waiting"]

    def metric(self, name: str) -> float:
        """A figure of /metrics."""
        lines = self.send("/metrics").body.decode().splitlines()
        (value,) = [line.split()[1] for line in lines if line.split()[0] == name]
        return float(value)

    def folders(self) -> list[Path]:
        """Of requests that are not over."""
        return list(self.temporary.glob("pixperts-serve-*/runs/*"))


@contextlib.contextmanager
def gated(temporary: Path, **options: Any) -> Iterator[Gated]:
    """A service in this process, on a free port."""
    with pytest.MonkeyPatch.context() as patch:
        gate = temporary / "open"
        patch.setenv(gated_work.VARIABLE, str(gate))
        patch.setattr(pool, "carry_out", gated_work.carry_out)
        patch.setattr("tempfile.tempdir", str(temporary))
        with running(ServeOptions(port=0, quiet=True, **options)) as address:
            yield Gated(address, gate, temporary)
    assert list(temporary.glob("pixperts-serve-*")) == []


def wait_until(met: Callable[[], bool]) -> None:
    """Wait for what comes about by itself."""
    end = time.monotonic() + PATIENCE
    while not met():
        assert time.monotonic() < end
        time.sleep(0.02)
