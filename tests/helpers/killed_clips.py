"""Kills runs over a video at random moments; a process of its own, because it forks.

python killed_clips.py WEIGHTS CLIP WORK KILLS prints one JSON line a kill. Torch is loaded once;
PyAV is first used by the children, because its threads would not survive a fork.
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
from pixperts.jobs.clips import parts
from pixperts.jobs.operations import Upscale
from pixperts.jobs.run import run_folder


def main(weights: str, clip: str, work: str, kills: str) -> None:
    torch.set_num_threads(1)
    parts._FEWEST = parts._MOST = 4
    upscaler = Upscaler.load(weights, device="cpu")

    def start(target: Path) -> int:
        child = os.fork()
        if child:
            return child
        code = 1
        try:
            code = run_folder(clip, target, Upscale(SizeRequest(scale=2)), upscaler).failed
        finally:
            os._exit(code)

    whole = Path(work, "whole.mp4")
    started = time.monotonic()
    assert os.waitpid(start(whole), 0)[1] == 0
    lasts = time.monotonic() - started
    moments = random.Random(1)
    for number in range(int(kills)):
        target = Path(work, f"run{number}.mp4")
        child = start(target)
        time.sleep(moments.uniform(0.2 * lasts, lasts))
        os.kill(child, signal.SIGKILL)
        killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        partial = target.exists() and target.read_bytes() != whole.read_bytes()
        folder = parts.folder_of(target)
        kept = {path.name: path.stat().st_mtime_ns for path in folder.glob("[0-9]*.nut")}
        child = start(target)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        fact = {
            "killed": killed,
            "partial": partial,
            "kept": len(kept),
            "code": code,
            "equal": target.read_bytes() == whole.read_bytes(),
            "left": sorted(path.name for path in Path(work).glob(".*")),
        }
        print(json.dumps(fact), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
