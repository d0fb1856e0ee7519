"""Inputs of the choices of moce-ir-light: noise, routings of an earlier pass, and sureness."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from pixperts.errors import UsageError
from pixperts.models.moce_ir_light.config import EXPERTS, FAR, GROUPS
from pixperts.routing import Routing


def draw_noises(
    noise: bool | torch.Generator | Tensor,
    shape: tuple[int, int, int],
    scale: float,
    device: torch.device,
) -> list[Tensor]:
    """Noise of each router (B, J).

    Args:
        noise: a generator or torch's own (True) to draw from, or standard normal numbers.
        shape: (blocks, B, J).
        scale: standard deviation.
        device: of the result.

    Raises:
        UsageError: numbers of another shape.
    """
    if isinstance(noise, Tensor):
        if noise.shape != shape:
            raise UsageError(f"noise has shape {tuple(noise.shape)}, but must be {shape}.")
        drawn = noise
    else:
        generator = noise if isinstance(noise, torch.Generator) else None
        own = device if generator is None else generator.device
        drawn = torch.randn(shape, generator=generator, device=own)
    return list((drawn * scale).to(device))


def spread_pins(
    pinned: Sequence[Routing] | None, blocks: int, batch: int
) -> Sequence[Routing | None]:
    """Routings of an earlier pass, one for each block; those of one picture for the whole batch.

    Raises:
        UsageError: routings that do not fit.
    """
    if pinned is None:
        return [None] * blocks
    if len(pinned) != blocks:
        raise UsageError(f"{len(pinned)} routings are pinned, but there are {blocks} blocks.")
    spread = []
    for routing in pinned:
        if routing.gates is None or routing.gates.shape != routing.experts.shape:
            raise UsageError("a pinned routing needs the gates of its experts.")
        if len(routing.costs) != EXPERTS:
            raise UsageError("a pinned routing comes from a model with other experts.")
        if len(routing.gates) not in (1, batch):
            raise UsageError(
                f"routings of {len(routing.gates)} pictures are pinned, but there are {batch}."
            )
        spread.append(
            Routing(
                experts=routing.experts.expand(batch, -1),
                costs=routing.costs,
                probabilities=_spread(routing.probabilities, batch),
                gates=_spread(routing.gates, batch),
                pooled=_spread(routing.pooled, batch),
                name=routing.name,
            )
        )
    return spread


def _spread(values: Tensor | None, batch: int) -> Tensor | None:
    return None if values is None else values.expand(batch, -1)


def without_experts(routing: Routing, idle: Tensor) -> Routing:
    """A routing in which pictures of a mask (B,) take no expert, as nothing runs for them."""
    assert routing.gates is not None
    experts = routing.experts.masked_fill(idle[:, None], 0)
    gates = routing.gates
    if routing.probabilities is not None:
        gates = torch.where(idle[:, None], routing.probabilities[:, :1], gates)
    return replace(routing, experts=experts, gates=gates, idle=idle)


def of_pictures(routing: Routing, items: Tensor) -> Routing:
    """The routing of some pictures (M,) of its batch, to be pinned."""
    assert routing.gates is not None
    probabilities = None if routing.probabilities is None else routing.probabilities[items]
    return Routing(
        routing.experts[items],
        routing.costs,
        probabilities,
        routing.gates[items],
        name=routing.name,
    )


def only_noise(routings: Sequence[Routing]) -> Tensor:
    """Pictures (B,) that take the layers for noise, as the routers see no need to look far.

    A choice that a budget has lowered counts as the router's, and one that was pinned without its
    probabilities as certain.
    """
    chances = [
        (routing.experts[:, 0] == FAR).float()
        if routing.probabilities is None
        else routing.probabilities[:, FAR]
        for routing in routings
    ]
    return no_far_look(chances)


def no_far_look(chances: Sequence[Tensor]) -> Tensor:
    """(B,) whether the expert that looks far is improbable, given its probability in each block."""
    return torch.stack(tuple(chances)).mean(dim=0) < 0.5


def within_cost(
    probabilities: Sequence[Sequence[float]], costs: Sequence[Sequence[float]], limit: float
) -> list[int]:
    """The expert of each block of one picture: the most probable, or cheaper ones within a limit.

    As long as the sum of the costs is too high, the step down that loses the least probability for
    what it saves is taken.

    Args:
        probabilities: of each expert, for each block.
        costs: alike, rising.
        limit: of the sum of the costs.

    Example:
        >>> within_cost([[0.1, 0.9], [0.4, 0.6]], [[0, 2], [0, 2]], limit=2.5)
        [1, 0]
    """
    chosen = [max(range(len(row)), key=row.__getitem__) for row in probabilities]
    while True:
        spent = sum(row[place] for row, place in zip(costs, chosen, strict=True))
        steps = []
        for block, place in enumerate(chosen):
            for lower in range(place):
                saved = costs[block][place] - costs[block][lower]
                lost = probabilities[block][place] - probabilities[block][lower]
                if saved > 0:
                    steps.append((lost / saved, block, lower))
        if spent <= limit or not steps:
            return chosen
        _, block, lower = min(steps)
        chosen[block] = lower


def sureness(
    found: Tensor,
    span: Sequence[float],
    marks: Sequence[float] = (),
    noise: Sequence[float] = (),
    weather: Sequence[float] = (),
) -> Tensor:
    """(B,) how much of a change is taken, by the scout's groups of faults.

    Args:
        found: (B, G) probabilities.
        span: of the most probable fault but those of light, from which the change is taken in part,
            and wholly; always wholly where both are 0.
        marks: the same for marks alone; as for the others where it is empty or 0.
        noise: the same for noise and compression.
        weather: the same for rain and snow.
    """
    if max(span) <= 0:
        return torch.ones_like(found[:, 0])
    spans = {name: span for name in GROUPS if name != "light"}
    own = {"marks": marks, "noise": noise, "weather": weather}
    spans |= {name: given for name, given in own.items() if given and max(given) > 0}
    shares = [
        ((found[:, GROUPS.index(name)] - low) / max(high - low, 1e-6)).clamp(0, 1)
        for name, (low, high) in spans.items()
    ]
    return torch.stack(shares).amax(dim=0)
