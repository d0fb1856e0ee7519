"""What fixes the shape of a moce-ir-light model."""

from dataclasses import dataclass

from pixperts.errors import ModelError
from pixperts.models.bounds import check_integer

LEVELS = 3  # at 1/2, 1/4 and 1/8 of the picture's sides
UNSHUFFLE = 2
EXPERTS = 4  # none, a bottleneck, two convolutions, two that look far
FAR = 3  # the number of the last of them
GROUPS = ("noise", "weather", "light", "blur", "marks")  # of faults, as the scout tells them apart
PARTS = ("noise", "jpeg", "rest")  # of the change of detail, each with an amount of its own


@dataclass(frozen=True)
class MoCEIRLightConfig:
    """Everything that fixes the shape of a model; stored in its weights file."""

    channels: tuple[int, ...] = (64, 128, 160)  # at each level; multiples of 16 are fast on CPUs
    encoder_blocks: tuple[int, ...] = (1, 1)  # plain residual blocks at 1/2 and 1/4
    deep_blocks: int = 0  # plain residual blocks at 1/16, beside the features at 1/8
    latent_mixtures: int = 2  # blocks with experts at 1/8
    decoder_mixtures: int = 2  # blocks with experts at 1/4
    decoder_blocks: int = 2  # plain residual blocks at 1/2
    expert_widths: tuple[int, ...] = (128, 96)  # between an expert's two layers, at 1/4 and 1/8
    bottleneck: int = 32  # channels of the 1x1 expert
    scout_channels: int = 24  # of the scout's first layer; twice as many are averaged
    embedding: int = 64  # numbers by which the scout describes a picture
    modulated: bool = True  # blocks with experts are scaled and shifted by the scout
    slack: float = 0.5  # change of a region's mean, as a share of the spread of what is changed
    cell: int = 32  # side of such a region in pixels
    router_noise: float = 0.3  # standard deviation in training, in logits
    # Probability of any fault of detail from which the change is taken in part, and wholly: where
    # the scout finds nothing, what looks like a fault is texture.
    sure: tuple[float, ...] = (0.0, 0.0)
    # The same for noise and compression where the picture is enlarged afterwards. Small pictures
    # are sharp, which looks like noise, and the enlarging network can deal with slight faults.
    # Where darkness or haze is undone, which makes noise visible, `sure` counts.
    sure_enlarged: tuple[float, ...] = (0.0, 0.0)
    # The same for rain and snow, also only before an enlargement: small, sharp pictures seldom look
    # rainy without rain, so less certainty is needed than for noise.
    sure_weather: tuple[float, ...] = (0.0, 0.0)
    # The same for dust and scratches: stars, snow and white dots look like them.
    sure_marks: tuple[float, ...] = (0.0, 0.0)
    tone_width: int = 48  # channels of the tone head
    motion: bool = False  # a stage before all others that undoes straight motion blur
    marks: bool = False  # a stage that removes dust and scratches where that is wanted
    noise_layers: bool = False  # a second set of plain layers, see `layers`

    def __post_init__(self) -> None:
        """Refuse what cannot be built, by name."""
        lengths = {"channels": LEVELS, "encoder_blocks": LEVELS - 1, "expert_widths": LEVELS - 1}
        for name, length in lengths.items():
            values = getattr(self, name)
            if not isinstance(values, tuple | list) or len(values) != length:
                raise ModelError(f"{name} is {values!r}, but must be a list of {length} numbers.")
            for value in values:
                check_integer("the model", name, value, 0 if name == "encoder_blocks" else 1, 4096)
        for name in ("deep_blocks", "latent_mixtures", "decoder_mixtures", "decoder_blocks"):
            check_integer("the model", name, getattr(self, name), 0, 256)
        if self.latent_mixtures + self.decoder_mixtures == 0:
            raise ModelError("latent_mixtures and decoder_mixtures are 0: one block must choose.")
        for name in ("bottleneck", "scout_channels", "embedding", "tone_width"):
            check_integer("the model", name, getattr(self, name), 1, 4096)
        check_integer("the model", "cell", self.cell, 8, 1024)
        if self.cell % self.multiple:
            raise ModelError(f"cell is {self.cell}, but must be a multiple of {self.multiple}.")
        for name, high in (("slack", 10.0), ("router_noise", 100.0)):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value <= high:
                raise ModelError(f"{name} is {value!r}, but must be a number in 0..{high:g}.")
        for name in ("sure", "sure_enlarged", "sure_weather", "sure_marks"):
            span = getattr(self, name)
            if not isinstance(span, tuple | list) or len(span) != 2 or not 0 <= span[0] <= span[1]:
                raise ModelError(f"{name} is {span!r}, but must be two rising numbers from 0 on.")
        for name in ("modulated", "motion", "marks", "noise_layers"):
            if not isinstance(getattr(self, name), bool):
                raise ModelError(f"{name} is {getattr(self, name)!r}, but must be true or false.")

    @property
    def multiple(self) -> int:
        """Sides of what is computed are multiples of this."""
        return 1 << (LEVELS + bool(self.deep_blocks))
