"""Which faults a picture has, judged by how much each part of the repair changes it."""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from pixperts.defaults import ToneMode
from pixperts.errors import UsageError, named
from pixperts.models.interfaces import RestoringNetwork, ScoutedNetwork
from pixperts.models.output import Output

LIKELY = 0.8  # probability from which a fault of light is named though it is left
NOTICED = 0.75  # of 255 levels, root mean square: less is not seen
_WORDS = {
    "noise": "noise",
    "jpeg": "compression",
    "rest": "other faults, such as rain, snow or blur",
}
_LIGHT = {"dark": "darkness", "hazy": "haze"}
_MEANT = {
    "dark": "bright parts, such as lamps at night, suggest that it is meant",
    "hazy": "it may be meant",
}


@dataclass(frozen=True)
class RepairSettings:
    """How much of each fault is undone.

    Raises:
        UsageError: a value is not allowed; the message names the field.
    """

    strength: float = 1.0  # 1 = the network's result, 0 = the input, in between: a blend
    denoise: float = 1.0  # 1 = remove all noise, 0 = leave it
    jpeg: float = 1.0  # 1 = remove all traces of compression, 0 = leave them
    tone: ToneMode = "auto"  # undo darkness and haze: if sure, never (off), or always (on)
    motion: bool = True  # undo straight motion blur if it is detected
    enlarged: bool = False  # the result is enlarged afterwards, so that slight faults are left
    dust: float = 0.0  # 1 = remove dust and scratches, and what looks like them, 0 = leave them

    def __post_init__(self) -> None:
        for name in ("strength", "denoise", "jpeg", "dust"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise UsageError(f"{name} is {value:g}, but must be between 0 and 1.")
        if self.tone not in ("auto", "off", "on"):
            raise UsageError(f"tone is {self.tone!r}, but must be auto, off or on.")

    def check_model(self, model: RestoringNetwork, name: str) -> None:
        """Raise UsageError if the network does not have one of these controls."""
        if self.dust and not (isinstance(model, ScoutedNetwork) and model.dust_context):
            raise UsageError(
                f"{name} cannot remove dust and scratches: leave {named('dust')} out, or choose a "
                "model that can, such as moce-ir-light."
            )
        if model.parts:
            return
        for field, noun in (("denoise", "noise"), ("jpeg", "compression"), ("tone", "tone")):
            if getattr(self, field) != getattr(RepairSettings, field):
                raise UsageError(
                    f"{name} cannot control {noun} by itself: leave {named(field)} out, or "
                    "choose a model that can, such as moce-ir-light."
                )

    def amounts(self, parts: tuple[str, ...]) -> tuple[float, ...]:
        """Of a network's parts, in their order."""
        given = {"noise": self.denoise, "jpeg": self.jpeg}
        return tuple(given.get(part, 1.0) for part in parts)


@dataclass(frozen=True)
class Findings:
    """What was found in one picture; but for dust, independent of how much of it is undone."""

    changes: dict[str, float]  # of each part of the repair, root mean square in 255 levels
    light: dict[str, float]  # probability of each fault of its light
    undone: dict[str, float]  # how much of each of these was undone, 0 to 1
    dust: float = 0.0  # share of the pixels that were changed to remove dust, if that was wanted

    @property
    def noticed(self) -> list[str]:
        """The faults, in words: the largest change first, then those of the light."""
        ranked = sorted(self.changes.items(), key=lambda item: -item[1])
        found = [f"{_WORDS[k]} ({v:.1f} levels)" for k, v in ranked if v >= NOTICED]
        if self.dust:
            found.append(f"dust and scratches ({max(self.dust, 1e-4):.2%} of the pixels)")
        return found + [f"{_LIGHT[k]} ({self.light[k]:.0%})" for k, v in self.undone.items() if v]

    def to_text(self, motion: tuple[float, float] | None = None) -> str:
        """One phrase for a person.

        Args:
            motion: length in pixels and angle in degrees of the motion blur that was undone.
        """
        left = [
            f"{_LIGHT[name]} ({share:.0%}) left, as {_MEANT[name]}: see {named('tone')}"
            for name, share in self.light.items()
            if share >= LIKELY and not self.undone[name]
        ]
        noticed = self.noticed
        if motion is not None:
            noticed.append("motion blur ({:.1f} pixels at {:.0f} degrees)".format(*motion))
        found = ["found " + ", ".join(noticed)] if noticed else []
        return "; ".join(found + left) or "nothing found to repair"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, rounded."""
        values = asdict(self)
        dust = round(values.pop("dust"), 6)
        rounded: dict[str, Any] = {
            name: {key: round(value, 3) for key, value in own.items()}
            for name, own in values.items()
        }
        return {**rounded, "dust": dust}


class FindingsOfTiles:
    """The findings of a picture, from the outputs for its tiles; of a batch, the first picture's.

    Args:
        model: whose outputs they are.

    Attributes:
        found: so far; None for a network that does not tell faults apart.
    """

    def __init__(self, model: RestoringNetwork) -> None:
        self.model = model
        self.found: Findings | None = None
        self._area = 0
        self._covered = 0.0
        self._changes = torch.zeros((), dtype=torch.float64)

    def add(self, output: Output, area: int) -> None:
        """Take the changes of a tile of so many pixels."""
        if output.changes is None:
            return
        self._area += area
        self._changes = self._changes + area * output.changes[0].double().cpu()
        marks = output.routings[0].marks
        self._covered += 0.0 if marks is None else area * float(marks[0])
        light = [] if output.light is None else output.light[0].tolist()
        faults = self.model.light_faults[: len(light)]
        sizes = 255 * (self._changes / self._area).sqrt()
        self.found = Findings(
            changes=dict(zip(self.model.parts, sizes.tolist(), strict=True)),
            light={name: values[0] for name, values in zip(faults, light, strict=True)},
            undone={name: values[1] for name, values in zip(faults, light, strict=True)},
            dust=self._covered / self._area,
        )
