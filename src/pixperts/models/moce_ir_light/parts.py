"""Blocks of moce-ir-light: plain convolutions, and experts of which a picture uses one or none."""

from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixperts.models.moce_ir_light.config import EXPERTS
from pixperts.models.moeisr_light.parts import Block
from pixperts.routing import Routing, run_experts_masked


def _calm(first: nn.Conv2d, second: nn.Conv2d) -> None:
    """Set a block's weights so that it changes little at first.

    Biases start at 0: with random ones, some units would stay at 0 for every input.
    """
    with torch.no_grad():
        second.weight.mul_(0.3)
        for convolution in (first, second):
            assert convolution.bias is not None
            convolution.bias.zero_()


class Bottleneck(nn.Module):
    """Expert 1: two 1x1 convolutions with few channels between them.

    Args:
        channels: of the features, C.
        width: channels between the two.
    """

    reach = 0  # distance in pixels of its level up to which it reads the map

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 1)
        self.second = nn.Conv2d(width, channels, 1)
        _calm(self.first, self.second)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        result: Tensor = self.second(F.relu_(self.first(x)))
        return result


class Convolutions(nn.Module):
    """Experts 2 and 3: two 3x3 convolutions, which see far if they are dilated.

    Args:
        channels: of the features, C.
        width: channels between the two.
        dilations: of the first and the second.

    Attributes:
        reach: distance in pixels of its level up to which it reads the map.
    """

    def __init__(self, channels: int, width: int, dilations: tuple[int, int]) -> None:
        super().__init__()
        near, far = dilations
        self.reach = near + far
        self.first = nn.Conv2d(channels, width, 3, padding=near, dilation=near)
        self.second = nn.Conv2d(width, channels, 3, padding=far, dilation=far)
        _calm(self.first, self.second)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        result: Tensor = self.second(F.relu_(self.first(x)))
        return result


