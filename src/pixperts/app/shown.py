"""What comes out on the page: status, view, files, and what the router saw."""

from pathlib import Path
from typing import Any

import gradio as gr

from pixperts.app import summary
from pixperts.app.service import State

ASSETS = Path(__file__).parent / "assets"
FILE_PREFIX = "gradio_api/file="
TRIED = " This was only the part: press Start for the whole photo."

Updates = dict[Any, Any]


class Shown:
    """What comes out."""

    def __init__(self) -> None:
        self.status = gr.HTML(summary.status("Ready."), elem_id="status")
        self.view = gr.HTML(
            summary.EMPTY,
            js_on_load=(ASSETS / "viewer.js").read_text(encoding="utf-8"),
            head=f'<script src="{FILE_PREFIX}{ASSETS / "openseadragon.min.js"}"></script>',
            elem_id="view",
        )
        self.choice = gr.Dropdown([], label="Picture shown", visible=False, elem_id="choice")
        self.files = gr.File(
            label="Results to download, with profile, EXIF and depth",
            visible=False,
            interactive=False,
            elem_id="results",
        )
        with gr.Accordion("What the router saw", open=True, visible=False) as self.report:
            self.seen = gr.HTML("", elem_id="seen")
        self.finished = gr.State([])  # every `Finished` that may be shown

    def cleared(self) -> Updates:
        """Without results."""
        return {
            self.view: summary.EMPTY,
            self.choice: gr.update(choices=[], value=None, visible=False),
            self.files: gr.update(value=None, visible=False),
            self.report: gr.update(visible=False),
            self.finished: [],
        }

    def photo(self, name: str, path: str) -> Updates:
        """A photo before the work, in the place of earlier results, whose files stay."""
        return self.emptied() | {self.view: summary.photo(name, f"{FILE_PREFIX}{path}")}

    def emptied(self) -> Updates:
        """Nothing in the place of earlier results, whose files stay."""
        return {
            self.view: summary.EMPTY,
            self.choice: gr.update(choices=[], value=None, visible=False),
            self.report: gr.update(visible=False),
            self.finished: [],
        }

    def picture(self, state: State, place: int = 0) -> Updates:
        """One of the results."""
        one = state.results[place]
        return {
            self.view: summary.viewer(one, summary.view_sizes(one.views), FILE_PREFIX),
            self.report: gr.update(visible=True),
            self.seen: summary.seen(one),
        }

    def progress(self, state: State) -> Updates:
        """How far it is."""
        return {self.status: status_of(state)}

    def results(self, state: State, *, files: bool) -> Updates:
        """Everything, once a run is over."""
        updates: Updates = {self.status: status_of(state, "" if files else TRIED)}
        found = state.results
        if not found:
            return updates
        updates |= self.picture(state)
        names = [(Path(one.output or "").name, place) for place, one in enumerate(found)]
        updates[self.choice] = gr.update(choices=names, value=0, visible=len(found) > 1)
        updates[self.finished] = found
        if files:
            updates[self.files] = gr.update(value=files_of(state), visible=True)
        return updates


def files_of(state: State) -> list[str]:
    """The files to download, the archive of all first."""
    paths = [path for one in state.results for path in (one.output, one.chart) if path]
    return paths if state.archive is None else [state.archive, *paths]


def status_of(state: State, remark: str = "") -> str:
    """How far a run is, what is added to its success, and what went wrong, as HTML."""
    if not state.is_over:
        count = f" ({len(state.finished) + 1} of {state.count})" if state.count > 1 else ""
        text = f"{state.name or 'Reading'}{count}: {summary.duration(state.elapsed)} so far"
        share = state.share or 0.0
        if state.left is not None:
            text += f", about {summary.duration(state.left)} left"
            share = max(share, 0.97 * state.elapsed / max(state.elapsed + state.left, 1e-9))
        return summary.status(text, share)
    done = len(state.results)
    text = f"Done in {summary.duration(state.elapsed)}."
    if state.stopped:
        count = "1 picture was" if done == 1 else f"{done} pictures were"
        kept = f" {count} done before and can be downloaded." if done else ""
        text = f"Stopped. Nothing more is computed.{kept}"
    elif done > 1:
        text = f"{done} pictures done in {summary.duration(state.elapsed)}."
    elif not done and state.preview is None:
        text = "Nothing was done."
    else:
        text += remark
    return summary.status(text) + summary.refusals([*state.errors, *state.remarks])
