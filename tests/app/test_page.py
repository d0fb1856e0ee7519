"""The page in a real browser, and as an HTTP interface."""

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pixperts.cli.app import main
from tests.helpers.command_line import picture
from tests.helpers.pages import PATIENCE, Served, border_contrast, browser, serious, served
from tests.helpers.photo_files import write_photo

pytest.importorskip("gradio", reason="needs the app extra")
pytestmark = pytest.mark.slow

LIMITS = ("--max-pixels", "2000000", "--max-upload", "3M")


@pytest.fixture(scope="module")
def page_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served"), *LIMITS) as found:
        yield found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as opened:
        yield opened


@pytest.fixture
def page(chromium: Any, page_server: Served) -> Iterator[Any]:
    """A visitor who looks at the page; no request may go elsewhere, and no script may fail."""
    context = chromium.new_context(
        viewport={"width": 1280, "height": 1000}, reduced_motion="reduce"
    )
    opened = open_page(context, page_server)
    asked: list[str] = []
    failed: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("pageerror", lambda error: failed.append(str(error)))
    yield opened
    context.close()
    elsewhere = [url for url in asked if not url.startswith((page_server.url, "data:", "blob:"))]
    assert (elsewhere, failed) == ([], [])


def open_page(context: Any, server: Served) -> Any:
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    opened.goto(server.url)
    opened.wait_for_selector("#start")
    return opened


def drop(page: Any, *paths: Path) -> None:
    page.set_input_files("#photos input[type=file]", [str(path) for path in paths])


def drop_instead(page: Any, *paths: Path) -> None:
    page.locator("#photos").get_by_label("Clear").click()
    drop(page, *paths)


def wait_for_status(page: Any, text: str) -> str:
    page.locator("#status", has_text=text).wait_for()
    return str(page.inner_text("#status"))


def choose_work(page: Any, label: str) -> None:
    page.get_by_label(label, exact=True).check()


def choose_model(page: Any, name: str) -> None:
    box = page.get_by_label("Model that enlarges")
    for _ in range(10):  # on a busy machine, a click may come before the page listens to it
        if not box.is_visible():
            page.get_by_text("Strength, models and files").click()
            page.wait_for_timeout(3000)
    box.click()
    page.get_by_role("option", name=re.compile(rf"^{name}:")).click()


def look_of(page: Any) -> bytes:
    """What the view shows, once it has come to rest."""
    before, now = b"", bytes(page.locator(".pix-frame").screenshot())
    while before != now:
        time.sleep(0.3)
        before, now = now, bytes(page.locator(".pix-frame").screenshot())
    return now


