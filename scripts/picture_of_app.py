"""Take docs/images/app.jpg: the page of `pixperts app` with a repaired example.

    python scripts/picture_of_app.py

Needs Chromium; PIXPERTS_CHROMIUM names another program than the one on the path.
"""

import os
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

from pixperts.app import AppOptions, running
from pixperts.io.image import read_image, write_image

PICTURE = Path(__file__).parents[1] / "docs/images/app.jpg"
SIZE = {"width": 1180, "height": 900}
PATIENCE = 120_000  # milliseconds


def main() -> None:
    program = os.environ.get("PIXPERTS_CHROMIUM") or shutil.which("chromium")
    with running(AppOptions(port=0, no_browser=True)) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        page.get_by_role("button", name="Noise").click()
        page.locator("#status", has_text="480 x 360").wait_for()
        page.click("#start")
        page.wait_for_selector(".pix-view[data-ready=yes]")
        page.locator("#status", has_text="Done").wait_for()
        page.wait_for_timeout(2000)  # the view moves into its place
        shot = PICTURE.with_suffix(".png")
        page.screenshot(path=shot)
        browser.close()
    write_image(PICTURE, read_image(shot).pixels, quality=80)
    shot.unlink()


if __name__ == "__main__":
    main()
