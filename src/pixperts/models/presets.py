"""Build networks by name, or by the configuration in a weights file."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from pixperts.errors import ModelError, UnknownModelError, UsageError
from pixperts.models.interfaces import (
    Config,
    EnhancingNetwork,
    Network,
    RestoringNetwork,
    UpscalingNetwork,
    Work,
)
from pixperts.models.moce_ir.config import MOCE_PRESETS, MoCEIRConfig
from pixperts.models.moce_ir.model import MoCEIR
from pixperts.models.moce_ir_light.config import MoCEIRLightConfig
from pixperts.models.moce_ir_light.model import MoCEIRLight
from pixperts.models.moce_isr_light.config import MoCEISRLightConfig
from pixperts.models.moce_isr_light.model import MoCEISRLight
from pixperts.models.moeisr.config import MoEISRConfig
from pixperts.models.moeisr.model import MoEISR
from pixperts.models.moeisr_light.config import MoEISRLightConfig
from pixperts.models.moeisr_light.model import MoEISRLight
from pixperts.models.moeisr_photo.config import MoEISRPhotoConfig
from pixperts.models.moeisr_photo.model import MoEISRPhoto
from pixperts.models.size_limit import bounded_on_meta


@dataclass(frozen=True)
class Family:
    """A kind of networks; `network` is built from a `config`."""

    config: Callable[[], Config]
    network: Callable[[Any], Network]
    does: Work
    enhances: bool = False  # whether it also enlarges what it repairs


# The only list of them. The name stands in the header of each weights file, and what a family
# does says which of the two interfaces its networks have.
FAMILIES: dict[str, Family] = {
    "moeisr": Family(MoEISRConfig, MoEISR, "upscale"),
    "moeisr-light": Family(MoEISRLightConfig, MoEISRLight, "upscale"),
    "moeisr-photo": Family(MoEISRPhotoConfig, MoEISRPhoto, "upscale"),
    "moce-ir": Family(MoCEIRConfig, MoCEIR, "restore"),
    "moce-ir-light": Family(MoCEIRLightConfig, MoCEIRLight, "restore"),
    "moce-isr-light": Family(MoCEISRLightConfig, MoCEISRLight, "restore", enhances=True),
}

# The deepest is the dense decoder; the others ask the nearest LR pixel only, and the third is as
# deep as the deepest: a quarter of the cost. The neck gives them features for that.
_POOL: dict[str, Any] = {
    "depths": (1, 2, 3, 3),
    "widths": (64, 128, 256, 256),
    "neighbors": (1, 1, 1, 4),
    "neck": 1,
}


@dataclass(frozen=True)
class Preset:
    """A named architecture: a summary, and the configuration that builds it."""

    summary: str
    config: Config

    @property
    def family(self) -> str:
        """A key of `FAMILIES`."""
        return _family_of_config(self.config)

    @property
    def does(self) -> Work:
        """The work of its networks, "upscale" or "restore"."""
        return FAMILIES[self.family].does


_LIGHT_REPAIR: dict[str, Any] = {
    "deep_blocks": 2, "decoder_blocks": 3, "sure": (0.5, 0.8), "sure_enlarged": (0.9, 0.98),
    "sure_weather": (0.85, 0.95), "sure_marks": (0.97, 1.0),
}  # fmt: skip
_RENAMED = {"neighbours": "neighbors"}  # fields of files that were written before 0.2


def _presets() -> dict[str, Preset]:
    """Every encoder with every decoder, dense and as a mixture, the tiny one, and MoCE-IR's."""
    papers = {"edsr": "EDSR-baseline", "rdn": "RDN", "swinir": "SwinIR"}
    presets = {}
    for decoder in ("liif", "lte"):
        for encoder, paper in papers.items():
            dense = MoEISRConfig(encoder=encoder, decoder=decoder, residual=decoder == "lte")
            name = f"{decoder}-{encoder}"
            title = f"{decoder.upper()} on {paper}"
            presets[name] = Preset(f"{title}, dense", dense)
            presets[f"moeisr-{name}"] = Preset(f"{title}, four experts", replace(dense, **_POOL))
    tiny = MoEISRConfig(
        encoder_options={"channels": 64, "blocks": 6},
        width=128,
        depths=(0, 1, 2, 3),
        widths=(64, 64, 96, 128),
        residual=True,
        mapper_width=16,
    )
    presets["moeisr-tiny"] = Preset("LIIF on six EDSR blocks, four small experts", tiny)
    presets["moeisr-light"] = Preset(
        "plain convolutions under a linear field, made for CPUs", MoEISRLightConfig()
    )
    presets["moeisr-photo"] = Preset(
        "two networks like moeisr-light, for photos as they are found and for clean pictures",
        MoEISRPhotoConfig(),
    )
    presets |= {name: Preset(*entry) for name, entry in MOCE_PRESETS.items()}
    presets["moce-ir-light"] = Preset(
        "plain convolutions, experts that can be left out; made for CPUs",
        MoCEIRLightConfig(**_LIGHT_REPAIR),
    )
    presets["moce-isr-light"] = Preset(
        "moce-ir-light and an enlarger that reads its features: any fault, any size",
        MoCEISRLightConfig(large_blocks=8, **_LIGHT_REPAIR),
    )
    return presets