def test_a_photo_goes_through_the_page(page: Any, page_server: Served, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "a.jpg")
    drop(page, photo)
    wait_for_status(page, "32 x 48 pixels")
    page.locator(".pix-photo img[alt='a.jpg']").wait_for()
    choose_work(page, "Repair and enlarge")
    choose_model(page, "moeisr-tiny")
    page.get_by_label("Budget").fill("0.5")
    page.locator("#start").focus()  # with the keyboard, as everything else can be done
    page.keyboard.press("Enter")
    page.wait_for_selector(".pix-view[data-ready=yes]")
    wait_for_status(page, "Done in")

    # The slider and the overlay change what is seen.
    middle = look_of(page)
    page.locator(".pix-slider").focus()
    page.keyboard.press("Home")
    after = look_of(page)
    page.locator(".pix-slider").fill("100")
    assert len({middle, after, look_of(page)}) == 3
    page.locator(".pix-overlay").fill("100")
    charted = look_of(page)
    page.get_by_label("Zoom in").click()
    assert look_of(page) != charted
    seen = page.inner_text("#seen")
    for words in (
        "Found other faults",
        "Expert chosen",
        "of the work of all experts that repair was skipped",
        "Pixels",
    ):
        assert words in seen

    # The files are those of the command line.
    with page.expect_download() as download:
        page.locator("#results a").first.click()
    saved = Path(download.value.path())
    own = tmp_path / "own.jpg"
    options = ["-s", "2", "-m", "moeisr-tiny", "--budget", "0.5"]
    assert main(["enhance", str(photo), *options, "-q", "-o", str(own)]) == 0
    assert download.value.suggested_filename == "a_enhanced_x2.jpg"
    assert saved.read_bytes() == own.read_bytes()

    # For keyboards, screen readers, small and dark screens.
    for text in ("Try on a part first", "What it can and cannot do", "Use it from a program"):
        page.get_by_text(text, exact=True).click()
    assert serious(page) == []
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert serious(page) == []
    page.evaluate("document.body.classList.add('dark')")  # what the page does on a dark screen
    assert serious(page) == []
    page.emulate_media(color_scheme="dark")
    page.goto(page_server.url)
    page.wait_for_selector("body.dark #start")
    assert serious(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_boxes_that_are_not_checked_can_be_seen(
    page: Any, page_server: Served, scheme: str
) -> None:
    """WCAG 1.4.11 wants a contrast of 3, which axe-core does not check."""
    page.emulate_media(color_scheme=scheme)
    page.goto(page_server.url)
    box = page.locator("input[type=radio]:not(:checked)").first
    box.wait_for()
    assert border_contrast(box) >= 3


def test_examples_trials_bad_files_and_several_photos(page: Any, tmp_path: Path) -> None:
    page.get_by_role("button", name="Too small").click()
    wait_for_status(page, "circuits_small.png: 240 x 180 pixels")
    assert page.get_by_label("Enlarge", exact=True).is_checked()
    page.get_by_text("Try on a part first").click()
    page.locator("#preview img").click(position={"x": 80, "y": 80})
    page.wait_for_function("document.querySelector('#trial input[type=range]').value < 40")
    page.click("#try")
    page.wait_for_selector(".pix-view[data-ready=yes]")
    wait_for_status(page, "This was only the part")
    assert "Enlarged from" in page.inner_text("#seen")
    assert page.locator("#results a").count() == 0
    choose_work(page, "Repair")

    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    drop_instead(page, picture(tmp_path / "wide.png", 8, 260_000, 1))
    wait_for_status(page, "wide.png has 260000 x 8 pixels, over the limit of 2000000")
    page.locator("#seen").wait_for(state="hidden")  # it spoke of the photo before
    drop_instead(page, bad)
    wait_for_status(page, "bad.png holds no JPEG, PNG, WebP or TIFF picture")

    drop_instead(page, picture(tmp_path / "a.png"), bad, picture(tmp_path / "b.png", 12))
    wait_for_status(page, "the first of 3")
    page.click("#start")
    status = wait_for_status(page, "2 pictures done")
    assert "bad.png holds no JPEG" in status
    names = page.locator("#results").inner_text().replace("\n", "")
    for name in ("pixperts_results", "a_restored", "b_restored"):
        assert name in names
    page.get_by_label("Picture shown").click()
    page.get_by_role("option", name="b_restored.png").click()
    page.get_by_label("b_restored.png, before and after").wait_for()


def test_a_run_too_many_is_refused(tmp_path: Path) -> None:
    from gradio_client import Client, handle_file

    large = handle_file(picture(tmp_path / "large.png", 900, 1100, 1))
    options = {"files": [large], "work": "enlarge", "enlarge_model": "liif-edsr"}
    with served(tmp_path / "served", "--queue", "1") as server:
        client = Client(server.url, verbose=False)
        first = client.submit(**options, api_name="/process")
        while not first.outputs():  # it is worked on
            time.sleep(0.1)
        second = client.submit(**options, api_name="/process")
        time.sleep(1)
        third = client.submit(**options, api_name="/process")
        with pytest.raises(Exception, match=r"[Qq]ueue is full"):
            third.result(timeout=60)
        assert not first.done()
        assert not second.done()
        for job in (second, first):
            job.cancel()
        client.close()


def workers_of(server: Served) -> set[int]:
    return {child.pid for child in psutil.Process(server.process.pid).children()}


def test_stop_stops_and_two_visitors_work_at_once(
    page: Any, page_server: Served, tmp_path: Path
) -> None:
    drop(page, picture(tmp_path / "large.png", 900, 1100, 1))
    wait_for_status(page, "1100 x 900")
    choose_work(page, "Enlarge")
    choose_model(page, "liif-edsr")  # which takes minutes
    before = workers_of(page_server)
    page.click("#start")
    page.wait_for_selector("#status progress")
    wait_for_status(page, "so far")
    page.click("#stop")
    wait_for_status(page, "Stopped. Nothing more is computed.")
    deadline = time.monotonic() + 5
    while (gone := before - workers_of(page_server)) == set() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(gone) == 1  # the process that computed

    # The next runs work, also of two visitors at once, each of whom sees his own.
    other = open_page(page.context, page_server)
    choose_work(page, "Repair")
    drop_instead(page, picture(tmp_path / "visitor0.png", 150, 200))
    drop(other, picture(tmp_path / "visitor1.png", 151, 200))
    for number, one in enumerate((page, other)):
        wait_for_status(one, f"200 x {150 + number}")
    for one in (page, other):
        one.click("#start")
    for number, one in enumerate((page, other)):
        wait_for_status(one, "Done in")
        assert f"visitor{number}" in one.locator("#results").inner_text()
        assert f"visitor{1 - number}" not in one.locator("#results").inner_text()


def post(url: str, data: bytes, kind: str) -> Any:
    request = urllib.request.Request(url, data, {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def send_file(url: str, name: str, data: bytes) -> Any:
    """As curl -F does (RFC 7578)."""
    head = f'Content-Disposition: form-data; name="files"; filename="{name}"'
    body = f"--x\r\n{head}\r\nContent-Type: image/png\r\n\r\n".encode() + data + b"\r\n--x--\r\n"
    return post(f"{url}gradio_api/upload", body, "multipart/form-data; boundary=x")


def test_programs_get_the_same_files(page_server: Served, tmp_path: Path) -> None:
    from gradio_client import Client, handle_file

    photo = write_photo(tmp_path / "a.jpg")
    client = Client(page_server.url, verbose=False, download_files=str(tmp_path / "got"))
    files, report = client.predict(
        files=[handle_file(photo)], work="enlarge", size="1.5", quality="80", api_name="/process"
    )
    own = tmp_path / "own.jpg"
    assert main(["upscale", str(photo), "-s", "1.5", "--quality", "80", "-q", "-o", str(own)]) == 0
    assert [Path(file).name for file in files] == ["a_x1.5.jpg"]
    assert Path(files[0]).read_bytes() == own.read_bytes()
    assert report["results"][0]["new_width"] == 48
    for options, words in (
        ({"work": "enlarge", "size": "-1"}, "scale must be a positive"),
        ({"work": "repair", "repair_model": "/etc/passwd"}, "not in the list of choices"),
        ({"work": "enlarge", "size": "900"}, "over this page's limit"),
    ):
        with pytest.raises(Exception, match=words):
            client.predict(files=[handle_file(photo)], **options, api_name="/process")
    with pytest.raises(Exception, match="There is no picture yet"):
        client.predict(api_name="/process")
    client.close()


def test_curl_gets_the_same_files(page_server: Served, tmp_path: Path) -> None:
    url = page_server.url
    photo = picture(tmp_path / "a.png", 20, 30)
    (path,) = send_file(url, "a.png", photo.read_bytes())
    with urllib.request.urlopen(f"{url}gradio_api/info", timeout=60) as answer:
        fields = json.load(answer)["named_endpoints"]["/process"]["parameters"]
    values = {one["parameter_name"]: one["parameter_default"] for one in fields}
    values |= {
        "work": "repair",
        "files": [{"path": path, "orig_name": "a.png", "meta": {"_type": "gradio.FileData"}}],
    }
    body = json.dumps({"data": list(values.values())}).encode()
    event = post(f"{url}gradio_api/call/process", body, "application/json")["event_id"]
    with urllib.request.urlopen(f"{url}gradio_api/call/process/{event}", timeout=120) as answer:
        text = answer.read().decode()
    assert "event: complete" in text
    files, _ = json.loads(text.rpartition("event: complete\ndata: ")[2].partition("\n")[0])
    with urllib.request.urlopen(files[0]["url"], timeout=60) as answer:
        got = answer.read()
    own = tmp_path / "own.png"
    assert main(["restore", str(photo), "-q", "-o", str(own)]) == 0
    assert got == own.read_bytes()


def test_files_of_too_many_bytes_are_refused(page_server: Served) -> None:
    with pytest.raises(urllib.error.HTTPError, match="413"):
        send_file(page_server.url, "a.png", bytes(3_100_000))


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_strangers_stay_out_and_nothing_is_left_behind(tmp_path: Path) -> None:
    with served(tmp_path, "--auth", "me:secret") as server:
        (folder,) = tmp_path.glob("pixperts-app-*")
        assert status_of(f"{server.url}config") == 401
        assert status_of(f"{server.url}gradio_api/info") == 401
        assert status_of(f"{server.url}gradio_api/file={folder}/.lock") == 401
    assert server.process.returncode == 0
    assert list(tmp_path.glob("pixperts-app-*")) == []
    assert (tmp_path / "stderr.txt").read_text() == ""


def test_files_of_the_machine_are_not_served(page_server: Served) -> None:
    for path in ("/etc/passwd", f"{Path(__file__)}", "../../etc/passwd"):
        assert status_of(f"{page_server.url}gradio_api/file={path}") in (403, 404)
