"""Our networks in the registry of spandrel, which ComfyUI and other programs load models with.

    from pixperts.integrations import spandrel
    spandrel.register()
    model = ModelLoader().load_from_file("moeisr-photo_x2.safetensors")

The files are those of `pixperts export MODEL --to spandrel --scale 2`.
"""

from typing import Any

import torch
from torch import Tensor

from pixperts.errors import MissingExtraError
from pixperts.export.spandrel_file import CARD, read_spandrel
from pixperts.models.interfaces import Network, PairedNetwork, ScoutedNetwork, SurveyedNetwork
from pixperts.models.presets import build

ID = "pixperts"


def register() -> None:
    """Add our networks to `spandrel.MAIN_REGISTRY`; calling it again does nothing.

    Raises:
        MissingExtraError: spandrel or torchvision, which it requires, is not installed.
    """
    try:
        import spandrel
    except ImportError as error:
        raise MissingExtraError("Loading by spandrel", "spandrel") from error
    support = spandrel.ArchSupport.from_architecture(_architecture(spandrel))
    spandrel.MAIN_REGISTRY.add(support, ignore_duplicates=True)


def _architecture(spandrel: Any) -> Any:
    """The entry of the registry, for all files that hold our card."""

    class PixpertsArch(spandrel.Architecture):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(id=ID, name=ID, detect=lambda state: CARD in state)

        def load(self, state_dict: dict[str, Tensor]) -> Any:
            state = dict(state_dict)
            card, scale = read_spandrel(state)
            network = build(card.config, card.family)
            network.prepare(torch.device("cpu"))  # the same memory layout gives the same rounding
            enlarges = network.does == "upscale"
            # Networks that depend on all pixels give other results in tiles.
            tiling = "DISCOURAGED" if isinstance(network, SurveyedNetwork) else "SUPPORTED"
            return spandrel.ImageModelDescriptor(
                network,
                {key: value.float() for key, value in state.items()},
                architecture=self,
                purpose="SR" if enlarges else "Restoration",
                tags=[card.name],
                supports_half=False,
                supports_bfloat16=False,  # as a type of the weights; autocast is fine
                scale=scale,
                input_channels=3,
                output_channels=3,
                tiling=spandrel.ModelTiling[tiling],
                call_fn=lambda model, image: _called(model, image, scale),
            )

    return PixpertsArch()


def _called(model: Network, image: Tensor, scale: int) -> Tensor:
    """(1, 3, h, w) in [0, 1] -> (1, 3, scale * h, scale * w)."""
    if isinstance(model, ScoutedNetwork):
        # Programs cut pictures into tiles, and darkness would be judged for each by itself.
        found: Tensor = model(image, tone="off").image
    elif model.does == "restore":
        found = model(image).image
    else:
        if isinstance(model, PairedNetwork):  # tiles would be judged each by itself, too
            model = model.networks[0]
        found = model(image, (image.shape[2] * scale, image.shape[3] * scale)).image
    return found.to(image.dtype)
