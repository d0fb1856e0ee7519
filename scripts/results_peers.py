"""What docs/results.md says of time and memory: beside other programs, of the peak, of the command.

The benchmarks run as programs of their own, and what they print as JSON is kept (`Part.row`).
"""

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from pixperts.io.image import write_image
from pixperts.ops.resize import bicubic, quantize
from results_measure import Part, Row, read_tensor
from results_pictures import to_pixels

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
PEER, REPAIR_PEER = "moeisr-tiny", "moce-ir-tiny"  # whose time the others' is divided by
OURS = ("moeisr-light", "moeisr-light, bfloat16", "moeisr-photo", "moeisr-photo, bfloat16", PEER)
ENLARGE = (
    "bicubic", "Lanczos", *OURS, "SPAN", "waifu2x, noise 1", "realesr-animevideov3",
)  # fmt: skip
COMPRESSED = ("bicubic", "Lanczos", *OURS, "SPAN", "waifu2x, noise 1", "realesr-animevideov3")
# Name of each measurement: folder of photos, and what benchmarks/peers.py gets.
RUNS: dict[str, tuple[str, tuple[str, ...]]] = {
    "clean": (
        "CID22-val",
        ("--scale", "2", "2.5", "4", "--case", "clean", "--peer", PEER, "--method", *ENLARGE),
    ),
    "compressed": (
        "CID22-val",
        ("--scale", "2", "--case", "jpeg75", "--peer", PEER, "--method", *COMPRESSED),
    ),
    "noise": (
        "CBSD68",
        ("--repair", "--case", "noise25", "--peer", REPAIR_PEER),
    ),
}
REPEATS = 3  # of the whole command


def measure_peers(part: Part, data: Path, pictures: int, rounds: int) -> None:
    """Every run of `RUNS`, and the shares of the peak."""
    threads = ["--threads", str(torch.get_num_threads())]
    for name, (folder, options) in RUNS.items():
        words = ["peers.py", str(data / folder), *options, "--pictures", str(pictures)]
        words += ["--kept", str(part.path.with_name(f"peers_{name}.json"))]
        make = partial(_benchmark, [*words, "--rounds", str(rounds), *threads])
        part.row(name, make, {"folder": folder})
    part.row("peak", partial(_benchmark, ["peak.py", *threads]), {})
    part.finish()


def _benchmark(words: Sequence[str]) -> Row:
    """What a benchmark writes as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "found.json"
        program = [sys.executable, str(BENCHMARKS / words[0]), *words[1:], "--json", str(target)]
        subprocess.run(program, check=True, stdout=subprocess.DEVNULL)
        found: Row = json.loads(target.read_text())
    return found


def measure_command(part: Part, photo: Path, size: tuple[int, int]) -> None:
    """Processor seconds of `pixperts upscale` for a small JPEG at x2, and of what it imports."""
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.jpg"
        picture = quantize(bicubic(read_tensor(photo), size[::-1]))
        write_image(small, to_pixels(picture), quality=90)
        upscale = [
            "-m",
            "pixperts",
            "upscale",
            str(small),
            "--scale",
            "2",
            "--if-exists",
            "overwrite",
        ]
        programs = {
            "the whole command": [*upscale, "-o", str(Path(folder) / "large.jpg")],
            "in float32": [
                *upscale, "-o", str(Path(folder) / "large.jpg"), "--precision", "float32",
            ],
            "import torch": ["-c", "import torch"],
            "Python alone": ["-c", "pass"],
        }  # fmt: skip
        part.row("command", partial(_turns, programs), {})
    part.finish()


def _turns(programs: dict[str, list[str]]) -> Row:
    """The fastest run of each program; they take turns."""
    found: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(REPEATS):
        for name, words in programs.items():
            before = _children()
            subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
            found[name].append(_children() - before)
    return {"seconds": {name: min(times) for name, times in found.items()}, "repeats": REPEATS}


def _children() -> float:
    """Processor seconds of all programs that were run here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
