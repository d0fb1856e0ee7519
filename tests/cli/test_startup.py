"""A start without the parts of torch that pictures do not need."""

import subprocess
import sys

import pytest

from pixperts.cli import app, startup

_TRY = """
import sys
from pixperts.cli.startup import POSTPONED, postpone
postpone()
import torch
assert "torch._prims" not in sys.modules, "nothing was postponed"
assert all(name in sys.modules for name in POSTPONED)
layer = torch.nn.Conv2d(3, 4, 3)
picture = torch.rand(1, 3, 8, 8)
first = layer(picture)
{use}
assert "torch._prims" in sys.modules, "what was postponed never came"
assert not any(type(finder).__module__ == "pixperts.cli.startup" for finder in sys.meta_path)
assert torch.equal(first, second), "another result"
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "use",
    [
        "second = torch.export.export(layer, (picture,)).module()(picture)",
        "second = torch.compile(layer, backend='aot_eager')(picture)",
    ],
)
def test_what_was_postponed_comes_when_it_is_used(use: str) -> None:
    line = [sys.executable, "-W", "ignore", "-c", _TRY.format(use=use)]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_nothing_is_postponed_where_torch_is_imported_already() -> None:
    before = list(sys.meta_path)
    startup.postpone()
    assert sys.meta_path == before


@pytest.mark.parametrize(
    ("line", "expected"),
    [(["upscale", "--help"], 1), (["train", "--help"], 0), (["--help"], 0), ([], 0)],
)
def test_only_commands_for_pictures_postpone(
    line: list[str], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[None] = []
    monkeypatch.setattr(app, "postpone", lambda: calls.append(None))
    app.main(line)
    assert len(calls) == expected
