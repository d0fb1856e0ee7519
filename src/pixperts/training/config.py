"""The configuration of a training run: the fields of its YAML file, checked by name and type."""

import math
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pixperts.errors import ModelError, UsageError
from pixperts.training.fields import convert, read_yaml, set_field, shown

OPTIMIZERS = ("adam", "adamw", "muon")

# Fields of files that were written before 0.2.
_RENAMED = {"licence": "license", "equalise": "equalize"}


def renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a configuration, with names from before 0.2 replaced by the present ones."""
    return {_RENAMED.get(key, key): value for key, value in values.items()}


@dataclass(frozen=True)
class TrainConfig:
    """Fields of all training runs; each family of models has a subclass with more.

    Raises:
        UsageError: a value is not allowed.
    """

    model: str  # name of the architecture, as in `pixperts models`
    model_options: dict[str, Any] = field(default_factory=dict)  # changes to its configuration
    init: str | None = None  # weights file or packaged model to start from, where names match
    frozen: tuple[str, ...] = ()  # parameters whose names begin like one of these are not trained
    photos: tuple[str, ...] = ()  # folders of clean training photos
    exclude: tuple[str, ...] = ()  # names of files that are not used for training
    validation: str | None = None  # folder of pictures for measurements during the run
    patch: int = 32  # side of a training patch, in pixels of the network's input
    batch: int = 16  # patches per step, over all processes and all accumulated parts
    accumulate: int = 1  # parts into which a process splits its batch, to save memory
    max_steps: int = 10000  # length of the run
    cosine_steps: int | None = None  # length of the cosine schedule; `max_steps` if unset
    halve_at: tuple[int, ...] = ()  # steps at which the learning rate halves; replaces the cosine
    warmup_steps: int = 100  # steps in which the learning rate rises linearly
    optimizer: str = "adam"  # adam, adamw or muon (Muon for hidden convolutions, Adam for the rest)
    learning_rate: float = 1e-4  # highest learning rate
    matrix_rate: float = 0.01  # highest learning rate of Muon
    betas: tuple[float, float] = (0.9, 0.999)  # decay rates of Adam's moments
    weight_decay: float = 0.0  # weight decay of AdamW, and of Muon's convolutions
    final_rate: float = 0.01  # learning rate at the end of the cosine, as a share of the highest
    clip: float = 1.0  # largest norm of the gradient
    ema: float = 0.999  # decay of the averaged weights, which are validated and saved
    check_every: int = 500  # number of steps between validations, and between checkpoints
    skips: int = 20  # the run stops after this many steps in a row without a finite gradient
    precision: str = "float32"  # float32, bfloat16, or auto for the faster one
    compile: bool = False  # compile the encoder with torch.compile, see docs/training.md
    workers: int = 0  # processes that prepare samples, per training process
    seed: int = 0  # seed of the data and the noise
    license: str = "Apache-2.0"  # license of the trained weights
    data: str = "not stated"  # one line on the training data, for the card of the weights

    def __post_init__(self) -> None:
        """Raise UsageError that names the first field whose value is not allowed."""
        for name in ("patch", "batch", "accumulate", "max_steps", "check_every", "skips"):
            self._at_least_one(name)
        if not 0 <= self.seed < 1 << 20:
            raise UsageError(f"seed is {self.seed}, but must be in 0..1048575.")
        if self.workers < 0:
            raise UsageError(f"workers is {self.workers}, but must be 0 or more.")
        if self.precision not in ("float32", "bfloat16", "auto"):
            raise UsageError(
                f"precision is {self.precision!r}, but must be float32, bfloat16 or auto (float16 "
                "is not offered: bfloat16 needs no scaling of the loss)."
            )
        if self.optimizer not in OPTIMIZERS:
            raise UsageError(
                f"optimizer is {self.optimizer!r}, but must be one of {', '.join(OPTIMIZERS)}."
            )
        if not all(0 <= beta < 1 for beta in self.betas):
            raise UsageError(f"betas is {list(self.betas)}, but both must be in [0, 1).")
        if self.cosine_steps is not None and (self.cosine_steps < self.max_steps or self.halve_at):
            raise UsageError(
                f"cosine_steps is {self.cosine_steps}, but must be max_steps or more, and unset "
                "with halve_at."
            )
        if not 0 <= self.ema < 1:
            raise UsageError(f"ema is {self.ema}, but must be in [0, 1).")
        for name in ("learning_rate", "matrix_rate", "clip"):
            self._positive(name, getattr(self, name))
        self._not_negative("warmup_steps", "final_rate", "weight_decay")

    def _at_least_one(self, name: str) -> None:
        if getattr(self, name) < 1:
            raise UsageError(f"{name} is {getattr(self, name)}, but must be at least 1.")

    def _positive(self, name: str, value: float) -> None:
        if not 0 < value < math.inf:
            raise UsageError(f"{name} is {getattr(self, name)}, but must be above 0.")

    def _not_negative(self, *names: str) -> None:
        for name in names:
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"{name} is {getattr(self, name)}, but must be 0 or more.")

    @staticmethod
    def from_yaml(path: Path, changes: Sequence[str] = ()) -> "TrainConfig":
        """Read a configuration; relative folders start from the current directory.

        Args:
            path: of the YAML file.
            changes: of fields, each as "key=value" with the value in YAML; "tasks.haze=2" changes
                the entry `haze` of the field `tasks`.

        Raises:
            UsageError: the file cannot be read, or a field is unknown, missing or not allowed.
            ModelError: the model is unknown.
        """
        values = read_yaml(path)
        for change in changes:
            set_field(values, change)
        return TrainConfig.from_dict(values, str(path))

    @staticmethod
    def from_dict(values: Any, source: str) -> "TrainConfig":
        """Build the subclass for the model's family from plain data.

        Args:
            values: as read from YAML: a dictionary, or anything else, which is refused.
            source: name of the file, for messages.

        Raises:
            UsageError: a field is unknown, missing or not allowed.
            ModelError: the model is unknown.
        """
        if isinstance(values, dict) and "stages" in values:
            raise UsageError(
                f"{source}: this is a recipe of several stages: use 'scripts/weights.py make'."
            )
        if not isinstance(values, dict) or "model" not in values:
            raise UsageError(f"{source}: a training configuration needs at least 'model'.")
        from pixperts.models.presets import PRESETS

        values = renamed(values)
        name = values["model"]
        if isinstance(name, str) and name not in PRESETS:
            raise ModelError(
                f"{source}: unknown model {name!r}: choose from {', '.join(sorted(PRESETS))}."
            )
        cls = config_class(name)
        hints = typing.get_type_hints(cls)
        fields = {}
        for key, value in values.items():
            if key not in hints:
                raise UsageError(f"{source}: unknown field {key!r}: choose from {sorted(hints)}.")
            try:
                fields[key] = convert(value, hints[key])
            except (TypeError, ValueError) as error:
                kind = shown(hints[key])
                raise UsageError(f"{source}: {key} is {value!r}, but must be {kind}.") from error
        try:
            return cls(**fields)
        except UsageError as error:
            raise UsageError(f"{source}: {error}") from error


@dataclass(frozen=True)
class UpscalingConfig(TrainConfig):
    """A training run of a model that enlarges (MoEISR)."""

    validation_scales: tuple[int, ...] = (2, 4)  # factors to measure, on HR/ and LR_x2/, ...
    queries: int = 1024  # output pixels per patch
    scales: tuple[float, float] = (1.0, 4.0)  # range of the factor, which is drawn uniformly
    temperature: tuple[float, float] = (1.0, 1.0)  # of the Gumbel-Softmax, at start and end
    hard: bool = False  # pick one expert (straight-through) instead of mixing all
    mixture_weight: float = 1.0  # weight of the L1 loss of the mixed colors
    balance_weight: float = 0.01  # weight of the balance loss
    balance_target: tuple[float, ...] | None = None  # wanted share of each expert; equal if unset
    cost_weight: float = 0.0  # weight of the expected cost
    routing_weight: float = 0.0  # weight of the expected squared error; trains only the mapper
    prediction_weight: float = 0.0  # weight of `predicted_error_loss`; trains only the mapper
    distillation_weight: float = 0.0  # weight of the experts' distance from the deepest one
    expert_weight: float = 0.0  # weight of the L1 loss of each expert alone
    teacher: str | None = None  # weights file or packaged model whose colors are a target, too
    teacher_weight: float = 0.5  # share of the teacher in the target; the rest is the photo
    teacher_turned: bool = False  # show the teacher each patch in one of eight turns

    def __post_init__(self) -> None:
        """Raise UsageError that names the first field whose value is not allowed."""
        super().__post_init__()
        self._at_least_one("queries")
        low, high = self.scales
        if not 1 <= low <= high < math.inf:
            raise UsageError(
                f"scales is {list(self.scales)}, but must be two rising numbers from 1."
            )
        self._positive("temperature", min(self.temperature))
        self._not_negative(
            "mixture_weight", "balance_weight", "cost_weight", "routing_weight",
            "prediction_weight", "distillation_weight", "expert_weight",
        )  # fmt: skip
        if not 0 <= self.teacher_weight <= 1:
            raise UsageError(f"teacher_weight is {self.teacher_weight}, but must be in [0, 1].")
        if self.teacher is None and self.teacher_weight != UpscalingConfig.teacher_weight:
            raise UsageError(
                f"teacher_weight is {self.teacher_weight}, but there is no teacher: name one, or "
                "leave teacher_weight out."
            )
        if self.teacher is None and self.teacher_turned:
            raise UsageError("teacher_turned is set, but there is no teacher: name one.")


@dataclass(frozen=True)
class LightConfig(TrainConfig):
    """A training run of moeisr-light, or of one of the networks of moeisr-photo.

    The patches come from a cache, or without one from photos (see `data.factor_patches`). All
    pixels of a patch are targets.
    """

    cache: str = ""  # folder filled by scripts/cache_patches.py; replaces the photos
    degraded: bool = False  # without a cache: compress and degrade the small patches
    clean: float = 0.0  # share of the patches that `degraded` leaves clean
    soft: float = 0.0  # without a cache: share of the patches of photos that were enlarged first
    patch: int = 48
    optimizer: str = "muon"
    learning_rate: float = 2e-4  # highest learning rate of Adam
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    precision: str = "auto"
    validation_scales: tuple[int, ...] = (2, 3, 4)  # factors to measure, on HR/ and LR_x2/, ...
    teacher_weight: float = 0.7  # share of the teacher in the error; the rest is the photo
    error: str = "l1"  # l1, squared, or log: the mean of the patches' logarithms, as in PSNR
    temperature: tuple[float, float] = (1.0, 1.0)  # of the Gumbel-Softmax, at start and end
    expert_weight: float = 0.3  # weight of the error of each expert alone
    balance_weight: float = 0.001  # weight of the balance loss
    balance_target: tuple[float, ...] | None = None  # wanted share of each expert; equal if unset
    cost_weight: float = 0.0  # weight of the expected cost
    prediction_weight: float = 0.1  # weight of `predicted_error_loss`; trains only the mapper

    def __post_init__(self) -> None:
        """Raise UsageError that names the first field whose value is not allowed."""
        super().__post_init__()
        if not self.cache and not self.photos:
            raise UsageError(
                "cache is missing: name a folder that scripts/cache_patches.py has filled."
            )
        if not self.cache and self.patch % 16:
            raise UsageError(
                f"patch is {self.patch}, but must be a multiple of 16 without a cache."
            )
        if self.error not in ("l1", "squared", "log"):
            raise UsageError(f"error is {self.error!r}, but must be l1, squared or log.")
        for name in ("clean", "soft"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name)}, but must be between 0 and 1.")
        if not 0 <= self.teacher_weight <= 1:
            raise UsageError(f"teacher_weight is {self.teacher_weight}, but must be in [0, 1].")
        self._positive("temperature", min(self.temperature))
        self._not_negative("expert_weight", "balance_weight", "cost_weight", "prediction_weight")


@dataclass(frozen=True)
class RestorationConfig(TrainConfig):
    """A training run of a model that repairs (MoCE-IR). The losses have the paper's defaults."""

    patch: int = 128
    optimizer: str = "adamw"
    learning_rate: float = 2e-4
    weight_decay: float = 0.01
    tasks: dict[str, float] = field(default_factory=dict)  # weight of each degradation in the draw
    reduction: float = 1.0  # largest factor by which photos are reduced before they are cut
    published: str | None = None  # instead of `tasks`, a published set: aio3, aio5 or cdd11
    layouts: dict[str, str] = field(default_factory=dict)  # folders of its parts, by layout
    input: str | None = None  # instead, a folder of degraded pictures, or shards of pairs
    target: str | None = None  # folder of their clean versions; not for shards
    validation_tasks: tuple[str, ...] = ("noise25",)  # measured on the validation photos
    validation_images: int = 8  # photos per task
    fourier_weight: float = 0.1  # weight of the L1 loss of the spectrum
    auxiliary_weight: float = 0.01  # weight of the routers' balance loss
    complexity_bias: bool = True  # weigh experts by their size in that loss, as in the paper
    balance: str = "shazeer"  # its form: shazeer, or published (the authors' code)
    equalize: float = 0.0  # divide the loss of each picture by its L1 error plus this; 0: do not

    def __post_init__(self) -> None:
        """Raise UsageError that names the first field whose value is not allowed."""
        super().__post_init__()
        self._at_least_one("validation_images")
        self._not_negative("equalize", "fourier_weight", "auxiliary_weight")
        if not 1 <= self.reduction < math.inf or (self.reduction > 1 and not self.tasks):
            raise UsageError(
                f"reduction is {self.reduction}, but must be 1 or more, and 1 without 'tasks'."
            )
        from pixperts.models.moce_ir.balance import BALANCES

        if self.balance not in BALANCES:
            raise UsageError(f"balance is {self.balance!r}, but must be {' or '.join(BALANCES)}.")
        from pixperts.data.layouts import REPEATS
        from pixperts.data.shards import is_packed
        from pixperts.degradations.tasks import TASKS

        sources = [bool(self.tasks), self.published is not None, self.input is not None]
        packed = self.input is not None and is_packed(Path(self.input))
        unpaired = (self.input is None) != (self.target is None)
        if sum(sources) != 1 or (packed and self.target is not None) or (unpaired and not packed):
            raise UsageError(
                "give exactly one source of training data: tasks, published with layouts, or "
                "input with target, which shards of pairs need not."
            )
        if self.published is not None and self.published not in REPEATS:
            raise UsageError(
                f"published is {self.published!r}, but must be one of {', '.join(REPEATS)}."
            )
        for name, folder in self.layouts.items():
            if not isinstance(folder, str):
                raise UsageError(f"the folder of layout {name!r} is {folder!r}, but must be text.")
        known = {*TASKS, "clean"}
        for name in (*self.tasks, *self.validation_tasks):
            if name not in known:
                raise UsageError(f"unknown task {name!r}: choose from {', '.join(sorted(known))}.")
        for name, weight in self.tasks.items():
            number = isinstance(weight, int | float) and not isinstance(weight, bool)
            if not (number and 0 < weight < math.inf):
                raise UsageError(
                    f"the weight of task {name!r} is {weight!r}, but must be a number above 0."
                )


def config_class(name: Any) -> type[TrainConfig]:
    """The class for the family of a preset; `UpscalingConfig` if there is no such preset."""
    from pixperts.models.presets import PRESETS
    from pixperts.training.enhancement_config import EnhancementConfig
    from pixperts.training.judge_config import JudgeConfig
    from pixperts.training.light_restoration_config import LightRestorationConfig

    classes: dict[str, type[TrainConfig]] = {
        "moce-ir": RestorationConfig,
        "moce-ir-light": LightRestorationConfig,
        "moce-isr-light": EnhancementConfig,
        "moeisr-light": LightConfig,
        "moeisr-photo": JudgeConfig,
    }
    family = PRESETS[name].family if isinstance(name, str) and name in PRESETS else "moeisr"
    return classes.get(family, UpscalingConfig)
