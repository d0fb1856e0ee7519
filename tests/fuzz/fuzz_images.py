"""Damaged pictures through the readers and writers: every one is read, or refused in a sentence.

    python tests/fuzz/fuzz_images.py --cases 20000 --seed 0

Cases run in child processes, so that a crash or a hang costs one case and is told. Findings are
saved under --save with the message; the exit status is 1 where there are any. `--start` goes on
where a run ended.
"""

import argparse
import contextlib
import json
import os
import pickle
import queue
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from pixperts.errors import ImageError, PixpertsError, UsageError
from pixperts.io.image import Picture, read_image, write_image
from pixperts.io.rows import RowReader
from tests.fuzz.mutations import damaged
from tests.fuzz.specimens import specimens

MAX_PIXELS = 4_000_000
HANG = 10.0  # seconds a case
GROWTH = 400_000_000  # bytes of memory a case may need beyond what the process had
_ADDRESSES = 8 << 30
_BATCH = 500
_OUTPUTS = (".jpg", ".png", ".webp", ".tif")


@dataclass
class Report:
    """What became of one case: accepted, refused, or a finding (anything else)."""

    number: int
    name: str
    damage: str
    outcome: str
    detail: str = ""
    seconds: float = 0.0  # of the processor, which a busy machine does not lengthen
    peak: int = 0  # bytes of resident memory
    written: bool = False


def case(seed: int, number: int, pool: dict[str, bytes]) -> tuple[random.Random, str, str, bytes]:
    """The damaged file of this number; the same for the same seed."""
    rng = random.Random(f"{seed}-{number}")
    name, damage, data = damaged(rng, pool)
    return rng, name, damage, data


def check(seed: int, number: int, pool: dict[str, bytes], folder: Path) -> Report:
    """Run one case in this process."""
    rng, name, damage, data = case(seed, number, pool)
    path = folder / f"case-{name}"
    path.write_bytes(data)
    report = Report(number, name, damage, "accepted")
    before = _resident(reset=True)
    begin = time.process_time()
    try:
        _read_both_ways(path, report)
        if report.outcome == "accepted" and rng.random() < 0.25:
            report.written = True
            _write_back(path, folder / f"out{rng.choice(_OUTPUTS)}")
    except AssertionError as error:
        report.outcome, report.detail = "wrong", str(error)
    except (Exception, RecursionError) as error:
        report.outcome = type(error).__name__
        report.detail = "".join(traceback.format_exception(error))[-3000:]
    report.seconds = time.process_time() - begin
    report.peak = _peak()
    if report.peak - before > GROWTH:
        report.outcome, report.detail = "memory", f"{(report.peak - before) / 1e6:.0f} MB more"
    return report


def _read_both_ways(path: Path, report: Report) -> None:
    whole: Picture | str
    try:
        whole = read_image(path, max_pixels=MAX_PIXELS)
    except PixpertsError as error:
        whole = _sentence(error)
    by_rows: np.ndarray[Any, Any] | str
    try:
        with RowReader(path, max_pixels=MAX_PIXELS) as reader:
            steps = range(0, reader.height, 13)
            by_rows = np.concatenate(
                [reader.rows(top, min(top + 13, reader.height)) for top in steps]
            )
    except PixpertsError as error:
        by_rows = _sentence(error)
    if isinstance(whole, Picture):
        for note in whole.notes:
            assert note.isprintable(), f"a note of several lines: {note!r}"
        assert not isinstance(by_rows, str), f"read at once but not by rows: {by_rows}"
        same = whole.pixels.shape == by_rows.shape and whole.pixels.dtype == by_rows.dtype
        assert same, f"at once {whole.pixels.shape} {whole.pixels.dtype}, by rows {by_rows.shape}"
        assert np.array_equal(whole.pixels, by_rows), "other pixels at once than by rows"
        return
    assert isinstance(by_rows, str), f"read by rows but not at once: {whole}"
    report.outcome, report.detail = "refused", whole


def _sentence(error: PixpertsError) -> str:
    assert isinstance(error, ImageError), f"not an ImageError: {error!r}"
    text = str(error)
    assert text.isprintable(), f"a message of several lines: {text!r}"
    assert text.endswith("."), f"no sentence: {text!r}"
    return text


def _write_back(path: Path, target: Path) -> None:
    picture = read_image(path, max_pixels=MAX_PIXELS)
    try:
        write_image(target, picture.pixels, metadata=picture.metadata, software="fuzz")
    except UsageError as error:
        if "holds at most" not in str(error):  # pixels a side
            raise
        return
    except ImageError as error:
        cause = error.__cause__
        if isinstance(cause, ImageError) and "bytes, over" in str(cause):
            return
        raise
    again = read_image(target, max_pixels=MAX_PIXELS)
    assert again.pixels.shape[:2] == picture.pixels.shape[:2], "another size after writing"
    if target.suffix in (".png", ".tif") and picture.pixels.dtype != np.float32:
        assert np.array_equal(again.pixels, picture.pixels), f"other pixels in {target.suffix}"


