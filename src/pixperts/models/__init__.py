"""The networks: tensors in, `Output(image, routings)` out. No files, no devices, no clamping."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from pixperts.errors import ModelError
from pixperts.models.config import MoEISRConfig
from pixperts.models.mapper import Mapper
from pixperts.models.moeisr import MoEISR, Output

__all__ = [
    "PRESETS",
    "Mapper",
    "MoEISR",
    "MoEISRConfig",
    "Output",
    "Preset",
    "build",
    "create_model",
]

_POOL: dict[str, Any] = {"depths": (0, 1, 2, 3), "widths": (256, 64, 128, 256)}


@dataclass(frozen=True)
class Preset:
    """A named architecture: what it is, and the configuration that builds it."""

    summary: str
    config: MoEISRConfig


def _presets() -> dict[str, Preset]:
    """Every encoder with every decoder, dense and as a mixture, and the tiny one."""
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
    return presets


PRESETS = _presets()


def create_model(name: str, **overrides: Any) -> MoEISR:
    """An untrained network by name; keywords replace fields of its configuration.

    Raises:
        ModelError: for an unknown name or field, naming the known ones.

    Example:
        >>> create_model("liif-edsr").config.depths
        (3,)
    """
    if name not in PRESETS:
        raise ModelError(f"unknown model {name!r}; known are {', '.join(PRESETS)}.")
    return MoEISR(configure(PRESETS[name].config, overrides))


def configure(config: MoEISRConfig, overrides: dict[str, Any]) -> MoEISRConfig:
    """`config` with some fields replaced; lists (as JSON and YAML have them) become tuples."""
    known = [f.name for f in fields(MoEISRConfig)]
    for key in overrides:
        if key not in known:
            raise ModelError(f"unknown model option {key!r}; known are {', '.join(known)}.")
    values: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in overrides.items()
    }
    try:
        return replace(config, **values)
    except TypeError as error:
        raise ModelError(f"the model configuration {overrides} does not fit: {error}.") from error


def build(config: dict[str, Any]) -> MoEISR:
    """A network from a stored configuration (the inverse of `dataclasses.asdict`)."""
    return MoEISR(configure(MoEISRConfig(), config))


def as_plain(config: MoEISRConfig) -> dict[str, Any]:
    """A configuration as plain JSON-ready data."""
    return asdict(config)
