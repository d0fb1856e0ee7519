"""The controls of the page, made from the fields of the form."""

from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from pixperts.app.form import (
    ENLARGE,
    ENLARGE_FIELDS,
    FILE_FIELDS,
    ONLY_ENLARGE,
    REPAIR,
    REPAIR_FIELDS,
    SIZE_FIELDS,
    WORKS,
    models_of,
)
from pixperts.app.texts import ONE_FOR_BOTH, WORDS
from pixperts.background.fields import Field
from pixperts.defaults import DEFAULT_MODEL, DEFAULT_REPAIR_MODEL
from pixperts.io.formats import NAMES
from pixperts.io.writable import writable_formats
from pixperts.weights.catalogue import Entry

_SIZES = {
    "scale": "a factor, such as 2.5",
    "size": "width and height, such as 1920x1080",
    "width": "width in pixels",
    "height": "height in pixels",
    "long_side": "longer side in pixels",
    "short_side": "shorter side in pixels",
    "megapixels": "area in megapixels",
}


@dataclass
class Controls:
    """All controls that say what is to be done.

    Attributes:
        work: what is done.
        given: those of `form.step_of` and `form.folder_options_of`, by their keys.
        of_repair: what is shown for repairs only.
        of_enlargement: what is shown for enlargements only.
    """

    work: Any = None
    given: dict[str, Any] = field(default_factory=dict)
    of_repair: list[Any] = field(default_factory=list)
    of_enlargement: list[Any] = field(default_factory=list)


def build_controls(models: dict[str, Entry]) -> Controls:
    """Lay the controls out where gradio is building now."""
    made = Controls()
    made.work = gr.Radio(
        [(words, key) for key, words in WORKS.items()], value=REPAIR, label="What should be done?"
    )
    with gr.Row(visible=False) as size:
        made.given["size_by"] = gr.Dropdown(
            [(_SIZES.get(one.key, one.label), one.key) for one in SIZE_FIELDS],
            value="scale",
            label="New size, given as",
        )
        made.given["size"] = gr.Textbox("2", label="New size")
    made.of_enlargement.append(size)
    with gr.Accordion("Strength, models and files", open=False):
        with gr.Column() as repair:
            made.given["repair_model"] = _model_choice(
                "Model that repairs", "repair", DEFAULT_REPAIR_MODEL, models
            )
            made.given |= _controls_of(REPAIR_FIELDS)
        with gr.Column(visible=False) as enlargement:
            made.given["enlarge_model"] = _model_choice(
                "Model that enlarges", "enlarge", DEFAULT_MODEL, models, ONE_FOR_BOTH
            )
            made.given |= _controls_of([*ENLARGE_FIELDS, ONLY_ENLARGE])
        made.given |= _controls_of(FILE_FIELDS)
    made.of_repair.append(repair)
    made.of_enlargement.append(enlargement)
    _follow_model(made, models)
    return made


def _follow_model(made: Controls, models: dict[str, Entry]) -> None:
    """A budget is a choice between experts, and there only where there are several."""
    repairs, enlarges = made.given["repair_model"], made.given["enlarge_model"]
    budget = made.given["budget"]

    def follow(work: str, repairs: str, enlarges: str) -> Any:
        name, _ = models_of(work, repairs, enlarges)
        several = work != REPAIR and name in models and models[name].experts > 1
        return gr.update(visible=several) if several else gr.update(visible=False, value="")

    budget.visible = False  # as what is chosen first is a repair
    seen = [made.work, repairs, enlarges]
    for one in seen:
        one.change(follow, seen, budget, show_progress="hidden", api_visibility="private")


def shown_for(work: str) -> tuple[bool, bool]:
    """Whether what belongs to repairs, and what belongs to enlargements, is shown."""
    return work != ENLARGE, work != REPAIR


def _model_choice(
    label: str, does: str, default: str, models: dict[str, Entry], info: str | None = None
) -> Any:
    choices = [
        (f"{entry.name}: {entry.summary}", entry.name)
        for entry in models.values()
        if entry.does == does
    ]
    return gr.Dropdown(choices, value=default, label=label, info=info)


def _controls_of(fields: list[Field]) -> dict[str, Any]:
    return {one.key: _control(one) for one in fields}


def _control(one: Field) -> Any:
    """The control of one field; limits are checked by the option itself, in its own words."""
    label, info = WORDS.get(one.key, (one.label, one.info))
    option, named = one.option, {"label": label, "info": info or None}
    if one.key == "format":
        formats = [(NAMES[kind], kind) for kind in writable_formats()]
        return gr.Dropdown([("that of each photo", ""), *formats], value="", **named)
    match one.kind:
        case "switch":
            return gr.Checkbox(bool(one.default), **named)
        case "choice":
            return gr.Dropdown(list(option.choices), value=one.default, **named)
        case "slider":
            whole = float in (type(one.default), one.type)
            return gr.Slider(
                option.low, option.high, one.default, step=0.05 if whole else 1, **named
            )
        case _:
            text = "" if one.default is None else str(one.default)
            return gr.Textbox(text, placeholder=option.shown or "", **named)
