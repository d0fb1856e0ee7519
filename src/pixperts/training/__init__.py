"""Training: configurations, losses, steps, checkpoints."""

from typing import TYPE_CHECKING

from pixperts.lazy import attach

if TYPE_CHECKING:
    from pixperts.training.config import RestorationConfig, TrainConfig, UpscalingConfig
    from pixperts.training.run import train
else:
    __getattr__ = attach(
        __name__,
        {
            "config": ["RestorationConfig", "TrainConfig", "UpscalingConfig"],
            "run": ["train"],
        },
    )

__all__ = ["RestorationConfig", "TrainConfig", "UpscalingConfig", "train"]
