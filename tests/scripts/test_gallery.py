"""The gallery, and the check of what is packaged: their pages and their refusals."""

import doctest
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import check_package
import gallery
import pixperts

EXAMPLE = Path(__file__).parents[2] / "examples/budgie.jpg"


@pytest.mark.parametrize("module", [gallery, check_package])
def test_examples_of_docstrings(module: ModuleType) -> None:
    done = doctest.testmod(module)
    assert done.attempted > 0
    assert done.failed == 0


@pytest.mark.slow
def test_a_gallery_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = tmp_path / "mine.png"
    part = pixperts.read_image(EXAMPLE).pixels[100:164, 100:180]
    pixperts.write_image(photo, np.ascontiguousarray(part))
    page = tmp_path / "pages/own.md"
    monkeypatch.setattr(sys, "argv", ["gallery.py", str(photo), "--page", str(page)])
    assert gallery.main() == 0
    text = page.read_text(encoding="utf-8")
    addresses = re.findall(r"(?:src=\"|\]\()(images/[^\")]+)", text)
    assert len(addresses) == 3 + 2 * len(gallery.TASKS)
    assert all((page.parent / address).is_file() for address in addresses)
    large = pixperts.read_image(page.parent / "images/own/mine_large.webp").pixels
    assert large.shape == (192, 240, 3)
    figures = re.findall(r"synthetic .*: ([\d.]+) to ([\d.]+) dB", text)
    assert len(figures) == len(gallery.TASKS)
    before, after = figures[0]  # noise
    assert float(after) > float(before) + 3
    assert ".svg" not in text  # there are no plots beside this page


def test_plots_that_lie_beside_the_page_are_shown(tmp_path: Path) -> None:
    plot = tmp_path / "images/results/speed.svg"
    plot.parent.mkdir(parents=True)
    plot.write_text("<svg/>")
    gallery.Gallery(tmp_path / "own.md").save()
    text = (tmp_path / "own.md").read_text(encoding="utf-8")
    assert text.startswith(gallery.HEAD)
    assert re.findall(r"\((images/.*)\)", text) == ["images/results/speed.svg"]
    assert text.count("\n## ") == 1
    assert "](results.md#" in text  # how it was measured


def test_the_page_of_this_repository_shows_both_plots(tmp_path: Path) -> None:
    page = gallery.PAGE.read_text(encoding="utf-8")
    heading = f"\n## {gallery.PLOTS[0][0]}\n"
    assert heading in page
    for _, name, _, _ in gallery.PLOTS:
        plot = tmp_path / "images/results" / name
        plot.parent.mkdir(parents=True, exist_ok=True)
        plot.touch()
    gallery.Gallery(tmp_path / "own.md").save()
    made = (tmp_path / "own.md").read_text(encoding="utf-8")
    assert page[page.index(heading) :] == made[made.index(heading) :]


def test_a_photo_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "own.md"
    monkeypatch.setattr(sys, "argv", ["gallery.py", "none.jpg", "--page", str(page)])
    assert gallery.main() == 1
    assert capsys.readouterr().err == "none.jpg does not exist: check the name.\n"
    assert not page.exists()


def test_what_a_wheel_must_hold() -> None:
    lacking = check_package.missing(["pixperts/py.typed", "docs/cli.md"])
    assert "pixperts/app/assets/osprey.jpg is missing" in lacking
    assert "docs/cli.md is not wanted" in lacking
    assert len(lacking) == len(check_package.NEEDED)
