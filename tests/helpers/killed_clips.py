"""Kills runs over a video at random moments; a process of its own, because it forks.

python killed_clips.py WEIGHTS CLIP WORK KILLS SEGMENTS prints one JSON line a kill. Torch is loaded
once; PyAV is first used by the children, because its threads would not survive a fork.

A kill waits until some segments are there, and then for a part of the time that one segment takes.
So a busy machine, on which everything takes longer, still has segments to keep.
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


def segments(folder: Path) -> dict[str, int]:
    """Names of the finished segments, and when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("[0-9]*.nut")}


def ended_before(child: int, folder: Path, count: int) -> bool:
    """Wait for a number of segments; whether the child ended before it had made them."""
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT  # leaves its exit status for `waitpid`
    while len(segments(folder)) < count:
        if os.waitid(os.P_PID, child, flags) is not None:
            return True
        time.sleep(0.001)
    return False


def main(weights: str, clip: str, work: str, kills: str, total: str) -> None:
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
        folder = parts.folder_of(target)
        count = moments.randrange(int(total)) if number else 1  # the first one surely keeps some
        child = start(target)
        if not ended_before(child, folder, count) and number:
            time.sleep(moments.uniform(0.0, lasts / int(total)))
        os.kill(child, signal.SIGKILL)
        killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        partial = target.exists() and target.read_bytes() != whole.read_bytes()
        kept = segments(folder)
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
