"""Runs on Ray, in a process of its own: python ray_runs.py UPSCALE RESTORE WORK.

WORK/photos holds pictures; results go beside it. Prints facts as one JSON object.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from pixperts.errors import PixpertsError
from pixperts.inference.size_request import SizeRequest
from pixperts.jobs.cluster.engine import RayEngine
from pixperts.jobs.cluster.options import EngineOptions
from pixperts.jobs.enhance import Enhance
from pixperts.jobs.operation import Operation
from pixperts.jobs.operations import Restore, Upscale
from pixperts.jobs.options import FolderOptions
from pixperts.jobs.outcomes import Listener, Outcome, Summary
from pixperts.jobs.run import run_folder

CLUSTER = EngineOptions(engine="ray", processes=1)


class Texts(Listener):
    """Keeps what became of each picture."""

    def __init__(self) -> None:
        self.results: list[tuple[int, dict[str, Any]]] = []
        self.notes: list[str] = []

    def note(self, number: int, text: str) -> None:
        self.notes.append(text)

    def result(self, number: int, outcome: Outcome) -> None:
        self.results.append((number, outcome.to_dict()))


def workers() -> list[psutil.Process]:
    """The processes that compute, below this one."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.name().startswith("ray::") and "RowWorker" in process.cmdline()[0]:
                found.append(process)
        except psutil.Error:
            continue
    return found


def kill_one(folder: Path, after: int, killed: list[int]) -> None:
    """Kill a worker when so many results are there."""
    while len([path for path in folder.rglob("[!.]*.*") if path.is_file()]) < after:
        time.sleep(0.005)
    for process in workers():
        os.kill(process.pid, signal.SIGKILL)
        killed.append(process.pid)


def main(upscaling: str, restoring: str, work: str) -> None:
    os.chdir(work)
    facts: dict[str, Any] = {}

    def run(name: str, operation: Operation, model: str) -> Summary:
        listener = Texts()
        done = run_folder(
            "photos", name, operation, model, device="cpu", engine=CLUSTER, listener=listener,
            options=FolderOptions(recursive=True, manifest=f"{name}.jsonl"),
            expert_map=f"{name}-maps" if isinstance(operation, Upscale) else None,
        )  # fmt: skip
        facts[name] = {"summary": vars(done), "results": listener.results, "notes": listener.notes}
        return done

    for address in ("127.0.0.1:1", "auto"):
        try:
            run_folder(
                "photos", "none", Restore(), restoring, device="cpu",
                engine=EngineOptions(engine="ray", address=address),
            )  # fmt: skip
        except PixpertsError as error:
            facts[address] = [error.exit_code, str(error)]
    twice = SizeRequest(scale=2)
    with RayEngine(CLUSTER):
        killed: list[int] = []
        killer = threading.Thread(target=kill_one, args=(Path("upscaled"), 2, killed), daemon=True)
        killer.start()
        run("upscaled", Upscale(twice), upscaling)
        killer.join()
        facts["killed"] = len(killed)
        run("restored", Restore(strength=0.5), restoring)
        run("enhanced", Enhance(twice, restore_model=restoring), upscaling)
    print(json.dumps(facts))


if __name__ == "__main__":
    main(*sys.argv[1:])
