"""What one training run is made of: the fields of its YAML file, checked by name and type."""

import math
import typing
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any

from pixperts.errors import UsageError


@dataclass(frozen=True)
class TrainConfig:
    """One training run; the fields of the YAML file."""

    model: str  # a preset's name
    model_options: dict[str, Any] = field(default_factory=dict)  # fields of its configuration
    init: str | None = None  # weights to start from; tensors that fit by name and shape are taken
    frozen: tuple[str, ...] = ()  # prefixes of parameters that stay as they are
    photos: tuple[str, ...] = ()  # folders of training photos
    exclude: tuple[str, ...] = ()  # file names left out of training
    validation: str | None = None  # a benchmark folder with HR and LR_x2, ...
    validation_scales: tuple[int, ...] = (2, 4)  # scales of it that are measured
    patch: int = 32  # LR patch, pixels
    queries: int = 1024  # output pixels a patch
    scales: tuple[float, float] = (1.0, 4.0)  # drawn uniformly
    batch: int = 16  # patches a step
    max_steps: int = 10000  # length of the learning-rate schedule and of the run
    warmup_steps: int = 100  # linear rise of the learning rate
    learning_rate: float = 1e-4  # peak, Adam
    final_rate: float = 0.01  # of the peak, at the end of the cosine
    clip: float = 1.0  # largest gradient norm
    ema: float = 0.999  # decay of the averaged weights; what is validated and saved
    temperature: tuple[float, float] = (1.0, 1.0)  # Gumbel-Softmax at the start and at the end
    hard: bool = False  # straight-through instead of soft mixing
    balance_weight: float = 0.01  # of the balance loss
    balance_target: tuple[float, ...] | None = None  # share an expert; uniform when unset
    cost_weight: float = 0.0  # of the expected cost
    routing_weight: float = 0.0  # of the expected squared error, which trains the mapper alone
    expert_weight: float = 0.0  # of each expert's own L1, so that each is good by itself
    check_every: int = 500  # steps between validations and checkpoints
    seed: int = 0  # of the data and the noise
    licence: str = "Apache-2.0"  # of the weights that come out
    data: str = "not stated"  # one line on the training data, for the card

    def __post_init__(self) -> None:
        """Refuse what cannot be trained, by name."""
        for name in ("patch", "queries", "batch", "max_steps", "check_every"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}, but must be at least 1.")
        low, high = self.scales
        if not 1 <= low <= high < math.inf:
            raise UsageError(
                f"scales is {list(self.scales)}, but must be two rising numbers from 1."
            )
        if not 0 <= self.ema < 1:
            raise UsageError(f"ema is {self.ema}, but must lie in [0, 1).")
        for name, value in (
            ("temperature", min(self.temperature)),
            ("learning_rate", self.learning_rate),
        ):
            if not 0 < value < math.inf:
                raise UsageError(f"{name} is {getattr(self, name)}, but must be above 0.")

    @classmethod
    def from_yaml(cls, path: Path) -> "TrainConfig":
        """Read a configuration; relative folders are taken from the current directory.

        Raises:
            UsageError: for a missing file or an unknown or missing field, by name.
        """
        import yaml

        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"{path}: the configuration cannot be read ({error}).") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UsageError(f"{path}: this is not valid YAML ({error}).") from error
        return cls.from_dict(values, str(path))

    @classmethod
    def from_dict(cls, values: Any, source: str) -> "TrainConfig":
        """Build from plain data, checking names.

        Raises:
            UsageError: naming the field.
        """
        if not isinstance(values, dict) or "model" not in values:
            raise UsageError(f"{source}: a training configuration needs at least 'model'.")
        hints = typing.get_type_hints(cls)
        fields = {}
        for key, value in values.items():
            if key not in hints:
                raise UsageError(f"{source}: unknown field {key!r}; known are {sorted(hints)}.")
            try:
                fields[key] = _convert(value, hints[key])
            except (TypeError, ValueError) as error:
                hint = hints[key]
                shown = hint.__name__ if isinstance(hint, type) else str(hint)
                raise UsageError(f"{source}: {key} is {value!r}, but must be {shown}.") from error
        try:
            return cls(**fields)
        except UsageError as error:
            raise UsageError(f"{source}: {error}") from error


def _convert(value: Any, hint: Any) -> Any:
    """A value of YAML as the type of its field; TypeError or ValueError where it does not fit."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is UnionType:  # X | None
        return None if value is None else _convert(value, parts[0])
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise TypeError
        if parts[1] is not Ellipsis and len(value) != len(parts):
            raise ValueError
        return tuple(_convert(item, parts[0]) for item in value)
    if hint is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        return float(value)  # YAML reads 1e-4, without a point, as text
    if not isinstance(value, origin or hint) or (hint is int and isinstance(value, bool)):
        raise TypeError
    return value
