"""The configuration of a training run of moeisr-photo, of which only the judge is trained."""

from dataclasses import dataclass

from pixperts.errors import UsageError
from pixperts.training.config import TrainConfig


@dataclass(frozen=True)
class JudgeConfig(TrainConfig):
    """A training run of the judge of moeisr-photo; its two networks stay as they are.

    `init` is the network for photos, a model like moeisr-light, or a moeisr-photo. The samples are
    those of `data.factor_patches`.

    Raises:
        UsageError: a value is not allowed.
    """

    clean_network: str | None = "moeisr-light"  # the network for clean pictures; null = of `init`
    clean: float = 0.3  # share of the patches without faults
    soft: float = 0.3  # share of the patches of photos that were enlarged first
    drawn: float = 0.1  # share of the patches of drawings, text and screens
    patch: int = 64
    batch: int = 16
    learning_rate: float = 1e-3
    precision: str = "auto"
    validation_cases: tuple[str, ...] = ("clean", "jpeg95", "jpeg85", "soft", "soft85")
    validation_images: int = 8  # photos per case
    validation_scales: tuple[int, ...] = (2, 4)

    def __post_init__(self) -> None:
        """Raise UsageError that names the first field whose value is not allowed."""
        super().__post_init__()
        self._at_least_one("validation_images")
        if not self.photos:
            raise UsageError("photos is missing: name folders of clean photos.")
        if self.patch % 16:
            raise UsageError(f"patch is {self.patch}, but must be a multiple of 16.")
        for name in ("clean", "soft", "drawn"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name)}, but must be between 0 and 1.")
