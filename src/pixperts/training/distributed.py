"""One training on several processes that equals the training of one process.

Every step has one batch for the whole run, whatever the number of processes and of accumulated
parts: sample number n of step s is s * batch + place, and each process works on its places. Most
losses are means over samples, whose gradients the processes average. A loss of the batch as a
whole (the balance of experts) is computed from what all processes put together.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import Sampler

from pixperts.errors import UsageError

_T = TypeVar("_T")


def processes() -> int:
    """Processes that train together; 1 where there is no group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if processes() > 1 else 0


@dataclass(frozen=True)
class Layout:
    """Who works on which places of a step's batch.

    Places are dealt in this order: part after part, in each part process after process.

    Example:
        >>> Layout(batch=8, accumulate=2, processes=2).places(rank=1, part=0)
        range(2, 4)
    """

    batch: int
    accumulate: int = 1
    processes: int = 1

    @property
    def local(self) -> int:
        """Samples a process and part."""
        return self.batch // (self.accumulate * self.processes)

    def check(self) -> None:
        """Refuse a batch that cannot be dealt evenly.

        Raises:
            UsageError: naming the three numbers.
        """
        if self.batch % (self.accumulate * self.processes):
            raise UsageError(
                f"batch is {self.batch}, but must be a multiple of accumulate ({self.accumulate}) "
                f"times the number of processes ({self.processes})."
            )

    def places(self, rank: int, part: int) -> range:
        """Places of the batch that one process works on in one part of the step."""
        first = part * (self.batch // self.accumulate) + rank * self.local
        return range(first, first + self.local)


class FromStep(Sampler[int]):
    """Sample numbers of a process, from the present step on.

    The position of a run in its data lives in its step alone, so there is nothing else to save.
    """

    def __init__(
        self, step: Callable[[], int], steps: int, layout: Layout, rank: int | None = None
    ) -> None:
        self.step, self.steps, self.layout, self.rank = step, steps, layout, rank

    def __iter__(self) -> Iterator[int]:
        """Numbers step * batch + place, step after step."""
        own = rank() if self.rank is None else self.rank
        first = self.step()
        for step in range(first, first + self.steps):
            for part in range(self.layout.accumulate):
                for place in self.layout.places(own, part):
                    yield step * self.layout.batch + place

    def __len__(self) -> int:
        return self.steps * self.layout.accumulate * self.layout.local


class _Together(torch.autograd.Function):
    """All processes' rows. Gradients reach this process's own, times the number of processes.

    Every process computes the same loss from the same rows and the gradients of the parameters
    are averaged afterwards; the factor makes that average a sum over all rows.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(processes())]
        dist.all_gather(parts, rows.contiguous())
        ctx.count = len(rows)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        first = rank() * ctx.count
        return gradients[0][first : first + ctx.count] * processes()


def all_gather_with_grad(rows: Tensor) -> Tensor:
    """The rows (N, ...) of all processes in the order of their ranks, (P N, ...).

    For losses that are no mean over samples: computed from these, on every process alike, their
    gradients averaged over the processes are those of one process with the whole batch.
    """
    return rows if processes() == 1 else cast(Tensor, _Together.apply(rows))  # type: ignore[no-untyped-call]


def summed(values: Tensor) -> Tensor:
    """The sum over all processes, without gradient, in a new tensor."""
    total = values.detach().clone()
    if processes() > 1:
        # NCCL moves what lies on a GPU only.
        carrier = total.cuda() if dist.get_backend() == "nccl" else total
        dist.all_reduce(carrier)
        total = carrier.to(total.device)
    return total


def averaged(values: Tensor) -> Tensor:
    """The mean over all processes, without gradient."""
    return summed(values) / processes()


def any_process(flag: bool) -> bool:
    """Whether the flag is set on some process."""
    return flag if processes() == 1 else bool(summed(torch.tensor(int(flag))) > 0)


def gathered(items: list[_T]) -> list[_T]:
    """The items of all processes, those of process 0 first."""
    if processes() == 1:
        return items
    parts: list[Any] = [None] * processes()
    dist.all_gather_object(parts, items)
    return [item for part in parts for item in part]


class _Touch(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *parameters: Tensor) -> Tensor:
        ctx.kinds = [(parameter.shape, parameter.dtype) for parameter in parameters]
        return parameters[0].new_zeros(())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        zero = torch.zeros_like(gradients[0])
        return tuple(zero.to(dtype).expand(shape) for shape, dtype in ctx.kinds)


def zero_gradients_for(parameters: list[torch.nn.Parameter]) -> Tensor:
    """Zero, in a way that gives every parameter a gradient: zero where it took no part.

    An expert may get no sample on one process and some on another, whose gradients would then
    have no partner to be averaged with. One process does the same, so that momentum and decay
    act on such an expert alike.
    """
    if not parameters:
        return torch.zeros(())
    return cast(Tensor, _Touch.apply(*parameters))  # type: ignore[no-untyped-call]


def launched_by_torchrun() -> tuple[int, int] | None:
    """(processes on this machine, machines) where torchrun started this process."""
    if not {"TORCHELASTIC_RUN_ID", "WORLD_SIZE", "LOCAL_WORLD_SIZE"} <= os.environ.keys():
        return None
    local = int(os.environ["LOCAL_WORLD_SIZE"])
    return local, int(os.environ["WORLD_SIZE"]) // local
