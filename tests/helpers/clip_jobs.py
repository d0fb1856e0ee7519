"""Runs over videos in tests, and what is heard of them."""

from pathlib import Path
from typing import Any

from pixperts.inference.restorer import Restorer
from pixperts.inference.upscaler import Upscaler
from pixperts.jobs.operation import Operation
from pixperts.jobs.options import FolderOptions
from pixperts.jobs.outcomes import Listener
from pixperts.jobs.run import run_folder
from pixperts.ops.pixels import Pixels
from pixperts.video.clip import read_clip
from pixperts.video.frames import read_frames, survey
from tests.helpers.folder_jobs import Recorder


class Noted(Recorder):
    """Also keeps what is said meanwhile, and raises where it shall."""

    def __init__(self, stop: float = 2.0) -> None:
        super().__init__()
        self.said: list[str] = []
        self.shares: list[float] = []
        self._stop = stop

    def note(self, number: int, text: str) -> None:
        self.said.append(text)

    def progress(self, number: int, share: float) -> None:
        self.shares.append(share)
        if share >= self._stop:
            raise KeyboardInterrupt


def decoded(path: Path) -> list[Pixels]:
    clip = read_clip(path)
    return [pixels for _, pixels in read_frames(clip, survey(clip))]


def run(
    source: Path,
    target: Path | str | None,
    operation: Operation,
    model: Upscaler | Restorer,
    listener: Listener | None = None,
    **options: Any,
) -> list[str]:
    """Do it; what went wrong."""
    heard = listener or Recorder()
    run_folder(source, target, operation, model, listener=heard, options=FolderOptions(**options))
    return heard.errors if isinstance(heard, Recorder) else []
