"""Three nodes: pictures and masks in ComfyUI's layout, (B, H, W, C) and (B, H, W) in [0, 1].

The names of nodes and inputs stand in saved workflows and never change.
"""

import functools
from collections.abc import Callable
from typing import Any

import comfy.model_management
import comfy.utils
import torch
from comfy_api.latest import io
from torch import Tensor

import pixperts
from pixperts.defaults import (
    DEFAULT_MODEL,
    DEFAULT_REPAIR_MODEL,
    ToneMode,
    models_for_both,
)
from pixperts.inference import Enhancer, RepairSettings, Restorer, SizeRequest, Upscaler
from pixperts.models import FAMILIES
from pixperts.weights import packaged_models, read_card

STEPS = 1000  # of the bar
CATEGORY = "image/upscaling"
OTHER = "A weights file, or ORG/NAME on the Hugging Face hub, in place of the model above."


class PixpertsUpscale(io.ComfyNode):
    """Enlarge to any size, with the map of experts as a mask."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the node shows."""
        return io.Schema(
            node_id="PixpertsUpscale",
            display_name="Upscale to any size (pixperts)",
            category=CATEGORY,
            description="Enlarges by any factor. The mask shows where the work went: white "
            "pixels took the most expensive expert. It is black for models with one expert.",
            inputs=[
                io.Image.Input("image"),
                io.Combo.Input("model", options=_names("upscale"), default=DEFAULT_MODEL),
                *_sizes(),
                io.Float.Input(
                    "budget",
                    default=-1.0,
                    min=-1.0,
                    max=1.0,
                    step=0.05,
                    tooltip="0 = always the cheapest expert, 1 = the best, -1 = the model decides; "
                    "for models with several.",
                ),
                io.String.Input("other_model", default="", optional=True, tooltip=OTHER),
            ],
            outputs=[
                io.Image.Output(display_name="image"),
                io.Mask.Output(display_name="experts"),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: Tensor,
        model: str,
        scale: float,
        long_side: int,
        budget: float,
        other_model: str = "",
    ) -> io.NodeOutput:
        """Enlarge a batch."""
        upscaler = Upscaler.of(_loaded(other_model.strip() or model))
        size = _size(image, scale, long_side)
        result, routing = upscaler.upscale_with_routing(
            _channels_first(image),
            size=size,
            budget=None if budget < 0 else budget,
            progress=_progress(),
        )
        mask = torch.zeros(len(image), size[1], size[0])
        if routing is not None:
            costs = torch.tensor(routing.costs)
            span = float(costs.max() - costs.min()) or 1.0
            mask = ((costs - costs.min()) / span)[routing.experts.long().cpu()]
        return io.NodeOutput(_channels_last(result), mask)


class PixpertsRestore(io.ComfyNode):
    """Repair at the picture's own size."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the node shows."""
        return io.Schema(
            node_id="PixpertsRestore",
            display_name="Restore (pixperts)",
            category=CATEGORY,
            description="Repairs noise, rain, haze, motion blur, darkness, snow and mixtures.",
            inputs=[
                io.Image.Input("image"),
                io.Combo.Input("model", options=_names("restore"), default=DEFAULT_REPAIR_MODEL),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="0 = the picture as it is, 1 = as repaired.",
                ),
                io.String.Input("other_model", default="", optional=True, tooltip=OTHER),
                *_amounts(),
            ],
            outputs=[io.Image.Output(display_name="image")],
        )

    @classmethod
    def execute(
        cls,
        image: Tensor,
        model: str,
        strength: float,
        other_model: str = "",
        denoise: float = 1.0,
        jpeg: float = 1.0,
        tone: ToneMode = "auto",
        dust: float = 0.0,
    ) -> io.NodeOutput:
        """Repair a batch."""
        restorer = Restorer.of(_loaded(other_model.strip() or model))
        settings = RepairSettings(strength, denoise, jpeg, tone, dust=dust)
        result, _ = restorer.repair(_channels_first(image), settings, progress=_progress())
        return io.NodeOutput(_channels_last(result))


