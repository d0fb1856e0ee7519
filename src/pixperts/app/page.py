"""The page itself: what it shows, and which part of `Service` answers to what."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from pixperts.app import summary
from pixperts.app.controls import Controls, build_controls, shown_for
from pixperts.app.interface import RUN, add_interface, paced, visitor_of
from pixperts.app.samples import SAMPLES, write_sample
from pixperts.app.service import TRIAL_SIDE, Service, State
from pixperts.app.shown import ASSETS, Shown, Updates, status_of
from pixperts.app.texts import ABOUT, FOR_PROGRAMS, HEADER
from pixperts.app.views import PREVIEW, framed
from pixperts.background.events import Finished, Previewed
from pixperts.errors import PixpertsError
from pixperts.io.image import read_image, write_image

_TRIAL = "trial"


def build_page(service: Service) -> gr.Blocks:
    """The page for a service."""
    gr.set_static_paths([ASSETS])
    with gr.Blocks(title="pixperts", delete_cache=(600, 3600)) as page:
        gr.Markdown(HEADER)
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                files = gr.File(
                    label="Photos: drop one or more, or click",
                    file_count="multiple",
                    type="filepath",
                    height=150,
                    elem_id="photos",
                )
                samples = _sample_buttons()
                controls = build_controls(service.models)
                trial = _Trial()
                with gr.Row():
                    start = gr.Button("Start", variant="primary", elem_id="start")
                    stop = gr.Button("Stop", elem_id="stop")
            with gr.Column(scale=3, min_width=300):
                shown = Shown()
        with gr.Accordion("What it can and cannot do", open=False):
            gr.Markdown(ABOUT)
        with gr.Accordion("Use it from a program", open=False):
            gr.Markdown(FOR_PROGRAMS)
        _wire_inputs(service, files, samples, controls, trial, shown)
        _wire_work(service, files, controls, trial, shown, start, stop)
        add_interface(service, files, controls)
        page.unload(_leaver(service))
    return page


class _Trial:
    """The controls of a trial on a part of the first picture."""

    def __init__(self) -> None:
        with gr.Accordion("Try on a part first", open=False, elem_id="trial"):
            gr.Markdown("Click on the photo to choose the part, or move it with the sliders.")
            self.preview = gr.Image(
                show_label=False,
                interactive=False,
                type="filepath",
                format="png",
                height=260,
                buttons=[],
                elem_id="preview",
            )
            with gr.Row():
                self.across = gr.Slider(0, 100, 50, step=1, label="From left to right, %")
                self.down = gr.Slider(0, 100, 50, step=1, label="From top to bottom, %")
            self.start = gr.Button("Try on this part", elem_id="try")
        self.look = gr.State(None)  # `Previewed` of the first picture


def _sample_buttons() -> dict[str, Any]:
    gr.Markdown("Or try an example:")
    with gr.Row(elem_id="samples"):
        return {
            key: gr.Button(sample.label, size="sm", min_width=80) for key, sample in SAMPLES.items()
        }


def _wire_inputs(
    service: Service,
    files: Any,
    samples: Mapping[str, Any],
    controls: Controls,
    trial: _Trial,
    shown: Shown,
) -> None:
    """Uploads, examples, and the part for a trial."""

    def look(paths: list[str] | None, request: gr.Request) -> Updates:
        nothing = {trial.preview: None, trial.look: None} | shown.emptied()
        if not paths:
            return nothing | {shown.status: summary.status("Ready.")}
        state = State()
        try:
            *_, state = service.look(f"{visitor_of(request)}/look", paths[0])
        except PixpertsError as error:
            state = State(share=None, error=str(error))
        if state.preview is None:
            return nothing | {shown.status: status_of(state)}
        seen = state.preview
        count = "" if len(paths) == 1 else f", the first of {len(paths)}"
        text = f"{seen.name}{count}: {seen.width} x {seen.height} pixels. Ready."
        return shown.photo(seen.name, seen.path) | {
            trial.look: seen,
            trial.preview: _framed(service, seen, 0.5, 0.5),
            trial.across: 50,
            trial.down: 50,
            shown.status: summary.status(text),
        }

    def frame(seen: Any, across: float, down: float) -> Any:
        return None if seen is None else _framed(service, seen, across / 100, down / 100)

    def pick(seen: Any, event: gr.SelectData) -> Updates:
        if seen is None:
            return {trial.preview: gr.skip()}
        x, y = event.index
        longest = max(seen.width, seen.height)
        scale = max(1.0, longest / PREVIEW)
        across, down = (
            round(min(100.0, 100 * place * scale / side), 1)
            for place, side in ((x, seen.width), (y, seen.height))
        )
        framed_one = _framed(service, seen, across / 100, down / 100)
        return {trial.across: across, trial.down: down, trial.preview: framed_one}

    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    changed = [
        trial.preview, trial.look, trial.across, trial.down, shown.status, shown.view,
        shown.choice, shown.report, shown.finished,
    ]  # fmt: skip
    files.change(look, files, changed, **quiet)
    for slider in (trial.across, trial.down):
        slider.release(frame, [trial.look, trial.across, trial.down], trial.preview, **quiet)
    trial.preview.select(pick, trial.look, [trial.across, trial.down, trial.preview], **quiet)
    for key, button in samples.items():

        def take(key: str = key) -> Updates:
            return {
                files: [str(write_sample(key, service.workspace.samples))],
                controls.work: SAMPLES[key].work,
            }

        button.click(take, None, [files, controls.work], **quiet)

    def follow(work: str) -> list[Any]:
        repairs, enlarges = shown_for(work)
        parts = [(controls.of_repair, repairs), (controls.of_enlargement, enlarges)]
        return [gr.update(visible=shows) for group, shows in parts for _ in group]

    controls.work.change(
        follow, controls.work, [*controls.of_repair, *controls.of_enlargement], **quiet
    )


def _framed(service: Service, seen: Previewed, across: float, down: float) -> str:
    """The small picture with the outline of the part."""
    path = Path(seen.path)
    target = path.with_name(f"part_{secrets.token_hex(4)}.png")
    pixels = framed(read_image(path).pixels, (seen.width, seen.height), (across, down), TRIAL_SIDE)
    write_image(target, pixels)
    return str(target)


def _wire_work(
    service: Service,
    files: Any,
    controls: Controls,
    trial: _Trial,
    shown: Shown,
    start: Any,
    stop: Any,
) -> None:
    """Start, try and stop."""
    fields = {"work": controls.work, **controls.given}
    outputs = [
        shown.status, shown.view, shown.choice, shown.files, shown.report, shown.seen,
        shown.finished,
    ]  # fmt: skip

    def run(request: gr.Request, files: Any, work: str, **given: Any) -> Iterator[Updates]:
        yield shown.cleared() | {shown.status: summary.status("Starting.", 0.0)}
        states = _explained(
            lambda: service.run(f"{visitor_of(request)}/page", files or [], work, given)
        )
        yield from _updates(states, shown, files=True)

    def attempt(
        request: gr.Request, files: Any, work: str, across: float, down: float, **given: Any
    ) -> Iterator[Updates]:
        yield shown.cleared() | {shown.status: summary.status("Trying.", 0.0)}
        center = across / 100, down / 100
        first = files[0] if files else None
        states = _explained(
            lambda: service.attempt(f"{visitor_of(request)}/trial", first, work, given, center)
        )
        yield from _updates(states, shown, files=False)

    def end(request: gr.Request) -> Updates:
        done = service.stop(visitor_of(request))
        return shown.results(State(share=None, stopped=True, finished=done), files=True)

    running = start.click(
        run,
        inputs_kwargs={"files": files, **fields},
        outputs=outputs,
        concurrency_limit=1,
        concurrency_id=RUN,
        show_progress="minimal",
        show_progress_on=shown.status,
        api_visibility="private",
    )
    trying = trial.start.click(
        attempt,
        inputs_kwargs={"files": files, "across": trial.across, "down": trial.down, **fields},
        outputs=outputs,
        concurrency_limit=1,
        concurrency_id=_TRIAL,
        show_progress="hidden",
        api_visibility="private",
    )
    stop.click(
        end,
        None,
        outputs,
        cancels=[running, trying],
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )

    def show(place: int | None, finished: list[Finished]) -> Updates:
        if place is None or place >= len(finished):
            return {shown.view: gr.skip()}
        return shown.picture(State(share=None, finished=tuple(finished)), place)

    shown.choice.input(
        show,
        [shown.choice, shown.finished],
        [shown.view, shown.report, shown.seen],
        show_progress="hidden",
        api_visibility="private",
    )


def _explained(begin: Callable[[], Iterator[State]]) -> Iterator[State]:
    """The states of a run; what makes no sense as a whole becomes the last of them."""
    try:
        yield from begin()
    except PixpertsError as error:
        yield State(share=None, error=str(error))


def _updates(states: Iterator[State], shown: Shown, *, files: bool) -> Iterator[Updates]:
    """What changes on the page."""
    for state in paced(states):
        yield shown.results(state, files=files) if state.is_over else shown.progress(state)


def _leaver(service: Service) -> Callable[[gr.Request], None]:
    def leave(request: gr.Request) -> None:
        service.leave(visitor_of(request))

    return leave
