"""A served page, and a browser to look at it."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import pixperts

PATIENCE = 120_000  # milliseconds; a machine may be busy with other things
_FLAGS = (
    "--no-sandbox", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


_NO_GPU = ("--disable-gpu",)
# WebGPU on the processor, with the same code that a page uses on a GPU.
SOFTWARE_GPU = (
    "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan",
    "--use-vulkan=swiftshader",
)  # fmt: skip


@dataclass(frozen=True)
class Served:
    """A page that is running."""

    url: str
    process: "subprocess.Popen[str]"
    temporary: Path  # its folder for temporary files


@contextlib.contextmanager
def served(temporary: Path, *arguments: str) -> Iterator[Served]:
    """`pixperts app` in a process of its own, on a free port."""
    temporary.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(temporary)}
    environment["PYTHONPATH"] = str(Path(pixperts.__file__).parents[1])
    with (temporary / "stderr.txt").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "pixperts", "app", "--no-browser", "--port", "0", *arguments],
            env=environment, stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://\S+", line)
            assert found is not None, (line, (temporary / "stderr.txt").read_text())
            yield Served(found[0], process, temporary)
        finally:
            process.terminate()
            process.wait(60)
            assert process.stdout is not None
            process.stdout.close()


@contextlib.contextmanager
def browser(graphics: Sequence[str] = _NO_GPU) -> Iterator[Any]:
    """Chromium; PIXPERTS_CHROMIUM names another program than the one on the path."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    program = os.environ.get("PIXPERTS_CHROMIUM") or shutil.which("chromium")
    if program is None and not os.environ.get("CI"):
        pytest.skip("needs Chromium")
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=[*_FLAGS, *graphics])
        yield opened
        opened.close()


def serious(page: Any) -> list[str]:
    """What axe-core finds that keeps people out."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-core")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def border_contrast(box: Any) -> float:
    """Contrast of an element's border to what is behind it, by WCAG 2: 1 to 21."""
    colors = box.evaluate(
        """box => {
            let behind = box.parentElement;
            const fill = one => getComputedStyle(one).backgroundColor;
            while (fill(behind) === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
            return [getComputedStyle(box).borderTopColor, fill(behind)];
        }"""
    )
    lower, higher = sorted(map(_luminance, colors))
    return (higher + 0.05) / (lower + 0.05)


def _luminance(color: str) -> float:
    """Relative luminance of a CSS color such as "rgb(1, 2, 3)", by WCAG 2."""
    channels = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
