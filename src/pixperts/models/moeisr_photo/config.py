"""What fixes the shape of a moeisr-photo model."""

import math
from dataclasses import dataclass

from pixperts.errors import ModelError
from pixperts.models.bounds import check_integer
from pixperts.models.moeisr_light.config import MoEISRLightConfig


@dataclass(frozen=True)
class MoEISRPhotoConfig:
    """Everything that fixes the shape of a model; stored in its weights file."""

    channels: int = 48  # of the features of both networks; multiples of 16 are fast on CPUs
    blocks: int = 8  # residual blocks of both, two 3x3 convolutions each
    basis: int = 4  # cosines along each axis of the field
    judge_width: int = 64  # of the judge's hidden layers
    # The clean network is taken if its estimated error is below this share of the other's: a
    # compressed picture that is taken for a clean one loses more than the opposite.
    clean_below: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be built, by name."""
        highest = {"channels": 4096, "blocks": 256, "basis": 16, "judge_width": 4096}
        for name, high in highest.items():
            check_integer("the model", name, getattr(self, name), 1, high)
        share = self.clean_below
        number = isinstance(share, int | float) and not isinstance(share, bool)
        if not number or not 0 <= share < math.inf:
            raise ModelError(f"clean_below is {share!r}, but must be a number of 0 or more.")

    @property
    def member(self) -> MoEISRLightConfig:
        """The configuration of both networks, which have one expert each.

        Colors are bounded in both. moeisr-light was trained without that, and loses nothing by it:
        at most 0.001 dB on 14 photos, clean, soft or compressed as JPEG 95, at x2 and x4.
        """
        return MoEISRLightConfig(
            channels=self.channels,
            blocks=self.blocks,
            basis=self.basis,
            depths=(0,),
            widths=(0,),
            bounded_color=True,
        )
