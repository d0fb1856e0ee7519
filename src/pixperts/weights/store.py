"""One safetensors file per model: the weights, and in its header all that is needed to use them.

The header's `pixperts` entry is JSON: format version, architecture name, full configuration,
license, training data, and free notes such as measured quality. Loading is strict.

A network that continues a packaged one need not repeat its tensors: the header's `base` then names
the packaged weights, and their SHA-256, so that they are those with which it was trained.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor

from pixperts.errors import ModelError, printable
from pixperts.io.atomic import replacing
from pixperts.io.vips import reason
from pixperts.models.interfaces import Network
from pixperts.models.presets import build, family_of, outline
from pixperts.weights.checksums import file_sha256

FORMAT = 2
_READ = (1, FORMAT)
_RENAMED = {"licence": "license"}  # in files of format 1; for their configurations see `presets`
_LIMIT = 4 << 30  # no model of ours comes near; a header that claims more is a lie
_LONGEST_HEADER = 8 << 20  # bytes; a model of a thousand tensors needs a tenth of one


@dataclass(frozen=True)
class Card:
    """The facts that travel with a model."""

    name: str  # architecture, a preset's name
    config: dict[str, Any]  # full configuration, enough to build the network
    license: str = "unknown"  # of the weights
    data: str = "unknown"  # what they were trained on
    notes: dict[str, Any] = field(default_factory=dict)  # measured quality, cost, origin
    family: str = "moeisr"  # which kind of network, a key of `presets.FAMILIES`
    base: str = ""  # packaged weights that hold the tensors which this file lacks: "name sha256"


def save(
    path: Path, model: Network, card: Card, *, half: bool = False, base: str | None = None
) -> None:
    """Write weights and card to `path`: into a file beside it first, then renamed.

    Args:
        path: a name that ends in .safetensors.
        model: the network; its family and configuration replace the card's.
        card: license, data and notes.
        half: store the weights in float16 (they are computed with in float32 all the same).
        base: name of packaged weights; tensors that are the same there are left out here.

    Raises:
        ModelError: where the folder cannot be written, or a weight is not finite (perhaps only in
            float16).
    """
    known: dict[str, Tensor] = {}
    card = replace(card, base="")
    if base is not None:
        card = replace(card, base=f"{base} {file_sha256(_packaged(base, str(path)))}")
        known = _base_tensors(card.base, str(path))
    tensors: dict[str, Tensor] = {}
    for key, value in model.state_dict().items():
        value = value.detach().cpu().contiguous()
        tensors[key] = value.half() if half and value.is_floating_point() else value
        if not bool(torch.isfinite(tensors[key]).all()):
            kind = "finite in float16" if half else "finite"
            raise ModelError(
                f"{path} was not written, because values of the tensor {key!r} are not {kind}."
            )
        if key in known and torch.equal(known[key], tensors[key]):
            del tensors[key]
    text = card_text(model, card)
    with replacing(path, error=ModelError) as temporary:
        # Written here and not by `save_file`, which lets nobody but the owner read the file.
        temporary.write_bytes(to_bytes(tensors, metadata={"pixperts": text}))


def card_text(model: Network, card: Card) -> str:
    """The header's text; the network's family and configuration replace the card's."""
    own = {"family": family_of(model), "config": asdict(model.config), "format": FORMAT}
    values = {**asdict(card), **own}
    if not card.base:  # which older versions do not know
        del values["base"]
    return json.dumps(values)


def read_card(path: Path) -> Card:
    """The facts of a weights file, without its tensors.

    Raises:
        ModelError: for a file that is missing, damaged, or not one of ours.
    """
    text = _metadata(path).get("pixperts")
    if text is None:
        raise ModelError(
            f"{path}: this safetensors file holds no pixperts model; published weights are "
            "turned into one by 'pixperts convert'."
        )
    return parse_card(text, str(path))


def parse_card(text: str, path: str) -> Card:
    """The facts in a header's text.

    Args:
        text: JSON.
        path: where it stands, for messages.

    Raises:
        ModelError: it is damaged, or newer than this package.
    """
    try:
        values = json.loads(text)
        if values.pop("format") not in _READ:
            raise ModelError(f"{path}: written by a newer pixperts; update the package.")
        values = {_RENAMED.get(key, key): value for key, value in values.items()}
        card = Card(**_shown(values))
        if not (isinstance(card.config, dict) and isinstance(card.notes, dict)):
            raise TypeError("config and notes must be mappings")
        if not all(
            isinstance(text, str)
            for text in (card.name, card.family, card.license, card.data, card.base)
        ):
            raise TypeError("name, family, license, data and base must be text")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path}: the model's description in the header is damaged.") from error
    return card


