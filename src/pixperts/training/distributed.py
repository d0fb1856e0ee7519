"""Training on several processes, with the same steps as on one process.

The batch of a step does not depend on the number of processes and of accumulated parts. Sample
`place` of step s has the number s * batch + place, and each process works on some of the places.
Most losses are means over samples, whose gradients the processes average. A loss of the batch as a
whole (the balance of experts) is computed from the values of all processes.
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
    """Number of processes that train together; 1 if there is no group of processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if processes() > 1 else 0


@dataclass(frozen=True)
class Layout:
    """Which process works on which places of the batch of a step.

    The first part of the step gets the first places, and within it process 0 the first of these.

    Args:
        batch: samples of a step.
        accumulate: parts into which each process splits its share.
        processes: number of processes.

    Example:
        >>> Layout(batch=8, accumulate=2, processes=2).places(rank=1, part=0)
        range(2, 4)
    """

    batch: int
    accumulate: int = 1
    processes: int = 1

    @property
    def local(self) -> int:
        """Samples per process and part."""
        return self.batch // (self.accumulate * self.processes)

    def check(self) -> None:
        """Check that all processes and parts get the same number of samples.

        Raises:
            UsageError: they do not.
        """
        if self.batch % (self.accumulate * self.processes):
            raise UsageError(
                f"batch is {self.batch}, but must be a multiple of accumulate ({self.accumulate}) "
                f"times the number of processes ({self.processes})."
            )

    def places(self, rank: int, part: int) -> range:
        """Places of the batch on which a process works in a part of the step, both from 0."""
        first = part * (self.batch // self.accumulate) + rank * self.local
        return range(first, first + self.local)


class FromStep(Sampler[int]):
    """Sample numbers of a process, from the present step on.

    They follow from the number of the step. So a checkpoint needs nothing else to continue with the
    next samples.

    Args:
        step: returns the present step.
        steps: number of steps to give samples for.
        layout: of the batch.
        rank: number of the process; None: of this one.
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
    """The rows of all processes; gradients reach those of this process only, times their number.

    Every process computes the same loss from the same rows, and the gradients of the parameters
    are averaged afterwards. The factor, the number of processes, makes this average a sum over all
    rows.
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
    """The rows of all P processes, in the order of their numbers.

    This is for losses that are not means over samples. If every process computes such a loss from
    these rows, the averaged gradients are those of a single process with the whole batch.

    Args:
        rows: (N, ...) of this process, with the same N on all.

    Returns:
        (P N, ...).
    """
    return rows if processes() == 1 else cast(Tensor, _Together.apply(rows))  # type: ignore[no-untyped-call]


def summed(values: Tensor) -> Tensor:
    """The sum over all processes, without gradient, in a new tensor."""
    total = values.detach().clone()
    if processes() > 1:
        # NCCL sends only tensors on a GPU.
        carrier = total.cuda() if dist.get_backend() == "nccl" else total
        dist.all_reduce(carrier)
        total = carrier.to(total.device)
    return total


def averaged(values: Tensor) -> Tensor:
    """The mean over all processes, without gradient."""
    return summed(values) / processes()


def any_process(flag: bool) -> bool:
    """Whether the flag is set on at least one process."""
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
    """A zero to add to a loss, which gives each of the parameters a gradient, if only of zeros.

    An expert may get no sample on one process and some on another. Without a gradient on both, they
    could not be averaged. A single process does the same, so that momentum and decay affect an
    expert without samples as they do with several processes.
    """
    if not parameters:
        return torch.zeros(())
    return cast(Tensor, _Touch.apply(*parameters))  # type: ignore[no-untyped-call]


def launched_by_torchrun() -> tuple[int, int] | None:
    """Processes on this machine and number of machines; None if torchrun did not start this."""
    if not {"TORCHELASTIC_RUN_ID", "WORLD_SIZE", "LOCAL_WORLD_SIZE"} <= os.environ.keys():
        return None
    local = int(os.environ["LOCAL_WORLD_SIZE"])
    return local, int(os.environ["WORLD_SIZE"]) // local
