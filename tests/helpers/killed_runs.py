"""Kills folder jobs at random moments; a process of its own, because it forks.

python killed_runs.py WEIGHTS INPUTS WORK KILLS prints one JSON line a kill. Torch is loaded once;
libvips is first used by the children, because its threads would not survive a fork.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from pixperts.inference.size_request import SizeRequest
from pixperts.inference.upscaler import Upscaler
from pixperts.jobs.operations import Upscale
from pixperts.jobs.options import FileOptions, FolderOptions
from pixperts.jobs.run import run_folder

OPERATION = Upscale(SizeRequest(scale=3), files=FileOptions(quality=90))


def main(weights: str, inputs: str, work: str, kills: str) -> None:
    torch.set_num_threads(1)
    upscaler = Upscaler.load(weights, device="cpu")

    def start(folder: Path) -> int:
        child = os.fork()
        if child:
            return child
        code = 1
        try:
            options = FolderOptions(
                recursive=True, workers=2, manifest=folder.with_suffix(".jsonl")
            )
            done = run_folder(
                inputs, folder, OPERATION, upscaler, options=options, expert_map=f"{folder}-maps"
            )
            code = 0 if done.failed == 0 else 1
        finally:
            os._exit(code)

    def files(folder: Path) -> dict[str, Path]:
        both = (folder, folder.with_name(f"{folder.name}-maps"))
        return {
            f"{place.name.removeprefix(folder.name)}/{path.relative_to(place)}": path
            for place in both
            for path in place.rglob("*")
            if path.is_file()
        }

    def stamps(paths: dict[str, Path]) -> dict[str, tuple[int, int]]:
        return {name: (p.stat().st_ino, p.stat().st_mtime_ns) for name, p in paths.items()}

    whole = Path(work, "whole")
    started = time.monotonic()
    assert os.waitpid(start(whole), 0)[1] == 0
    lasts = time.monotonic() - started
    wanted = {name: path.read_bytes() for name, path in files(whole).items()}
    moments = random.Random(1)
    for number in range(int(kills)):
        folder = Path(work, f"run{number}")
        child = start(folder)
        time.sleep(moments.uniform(0.0, lasts))
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        if not os.WIFSIGNALED(status):
            lasts *= 0.8  # it was over before: the first run found caches cold
        before = files(folder)
        hidden = {name for name in before if Path(name).name.startswith(".")}
        kept = {name: path for name, path in before.items() if name not in hidden}
        old = stamps(kept)
        partial = [name for name, path in kept.items() if path.read_bytes() != wanted.get(name)]
        code = os.waitstatus_to_exitcode(os.waitpid(start(folder), 0)[1])
        after = files(folder)
        new = stamps(after)
        record = [json.loads(line) for line in folder.with_suffix(".jsonl").open()]
        # A map may be there before its picture, and is then made again with it.
        pictures = {name for name in old if name.startswith("/")}
        fact = {
            "killed": os.WIFSIGNALED(status),
            "kept": len(pictures),
            "temporaries": len(hidden),
            "partial": partial,
            "code": code,
            "redone": [name for name in pictures if new.get(name) != old[name]],
            "equal": {name: path.read_bytes() for name, path in after.items()} == wanted,
            "recorded": len({entry["output"] for entry in record}),
            "lines": len(record),
        }
        print(json.dumps(fact), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
