"""Load `pixperts serve` with many clients: is anything lost, and does memory grow?

    python benchmarks/serve.py [PHOTOS] [--operation upscale] [--clients 8] [--requests 400]
        [--side 64] [--workers 1] [--queue 4]

The service runs in a process of its own on this machine. Pictures are square parts of photos
(those in examples/ without a folder), as JPEG. Every client sends one after the other; where it
gets 503, it waits as Retry-After says and sends the same again. Every answer must be equal, byte
by byte, to the one that the same picture got before the load. Printed: the settings, a line for
each tenth of the requests, and a summary. Exit code 1: something was lost or differed.
"""

import argparse
import http.client
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from pixperts.io.image import list_images, read_image, write_image

EXAMPLES = Path(__file__).parents[1] / "examples"
PATIENCE = 600.0  # seconds that an answer may take
_MEMORY = ("process_resident_memory_bytes", "pixperts_worker_resident_bytes")


@dataclass
class Load:
    """What became of all requests."""

    sent: int = 0  # pictures, however often
    done: int = 0
    refused: int = 0  # answers 503
    without_hint: int = 0  # of those, without Retry-After
    failed: list[str] = field(default_factory=list)  # anything else than 200 and 503
    different: int = 0  # results that are not those of before
    latencies: list[float] = field(default_factory=list)  # seconds of answers 200
    memory: list[tuple[int, int]] = field(default_factory=list)  # server, workers; after each tenth

    @property
    def lost(self) -> int:
        """Pictures that got no result."""
        return self.sent - self.done


def parts_of(folder: Path, side: int, many: int, temporary: Path) -> list[bytes]:
    """JPEG files of square parts from the middle of photos, moved a little each time."""
    found = []
    photos = list_images(folder)
    for number in range(many):
        pixels = read_image(photos[number % len(photos)]).pixels
        top, left = (max(0, (length - side) // 2 - 3 * number) for length in pixels.shape[:2])
        part = np.ascontiguousarray(pixels[top : top + side, left : left + side, :3])
        write_image(temporary / f"{number}.jpg", part, quality=90)
        found.append((temporary / f"{number}.jpg").read_bytes())
    return found


def ask(address: str, path: str, body: bytes | None = None) -> tuple[int, bytes, str | None]:
    """Code, content and Retry-After of an answer."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE)
    try:
        connection.request("GET" if body is None else "POST", path, body)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.getheader("Retry-After")
    finally:
        connection.close()


def memory_of(address: str) -> tuple[int, int]:
    """Bytes that the server and its working processes hold."""
    text = ask(address, "/metrics")[1].decode()
    server, workers = (int(float(re.findall(rf"^{one} (\S+)$", text, re.M)[0])) for one in _MEMORY)
    return server, workers


def load(
    address: str,
    path: str,
    pictures: Sequence[bytes],
    clients: int,
    requests: int,
    *,
    longest_wait: float = PATIENCE,
    tell: Callable[[Load], None] = lambda _: None,
) -> Load:
    """Send pictures from many clients at once, each until it gets its result.

    Args:
        address: of the service.
        path: of the operation, with its options.
        pictures: files, sent in turn.
        clients: that send at a time.
        requests: pictures in all.
        longest_wait: seconds after a 503, whatever it says.
        tell: hears of each tenth.
    """
    expected = [ask(address, path, body)[1] for body in pictures]
    result, lock = Load(), threading.Lock()
    result.memory.append(memory_of(address))

    def client() -> None:
        while True:
            with lock:
                number, result.sent = result.sent, result.sent + 1
                if number >= requests:
                    result.sent = requests
                    return
            one(number % len(pictures))

    def one(place: int) -> None:
        while True:
            began = time.perf_counter()
            code, body, hint = ask(address, path, pictures[place])
            seconds = time.perf_counter() - began
            with lock:
                if code != 503:
                    note(code, body, seconds, place)
                    return
                result.refused += 1
                result.without_hint += hint is None
            time.sleep(min(float(hint or 1), longest_wait))

    def note(code: int, body: bytes, seconds: float, place: int) -> None:
        if code != 200:
            result.failed.append(f"{code} {body[:200]!r}")
            return
        result.done += 1
        result.different += body != expected[place]
        result.latencies.append(seconds)
        if result.done % max(1, requests // 10) == 0:
            result.memory.append(memory_of(address))
            tell(result)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return result


def main() -> int:
    """Run the service, load it, and print the protocol."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("photos", type=Path, nargs="?", default=EXAMPLES)
    parser.add_argument("--operation", choices=("upscale", "restore"), default="upscale")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--queue", type=int, default=4)
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        pictures = parts_of(args.photos, args.side, 8, Path(folder))
    print(
        f"{args.operation}, parts of {args.side} x {args.side} pixels, {args.requests} requests of "
        f"{args.clients} clients, {args.workers} workers, {args.queue} places to wait"
    )
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    print(
        f"Python {platform.python_version()}, {platform.machine()}, threads of a worker: {threads}"
    )
    command = [sys.executable, "-m", "pixperts", "serve", "--port", "0", "--quiet"]
    command += ["--workers", str(args.workers), "--queue", str(args.queue)]
    service = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert service.stdout is not None
        address = re.findall(r"http://\S+", service.stdout.readline())[0]
        began = time.perf_counter()
        print("| done | 503 | server, MB | workers, MB |\n|---|---|---|---|", flush=True)
        result = load(
            address, f"/{args.operation}", pictures, args.clients, args.requests, tell=_print_tenth
        )
        seconds = time.perf_counter() - began
    finally:
        service.terminate()
        code = service.wait()
    _print_summary(result, seconds, code)
    return 1 if result.lost or result.different or result.without_hint or code else 0


def _print_tenth(result: Load) -> None:
    server, workers = (held / 1e6 for held in result.memory[-1])
    print(f"| {result.done} | {result.refused} | {server:.0f} | {workers:.0f} |", flush=True)


def _print_summary(result: Load, seconds: float, code: int) -> None:
    cuts = statistics.quantiles(result.latencies, n=20)
    print(
        f"lost {result.lost}, different {result.different}, 503 {result.refused} "
        f"(without Retry-After {result.without_hint}), exit code of the service {code}\n"
        f"{result.done / seconds:.1f} pictures a second; answers after {cuts[9]:.2f} s (median), "
        f"{cuts[18]:.2f} s (19 of 20), {max(result.latencies):.2f} s (all)"
    )
    for name, column in zip(("server", "workers"), zip(*result.memory, strict=True), strict=True):
        first, last, most = (held / 1e6 for held in (column[0], column[-1], max(column)))
        print(
            f"memory of the {name}: {first:.0f} MB before, {last:.0f} MB after, {most:.0f} at most"
        )
    for one in result.failed[:5]:
        print(f"failed: {one}")


if __name__ == "__main__":
    sys.exit(main())