PRESETS = _presets()


def create_model(name: str, **overrides: Any) -> Network:
    """An untrained network by name; keywords replace fields of its configuration.

    Raises:
        UnknownModelError: the name is unknown; the message lists the known ones.
        ModelError: a field is unknown; the message lists the known ones.

    Example:
        >>> create_model("liif-edsr").config.depths
        (3,)
        >>> type(create_model("moce-ir-tiny", top_k=2)).__name__
        'MoCEIR'
    """
    if name not in PRESETS:
        raise UnknownModelError(f"unknown model {name!r}: choose from {', '.join(PRESETS)}.")
    preset = PRESETS[name]
    return _build(configure(preset.config, overrides), FAMILIES[preset.family])


def configure(config: Config, overrides: dict[str, Any]) -> Config:
    """A copy of `config` with some fields replaced; lists, as in JSON and YAML, become tuples."""
    overrides = {_RENAMED.get(key, key): value for key, value in overrides.items()}
    known = [f.name for f in fields(config)]
    for key in overrides:
        if key not in known:
            raise ModelError(f"unknown model option {key!r}: choose from {', '.join(known)}.")
    values: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in overrides.items()
    }
    try:
        return replace(config, **values)
    except TypeError as error:
        raise ModelError(f"the model configuration {overrides} does not fit: {error}.") from error


def build(config: dict[str, Any], family: str = "moeisr") -> Network:
    """A network from a stored configuration (the inverse of `dataclasses.asdict`).

    Raises:
        ModelError: the family is unknown, the configuration does not fit it, or the network would
            be too large.
    """
    kind = _known(family)
    return _build(configure(kind.config(), config), kind)


def outline(config: dict[str, Any], family: str = "moeisr") -> Network:
    """As `build`, but on the meta device: tensors have shapes and take no memory."""
    kind = _known(family)
    values = configure(kind.config(), config)
    with bounded_on_meta():
        return kind.network(values)


def family_of(model: Network) -> str:
    """The family of a network, a key of `FAMILIES`."""
    return _family_of_config(model.config)


def as_upscaler(model: Network, name: str = "this model") -> UpscalingNetwork:
    """The network as one that enlarges; UsageError if it repairs."""
    if isinstance(model, EnhancingNetwork):
        raise UsageError(f"{name} repairs and enlarges: use 'enhance'.")
    if not isinstance(model, UpscalingNetwork):
        raise UsageError(f"{name} repairs and does not enlarge: use 'restore'.")
    return model


def as_repairer(model: Network, name: str = "this model") -> RestoringNetwork:
    """The network as one that repairs; UsageError if it enlarges."""
    if not isinstance(model, RestoringNetwork):
        raise UsageError(f"{name} enlarges and does not repair: use 'upscale'.")
    return model


def _known(family: str) -> Family:
    if family not in FAMILIES:
        raise ModelError(f"unknown family of models {family!r}: choose from {', '.join(FAMILIES)}.")
    return FAMILIES[family]


def _family_of_config(config: Config) -> str:
    return next(name for name, family in FAMILIES.items() if family.config is type(config))


def _build(config: Config, family: Family) -> Network:
    with bounded_on_meta():
        family.network(config)
    return family.network(config)
