"""Weights for the loader of spandrel, for use with `integrations.spandrel.register`.

The loader drops the header of a .safetensors file, which holds our configuration, and every model
has a single factor there. Both are therefore written as tensors, and read by our architecture.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

from pixperts.errors import ModelError, UsageError, named
from pixperts.io.atomic import replacing
from pixperts.models.interfaces import Network
from pixperts.weights import store

CARD = "pixperts.card"  # bytes of the header's JSON
SCALE = "pixperts.scale"  # one whole number
LARGEST = 16


def write_spandrel(network: Network, card: store.Card, scale: int, path: Path) -> None:
    """Write weights, the card and the factor.

    Args:
        network: of any kind.
        card: license, data and notes.
        scale: of an enlargement; 1 for a model that repairs.
        path: a name that ends in .safetensors.

    Raises:
        ModelError: the folder cannot be written.
    """
    text = store.card_text(network, card)
    tensors: dict[str, Tensor] = {
        key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()
    }
    tensors[CARD] = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)
    tensors[SCALE] = torch.tensor([scale])
    with replacing(path, error=ModelError) as temporary:
        temporary.write_bytes(to_bytes(tensors, metadata={"format": "pt", "pixperts": text}))


def read_spandrel(state: dict[str, Tensor]) -> tuple[store.Card, int]:
    """Remove card and factor from a state dict, and return them; the weights stay in it.

    Raises:
        ModelError: they are damaged.
    """
    try:
        text = bytes(state.pop(CARD).to(torch.uint8).flatten().tolist()).decode()
        scale = int(state.pop(SCALE).flatten()[0])
        json.loads(text)
    except (ValueError, KeyError, IndexError) as error:
        raise ModelError("the model's description in the file is damaged.") from error
    if not 1 <= scale <= LARGEST:
        raise ModelError(f"the model's factor is {scale}, but must be between 1 and {LARGEST}.")
    return store.parse_card(text, "the file"), scale


def scale_for_spandrel(network: Network, name: str, scale: float | None) -> int:
    """The factor as a whole number, 1 for a model that repairs.

    Raises:
        UsageError: a factor that spandrel cannot have.
    """
    if network.does == "restore":
        if scale is not None and scale != 1:
            raise UsageError(
                f"{name} repairs at the picture's own size: leave {named('scale')} out."
            )
        return 1
    if scale is None:
        raise UsageError(
            f"a file for spandrel has one factor: give {named('scale')}, such as "
            f"{named('scale', 2)}."
        )
    if scale != int(scale) or not 1 <= scale <= LARGEST:
        raise UsageError(
            f"{named('scale')} is {scale:g}, but spandrel takes whole numbers from 1 to {LARGEST}."
        )
    return int(scale)
