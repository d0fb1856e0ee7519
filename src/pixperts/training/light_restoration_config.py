"""The configuration of a training run of moce-ir-light."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pixperts.errors import UsageError
from pixperts.training.config import TrainConfig


@dataclass(frozen=True)
class LightRestorationConfig(TrainConfig):
    """A training run of moce-ir-light, on patches of degraded scenes; see `data.scenes`.

    Raises:
        UsageError: a value is not allowed.
    """

    # What is trained: detail, the repair itself; tone, the part for darkness and haze, on samples
    # of `data.tone_scenes`; marks, the stage for dust and scratches, on samples of
    # `data.marked_patches`; or parts, the division of the change (see `training.parts`).
    head: str = "detail"
    batch: int = 6  # scenes per step
    patches: int = 2  # patches per scene
    patch: int = 128
    scene: int = 256  # side of a scene, which stands for a picture; a multiple of 8 pixels
    reduction: float = 3.0  # largest factor by which photos are reduced to scenes
    small: float = 0.0  # share of scenes that are reduced more and mirrored, see `DegradedScenes`
    variety: float = 0.0  # share of views that are changed or drawn, only with head: tone
    density: float = 1.0  # largest factor by which there are more marks, only with head: marks
    optimizer: str = "muon"
    learning_rate: float = 3e-4
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    precision: str = "auto"
    tasks: dict[str, float] = field(default_factory=dict)  # weight of each degradation in the draw
    validation_tasks: tuple[str, ...] = ("noise25",)  # measured on the validation photos
    validation_images: int = 4  # photos per task
    error: str = "log"  # log: the logarithm of each patch's squared error, as in PSNR; or l1
    floor: float = 3e-6  # added to the squared error before the logarithm; 1e-5 is 50 dB
    spare_weight: float = 3.0  # weight of faults that a picture does not have, with head: tone
    fourier_weight: float = 0.0  # weight of the L1 loss of the spectrum
    group_weight: float = 0.2  # weight of the scout's cross-entropy over groups of degradations
    part_weight: float = 0.05  # weight of the errors of the parts for compression and noise
    guide_weight: float = 0.5  # weight of the routers' cross-entropy toward the intended experts
    balance_weight: float = 0.01  # weight of the routers' balance loss
    balance_target: tuple[float, ...] = (0.34, 0.22, 0.22, 0.22)  # share of each, cheapest first
    cost_weight: float = 0.02  # weight of the expected cost of the experts

    def __post_init__(self) -> None:
        """Raise UsageError that names the first field whose value is not allowed."""
        super().__post_init__()
        for name in ("patches", "validation_images"):
            self._at_least_one(name)
        if self.scene % 8 or self.scene < self.patch:
            raise UsageError(
                f"scene is {self.scene}, but must be a multiple of 8 and at least patch "
                f"({self.patch})."
            )
        if not 1 <= self.reduction < math.inf:
            raise UsageError(f"reduction is {self.reduction}, but must be 1 or more.")
        if not 1 <= self.density <= 100:
            raise UsageError(f"density is {self.density}, but must be between 1 and 100.")
        for name, share in (("small", self.small), ("variety", self.variety)):
            if not 0 <= share <= 1:
                raise UsageError(f"{name} is {share}, but must be between 0 and 1.")
        if self.head not in ("detail", "tone", "parts", "marks"):
            raise UsageError(f"head is {self.head!r}, but must be detail, tone, parts or marks.")
        if self.error not in ("log", "l1"):
            raise UsageError(f"error is {self.error!r}, but must be log or l1.")
        self._positive("floor", self.floor)
        self._not_negative(
            "fourier_weight",
            "part_weight",
            "group_weight",
            "guide_weight",
            "balance_weight",
            "cost_weight",
        )
        from pixperts.models.moce_ir_light.config import EXPERTS

        target = self.balance_target
        if len(target) != EXPERTS or abs(sum(target) - 1) > 1e-6 or min(target) <= 0:
            raise UsageError(
                f"balance_target is {list(target)}, but must be {EXPERTS} positive shares that "
                "sum to 1."
            )
        if not self.tasks and self.head not in ("tone", "marks"):
            raise UsageError("tasks is missing: name degradations and the weights of their draw.")
        check_tasks(self.tasks, self.validation_tasks)


def check_tasks(tasks: Mapping[str, float], measured: Sequence[str]) -> None:
    """Check that tasks exist and that their weights are positive numbers.

    Args:
        tasks: weights of the tasks of the training.
        measured: tasks of the validation.

    Raises:
        UsageError: a task or a weight is not allowed; the message names the task.
    """
    from pixperts.data.scenes import DRAWN, SCENE_TASKS, SCREEN

    for name, weight in tasks.items():
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not (number and 0 < weight < math.inf):
            raise UsageError(
                f"the weight of task {name!r} is {weight!r}, but must be a number above 0."
            )
    for name in (*tasks, *measured):
        if name not in SCENE_TASKS or (name in (DRAWN, SCREEN) and name in measured):
            known = ", ".join(sorted(SCENE_TASKS))
            raise UsageError(
                f"unknown task {name!r}: choose from {known} ({DRAWN} and {SCREEN} only in "
                "training)."
            )