def load(path: Path) -> tuple[Network, Card]:
    """Build the network that the file describes and load its weights, strictly, in float32.

    Raises:
        ModelError: for a file that is missing, damaged or foreign, a key or shape that does not
            fit the architecture, naming it, or a base that this version does not have.
    """
    card = read_card(path)
    known = _base_tensors(card.base, str(path)) if card.base else {}
    try:
        model = outline(card.config, card.family)  # sizes are checked before any memory is taken
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    try:
        with safe_open(path, framework="pt") as file:
            stored = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
            wanted = {key: tuple(value.shape) for key, value in model.state_dict().items()}
            lent = {k: v for k, v in known.items() if k in wanted and k not in stored}
            shapes = {key: tuple(value.shape) for key, value in lent.items()}
            check_keys(path.name, stored | shapes, wanted)
            read = {key: file.get_tensor(key) for key in stored} | lent
    # A header may name types that this torch does not know, which shows in many ways.
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise ModelError(f"{path}: the weights are damaged ({error}).") from error
    for key, value in read.items():
        if not value.is_floating_point():
            raise ModelError(f"{path}: the tensor {key!r} is {value.dtype}, not floating point.")
    # Copied: what safetensors gives may still lie in the file.
    tensors = {key: value.to(torch.float32, copy=True) for key, value in read.items()}
    for key, value in tensors.items():
        if not bool(torch.isfinite(value).all()):
            raise ModelError(f"{path}: the tensor {key!r} holds values that are not finite.")
    model.load_state_dict(tensors, assign=True)
    if any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())):
        model = build(card.config, card.family)  # it has constants that no file holds
        model.load_state_dict(tensors)
    return model.eval(), card


def check_keys(
    source: str, stored: dict[str, tuple[int, ...]], wanted: dict[str, tuple[int, ...]]
) -> None:
    """Compare keys and shapes, naming the first that is wrong.

    Raises:
        ModelError: naming the key.
    """
    for key in wanted:
        if key not in stored:
            raise ModelError(f"{source}: the tensor {key!r} is missing.")
    for key, shape in stored.items():
        if key not in wanted:
            raise ModelError(f"{source}: the tensor {key!r} does not belong to this model.")
        if shape != wanted[key]:
            raise ModelError(f"{source}: {key!r} has shape {shape}, not {wanted[key]}.")


def _packaged(name: str, path: str) -> Path:
    """The file of packaged weights; only a name of one, never a path."""
    files = {file.stem: file for file in Path(__file__).parent.glob("*.safetensors")}
    if name not in files:
        raise ModelError(
            f"{path}: it continues the weights {name!r}, which this version of pixperts lacks; use "
            "the version for which it was made."
        )
    return files[name]


def _base_tensors(base: str, path: str) -> dict[str, Tensor]:
    """The tensors of packaged weights, as they are stored there.

    Args:
        base: name and SHA-256 of the packaged weights.
        path: of the weights that continue them, for messages.

    Raises:
        ModelError: this version has no such weights, or others of that name.
    """
    name, _, digest = base.partition(" ")
    file = _packaged(name, path)
    if file_sha256(file) != digest:
        raise ModelError(
            f"{path}: it continues other weights {name!r} than this version of pixperts has; use "
            "the version for which it was made."
        )
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file}: the weights are damaged ({error}).") from error


def _shown(value: Any) -> Any:
    """JSON with all texts as one line without control characters: they are shown to people."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(key): _shown(inner) for key, inner in value.items()}
    return [_shown(inner) for inner in value] if isinstance(value, list) else value


def _metadata(path: Path) -> dict[str, str]:
    """The texts in a safetensors file's header, which safetensors holds against the file."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
        # safetensors itself takes headers of 100 MB.
        if length > _LONGEST_HEADER or size > _LIMIT:
            raise ModelError(f"{path}: this is not a safetensors file, or it is cut off.")
        with safe_open(path, framework="numpy") as file:
            return file.metadata() or {}
    except FileNotFoundError as error:
        raise ModelError(f"{path}: there is no such weights file.") from error
    except OSError as error:
        raise ModelError(f"{path}: the weights cannot be read ({reason(error)}).") from error
    except SafetensorError as error:
        raise ModelError(f"{path}: this is not a safetensors file, or it is damaged.") from error
