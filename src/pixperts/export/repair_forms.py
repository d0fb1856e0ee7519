"""moce-ir-light as graphs: in three parts, for tiles and for other amounts, or as a whole.

The scout (`scout_form`) examines the whole picture. By its results the detail is repaired, and then
the curve of the tone head is applied. Motion blur stays, as its stage needs Fourier
transforms, and so do dust and scratches.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pixperts.export.form import (
    IMAGE,
    Form,
    continued_to_multiple,
    mirrored_to_multiple,
)
from pixperts.export.scout_form import LIGHT, ScoutForm, Seen
from pixperts.models.moce_ir_light.choices import no_far_look, sureness
from pixperts.models.moce_ir_light.config import EXPERTS, FAR, PARTS
from pixperts.models.moce_ir_light.layers import PlainLayers
from pixperts.models.moce_ir_light.model import MoCEIRLight
from pixperts.models.moce_ir_light.parts import SharedPart
from pixperts.models.moce_ir_light.regions import excess_surface
from pixperts.models.moce_ir_light.tone import (
    CELLS,
    SHADES,
    Tone,
    brightened,
    without_haze,
)
from pixperts.routing import Routing

Experts = tuple[int, ...]


class DetailForm(Form):
    """The repair of noise, compression and other local faults, in a picture or a tile of it.

    Args:
        model: the network.
        experts: number of the expert of each block; None = all are in the graph, and the scout
            chooses.
    """

    inputs = (IMAGE, "embedding", "undo", "shares")
    outputs = ("repaired",)

    def __init__(self, model: MoCEIRLight, experts: Experts | None) -> None:
        super().__init__()
        self.model, self.experts = model, experts
        self.label = "detail" + label_of(experts)
        self.summary = "repair of detail" + summary_of(experts)

    def facts(self) -> dict[str, str]:
        """Metadata that programs need to cut a picture into tiles."""
        # The figure of the model includes the motion stage, which is not in the graph.
        return {
            "shares": ", ".join(PARTS),
            "tiles": f"begin at multiples of {self.model.config.cell} pixels, with "
            f"{self.model.context} pixels of the picture around what is kept",
        }

    def forward(self, image: Tensor, embedding: Tensor, undo: Tensor, shares: Tensor) -> Tensor:
        """(B, 3, h, w) in [0, 1] -> the same shape, around [0, 1] (unclamped)."""
        height, width = image.shape[2:]
        padded = mirrored_to_multiple(image, self.model.config.multiple)
        sets: list[PlainLayers] = [self.model]
        if self.model.noise_layers is not None:
            sets.append(self.model.noise_layers)
        if len(sets) == 2 and self.experts is not None:
            sets = [sets[_of_noise(self.experts)]]
        changes = [self._changes(layers, padded, (height, width), embedding) for layers in sets]
        change = changes[0]
        if len(sets) == 2:  # both are in the graph
            chances = [block.router(embedding).softmax(dim=-1) for block in self.model.mixtures]
            near = no_far_look([own[:, FAR] for own in chances])
            change = torch.where(near[:, None, None, None, None], changes[1], changes[0])
        config, found = self.model.config, self.model.scout.groups(embedding).sigmoid()
        taken = sureness(found, config.sure, config.sure_marks)
        taken = torch.maximum(taken, undo[:, 0])  # what is brightened shows its noise
        residual = (change * (shares * taken[:, None])[:, :, None, None, None]).sum(dim=1)
        cell, slack = self.model.config.cell, self.model.config.slack
        surface = excess_surface(continued_to_multiple(residual, cell), cell, slack)
        return image + (residual - surface[:, :, :height, :width])

    def _changes(
        self, layers: PlainLayers, padded: Tensor, size: tuple[int, int], embedding: Tensor
    ) -> Tensor:
        """What one set of layers adds to a picture, by part (B, P, 3, H, W)."""
        number = 0

        def mixed(x: Tensor, blocks: nn.ModuleList) -> Tensor:
            nonlocal number
            for block in blocks:
                assert isinstance(block, SharedPart)
                x = self._with_experts(block.shared(x, embedding), x, embedding, number)
                number += 1
            return x

        return layers.last_layer(layers.layers(padded, mixed), size, embedding)

    def _with_experts(self, y: Tensor, x: Tensor, embedding: Tensor, number: int) -> Tensor:
        block = self.model.mixtures[number]
        logits = block.router(embedding)
        gates = logits.softmax(dim=-1)
        if self.experts is None:  # 0 for all but the chosen one
            places = torch.arange(EXPERTS, device=x.device)
            gates = gates * (places == logits.argmax(dim=-1, keepdim=True)).to(gates.dtype)
            chosen: Sequence[int] = range(EXPERTS)
        else:
            chosen = (self.experts[number],)
        for expert in chosen:
            if expert:
                y = y + block.experts[expert - 1](x) * gates[:, expert, None, None, None]
        return y

    def reference(
        self, image: Tensor, embedding: Tensor, undo: Tensor, shares: Tensor
    ) -> Sequence[Tensor]:
        """The result of the network with these experts; `shares` must be equal for all pictures."""
        pinned = None
        if self.experts is not None:
            pinned = []
            for block, expert in zip(self.model.mixtures, self.experts, strict=True):
                gates = block.router(embedding).softmax(dim=-1)[:, expert, None]
                pinned.append(Routing(torch.full_like(gates, expert).long(), block.costs,
                                      gates=gates))  # fmt: skip
        amounts = shares[0].tolist()
        output = self.model.repair(
            image, embedding, pinned=pinned, amounts=amounts, brightened=undo[:, 0]
        )
        return (output.image,)

    def examples(
        self, batch: int, height: int, width: int, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """A noisy picture, values like those of the scout for it, and shares."""
        image = torch.rand(batch, 3, height, width, generator=generator)
        embedding = self.model.scout(self.model.count(image))
        embedding = embedding + 0.2 * torch.randn(embedding.shape, generator=generator)
        undo = torch.rand(batch, 2, generator=generator)
        shares = torch.rand(1, len(PARTS), generator=generator).expand(batch, -1)
        return image, embedding, undo, shares.contiguous()


class ToneForm(Form):
    """Undo haze and darkness by the results of the scout, in a repaired picture or a tile of it."""

    inputs = (IMAGE, *LIGHT, "window")
    outputs = ("toned",)
    label, summary = "tone", "undoing of haze and darkness"

    def facts(self) -> dict[str, str]:
        """Metadata that explain the input `window`."""
        return {"window": "top and left of the tile, height and width of the picture, in pixels"}

    def forward(
        self, image: Tensor, undo: Tensor, curve: Tensor, airlight: Tensor, haze: Tensor,
        window: Tensor,
    ) -> Tensor:  # fmt: skip
        """(B, 3, h, w) around [0, 1] -> the same shape in [0, 1]."""
        top, left, tall, wide = (value[:, None] for value in window.unbind(dim=1))
        rows = (torch.arange(image.shape[2], device=image.device) + 0.5 + top) / tall  # (B, h)
        columns = (torch.arange(image.shape[3], device=image.device) + 0.5 + left) / wide
        light = image.mean(dim=1).clamp(0, 1)
        # The grid is read by its hat functions along each axis, as `grid_sample` does.
        shades = _hats(rows, CELLS)[:, None] @ haze @ _hats(columns, CELLS)[:, None].mT
        depth = (shades * _hats(light, SHADES).permute(0, 3, 1, 2)).sum(dim=1, keepdim=True)
        tone = _tone(curve, airlight, haze)
        cleared = without_haze(image, depth, tone, undo[:, 1])
        cleared = torch.where(undo[:, 1, None, None, None] > 0, cleared, image)
        return brightened(cleared, tone, undo).clamp(0, 1)

    def reference(self, *inputs: Tensor) -> Sequence[Tensor]:
        """The result of the tone head; windows must be equal for all pictures."""
        image, undo, curve, airlight, haze, window = inputs
        top, left, tall, wide = (int(value) for value in window[0])
        tone = _tone(curve, airlight, haze)
        found = self._head.apply_to(image, tone, undo, (top, left), (tall, wide))
        return (found.clamp(0, 1),)

    def __init__(self, model: MoCEIRLight) -> None:
        super().__init__()
        self._head = model.tone

    def examples(
        self, batch: int, height: int, width: int, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """A tile of a dark and hazy picture."""

        def drawn(*shape: int) -> Tensor:
            return torch.rand(batch, *shape, generator=generator)

        window = torch.tensor([[5.0, 3.0, height + 20.0, width + 9.0]]).expand(batch, -1)
        curve = torch.stack([3 * drawn(), 0.7 + drawn()], dim=1)
        haze = 2 * drawn(SHADES, CELLS, CELLS)
        return drawn(3, height, width), drawn(2), curve, 0.6 + 0.4 * drawn(3), haze, window + 0


class WholeForm(Form):
    """The whole repair in one graph: scout, detail and tone."""

    outputs = ("repaired",)

    def __init__(self, model: MoCEIRLight, experts: Experts | None) -> None:
        super().__init__()
        self.model = model
        self.scout, self.detail = ScoutForm(model), DetailForm(model, experts)
        self.tone = ToneForm(model)
        self.label = label_of(experts).removeprefix("_")
        self.summary = "repair" + summary_of(experts)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, h, w) in [0, 1] -> repaired, the same shape and range."""
        seen = self.scout(image)
        shares = torch.ones_like(seen.undo[:, :1]).expand(-1, len(PARTS))
        repaired = self.detail(image, seen.embedding, seen.undo, shares)
        ends = [torch.arange(side, device=image.device)[-1:] + 1 for side in image.shape[2:]]
        size = torch.cat([*(0 * end for end in ends), *ends]).to(image.dtype)
        window = size.expand(image.shape[0], -1)
        result: Tensor = self.tone(repaired, *(getattr(seen, name) for name in LIGHT), window)
        return result

    def reference(self, image: Tensor) -> Sequence[Tensor]:
        """The result of the network without its stage for motion blur."""
        seen: Seen = self.scout.reference(image)
        shares = torch.ones(len(image), len(PARTS))
        (repaired,) = self.detail.reference(image, seen.embedding, seen.undo, shares)
        window = torch.tensor([[0.0, 0.0, *image.shape[2:]]]).expand(len(image), -1)
        light = (getattr(seen, name) for name in LIGHT)
        return self.tone.reference(repaired, *light, window)

    def examples(
        self, batch: int, height: int, width: int, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """The same as for `ScoutForm`."""
        return self.scout.examples(batch, height, width, generator)


def _of_noise(experts: Experts) -> bool:
    """Whether pictures with these experts take the layers for noise."""
    return bool(no_far_look([torch.tensor([float(expert == FAR)]) for expert in experts]))


def label_of(experts: Experts | None) -> str:
    """The text on experts for the name of the file."""
    return "" if experts is None else "_e" + "".join(map(str, experts))


def summary_of(experts: Experts | None) -> str:
    """The text on experts for people."""
    return "" if experts is None else f" with experts {','.join(map(str, experts))}"


def _tone(curve: Tensor, airlight: Tensor, haze: Tensor) -> Tone:
    """What applying it needs; the rest is there for judging."""
    stops, gamma = curve.unbind(dim=1)
    return Tone(curve, stops, gamma, airlight, haze[:, None], stops, stops, stops, stops)


def _hats(places: Tensor, cells: int) -> Tensor:
    """(..., cells): how much of each cell's value counts at places in 0..1 of the axis."""
    where = (places * cells - 0.5).clamp(0, cells - 1)
    distance = where[..., None] - torch.arange(cells, device=places.device)
    return (1 - distance.abs()).clamp_min(0)
