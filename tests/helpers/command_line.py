"""Command lines, their pictures and what they say, for the tests of commands."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import pixperts
from pixperts.io.image import write_image
from pixperts.models.moeisr.config import MoEISRConfig

SMALL: dict[str, Any] = {
    "encoder_options": {"channels": 8, "blocks": 1},
    "width": 8,
    "mapper_width": 8,
    "mapper_layers": 2,
}
MIXTURE = MoEISRConfig(**SMALL, depths=(0, 1), widths=(8, 8))
DENSE = MoEISRConfig(**SMALL, depths=(1,), widths=(8,))


class Stdin:
    """Standard input that holds these bytes."""

    def __init__(self, data: bytes, terminal: bool = False) -> None:
        self.buffer, self._terminal = io.BytesIO(data), terminal

    def isatty(self) -> bool:
        return self._terminal


def noise(height: int, width: int, channels: int = 3, dtype: Any = np.uint8) -> NDArray[Any]:
    top = 1 + int(np.iinfo(dtype).max)
    return np.random.default_rng(height).integers(0, top, (height, width, channels), dtype)


def picture(path: Path, height: int = 8, width: int = 10, channels: int = 3) -> Path:
    write_image(path, noise(height, width, channels))
    return path


def one_sentence(capsys: pytest.CaptureFixture[str]) -> str:
    """What stderr says, which must be one line without traceback or box."""
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert "Traceback" not in captured.err
    return lines[0]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def shell(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(Path(pixperts.__file__).parents[1])
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment, capture_output=True, text=True, timeout=300, check=False, **options,
    )  # fmt: skip
