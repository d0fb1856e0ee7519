"""The configuration of a MoEISR model, and the encoders that it can have."""

from dataclasses import asdict, dataclass, field
from typing import Any

from pixperts.errors import ModelError
from pixperts.models.bounds import check_integer
from pixperts.models.encoders.edsr import EDSR, EDSRConfig
from pixperts.models.encoders.rdn import RDN, RDNConfig
from pixperts.models.encoders.swinir import SwinIR, SwinIRConfig
from pixperts.models.moeisr.decoders import EMBEDDINGS

Encoder = EDSR | RDN | SwinIR
ENCODERS: dict[str, tuple[Any, Any]] = {
    "edsr": (EDSR, EDSRConfig),
    "rdn": (RDN, RDNConfig),
    "swinir": (SwinIR, SwinIRConfig),
}


@dataclass(frozen=True)
class MoEISRConfig:
    """Sizes and options of a model; stored in its weights file. LR means low resolution.

    Raises:
        ModelError: a value is not allowed, or the numbers do not fit together.
    """

    encoder: str = "edsr"  # edsr, rdn or swinir
    encoder_options: dict[str, Any] = field(default_factory=dict)  # fields of the encoder's config
    decoder: str = "liif"  # liif or lte
    width: int = 256  # channels of the embedding
    depths: tuple[int, ...] = (3,)  # hidden layers of each expert after the embedding, not falling
    widths: tuple[int, ...] = (256,)  # channels of the hidden layers of each expert
    neck: int = 0  # residual blocks at LR resolution before all experts except the deepest
    light_width: int = 256  # channels of the embedding of those experts; unused without a neck
    neighbors: tuple[int, ...] = ()  # LR pixels that each expert reads, 4 or 1; empty: always 4
    residual: bool = False  # add the bilinear enlargement (LTE does, LIIF does not)
    mapper_layers: int = 5  # 3x3 convolutions of the mapper; unused with one expert
    mapper_width: int = 32  # channels of the mapper
    max_pixels: int = 2048  # output pixels decoded at once; limits memory, changes no result

    def __post_init__(self) -> None:
        """Raise ModelError that names the first field whose value is not allowed."""
        if self.encoder not in ENCODERS:
            raise ModelError(f"encoder is {self.encoder!r}, but must be one of {list(ENCODERS)}.")
        if self.decoder not in EMBEDDINGS:
            raise ModelError(f"decoder is {self.decoder!r}, but must be one of {list(EMBEDDINGS)}.")
        if not isinstance(self.encoder_options, dict):
            raise ModelError(f"encoder_options is {self.encoder_options!r}, but must be a mapping.")
        for name in ("depths", "widths"):
            if not isinstance(getattr(self, name), tuple | list):
                raise ModelError(f"{name} is {getattr(self, name)!r}, but must be a list.")
        if not 1 <= len(self.depths) <= 64 or len(self.widths) != len(self.depths):
            raise ModelError("depths and widths must list one number for each of 1 to 64 experts.")
        for depth, width in zip(self.depths, self.widths, strict=True):
            check_integer("an expert", "depth", depth, 0, 64)
            check_integer("an expert", "width", width, 1, 4096)
        if not isinstance(self.neighbors, tuple | list) or (
            self.neighbors
            and (len(self.neighbors) != len(self.depths) or not {*self.neighbors} <= {1, 4})
        ):
            raise ModelError(
                f"neighbors is {self.neighbors!r}, but must list 4 or 1 for each expert, or "
                "nothing."
            )
        if list(self.depths) != sorted(self.depths):
            raise ModelError(f"depths must not fall from one expert to the next: {self.depths}.")
        check_integer("the model", "neck", self.neck, 0, 64)
        if self.neck and len(self.depths) == 1:
            raise ModelError("neck is set, but a single expert has no use for one: leave it at 0.")
        highest = {
            "width": 4096,
            "light_width": 4096,
            "mapper_layers": 64,
            "mapper_width": 4096,
            "max_pixels": 1 << 30,
        }
        for name, high in highest.items():
            check_integer("the model", name, getattr(self, name), 1, high)
        if self.decoder == "lte" and (self.width % 2 or (self.neck and self.light_width % 2)):
            raise ModelError(
                f"width is {self.width}, but LTE needs an even one: sines and cosines."
            )

    def neighbors_of(self, expert: int) -> int:
        """Number of LR pixels that an expert, counted from 0, reads for one output pixel."""
        return self.neighbors[expert] if self.neighbors else 4


def build_encoder(config: MoEISRConfig) -> Encoder:
    """The encoder that a configuration names, with random weights.

    Raises:
        ModelError: the encoder does not know an option, or its value is not allowed.
    """
    encoder, encoder_config = ENCODERS[config.encoder]
    try:
        options = encoder_config(**config.encoder_options)
    except TypeError as error:
        raise ModelError(
            f"encoder_options of {config.encoder} are {list(asdict(encoder_config()))}, got "
            f"{list(config.encoder_options)}."
        ) from error
    built: Encoder = encoder(options)
    return built
