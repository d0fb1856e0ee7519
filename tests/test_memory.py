"""Memory: what is free and held, and who decides what the allocator does with freed blocks."""

import mmap
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from pixperts.cli import app
from pixperts.errors import UsageError, is_out_of_memory
from pixperts.memory import available_memory, check_memory, resident_memory

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


@pytest.mark.slow
def test_a_program_that_loads_a_model_still_returns_its_own_memory() -> None:
    done = subprocess.run([sys.executable, "-c", _FREED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 50e6


def test_the_command_line_keeps_freed_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bool] = []
    monkeypatch.setattr(app, "keep_freed_memory", lambda: calls.append(True))
    assert app.main(["--version"]) == 0
    assert calls == [True]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (None, 8_192_000),
        (("max\n", "5\n", "inactive_file 1\n"), 8_192_000),
        (("99000000\n", "5\n", "inactive_file 1\n"), 8_192_000),
        (("5000000\n", "3000000\n", "anon 7\ninactive_file 1000000\n"), 3_000_000),
        (("5000000\n", "6000000\n", "anon 7\n"), 0),
    ],
)
def test_what_is_free_is_bounded_by_the_limit_of_a_container(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limits: tuple[str, str, str] | None,
    expected: int,
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=8_192_000))
    for name, text in zip(
        ("memory.max", "memory.current", "memory.stat"), limits or (), strict=False
    ):
        (tmp_path / name).write_text(text)
    assert available_memory(tmp_path) == expected


def test_what_is_free_here() -> None:
    assert 0 <= available_memory() <= psutil.virtual_memory().total


def test_what_this_process_holds() -> None:
    """Asked of the system, as the allocator may have kept what an earlier test freed."""
    before, size = resident_memory(), 100_000_000
    with mmap.mmap(-1, size) as pages:
        pages.write(bytes(1) * size)
        held = resident_memory() - before
    assert held > 0.5 * size


def test_a_result_beyond_the_memory_counts_as_missing_memory() -> None:
    with pytest.raises(UsageError, match="smaller size") as caught:
        check_memory(1000, 1000, available=1)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(UsageError("max_memory is -1, but must be above 0 bytes."))
