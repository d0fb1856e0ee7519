"""The configuration of a training run of moce-isr-light."""

import math
from dataclasses import dataclass, field

from pixperts.errors import UsageError
from pixperts.training.config import TrainConfig
from pixperts.training.light_restoration_config import check_tasks


@dataclass(frozen=True)
class EnhancementConfig(TrainConfig):
    """A training run of moce-isr-light, of which only the part that enlarges is trained.

    The samples are those of `data.small_scenes`.

    Raises:
        UsageError: a value is not allowed.
    """

    batch: int = 6
    patch: int = 128  # side of a small picture in pixels; a multiple of the network's regions
    largest: float = 4.0  # largest factor of the enlargements
    dark: float = 0.1  # share of the pictures that are darkened before they are degraded
    soft: float = 0.3  # share of the pictures whose photos are soft at pixel level
    enlarger: str | None = None  # a moeisr-light model from which the enlarger starts
    optimizer: str = "muon"
    learning_rate: float = 2e-4
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    precision: str = "auto"
    tasks: dict[str, float] = field(default_factory=dict)  # weight of each degradation in the draw
    validation_tasks: tuple[str, ...] = ("clean", "jpeg")  # measured on the validation photos
    validation_scales: tuple[int, ...] = (2,)
    validation_images: int = 4  # photos per task
    floor: float = 1e-5  # added to each picture's squared error before the logarithm; 1e-5 is 50 dB
    shallow: float = 0.5  # share of the pictures whose regions get random depths
    prediction_weight: float = 0.0  # weight of `predicted_error_loss`, which trains the mapper

    def __post_init__(self) -> None:
        """Raise UsageError that names the first field whose value is not allowed."""
        super().__post_init__()
        self._at_least_one("validation_images")
        if not 1 <= self.largest < math.inf:
            raise UsageError(f"largest is {self.largest}, but must be 1 or more.")
        for name in ("dark", "soft", "shallow"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name)}, but must lie between 0 and 1.")
        self._positive("floor", self.floor)
        self._not_negative("prediction_weight")
        if not self.tasks:
            raise UsageError("tasks is missing: name degradations and the weights of their draw.")
        check_tasks(self.tasks, self.validation_tasks)