def _resident(*, reset: bool) -> int:
    """Resident bytes now; the peak is counted from here on."""
    if reset:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(name: str) -> int:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def worker(seed: int, start: int, count: int, shelf: Path) -> None:
    """Cases one after the other, each as a line of JSON on stdout."""
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pool: dict[str, bytes] = pickle.loads(shelf.read_bytes())
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryFile() as quiet:
        os.dup2(quiet.fileno(), 2)
        for number in range(start, start + count):
            report = check(seed, number, pool, Path(name))
            if size := quiet.seek(0, os.SEEK_END):
                quiet.seek(0)
                if report.outcome in ("accepted", "refused"):
                    report.outcome = "stderr"
                report.detail += quiet.read(min(size, 2000)).decode(errors="replace")
                quiet.seek(0)
                quiet.truncate()
            print(json.dumps(asdict(report)), flush=True)


def batch(seed: int, start: int, count: int, shelf: Path) -> Iterator[Report]:
    """The reports of a child process; the last one may tell of its end."""
    command = [sys.executable, __file__, "--worker", str(shelf), "--seed", str(seed)]
    command += ["--start", str(start), "--cases", str(count)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    lines: queue.Queue[str] = queue.Queue()
    pipe = child.stdout

    def pump() -> None:
        for line in pipe:
            lines.put(line)
        lines.put("")

    threading.Thread(target=pump, daemon=True).start()
    number, patience = start, HANG + 20  # to start Python
    try:
        while number < start + count:
            begin, queued = time.monotonic(), _queued(child.pid)
            line = None
            while line is None:
                with contextlib.suppress(queue.Empty):
                    line = lines.get(timeout=1)
                own = time.monotonic() - begin - (_queued(child.pid) - queued)
                if line is None and own > patience:
                    yield Report(number, "?", "?", "hang", f"over {patience:.0f} s", own)
                    return
            if not line:
                yield Report(number, "?", "?", "crash", f"exit status {child.wait()}")
                return
            yield Report(**json.loads(line))
            number, patience = number + 1, HANG
    finally:
        child.kill()
        child.wait()


def _queued(pid: int) -> float:
    """Seconds that a process has waited for a free processor, on the thread that waited most."""
    waits = [0.0]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError, IndexError, ValueError):
                waits.append(int((task / "schedstat").read_text().split()[1]) / 1e9)
    return max(waits)


def main() -> int:
    """Run, tell, and save what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cases", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="number of the first case")
    parser.add_argument("--limit-seconds", type=float, default=float("inf"))
    parser.add_argument("--save", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.worker is not None:
        worker(wanted.seed, wanted.start, wanted.cases, wanted.worker)
        return 0
    pool = specimens()
    reports: list[Report] = []
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        shelf = Path(name, "pool")
        shelf.write_bytes(pickle.dumps(pool))
        number, end = wanted.start, wanted.start + wanted.cases
        while number < end and time.monotonic() - begin < wanted.limit_seconds:
            for report in batch(wanted.seed, number, min(_BATCH, end - number), shelf):
                reports.append(report)
                if report.outcome not in ("accepted", "refused"):
                    _save(wanted.save, wanted.seed, report, pool)
                if time.monotonic() - begin >= wanted.limit_seconds:
                    break
            number = reports[-1].number + 1
    tell(reports, time.monotonic() - begin)
    return 0 if all(one.outcome in ("accepted", "refused") for one in reports) else 1


def _save(folder: Path, seed: int, report: Report, pool: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _, name, report.damage, data = case(seed, report.number, pool)
    report.name = name
    (folder / f"{report.number}-{name}").write_bytes(data)
    (folder / f"{report.number}.txt").write_text(json.dumps(asdict(report), indent=1))


def tell(reports: list[Report], seconds: float) -> None:
    """A table by format, and the extremes."""
    kinds = Counter((Path(one.name).suffix, one.outcome) for one in reports)
    outcomes = sorted({one.outcome for one in reports})
    print(f"{'format':8}" + "".join(f"{name:>16}" for name in outcomes))
    for suffix in sorted({Path(one.name).suffix for one in reports}):
        row = "".join(f"{kinds[suffix, name]:16}" for name in outcomes)
        print(f"{suffix:8}{row}")
    total = Counter(one.outcome for one in reports)
    print(f"{'all':8}" + "".join(f"{total[name]:16}" for name in outcomes))
    slowest = max(reports, key=lambda one: one.seconds)
    highest = max(reports, key=lambda one: one.peak)
    print(
        f"{len(reports)} cases in {seconds:.0f} s, {sum(o.written for o in reports)} written back"
    )
    print(
        f"slowest: case {slowest.number} ({slowest.name}, {slowest.damage}) {slowest.seconds:.2f} s"
    )
    print(f"peak memory: case {highest.number} ({highest.name}) {highest.peak / 1e6:.0f} MB")
    for one in reports:
        if one.outcome not in ("accepted", "refused"):
            last = one.detail.strip().splitlines()[-1:] or [""]
            print(f"case {one.number} {one.name} {one.damage}: {one.outcome}: {last[0][:200]}")


if __name__ == "__main__":
    sys.exit(main())