class PixpertsEnhance(io.ComfyNode):
    """Repair, then enlarge, with nothing rounded between."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the node shows."""
        return io.Schema(
            node_id="PixpertsEnhance",
            display_name="Repair and upscale (pixperts)",
            category=CATEGORY,
            description="Repairs, then enlarges by any factor.",
            inputs=[
                io.Image.Input("image"),
                io.Combo.Input("model", options=_names("upscale"), default=DEFAULT_MODEL),
                io.Combo.Input(
                    "restore_model", options=_names("restore"), default=DEFAULT_REPAIR_MODEL
                ),
                *_sizes(),
                io.Float.Input("strength", default=1.0, min=0.0, max=1.0, step=0.05),
                *_amounts(),
            ],
            outputs=[io.Image.Output(display_name="image")],
        )

    @classmethod
    def execute(
        cls,
        image: Tensor,
        model: str,
        restore_model: str,
        scale: float,
        long_side: int,
        strength: float,
        denoise: float = 1.0,
        jpeg: float = 1.0,
        tone: ToneMode = "auto",
        dust: float = 0.0,
    ) -> io.NodeOutput:
        """Repair and enlarge a batch."""
        result = _enhancer(model, restore_model).enhance(
            _channels_first(image),
            size=_size(image, scale, long_side),
            settings=RepairSettings(strength, denoise, jpeg, tone, dust=dust),
            progress=_progress(),
        )
        return io.NodeOutput(_channels_last(result))


def _enhancer(model: str, restore_model: str) -> Enhancer:
    """One model that does both while neither was changed, as in the command line; else these."""
    name, repairs = models_for_both(model, restore_model)
    return Enhancer.of(_loaded(name), repairs, _loaded)


def _sizes() -> list[Any]:
    """By how much a picture is enlarged."""
    return [
        io.Float.Input("scale", default=2.0, min=0.05, max=16.0, step=0.05),
        io.Int.Input(
            "long_side",
            default=0,
            min=0,
            max=65536,
            tooltip="Pixels of the longer side, in place of the scale; 0 = by the scale.",
        ),
    ]


def _size(image: Tensor, scale: float, long_side: int) -> tuple[int, int]:
    """(width, height) of the result."""
    height, width = image.shape[1:3]
    request = SizeRequest(long_side=long_side) if long_side else SizeRequest(scale=scale)
    return request.resolve(width, height)


def _amounts() -> list[Any]:
    """Of the parts of a repair, for models that tell them apart, such as moce-ir-light."""
    share = {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.05, "optional": True}
    return [
        io.Float.Input("denoise", tooltip="How much of the noise is removed.", **share),
        io.Float.Input("jpeg", tooltip="How much of the traces of compression.", **share),
        io.Combo.Input(
            "tone",
            options=["auto", "off", "on"],
            default="auto",
            optional=True,
            tooltip="Darkness and haze: undone where the model is sure, never, or always.",
        ),
        io.Float.Input(
            "dust",
            tooltip="How much of dust and scratches. For scans: stars and white dots go, too.",
            **(share | {"default": 0.0}),
        ),
    ]


def _names(does: str) -> list[str]:
    """The packaged models that do "upscale" or "restore"."""
    files = packaged_models().items()
    return [name for name, file in files if FAMILIES[read_card(file).family].does == does]


def _loaded(name: str) -> Upscaler | Restorer:
    return _load(name, str(comfy.model_management.get_torch_device()))


@functools.lru_cache(maxsize=3)
def _load(name: str, device: str) -> Upscaler | Restorer:
    """A model, kept from one run of a workflow to the next."""
    return pixperts.load(name, device=device)


def _channels_first(image: Tensor) -> Tensor:
    return image.movedim(-1, 1).contiguous()


def _channels_last(image: Tensor) -> Tensor:
    return image.movedim(1, -1).contiguous()


def _progress() -> Callable[[float], None]:
    """Moves ComfyUI's bar, and stops where the user has pressed cancel."""
    bar = comfy.utils.ProgressBar(STEPS)

    def advance(share: float) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(round(share * STEPS), STEPS)

    return advance
