"""What fixes the shape of a moeisr-light model."""

from dataclasses import dataclass

from pixperts.errors import ModelError
from pixperts.models.bounds import check_integer


@dataclass(frozen=True)
class MoEISRLightConfig:
    """Everything that fixes the shape of a model; stored in its weights file."""

    channels: int = 48  # of the features; multiples of 16 are fast on CPUs
    blocks: int = 8  # residual blocks of the encoder, two 3x3 convolutions each
    basis: int = 4  # cosines along each axis of the field; 4 give any pattern up to x4
    shared_width: int = 64  # of the 3x3 convolution that all experts but the first share
    depths: tuple[int, ...] = (0, 2, 3, 5)  # layers of each expert; 0 leaves the features
    widths: tuple[int, ...] = (0, 64, 96, 160)  # of their hidden layers
    mapper_width: int = 16  # channels of the mapper; unused with one expert
    bounded_color: bool = False  # keep to colors of the input nearby, so that gray stays gray

    def __post_init__(self) -> None:
        """Refuse what cannot be built, by name."""
        for name in ("depths", "widths"):
            if not isinstance(getattr(self, name), tuple | list):
                raise ModelError(f"{name} is {getattr(self, name)!r}, but must be a list.")
        if not 1 <= len(self.depths) <= 64 or len(self.widths) != len(self.depths):
            raise ModelError("depths and widths must list one number for each of 1 to 64 experts.")
        if self.depths[0] != 0 or list(self.depths) != sorted(self.depths):
            raise ModelError(f"depths must start at 0 and not fall: {self.depths}.")
        for depth, width in zip(self.depths, self.widths, strict=True):
            check_integer("an expert", "depth", depth, 0, 64)
            check_integer("an expert", "width", width, 1 if depth else 0, 4096)
        highest = {"channels": 4096, "blocks": 256, "basis": 16, "shared_width": 4096}
        for name, high in (highest | {"mapper_width": 4096}).items():
            check_integer("the model", name, getattr(self, name), 1, high)