class Deep(nn.Module):
    """Plain residual blocks at half the size, for faults such as strong noise.

    The last layer starts at zero: this part can be added to a trained network, and at first changes
    nothing.

    Args:
        channels: of the features, C.
        blocks: number of residual blocks.
    """

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels, channels, 2, stride=2)
        self.blocks = nn.ModuleList([Block(channels) for _ in range(blocks)])
        self.up = nn.Conv2d(channels, 4 * channels, 1)
        for parameter in self.up.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w), h and w even -> (B, C, h, w), which the caller adds to x."""
        x = self.down(x)
        for block in self.blocks:
            x = block(x)
        return shuffled(self.up(x))


def shuffled(x: Tensor) -> Tensor:
    """(B, 4 C, h, w) -> (B, C, 2 h, 2 w) in channels_last memory."""
    return F.pixel_shuffle(x, 2).contiguous(memory_format=torch.channels_last)


class SharedPart(nn.Module):
    """x + shared(x): the part of a block that every picture goes through.

    Args:
        channels: of the features, C.
    """

    modulation: nn.Linear | None

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        _calm(self.first, self.second)
        self.modulation = None

    def add_modulation(self, embedding: int) -> None:
        """Let the embedding, of this length, scale and shift the hidden features."""
        self.modulation = nn.Linear(embedding, 2 * self.first.out_channels)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def shared(self, x: Tensor, embedding: Tensor) -> Tensor:
        """x + shared(x), computed for every picture.

        Args:
            x: (B, C, h, w).
            embedding: (B, E), of the whole pictures.

        Returns:
            (B, C, h, w).
        """
        hidden = self.first(x)
        if self.modulation is not None:
            # Limited to -1..1, so that a picture unlike those of the training is not amplified
            # without limit.
            vector = torch.tanh(self.modulation(embedding)).to(hidden.dtype)[:, :, None, None]
            scale, shift = vector.chunk(2, dim=1)
            hidden = torch.addcmul(hidden + shift, hidden, 0.5 * scale)
        result: Tensor = self.second(F.relu(hidden)) + x
        return result


class MixtureBlock(SharedPart):
    """x + shared(x) + gate * expert(x), with one expert per picture.

    The scout, a small network, describes each picture by an embedding, from which the router
    chooses. Expert 0 means no expert: nothing is computed. Expert 1 is a bottleneck, expert 2 has
    two 3x3 convolutions, and expert 3 has two dilated ones, which see far.

    Args:
        channels: of the features, C.
        width: channels between the two layers of experts 2 and 3.
        bottleneck: channels between the two layers of expert 1.
        embedding: length of the embedding, E.
        modulated: whether the embedding also scales and shifts the shared part.
    """

    def __init__(
        self, channels: int, width: int, bottleneck: int, embedding: int, modulated: bool
    ) -> None:
        super().__init__(channels)
        self.experts = nn.ModuleList(
            [
                Bottleneck(channels, bottleneck),
                Convolutions(channels, width, (1, 1)),
                Convolutions(channels, width, (2, 4)),
            ]
        )
        self.router = nn.Linear(embedding, EXPERTS)
        nn.init.zeros_(self.router.weight)
        nn.init.zeros_(self.router.bias)
        if modulated:
            self.add_modulation(embedding)

    @property
    def reach(self) -> int:
        """Largest distance in pixels of this level up to which the block reads the map."""
        return max(2, *(cast(Bottleneck | Convolutions, expert).reach for expert in self.experts))

    @property
    def expert_multiply_adds(self) -> tuple[int, ...]:
        """Of each expert, per pixel of this level."""
        return (0, *(kernel_weights(expert) for expert in self.experts))

    @property
    def costs(self) -> tuple[float, ...]:
        """Multiply-adds of each expert, relative to the most expensive one."""
        adds = self.expert_multiply_adds
        return tuple(count / max(adds) for count in adds)

    @property
    def expert_parameters(self) -> list[int]:
        """Number of parameters of each expert."""
        return [0, *(sum(p.numel() for p in expert.parameters()) for expert in self.experts)]

    def route(self, embedding: Tensor, noise: Tensor | None, name: str) -> Routing:
        """The choice of an expert for each picture; its gate is its probability without noise.

        Args:
            embedding: (B, E).
            noise: (B, J) added to the logits; None for none.
            name: of the block, for the record.
        """
        with torch.autocast(embedding.device.type, enabled=False):
            logits = self.router(embedding.float())  # (B, J)
        noisy = logits if noise is None else logits + noise
        probabilities = logits.softmax(dim=-1)
        experts = noisy.argmax(dim=-1, keepdim=True)  # (B, 1)
        return Routing(
            experts=experts,
            costs=self.costs,
            probabilities=probabilities,
            gates=probabilities.gather(1, experts),
            logits=logits,
            noisy_logits=noisy,
            pooled=embedding,
            name=name,
        )

    def add_expert(self, y: Tensor, x: Tensor, routing: Routing, masked: bool) -> Tensor:
        """y + gate * expert(x).

        Args:
            y: (B, C, h, w), what the shared part made of x; may be changed.
            x: (B, C, h, w).
            routing: the choice of `route`, or another one.
            masked: run every expert on every picture and drop what was not chosen (slow).
        """
        assert routing.gates is not None
        choice, gates = routing.experts[:, 0], routing.gates[:, 0].to(y.dtype)

        def runner(number: int) -> "_Runner":
            return _Runner(self.experts[number], x, gates)

        runners = [runner(number) for number in range(len(self.experts))]
        if masked:

            def none(items: Tensor) -> Tensor:
                return x.new_zeros(())

            every: list[Callable[[Tensor], Tensor]] = [none, *runners]
            return y + run_experts_masked(choice, every, out=torch.zeros_like(y))
        if not torch.is_grad_enabled() and len(choice) == 1:
            number = int(choice)
            return y if number == 0 else y.add_(runners[number - 1](None))
        for number, run in enumerate(runners, start=1):
            items = torch.nonzero(choice == number).squeeze(1)  # (M,)
            if len(items) == len(y):
                y = y + run(None)
            elif len(items):
                y = y.index_add(0, items, run(items).to(y.dtype))
        return y


class _Runner:
    """Computes gate * expert(x) for some of the pictures, or for all with None."""

    def __init__(self, expert: nn.Module, x: Tensor, gates: Tensor) -> None:
        self.expert, self.x, self.gates = expert, x, gates

    def __call__(self, items: Tensor | None) -> Tensor:
        if items is None:
            result: Tensor = self.expert(self.x)
            return result * self.gates[:, None, None, None]
        result = self.expert(self.x.index_select(0, items))
        return result * self.gates.index_select(0, items)[:, None, None, None]


def kernel_weights(module: nn.Module) -> int:
    """Number of weights of all convolutions: multiply-adds per pixel at their resolution."""
    return sum(p.numel() for p in module.parameters() if p.dim() == 4)


def expert_multiply_adds(
    blocks: Sequence[MixtureBlock],
    pixels: Sequence[float],
    routings: Sequence[Routing] | None,
    *,
    every: bool,
) -> float:
    """Multiply-adds of the experts of all blocks for one picture.

    Args:
        blocks: in the order of execution.
        pixels: number of pixels of the map of each block.
        routings: the choice of each block; for several pictures, their mean is counted. None: the
            most expensive experts.
        every: count all experts, whatever was chosen.
    """
    total = 0.0
    for number, (block, here) in enumerate(zip(blocks, pixels, strict=True)):
        adds = block.expert_multiply_adds
        if every:
            total += sum(adds) * here
        elif routings is None:
            total += max(adds) * here
        else:
            shares = routings[number].shares
            total += sum(s * a for s, a in zip(shares, adds, strict=True)) * here
    return total
