"""The page as an interface for programs: `process`, with the fields of the form."""

import inspect
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from pixperts.app.controls import Controls
from pixperts.app.form import REPAIR
from pixperts.app.service import Service, State
from pixperts.app.shown import files_of
from pixperts.background.events import Finished
from pixperts.errors import PixpertsError

RUN = "run"  # runs of all visitors, of which one is worked on at a time
PAUSE = 1.0  # seconds between two signs of life


def visitor_of(request: gr.Request) -> str:
    """Who asks, by the session."""
    return request.session_hash or f"nameless-{secrets.token_hex(8)}"


def paced(states: Iterator[State]) -> Iterator[State]:
    """The last state, and before it one a second.

    Each costs the browser some work; and only at one of them can gradio end the run.
    """
    spoken = 0.0
    for state in states:
        if state.is_over or time.monotonic() - spoken >= PAUSE:
            spoken = time.monotonic()
            yield state


def add_interface(service: Service, files: Any, controls: Controls) -> None:
    """The same for programs: `process`."""
    names = ["files", "work", *controls.given]

    def process(request: gr.Request, **given: Any) -> Iterator[tuple[Any, Any]]:
        """Repair or enlarge pictures; the files, and what is reported of each."""
        uploads, work = given.pop("files") or [], given.pop("work") or REPAIR
        state = State()
        try:
            run = f"{visitor_of(request)}/{secrets.token_hex(4)}"
            for state in paced(service.run(run, uploads, work, given)):
                if not state.is_over:
                    yield gr.skip(), {"share": round(state.share or 0.0, 3)}
        except PixpertsError as error:
            raise gr.Error(str(error), print_exception=False) from None
        if not state.results:
            raise gr.Error(" ".join(state.errors), print_exception=False)
        yield files_of(state), {"results": [_for_programs(one) for one in state.finished]}

    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in names
    ]
    first = inspect.Parameter(
        "request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=gr.Request
    )
    process.__signature__ = inspect.Signature([first, *parameters])  # type: ignore[attr-defined]
    made = gr.File(file_count="multiple", visible=False, label="Files")
    report = gr.JSON(visible=False, label="Report")
    gr.Button("Process", visible=False).click(
        process,
        inputs_kwargs={"files": files, "work": controls.work, **controls.given},
        outputs=[made, report],
        concurrency_limit=1,
        concurrency_id=RUN,
        api_name="process",
    )


def _for_programs(one: Finished) -> dict[str, Any]:
    """A result without the folders of this machine."""
    if one.output is None:
        return {"name": one.name, "error": one.error}
    report = {
        key: Path(value).name if key in ("input", "output") else value
        for key, value in (one.report or {}).items()
    }
    return {"name": one.name, **report, "output": Path(one.output).name}
