"""What requests are refused, what stops them, and what is left behind."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.helpers.command_line import picture
from tests.helpers.gated_service import Gated, gated, wait_until
from tests.helpers.http import connect, later

pytestmark = pytest.mark.slow
LIMIT = 100_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gated]:
    folder = tmp_path_factory.mktemp("service")
    with gated(folder, workers=1, queue=2, max_upload=LIMIT) as found:
        yield found


@pytest.fixture(autouse=True)
def closed(service: Gated) -> Iterator[None]:
    service.close()
    yield
    service.open()
    wait_until(lambda: service.health() == (0, 0))
    assert service.folders() == []


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return picture(tmp_path_factory.mktemp("photo") / "a.png").read_bytes()


def raw_request(service: Gated, name: str, body: bytes, length: int | None = None) -> socket.socket:
    """A connection on which a request was sent, without waiting for the answer."""
    where = urlsplit(service.address)
    made = socket.create_connection((where.hostname, where.port), timeout=120)
    length = len(body) if length is None else length
    head = f"POST /restore?filename={name} HTTP/1.1\r\nHost: localhost\r\n"
    made.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode() + body)
    return made


def test_a_full_queue_is_a_clear_503_and_nothing_is_lost(service: Gated, photo: bytes) -> None:
    with ThreadPoolExecutor(3) as threads:
        inside = [later(threads, service.address, "/restore", photo) for _ in range(3)]
        wait_until(lambda: service.health() == (1, 2))
        for body in (photo, bytes(LIMIT)):  # also while a body is on its way
            refused = service.send("/upscale", body)
            assert refused.code == 503
            assert 1 <= int(refused.headers["retry-after"]) <= 600
            assert "1 pictures are in work and 2 wait" in refused.error
        service.open()
        assert [one.result().code for one in inside] == [200] * 3
    wait_until(lambda: service.health() == (0, 0))  # answers arrive before their places are free
    assert service.send("/upscale", photo).code == 200
    assert service.metric('pixperts_requests_total{operation="upscale",code="503"}') == 2


def test_a_client_that_goes_away_stops_its_work(service: Gated, photo: bytes) -> None:
    gone = 'pixperts_requests_total{operation="restore",code="499"}'
    restarts = service.metric("pixperts_worker_restarts_total")
    working = raw_request(service, "a.png", photo)
    wait_until(lambda: service.health() == (1, 0))
    waiting = raw_request(service, "b.png", photo)
    arriving = raw_request(service, "c.png", photo[:50], length=len(photo))
    wait_until(lambda: service.health() == (1, 2))
    for number, connection in enumerate((waiting, arriving, working)):
        connection.close()
        wait_until(lambda left=2 - number: sum(service.health()) == left)  # type: ignore[misc]
    wait_until(lambda: service.folders() == [])
    assert service.metric(gone) == 3
    # The process gave the work up by itself, and is ready for the next.
    assert service.metric("pixperts_worker_restarts_total") == restarts
    service.open()
    assert service.send("/restore", photo).code == 200


def test_work_that_does_not_stop_is_ended_with_its_process(service: Gated, photo: bytes) -> None:
    restarts = service.metric("pixperts_worker_restarts_total")
    connection = raw_request(service, "deaf.png", photo)
    wait_until(lambda: service.health() == (1, 0))
    connection.close()
    wait_until(lambda: service.health() == (0, 0))
    assert service.metric("pixperts_worker_restarts_total") == restarts + 1
    service.open()
    assert service.send("/restore", photo).code == 200


def test_a_process_that_dies_costs_one_request(service: Gated, photo: bytes) -> None:
    answer = service.send("/restore?filename=deadly.png", photo)
    assert answer.code == 500
    assert "perhaps because memory ran out" in answer.error
    service.open()
    assert service.send("/restore", photo).code == 200


def test_files_of_too_many_bytes_are_refused(service: Gated, photo: bytes) -> None:
    service.open()
    whole = photo + bytes(LIMIT - len(photo))
    assert service.send("/restore", whole).body == whole
    for body in (whole + b"\0", iter([whole, b"\0"])):  # the second without Content-Length
        answer = service.send("/restore", body)
        assert answer.code == 413
        assert answer.error.startswith("The file is larger than 0.1 MB")


def test_a_client_that_asks_first_need_not_send_what_is_refused(service: Gated) -> None:
    where = urlsplit(service.address)
    with socket.create_connection((where.hostname, where.port), timeout=120) as made:
        head = "POST /restore HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        made.sendall(f"{head}Content-Length: {LIMIT + 1}\r\n\r\n".encode())
        assert made.recv(100).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("path", "headers", "code", "words"),
    [
        ("/restore", {}, 415, "picture holds no JPEG, PNG"),
        ("/restore?filename=x.svg", {}, 415, "x.svg holds no JPEG, PNG"),
        ("/restore", {"Content-Type": "multipart/form-data; boundary=x"}, 415, "without a form"),
        ("/restore", {"Content-Encoding": "gzip"}, 415, "without Content-Encoding"),
        ("/restore?strength=2", {}, 400, "strength is 2, but must be between 0 and 1"),
        ("/upscale?model=/etc/passwd", {}, 400, "The model '/etc/passwd' is unknown here"),
        ("/enhance?restore_model=/x.pth", {}, 400, "The model '/x.pth' is unknown here"),
        ("/enlarge", {}, 404, "POST to one of /restore, /upscale, /enhance"),
        ("/metrics", {}, 405, "Another method is required"),
    ],
)
def test_what_is_no_use_is_refused(
    service: Gated, path: str, headers: dict[str, str], code: int, words: str
) -> None:
    answer = service.send(path, b"<svg></svg>", headers=headers)
    assert (answer.code, words in answer.error) == (code, True), answer.error


def test_an_empty_body_and_other_methods_are_refused(service: Gated) -> None:
    assert "The body is empty" in service.send("/restore", b"").error
    answer = service.send("/restore")
    assert (answer.code, answer.headers["allow"]) == (405, "POST")


def test_the_service_says_what_it_offers(service: Gated) -> None:
    answer = service.send("/")
    assert answer.code == 200
    assert b'"denoise":"1 = remove all noise' in answer.body
    assert b'"moeisr-photo"' in answer.body


def test_pages_of_a_browser_are_refused(service: Gated) -> None:
    for headers in ({"Origin": "http://example.org"}, {"Host": "example.org"}):
        for path in ("/", "/metrics", "/restore"):
            assert service.send(path, headers=headers).code == 403
    for host in ("localhost", "127.0.0.1:80", "[::1]:80"):
        assert service.send("/", headers={"Host": host}).code == 200


def test_the_name_of_the_result_is_sent(service: Gated, photo: bytes) -> None:
    service.open()
    named = service.send("/restore?filename=%C3%A4%22.png", photo).headers
    expected = "attachment; filename=\"__.png\"; filename*=UTF-8''%C3%A4%22.png"
    assert named["content-disposition"] == expected
    assert named["content-type"] == "image/png"


def test_one_connection_takes_several_requests(service: Gated, photo: bytes) -> None:
    service.open()
    connection = connect(service.address)
    for code, path in ((200, "/restore"), (400, "/restore?x=1"), (200, "/upscale")):
        connection.request("POST", path, photo)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == code
    connection.close()


def test_the_time_is_limited(tmp_path: Path, photo: bytes) -> None:
    with gated(tmp_path, timeout=1.0, queue=1) as service:
        started = time.monotonic()
        answer = service.send("/restore", photo)
        assert answer.code == 504
        assert answer.error.startswith("The result was not ready within 1 s")
        assert time.monotonic() - started > 1
        slow = raw_request(service, "a.png", photo[:20], length=len(photo))
        assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")
        slow.close()
        wait_until(lambda: service.folders() == [])
        service.open()
        assert service.send("/restore", photo).code == 200


def test_a_client_that_reads_nothing_loses_its_place(tmp_path: Path, photo: bytes) -> None:
    with gated(tmp_path, timeout=2.0) as service:
        service.open()
        stalled = raw_request(service, "a.png", photo + bytes(30_000_000))
        wait_until(lambda: sum(service.health()) == 1)
        wait_until(lambda: sum(service.health()) == 0)
        gone = 'pixperts_requests_total{operation="restore",code="499"}'
        assert service.metric(gone) == 1
        assert service.folders() == []
        assert service.send("/restore", photo).code == 200
        stalled.close()


def test_a_token_keeps_strangers_out(tmp_path: Path, photo: bytes) -> None:
    token = "0123456789abcdef"
    with gated(tmp_path, token=token) as service:
        service.open()
        wrong = [f"Bearer {token}x", f"Basic {token}", token, "Bearer", "Bearer ä"]
        for given in (None, *wrong):
            headers = {} if given is None else {"Authorization": given.encode()}
            for path, body in (
                ("/", None),
                ("/metrics", None),
                ("/nothing", None),
                ("/restore", photo),
            ):
                answer = service.send(path, body, headers=headers)
                assert (answer.code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert service.send("/health").code == 200
        right = {"Authorization": f"Bearer {token}", "Host": "example.org"}
        assert service.send("/restore", photo, headers=right).code == 200
        assert service.send("/metrics", headers=right).code == 200


def test_a_model_that_is_missing_ends_the_start(tmp_path: Path) -> None:
    from pixperts.errors import ModelError

    options = {"model": ["missing.safetensors"]}
    with pytest.raises(ModelError, match="The model is missing"), gated(tmp_path, **options):
        pass
