"""What fixes the shape of a moce-isr-light model."""

from dataclasses import dataclass

from pixperts.errors import ModelError
from pixperts.models.bounds import check_integer
from pixperts.models.moce_ir_light.config import MoCEIRLightConfig


@dataclass(frozen=True)
class MoCEISRLightConfig(MoCEIRLightConfig):
    """Everything that fixes the shape of a model; stored in its weights file.

    The fields of the repair are those of moce-ir-light; its regions (`cell`) are also those for
    which the enlarger chooses its depth.
    """

    large_channels: int = 48  # of the enlarger's features; multiples of 16 are fast on CPUs
    large_blocks: int = 3  # residual blocks of the enlarger, of which a region takes none to all
    basis: int = 4  # cosines along each axis of the field; 4 give any pattern up to x4
    depth_width: int = 16  # channels of the mapper that chooses the depth

    def __post_init__(self) -> None:
        """Refuse what cannot be built, by name."""
        super().__post_init__()
        highest = {"large_channels": 4096, "large_blocks": 64, "basis": 16, "depth_width": 4096}
        for name, high in highest.items():
            check_integer("the model", name, getattr(self, name), 1, high)
        if self.large_blocks > 250:
            raise ModelError("large_blocks must stay below 250.")
