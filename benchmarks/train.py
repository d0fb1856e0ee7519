"""Samples a second of the training step, and what the configurations then cost.

    python benchmarks/train.py configs/published/*.yaml [--seconds 20] [--device cuda]
    python benchmarks/train.py configs/moce_ir_tiny_aio5.yaml --compile --precision bfloat16

Each configuration's network takes whole steps (loss, backward, optimizer) on random samples of its
own shapes, so that no data set is needed: loading is measured by benchmarks/data_loading.py. On a
CPU a step has one sample, and the clock is the process's own CPU time, so that other work does not
count: seconds and hours are of one core. On a GPU a step has the configuration's batch and the
clock is the wall's. "Hours" are steps x batch / (samples a second), with one such device;
multiply-adds are counted in matrix products and convolutions, backward included.
"""

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pixperts.data.restoration import Degraded
from pixperts.data.super_resolution import Sample
from pixperts.training.config import RestorationConfig, TrainConfig, UpscalingConfig
from pixperts.training.distributed import Layout
from pixperts.training.dry_run import cost_of, short
from pixperts.training.module import TrainingModule
from pixperts.training.run import module_of


def random_batch(config: TrainConfig, count: int, tasks: int) -> Sample | Degraded:
    """Noise of the shapes that the configuration's data has, at the middle of its scales."""
    picture = torch.rand(count, 3, config.patch, config.patch)
    if isinstance(config, RestorationConfig):
        return Degraded(picture, picture.flip(2), torch.arange(count) % tasks)
    assert isinstance(config, UpscalingConfig)
    side = round(config.patch * sum(config.scales) / 2)
    positions = torch.randint(side, (count, config.queries, 2))
    size = torch.full((count, 2), side)
    return Sample(picture, positions, size, torch.rand(count, config.queries, 3))


def steps_per_second(
    task: TrainingModule, batch: Sample | Degraded, seconds: float
) -> tuple[float, float]:
    """Steps a second after two that warm up, and the seconds of those two."""
    optimizer = task.configure_optimizers()["optimizer"]
    kind = task.device.type
    half = task.config.precision == "bfloat16"

    def step() -> None:
        with torch.autocast(kind, torch.bfloat16, enabled=half):
            loss: Tensor = task.training_step(batch, 0)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if kind == "cuda":
            torch.cuda.synchronize()

    clock = time.process_time if kind == "cpu" else time.perf_counter
    started = clock()
    step()
    step()
    warmed = clock()
    done = 0
    while not done or clock() - warmed < seconds:
        step()
        done += 1
    return done / (clock() - warmed), warmed - started


def main() -> None:
    """Measure each, print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("configs", nargs="+", type=Path)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--precision", choices=("float32", "bfloat16"))
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    where = torch.cuda.get_device_name() if args.device == "cuda" else "CPU"
    print(
        f"{where}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"{args.precision or 'float32 or as configured'}{', compiled' * args.compile}\n\n"
        "| configuration | multiply-adds per sample | samples/s | samples in all | in all | hours "
        "| warm-up, s |\n|---|---|---|---|---|---|---|"
    )
    for path in args.configs:
        config = TrainConfig.from_yaml(path)
        changes: dict[str, Any] = {"init": None, "validation": None, "frozen": ()}
        if args.precision:
            changes["precision"] = args.precision
        config = dataclasses.replace(config, **changes)
        count = args.batch or (1 if args.device == "cpu" else config.batch)
        config = dataclasses.replace(config, batch=count, accumulate=1)
        torch.manual_seed(0)
        task = module_of(config, Layout(count)).to(args.device)
        batch = random_batch(config, count, len(task.names))
        batch = type(batch)(*(field.to(args.device) for field in batch))
        multiply_adds, _ = cost_of(task, type(batch)(*(field[:1] for field in batch)))
        if args.compile:
            task.compile_parts()
        rate, warm_up = steps_per_second(task, batch, args.seconds)
        rate *= count
        samples = TrainConfig.from_yaml(path).batch * config.max_steps
        print(
            f"| {path.stem} | {short(multiply_adds)} | {rate:.3g} | {samples:,} | "
            f"{short(multiply_adds * samples)} | {samples / rate / 3600:.3g} | {warm_up:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
