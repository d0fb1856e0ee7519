"""Report what a training would need, without training: `pixperts train --dry-run`."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate
from torch.utils.flop_counter import FlopCounterMode

from pixperts.io.image import write_image
from pixperts.ops.pixels import from_float
from pixperts.training.config import TrainConfig
from pixperts.training.distributed import Layout
from pixperts.training.module import TrainingModule
from pixperts.training.run import make_folder, module_of


def dry_run(config: TrainConfig, folder: Path, processes: int = 1) -> str:
    """Build everything, compute one step on one sample, and draw the first batch.

    Args:
        config: of the training.
        folder: receives first_batch.png, and nothing else.
        processes: number of processes that would share the batch.

    Returns:
        Lines of text: parameters, data, multiply-adds and memory of a step, path of the picture.

    Raises:
        UsageError, DataError, ModelError: as the training would.
    """
    layout = Layout(config.batch, config.accumulate, processes)
    layout.check()
    torch.manual_seed(config.seed)
    task = module_of(config, layout)
    samples: Any = task.samples()
    batch = default_collate([samples[number] for number in range(layout.batch)])
    one = type(batch)(*(field[:1] for field in batch))
    multiply_adds, kept = cost_of(task, one)
    trained = sum(p.numel() for p in task.model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in task.model.parameters())
    # In bytes: all weights and their averages; gradients and two moments of the trained ones.
    state = 4 * (2 * total + 3 * trained)
    path = folder / "first_batch.png"
    make_folder(folder)
    sheet = task.sheet(batch).permute(1, 2, 0).clamp(0, 1).numpy()
    write_image(path, from_float(sheet, "uint8"))
    count = config.max_steps * config.batch
    return "\n".join(
        [
            f"model: {config.model}, {short(total)} parameters, {short(trained)} of them trained",
            f"data: {samples.describe()}",
            f"steps: {config.max_steps} of {config.batch} samples ({layout.local} a process and "
            f"part), {count} in all",
            f"work: {short(multiply_adds)} multiply-adds a sample in matrix products and "
            f"convolutions, backward included; {short(multiply_adds * count)} in all",
            f"memory, estimated: {short(state)}B for weights and optimizer, "
            f"{short(kept * layout.local)}B of activations a process in float32",
            f"first batch: {path}",
        ]
    )


def short(number: float) -> str:
    """A number of 0 or more with three digits and a prefix of the SI.

    Example:
        >>> short(1_104_000), short(999), short(2.5e15)
        ('1.1 M', '999', '2.5 P')
    """
    for prefix, size in (("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {prefix}"
    return f"{number:.3g}"


def cost_of(task: TrainingModule, batch: Any) -> tuple[float, int]:
    """Multiply-adds of one step on a batch, and bytes that its forward pass keeps for the backward.

    Args:
        task: whose losses and counts are then as before.
        batch: as the task's samples are collated.
    """
    seen: set[int] = {p.data_ptr() for p in task.model.parameters()}
    kept = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal kept
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            held.append(tensor)
            kept += storage.nbytes()
        return tensor

    held: list[Tensor] = []  # kept alive, so that no address is used twice
    counter = FlopCounterMode(display=False)
    with counter, torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        task.training_step(batch, 0).backward()
    task.take_losses()
    task.counts.zero_()
    return counter.get_total_flops() / 2, kept
