"""Memory: who decides what the allocator does with freed blocks."""

import subprocess
import sys

import pytest

from pixperts.cli import app

_FREED = """
import numpy as np
import psutil
import pixperts

pixperts.load("moeisr-tiny", device="cpu")
held = psutil.Process().memory_info().rss
large = np.ones(200_000_000, np.uint8)
assert psutil.Process().memory_info().rss - held > 150e6
del large
print(psutil.Process().memory_info().rss - held)
"""


def test_a_program_that_loads_a_model_still_returns_its_own_memory() -> None:
    done = subprocess.run([sys.executable, "-c", _FREED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 50e6


def test_the_command_line_keeps_freed_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bool] = []
    monkeypatch.setattr(app, "keep_freed_memory", lambda: calls.append(True))
    assert app.main(["--version"]) == 0
    assert calls == [True]
