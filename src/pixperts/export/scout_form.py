"""The scout of moce-ir-light as a graph: it examines the whole picture, and all choices follow.

Computes the sums of `Scout.count` and `count_levels` and the results of the scout, the routers and
the tone head in operations with fixed sizes: the overview lies in a square of 64 by 64 cells, of
which some stay empty if it is smaller, and histograms are counted by scatter-add.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pixperts.export.form import IMAGE, Form, mirrored_to_multiple
from pixperts.models.moce_ir_light.config import EXPERTS, GROUPS
from pixperts.models.moce_ir_light.model import MoCEIRLight
from pixperts.models.moce_ir_light.scout import OVERVIEW, STEP
from pixperts.models.moce_ir_light.tone import CELLS, LEVELS, SEEN, Tone

LIGHT = ("undo", "curve", "airlight", "haze")  # inputs of `ToneForm`


class Seen(NamedTuple):
    """The results of the scout for each picture, by the names of the outputs of `ScoutForm`."""

    embedding: Tensor  # (B, E)
    experts: Tensor  # (B, blocks) int64, which expert each block chooses
    faults: Tensor  # (B, 5) probabilities of noise, weather, light, blur, marks
    undo: Tensor  # (B, 2) how much of darkness and haze is undone
    curve: Tensor  # (B, 2) stops and gamma of the darkness
    airlight: Tensor  # (B, 3) color of the haze
    haze: Tensor  # (B, 4, 8, 8) minus the logarithm of the transmission


class ScoutForm(Form):
    """Whole pictures (B, 3, h, w) in [0, 1] to `Seen`."""

    inputs = (IMAGE,)
    outputs = Seen._fields
    label, summary = "scout", "scout"

    def __init__(self, model: MoCEIRLight) -> None:
        super().__init__()
        self.model = model

    def facts(self) -> dict[str, str]:
        """Metadata that name the entries of outputs."""
        return {
            "experts": f"a number from 0 to {EXPERTS - 1} for each block",
            "faults": ", ".join(GROUPS),
            "undo": ", ".join(self.model.light_faults),
            "curve": "stops, gamma",
        }

    def forward(self, image: Tensor) -> Seen:
        """(B, 3, h, w) in [0, 1] -> `Seen`."""
        rows, columns = (_Axis(image.shape[axis], image) for axis in (2, 3))
        longest = torch.maximum(rows.length, columns.length)
        for axis in (rows, columns):
            axis.shrink(longest)
        overview = rows.cells @ image @ columns.cells.t()
        overview = overview / (rows.area[:, None] * columns.area).clamp_min(1)
        embedding = self.model.scout.described(
            *self._features(image), self._colors(overview, rows, columns)
        )
        seen = rows.pool() @ overview @ columns.pool().t()
        return answers(self.model, embedding, self.model.tone.judged(seen, _levels(image)))

    def reference(self, image: Tensor) -> Seen:
        """The results of the network itself."""
        statistics = self.model.count(image)
        return answers(self.model, self.model.scout(statistics), self.model.judge(statistics))

    def examples(
        self, batch: int, height: int, width: int, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """Noise on a gradient, dark or hazy, so that no output is trivial."""
        noise = torch.rand(batch, 3, height, width, generator=generator)
        slope = torch.linspace(0, 1, width) * torch.linspace(0.3, 1, height)[:, None]
        image = 0.15 * noise + 0.85 * slope
        return (image * 0.2 if height > width else 0.55 + 0.25 * image,)

    def _features(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance (B, C) of the scout's features."""
        features = self.model.scout.features(mirrored_to_multiple(image, 2 * STEP))
        height, width = ((side + STEP - 1) // STEP for side in image.shape[2:])
        counted = features[:, :, :height, :width]
        mean = counted.mean(dim=(2, 3))
        return mean, (counted.square().mean(dim=(2, 3)) - mean.square()).clamp_min(0)

    def _colors(self, overview: Tensor, rows: "_Axis", columns: "_Axis") -> Tensor:
        """(B, D) description of the overview, in which empty cells count nothing."""
        x = overview - 0.5
        height, width = rows.count, columns.count
        for convolution in self.model.scout.colors:
            x = F.relu(convolution(x * _filled(x, height, width)))
            height, width = (height + 1) // 2, (width + 1) // 2
        inside = _filled(x, height, width)
        return (x * inside).sum(dim=(2, 3)) / inside.sum()


class _Axis:
    """Rows or columns of a picture, and the overview's cells along them.

    Attributes:
        length: (1,) of the side.
        count: (1,) cells that are filled, of 64.
        cells: (64, side) 1 where a pixel's middle lies in a cell.
        area: (64,) pixels in each.
    """

    def __init__(self, side: int, like: Tensor) -> None:
        self.places = torch.arange(side, device=like.device)
        self.length = self.places[-1:] + 1
        self.dtype = like.dtype
        self.count, self.cells, self.area = self.length, self.length, self.length

    def shrink(self, longest: Tensor) -> None:
        """Count the cells, as `overview_size`: halves are rounded to even numbers."""
        doubled = 2 * OVERVIEW * self.length + longest
        count = doubled // (2 * longest)
        odd = count - count // 2 * 2
        count = count - torch.where(doubled == count * 2 * longest, odd, 0)
        self.count = torch.where(longest > OVERVIEW, count.clamp_min(1), self.length)
        own = (2 * self.places + 1) * self.count // (2 * self.length)
        cells = torch.arange(OVERVIEW, device=own.device)
        self.cells = (own == cells[:, None]).to(self.dtype)
        self.area = self.cells.sum(dim=1)

    def pool(self) -> Tensor:
        """(32, 64) that averages cells as `adaptive_avg_pool2d` does."""
        target = torch.arange(SEEN, device=self.places.device)[:, None]
        cells = torch.arange(OVERVIEW, device=self.places.device)
        first = target * self.count // SEEN
        last = ((target + 1) * self.count + SEEN - 1) // SEEN
        taken = ((cells >= first) & (cells < last)).to(self.dtype)
        return taken / taken.sum(dim=1, keepdim=True)


def _filled(x: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """(h, w) 1 in the cells of the top left corner, of height and width (1,) each."""
    rows = torch.arange(x.shape[2], device=x.device)[:, None] < height
    columns = torch.arange(x.shape[3], device=x.device) < width
    return (rows & columns).to(x.dtype)


def _levels(image: Tensor) -> Tensor:
    """`count_levels` of whole pictures."""
    batch, _, height, width = image.shape
    red, green, blue = image.unbind(dim=1)
    most = torch.maximum(torch.maximum(red, green), blue)
    least = torch.minimum(torch.minimum(red, green), blue)
    both = torch.stack([most, least], dim=1)  # (B, 2, H, W)
    both = (both.clamp(0, 1) * (LEVELS - 1)).round().long()
    rows = torch.arange(height, device=image.device) * CELLS // height
    columns = torch.arange(width, device=image.device) * CELLS // width
    cell = CELLS * rows[:, None] + columns
    first = CELLS**2 * torch.arange(2, device=image.device).view(2, 1, 1)
    places = (both + LEVELS * (first + cell)).reshape(batch, 2 * height * width)
    counts = image.new_zeros(batch, 2 * CELLS**2 * LEVELS)
    counts = counts.scatter_add(1, places, torch.ones_like(places, dtype=image.dtype))
    return counts.view(batch, 2, CELLS**2, LEVELS)


def answers(model: MoCEIRLight, embedding: Tensor, tone: Tone) -> Seen:
    """The results that follow from the two descriptions of pictures."""
    logits = [block.router(embedding) for block in model.mixtures]
    return Seen(
        embedding=embedding,
        experts=torch.stack([values.argmax(dim=-1) for values in logits], dim=1),
        faults=model.scout.groups(embedding).sigmoid(),
        undo=tone.amounts("auto"),
        curve=torch.stack([tone.stops, tone.gamma], dim=1),
        airlight=tone.airlight,
        haze=tone.haze[:, 0],
    )
