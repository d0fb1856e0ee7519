"""The base of `Upscaler` and `Restorer`: a network on a device, its tiles and its memory."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import torch

from pixperts.defaults import DEFAULT_MODEL
from pixperts.errors import UsageError, named
from pixperts.hardware import fastest_precision
from pixperts.inference.device import DeviceRunner, choose_device
from pixperts.inference.runtimes import RuntimeEncoder, check_runtime
from pixperts.memory import available_memory, resident_memory
from pixperts.models.engine import engine_networks
from pixperts.models.interfaces import Network
from pixperts.weights import store
from pixperts.weights.checksums import network_sha256
from pixperts.weights.hub import push_to_hub, save_pretrained
from pixperts.weights.packaged import weights_file


class WrongModelError(UsageError, AttributeError):
    """A method was called that only models of the other kind have; `hasattr` returns False."""


class AnyPredictor(Protocol):
    """What a run over files needs to know about a model, or about several in a row."""

    @property
    def name(self) -> str:
        """The name for messages, file names and manifests."""

    @property
    def precision(self) -> str:
        """float32, bfloat16 or float16."""

    @property
    def runtime(self) -> str:
        """What computes the encoder."""

    @property
    def tile(self) -> int | None:
        """Side of the tiles, if it was given."""

    @property
    def slow_precision(self) -> bool:
        """Whether float32 would be many times faster."""

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights."""


class Predictor:
    """A network, its card and a device; the base of `Upscaler` and `Restorer`.

    The network itself is put into evaluation mode and moved to the device; no copy is made.

    Args:
        model: the network, of the kind that the subclass runs.
        card: name, license, data and notes of the weights.
        device: auto (the GPU if there is one), cpu, cuda, cuda:1 or mps.
        tile: side of the tiles into which large pictures are cut, in input pixels; None = as
            large as the memory allows, which may be the whole picture.
        max_memory: bytes that the process may use on a CPU, or the tiles on another device;
            None = half of the free memory.
        precision: auto, float32, bfloat16 or (on a GPU) float16; auto is bfloat16 if it is faster
            for this network and processor, and float32 otherwise.
        runtime: torch, or onnxruntime or openvino for the encoder of a model that enlarges.

    Attributes:
        device: where the network runs.
        precision: float32, bfloat16 or float16; if auto was given, the one that was chosen.
        runtime: what computes the encoder.

    Raises:
        UsageError: the network is of the other kind, this machine has no such device, or the
            tile, memory, precision or runtime is not possible.
    """

    smallest_tile: ClassVar[int]  # pixels
    refusal: str  # the error message if such a model is used for the other work
    foreign: ClassVar[str]  # how the names of the methods for the other work begin
    model: Network

    def __init__(
        self,
        model: Network,
        card: store.Card,
        *,
        device: str = "auto",
        tile: int | None = None,
        max_memory: float | None = None,
        precision: str = "auto",
        runtime: str = "torch",
    ) -> None:
        self.card = card
        self.runtime = check_runtime(runtime, model, card.name, device, precision)
        self.device = choose_device(device if runtime == "torch" else "cpu")
        if tile is not None and tile < self.smallest_tile:
            raise UsageError(
                f"{named('tile')} is {tile}, but must be at least {self.smallest_tile} pixels."
            )
        if max_memory is not None and not max_memory > 0:
            raise UsageError(f"{named('max_memory')} is {max_memory:g}, but must be above 0 bytes.")
        if precision == "auto":
            fast = model.fast_in_bfloat16 and runtime != "onnxruntime"
            precision = fastest_precision(self.device.type) if fast else "float32"
        self.tile, self.precision, self.max_memory = tile, precision, max_memory
        self._runner = DeviceRunner(card.name, self.device, precision)
        model.eval().to(self.device)
        model.prepare(self.device)
        for part in engine_networks(model):
            part.engine = None if runtime == "torch" else RuntimeEncoder(part, runtime)

    @classmethod
    def load(
        cls,
        name_or_path: str | Path = DEFAULT_MODEL,
        *,
        device: str = "auto",
        tile: int | None = None,
        max_memory: float | None = None,
        precision: str = "auto",
        runtime: str = "torch",
        offline: bool = False,
    ) -> Self:
        """Load a model of this kind; see `inference.load` for the arguments.

        Raises:
            ModelError: the name is unknown, or the file is missing, damaged or of another kind.
            UsageError: the model is of the other kind, or see `inference.load`.
        """
        model, card = store.load(weights_file(name_or_path, offline=offline))
        return cls(
            model,
            card,
            device=device,
            tile=tile,
            max_memory=max_memory,
            precision=precision,
            runtime=runtime,
        )

    def save_pretrained(self, folder: str | Path, *, half: bool = False) -> None:
        """Write weights, config.json and a card for the hub into a folder; see `weights.hub`."""
        save_pretrained(folder, self.model, self.card, half=half)

    def push_to_hub(self, repo: str, *, private: bool = False, token: str | None = None) -> str:
        """Upload the model as "org/name" and return the commit's address; see `weights.hub`."""
        return push_to_hub(repo, self.model, self.card, private=private, token=token)

    @classmethod
    def of(cls, predictor: AnyPredictor) -> Self:
        """Return the predictor if it is of this kind.

        Raises:
            UsageError: it is of the other kind.
        """
        if isinstance(predictor, cls):
            return predictor
        refusal = getattr(predictor, "refusal", "repairs and enlarges: use 'enhance'.")
        raise UsageError(f"{predictor.name} {refusal}")

    @property
    def slow_precision(self) -> bool:
        """Whether float32 would be many times faster than the chosen precision."""
        fast = self.model.fast_in_bfloat16 and fastest_precision() == "bfloat16"
        return self.device.type == "cpu" and self.precision == "bfloat16" and not fast

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the network, see `checksums.network_sha256`."""
        return network_sha256(self.model)

    @property
    def name(self) -> str:
        """Name of the architecture, as in `pixperts models`."""
        return self.card.name

    if not TYPE_CHECKING:  # there, missing names shall stay missing

        def __getattr__(self, name: str) -> Any:
            """Only for names that are not there: the methods of the other kind say so."""
            if name.startswith(type(self).foreign):
                raise WrongModelError(f"{self.card.name} {self.refusal}")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _memory(self) -> float:
        """Bytes for the tiles."""
        if self.max_memory is not None:
            held = resident_memory() if self.device.type == "cpu" else 0
            return max(self.max_memory - held, 0.0)
        if self.device.type == "cuda":
            return 0.5 * float(torch.cuda.mem_get_info(self.device)[0])
        return 0.5 * available_memory()
