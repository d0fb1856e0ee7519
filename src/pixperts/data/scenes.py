"""Training samples of moce-ir-light: degraded scenes, of which patches are repaired.

The network looks once at the whole picture, then works on any part of it. A sample is therefore a
scene, in place of the whole picture, and patches of it. As in use, what the network knows of the
whole comes from the same degraded pixels. Sample number i depends on (seed, i) only.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pixperts.data.photos import describe_photos
from pixperts.data.restoration import cut_and_turn
from pixperts.degradations.drawings import draw_over
from pixperts.degradations.mixture import CLEAN, FILE, MIXTURE, SNAPSHOT, faulty
from pixperts.degradations.tasks import TASKS
from pixperts.degradations.weather import Frame
from pixperts.ops.resize import bicubic, quantize

DRAWN = "drawn"  # the task of a drawing, with faults or without
SCREEN = "screen"  # the task of a screenshot, page or line drawing, compressed or not
SCENE_TASKS = (*TASKS, MIXTURE, SNAPSHOT, FILE, CLEAN, DRAWN, SCREEN)
_SCREENS = ("screen", "screen", "page", "lines")  # kinds of drawings of that task
_FACTORS = (1.5, 4.0)  # range of factors by which small pictures are reduced
_GRID = 8  # pixels of a block of JPEG; most patches begin at one, as tiles do in use


class Scene(NamedTuple):
    """One sample; batched by stacking. Pictures are uint8."""

    degraded: Tensor  # (3, s, s)
    targets: Tensor  # (P, V, 3, p, p) patches without JPEG, also without noise, without all faults
    places: Tensor  # (P, 2) int64, top and left of each patch in the scene
    groups: Tensor  # (G,) float32, 1 for each of `mixture.GROUPS` that the scene has
    task: Tensor  # () int64, index in the list of tasks of the run


class DegradedScenes(Dataset[Scene]):
    """Squares of photos, reduced by a random factor, flipped, turned and degraded.

    Args:
        photos: uint8 (3, H, W), no side below `side`.
        tasks: name, one of `SCENE_TASKS`, and weight of its draw.
        side: of a scene, pixels; a multiple of 8.
        patch: side of a patch.
        patches: number of patches of each scene.
        reduction: largest factor by which a square is reduced to a scene. Half of the scenes are
            not reduced, except those with haze or darkness, which affect a whole view.
        small: share of the scenes that are strongly reduced pictures, as on web pages, which are
            sharper than photos. They fill a quarter of a scene, and mirror images the rest.
        seed: 0 or more.
    """

    def __init__(
        self,
        photos: Sequence[Tensor],
        *,
        tasks: Mapping[str, float],
        side: int,
        patch: int,
        patches: int,
        reduction: float = 1.0,
        small: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.photos, self.seed = photos, seed
        self.small = small
        self.side, self.patch, self.patches, self.reduction = side, patch, patches, reduction
        self.tasks = tuple(tasks)
        weights = np.array(list(tasks.values()), np.float64)
        self.edges = np.cumsum(weights) / weights.sum()

    def describe(self) -> str:
        """One line on the training data."""
        return describe_photos(self.photos)

    def __getitem__(self, number: int) -> Scene:
        """Sample `number`, the same on every call."""
        random = np.random.Generator(np.random.PCG64([self.seed, number]))
        photo = self.photos[int(random.integers(len(self.photos)))]
        place = int(np.searchsorted(self.edges, random.random(), side="right"))
        place = min(place, len(self.tasks) - 1)
        task = self.tasks[place]
        clean, frame = self._square(photo, task, random)
        seed = int(random.integers(2**31))
        clean, task = drawing(clean, task, seed, random)
        found = faulty(clean, task, seed, frame)
        places = self._places(random)
        versions = torch.stack([found.noisy, found.faulty, found.target])  # (V, 3, s, s)
        targets = [
            versions[:, :, top : top + self.patch, left : left + self.patch] for top, left in places
        ]
        return Scene(
            _levels(found.degraded),
            _levels(torch.stack(targets)),
            torch.tensor(places),
            torch.tensor(found.groups, dtype=torch.float32),
            torch.tensor(place),
        )

    def _square(
        self, photo: Tensor, task: str, random: np.random.Generator
    ) -> tuple[Tensor, Frame]:
        largest = min(self.reduction, min(photo.shape[1:]) / self.side)
        steps = TASKS.get(task, ())
        if largest <= 1:
            factor = 1.0
        elif "haze" in steps or "low_light" in steps:
            factor = max(1.0, largest * 0.5 ** random.random())
        elif self.small and random.random() < self.small:
            return self._mirrored(photo, random), Frame(0, 0, self.side, self.side)
        else:
            factor = largest ** random.random() if random.random() < 0.5 else 1.0
        side = round(self.side * factor)
        (clean,), frame = cut_and_turn([photo], side, random)
        if side > self.side:
            clean = quantize(bicubic(clean, (self.side, self.side)))
            frame = Frame(*(round(value * self.side / side) for value in frame))
        return clean, frame

    def _mirrored(self, photo: Tensor, random: np.random.Generator) -> Tensor:
        """A square reduced to half the side of a scene, with mirror images beside and below it."""
        small = self.side // 2
        most = min(_FACTORS[1], min(photo.shape[1:]) / small)
        factor = float(np.exp(random.uniform(*np.log([min(_FACTORS[0], most), most]))))
        (clean,), _ = cut_and_turn([photo], round(small * factor), random)
        clean = quantize(bicubic(clean, (small, small)))
        clean = torch.cat([clean, clean.flip(2)], dim=2)
        return torch.cat([clean, clean.flip(1)], dim=1)

    def _places(self, random: np.random.Generator) -> list[tuple[int, int]]:
        free = self.side - self.patch + 1
        places = []
        for _ in range(self.patches):
            top, left = (int(value) for value in random.integers(free, size=2))
            if random.random() < 0.75:
                top, left = top // _GRID * _GRID, left // _GRID * _GRID
            places.append((top, left))
        return places


def drawing(photo: Tensor, task: str, seed: int, random: np.random.Generator) -> tuple[Tensor, str]:
    """The picture that a task degrades, and the task of its faults.

    Args:
        photo: (3, H, W) in [0, 1].
        task: one of `SCENE_TASKS`; those that are no drawings are returned, with the photo.
        seed: of the drawing, 0 or more.
        random: from which the task of the faults is drawn.
    """
    if task == DRAWN:
        return draw_over(photo, seed), CLEAN if random.random() < 0.5 else MIXTURE
    if task == SCREEN:
        kind = _SCREENS[int(random.integers(len(_SCREENS)))]
        return draw_over(photo, seed, kind), CLEAN if random.random() < 0.3 else FILE
    return photo, task


def _levels(image: Tensor) -> Tensor:
    return (image * 255).round().to(torch.uint8)
