"""Published weights into ours: an explicit map of key names, nothing guessed.

LIIF's and LTE's checkpoints are pickles `{"model": {"name", "args", "sd"}, ...}` or bare state
dicts; their first MLP layer is split into a convolution and two small terms (see
`moeisr.decoders`), everything else is copied. MoCE-IR's are Lightning checkpoints; see
`moce_ir.config` for the few names that differ.
"""

import pickle
import re
import warnings
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pixperts.errors import ModelError, UnknownModelError, UsageError, named
from pixperts.models.interfaces import Network
from pixperts.models.moce_ir.config import from_published_keys
from pixperts.models.moce_ir.model import MoCEIR
from pixperts.models.moeisr.model import MoEISR
from pixperts.models.presets import PRESETS, create_model
from pixperts.weights import store

_OURS = ("moeisr", "moce-ir-tiny", "moce-ir-light", "moce-isr-light")
PUBLISHED = tuple(name for name in PRESETS if not name.startswith(_OURS))
# Constants that the published encoders carry: unused mean shifts, and what we compute.
_ABSENT = re.compile(r"encoder\.((sub|add)_mean\..*|.*\.(relative_position_index|attn_mask))")
_LTE = {"coef": "embedding.amplitude", "freq": "embedding.frequency", "phase": "embedding.phase"}


def from_published(name: str, state_dict: dict[str, Any]) -> Network:
    """Build a preset and load a published implementation's state dict into it.

    Args:
        name: liif-edsr, liif-rdn, liif-swinir, lte-edsr, lte-rdn, lte-swinir, moce-ir or
            moce-ir-s.
        state_dict: keys as in the published code; a whole checkpoint is unwrapped.

    Raises:
        UnknownModelError: for an unknown name.
        ModelError: for a tensor that is missing, foreign or misshapen.
    """
    if name not in PUBLISHED:
        raise UnknownModelError(
            f"{name!r} was never published; convertible are {', '.join(PUBLISHED)}."
        )
    model = create_model(name)
    ours: dict[str, Tensor] = {}
    published = unwrap(state_dict)
    if isinstance(model, MoCEIR):
        published = from_published_keys(published)
    for key, value in published.items():
        if _ABSENT.fullmatch(key):
            continue
        if not isinstance(value, Tensor):
            raise ModelError(f"the entry {key!r} of the published weights is not a tensor.")
        if value.layout != torch.strided or not value.is_floating_point():
            raise ModelError(
                f"the tensor {key!r} is {value.dtype} ({value.layout}), not plain floating point."
            )
        ours |= _rename(key, value, model) if isinstance(model, MoEISR) else {key: value}
    wanted = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    store.check_keys(name, {key: tuple(value.shape) for key, value in ours.items()}, wanted)
    model.load_state_dict({key: value.float() for key, value in ours.items()})
    return model.eval()


def _rename(key: str, value: Tensor, model: MoEISR) -> dict[str, Tensor]:
    """Our names and tensors for one published tensor."""
    first, *rest = key.split(".")
    if first in _LTE and model.config.decoder == "lte":
        return {".".join([_LTE[first], *rest]): value}
    match = re.fullmatch(r"imnet\.layers\.(\d+)\.(weight|bias)", key)
    if not match:
        return {key: value}
    number, odd = divmod(int(match[1]), 2)  # a ReLU, without weights, follows each layer
    kind = match[2]
    if odd:
        return {key: value}
    if model.config.decoder == "liif":
        if number == 0:
            return _split_first(value, kind, model)
        number -= 1
    last = model.config.depths[0]
    place = f"hidden.{number}" if number < last else "colour" if number == last else f"no.{number}"
    return {f"experts.0.{place}.{kind}": value}


def _split_first(value: Tensor, kind: str, model: MoEISR) -> dict[str, Tensor]:
    """LIIF's first layer: columns are 9 C unfolded features, 2 of offset, 2 of cell."""
    if kind == "bias":
        return {"embedding.feature.bias": value}
    channels = model.encoder.out_channels
    if value.dim() != 2 or value.shape[1] != 9 * channels + 4:
        raise ModelError(
            f"imnet.layers.0.weight has shape {tuple(value.shape)}, but (width, "
            f"{9 * channels + 4}) is needed: 3x3 features, offset and cell."
        )
    return {
        "embedding.feature.weight": value[:, :-4].reshape(-1, channels, 3, 3),
        "embedding.offset.weight": value[:, -4:-2],
        "embedding.cell.weight": value[:, -2:],
    }


def unwrap(state: Any) -> dict[str, Any]:
    """The state dict inside a published checkpoint: `model.sd`, `state_dict`, or itself.

    Raises:
        ModelError: when there is none.
    """
    for path in (("model", "sd"), ("sd",), ("state_dict",), ("model",)):
        inner = state
        for step in path:
            inner = inner.get(step) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            state = inner
            break
    if not isinstance(state, dict) or not state or not all(isinstance(key, str) for key in state):
        raise ModelError("this file holds no state dict.")
    return state


def recognise(state: dict[str, Any]) -> str:
    """The preset that a published state dict belongs to, from its key names.

    Raises:
        ModelError: when no known architecture fits.
    """
    marks = {"RDBs": "rdn", "conv_after_body": "swinir", "body": "edsr"}
    parts = {part for key in unwrap(state) for part in key.split(".")}
    for key, value in unwrap(state).items():
        if key.endswith("patch_embed.proj.weight") and "freq_embed" in parts:
            small = isinstance(value, Tensor) and value.shape[:1] == (32,)
            return "moce-ir-s" if small else "moce-ir"
    encoder = next((name for mark, name in marks.items() if mark in parts), None)
    if encoder is None or "imnet" not in parts:
        raise ModelError(
            "these weights have no architecture that can be converted; "
            f"name one with {named('name')}: {', '.join(PUBLISHED)}."
        )
    return f"{'lte' if 'coef' in parts else 'liif'}-{encoder}"


def read_published(path: Path) -> dict[str, Any]:
    """Read a .pth or .ckpt file without running any code in it (`weights_only=True`).

    Raises:
        ModelError: for a missing, damaged or unsafe file.
    """
    try:
        _refuse_compressed(path)
        with warnings.catch_warnings():  # on old pickle protocols; what matters is an exception
            warnings.simplefilter("ignore")
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: there is no such file.") from error
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: refused, because it is damaged or holds code and not just tensors."
        ) from error
    # A pickle of another's making can fail in any way, out of memory included.
    except Exception as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path}: these are not PyTorch weights, or they are damaged.") from error
    if not isinstance(loaded, dict):
        raise ModelError(f"{path}: this file holds no state dict.")
    return loaded


def _refuse_compressed(path: Path) -> None:
    """ModelError for a zip whose parts are deflated, which torch never writes but inflates."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
        raise ModelError(f"{path}: refused, because its parts are compressed: save it with torch.")


def convert_file(
    source: Path, target: Path, *, name: str | None = None, license_name: str = "unknown"
) -> str:
    """Convert a published checkpoint into one of ours; returns the preset's name.

    Raises:
        ModelError, UsageError: with one sentence.
    """
    if target.suffix != ".safetensors":
        raise UsageError(f"{target}: the converted weights need a name ending in .safetensors.")
    state = read_published(source)
    try:
        name = name or recognise(state)
        model = from_published(name, state)
    except ModelError as error:
        raise ModelError(f"{source}: {error}") from error
    card = store.Card(
        name=name,
        config=asdict(model.config),
        license=license_name,
        data="as published",
        notes={"origin": f"converted from {source.name}"},
    )
    store.save(target, model, card)
    return name
