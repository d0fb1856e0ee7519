"""A result of 45 megapixels in the page's view: only what is seen is sent."""

import re
from pathlib import Path
from typing import Any

import psutil
import pytest

from pixperts.io.vips import libvips
from tests.helpers.pages import PATIENCE, Served, browser, served

pytest.importorskip("gradio", reason="needs the app extra")
SAMPLE = Path(__file__).parents[2] / "examples/osprey.jpg"
WIDTH, HEIGHT = 8_000, 5_600
DEEPEST = 13  # the level of the pyramid with all pixels


def large_photo(path: Path) -> Path:
    """A photo of 480 x 360 pixels, over and over."""
    sample = libvips().Image.new_from_file(str(SAMPLE))
    sample.replicate(17, 16).crop(0, 0, WIDTH, HEIGHT).jpegsave(str(path), Q=80)
    return path


class Tiles:
    """The tiles that a page got: (level, column, row, of the result) and how many bytes."""

    def __init__(self, page: Any) -> None:
        self.got: list[tuple[int, int, int, bool]] = []
        self.bytes = 0
        page.on("response", self._note)

    def _note(self, response: Any) -> None:
        found = re.search(r"/(before|after)_files/(\d+)/(\d+)_(\d+)\.jpg$", response.url)
        if found is not None:
            level, column, row = map(int, found.groups()[1:])
            self.got.append((level, column, row, found[1] == "after"))
            self.bytes += int(response.headers["content-length"])


def settled(page: Any, tiles: Tiles) -> int:
    """The bytes of all tiles, once no more come."""
    before = -1
    while before != tiles.bytes:
        before = tiles.bytes
        page.wait_for_timeout(800)
    return before


def most_memory(server: Served) -> int:
    """The most bytes that the server, or one of the processes that work for it, ever held."""
    process = psutil.Process(server.process.pid)
    lines = [Path(f"/proc/{one.pid}/status") for one in (process, *process.children())]
    found = [re.search(r"VmHWM:\s+(\d+) kB", one.read_text()) for one in lines]
    return max(1024 * int(one[1]) for one in found if one is not None)


@pytest.mark.slow
def test_only_what_is_seen_is_sent(tmp_path: Path) -> None:
    photo = large_photo(tmp_path / "large.jpg")
    with served(tmp_path / "served", "--max-pixels", "200000000") as server, browser() as chromium:
        page = chromium.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(3 * PATIENCE)
        tiles = Tiles(page)
        page.goto(server.url)
        page.wait_for_selector("#start")
        page.set_input_files("#photos input[type=file]", str(photo))
        page.locator("#status", has_text=f"{WIDTH} x {HEIGHT} pixels").wait_for()
        page.get_by_label("Enlarge", exact=True).check()
        page.get_by_label("New size", exact=True).fill("1")  # which no network is needed for
        page.click("#start")
        page.wait_for_selector(".pix-view[data-ready=yes]")
        page.locator("#status", has_text="Done in").wait_for()

        first = settled(page, tiles)
        assert tiles.got
        assert max(level for level, *_ in tiles.got) < DEEPEST - 1  # a small picture of it
        # Zoom into its left upper corner until each of its pixels is seen.
        frame = page.locator(".pix-frame").bounding_box()
        above = (frame["height"] - frame["width"] * HEIGHT / WIDTH) / 2
        for _ in range(5):
            page.mouse.dblclick(frame["x"] + 4, frame["y"] + above + 4)
            page.wait_for_timeout(400)
        zoomed = settled(page, tiles) - first
        deep = {one[1:] for one in tiles.got if one[0] == DEEPEST}
        assert {(0, 0, False), (0, 0, True)} <= deep
        assert len(deep) < 30
        views = server.temporary.glob("**/views/*/*_files/**/*.jpg")
        whole = sum(path.stat().st_size for path in views)
        assert first < 0.07 * whole
        assert zoomed < 0.2 * whole
        if Path("/proc/self/status").exists():
            memory = most_memory(server)
            assert memory < 2_000_000_000
